"""The descriptions themselves: every path of the server with what it takes, gives, and an example of both."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any, Final

from modelport.runtime.errors import UnknownNameError, named
from modelport.runtime.server import azureml

from . import schemas

if TYPE_CHECKING:
    from modelport.runtime.dataplane import DataPlane
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.server.request import Head
    from modelport.runtime.server.routes import Route

    Json = dict[str, Any]

_VERSIONS: Final = ("2", "2.0", "3", "3.0")
_NO_KEY: Final = re.compile(r"[^A-Za-z0-9._-]")
_HEALTH: Final = {
    "/": ("ServiceHealthCheck", "`Healthy` while the models are loaded and the server does not stop"),
    "/v2/health/live": ("ServerLive", "Whether the server answers"),
    "/v2/health/ready": ("ServerReady", "Whether the models are loaded and the server does not stop"),
    "/v2": ("ServerMetadata", "Name, version and extensions of the server"),
}
_BEARER: Final = {"type": "http", "scheme": "bearer"}


def describe(plane: DataPlane, route: Route, head: Head, *, keys: bool) -> Json:
    """Return the description that was asked for: Swagger 2.0, with `version=3` in the query OpenAPI 3.0.3.

    It is of the model that the path or the header names, of all without. With `keys` it says that one is needed.
    Raises `UnknownNameError` for another version or model, `NotReadyError`.
    """
    name, version = azureml.chosen(plane, route, head)
    scorers = plane.scorers() if name is None else (plane.scorer(name, version),)
    wanted = head.parameters().get("version", ["2"])[-1]
    if wanted not in _VERSIONS:
        raise UnknownNameError(f"description: expected version 2 or 3, got {named(wanted)}")
    paths = _paths_of(plane, scorers)
    return _openapi3(paths, scorers, keys=keys) if wanted.startswith("3") else _swagger2(paths, scorers, keys=keys)


def _paths_of(plane: DataPlane, scorers: tuple[Scorer, ...]) -> dict[str, Scorer]:
    """Return the paths at which documents are scored, `/score` only where it leads to one model."""
    paths = {"/score": scorers[0]} if len(plane.slots) == 1 else {}
    seen: set[str] = set()
    for scorer in scorers:
        name = scorer.manifest.name
        if name not in seen:  # the first of several versions is the default
            paths[f"/models/{name}/score"] = scorer
            seen.add(name)
        paths[f"/models/{name}/versions/{scorer.manifest.version}/score"] = scorer
    return paths


def _info(scorers: tuple[Scorer, ...]) -> Json:
    names = ", ".join(f"{scorer.manifest.name} {scorer.manifest.version}" for scorer in scorers)
    return {
        "title": scorers[0].manifest.name if len(scorers) == 1 else "modelport",
        "version": scorers[0].manifest.version if len(scorers) == 1 else installed("modelport"),
        "description": f"Scores {names}",
    }


def _openapi3(paths: dict[str, Scorer], scorers: tuple[Scorer, ...], *, keys: bool) -> Json:
    described: Json = {path: {"get": _read_operation(*words)} for path, words in _HEALTH.items()}
    components: Json = {"Error": _error("error"), "Message": _error("message")}
    for scorer in scorers:
        components |= _components(scorer)
        described |= _v2_paths(scorer)
    for number, (path, scorer) in enumerate(paths.items()):
        described[path] = {"post": _score_operation(scorer, "RunMLService" if number == 0 else _key(path))}
    description: Json = {
        "openapi": "3.0.3",
        "info": _info(scorers),
        "paths": described,
        "components": {"schemas": components},
    }
    if keys:
        description["components"]["securitySchemes"] = {"Bearer": _BEARER}
        for path, operations in described.items():
            if path not in ("/", "/v2/health/live", "/v2/health/ready") and not path.endswith("/ready"):
                for operation in operations.values():
                    operation["security"] = [{"Bearer": []}]
                    operation["responses"]["401"] = _failure("No key of this server", "Error")
    return description


def _components(scorer: Scorer) -> Json:
    signature, key = scorer.signature, _key_of(scorer)
    if scorer.has_script:
        return {f"{key}.Input": {}, f"{key}.Output": {}, **_tensor_components(scorer)}
    if not signature.has_rows:
        found = {
            f"{key}.Input": schemas.whole(signature.inputs),
            f"{key}.Output": schemas.whole(signature.outputs, output=True),
        }
        return {**found, **_tensor_components(scorer)}
    row, answer = f"{key}.Row", f"{key}.Answer"
    one = [{"allOf": [_ref(row), {"minProperties": 1}]}] if schemas.is_flat(signature) else []
    return {
        row: schemas.record(signature),
        answer: schemas.answer(signature),
        f"{key}.Input": {"anyOf": [_list_of(row), *one, _wrapped(_list_of(row))]},
        f"{key}.Output": {"anyOf": [_list_of(answer), _ref(answer), _wrapped(_list_of(answer))]},
        **_tensor_components(scorer),
    }


def _tensor_components(scorer: Scorer) -> Json:
    signature, key = scorer.signature, _key_of(scorer)
    return {
        f"{key}.Request": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "nullable": True},
                "parameters": {"type": "object"},
                "inputs": {
                    "type": "array",
                    "items": {"anyOf": [schemas.tensor(spec) for spec in signature.inputs]},
                    "minItems": len(signature.inputs),
                    "maxItems": len(signature.inputs),
                },
                "outputs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "enum": [spec.name for spec in signature.outputs]},
                            "parameters": {"type": "object"},
                        },
                        "required": ["name"],
                    },
                    "maxItems": len(signature.outputs),
                },
            },
            "required": ["inputs"],
        },
        f"{key}.Response": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {
                    "type": "array",
                    "items": {"anyOf": [schemas.tensor(spec, output=True) for spec in signature.outputs]},
                },
            },
            "required": ["model_name", "model_version", "outputs"],
        },
    }


def _v2_paths(scorer: Scorer) -> Json:
    name, version = scorer.manifest.name, scorer.manifest.version
    base, key = f"/v2/models/{name}/versions/{version}", _key_of(scorer)
    taken = given = None
    if (example := schemas.tensors(scorer)) is not None:
        taken = {"inputs": example[0]}
        given = {"model_name": name, "model_version": version, "outputs": example[1]}
    infer = {
        "operationId": f"Infer.{key}",
        "summary": f"Score tensors with {name} {version} (Open Inference Protocol V2)",
        "requestBody": {"required": True, "content": _json(_ref(f"{key}.Request"), taken)},
        "responses": {
            "200": {"description": "The outputs", "content": _json(_ref(f"{key}.Response"), given)},
            **_failures("Error"),
        },
    }
    return {
        base: {"get": _read_operation(f"Metadata.{key}", "Inputs and outputs of the model")},
        f"{base}/ready": {"get": _read_operation(f"Ready.{key}", "Whether the model is ready")},
        f"{base}/infer": {"post": infer},
    }


def _score_operation(scorer: Scorer, operation: str) -> Json:
    key = _key_of(scorer)
    taken, given = (None, None) if scorer.has_script else schemas.example(scorer)
    return {
        "operationId": operation,
        "summary": f"Score a document with {scorer.manifest.name} {scorer.manifest.version}",
        "requestBody": {"required": True, "content": _json(_ref(f"{key}.Input"), taken)},
        "responses": {
            "200": {"description": "The answer, in kind", "content": _json(_ref(f"{key}.Output"), given)},
            **_failures("Message"),
        },
    }


def _read_operation(operation: str, summary: str) -> Json:
    responses: Json = {"200": {"description": summary}, "503": _failure("Not ready", "Error")}
    return {"operationId": operation, "summary": summary, "responses": responses}


def _swagger2(paths: dict[str, Scorer], scorers: tuple[Scorer, ...], *, keys: bool) -> Json:
    """Return the description in the form of azureml-inference-server-http (`server/swagger2_template.json`)."""
    definitions: Json = {"ErrorResponse": _error("message")}
    security: Json = {"security": [{"Bearer": []}]} if keys else {}
    described: Json = {"/": {"get": _swagger2_read("ServiceHealthCheck", "`Healthy` while the models are ready")}}
    for number, (path, scorer) in enumerate(paths.items()):
        first = number == 0
        taken, given = ("ServiceInput", "ServiceOutput") if first else (f"Input{number}", f"Output{number}")
        definitions[taken], definitions[given] = _swagger2_definitions(scorer)
        described[path] = {
            "post": {
                "operationId": "RunMLService" if first else _key(path),
                "description": f"Score a document with {scorer.manifest.name} {scorer.manifest.version}",
                **security,
                "parameters": [
                    {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": f"#/definitions/{taken}"}}
                ],
                "responses": {
                    "200": {"description": "The answer, in kind", "schema": {"$ref": f"#/definitions/{given}"}},
                    "default": _swagger2_failure(),
                },
            }
        }
    described["/swagger.json"] = {"get": {**_swagger2_read("GetSwaggerSpec", "This description"), **security}}
    bearer = {"type": "apiKey", "name": "Authorization", "in": "header", "description": "Bearer and a key"}
    return {
        "swagger": "2.0",
        "info": _info(scorers),
        "schemes": ["http", "https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        **({"securityDefinitions": {"Bearer": bearer}} if keys else {}),
        "paths": described,
        "definitions": definitions,
    }


def _swagger2_definitions(scorer: Scorer) -> tuple[Json, Json]:
    if scorer.has_script:
        return {"type": "object", "example": {}}, {"type": "object", "example": {}}
    taken, given = schemas.example(scorer)
    signature = scorer.signature
    if not signature.has_rows:
        found = schemas.whole(signature.inputs), schemas.whole(signature.outputs)
    else:
        found = (
            {"type": "array", "items": schemas.record(signature)},
            {"type": "array", "items": {"type": "object"}},
        )
    if taken is None:
        return _as_swagger2(found[0]), _as_swagger2(found[1])
    return {**_as_swagger2(found[0]), "example": taken}, {**_as_swagger2(found[1]), "example": given}


def _as_swagger2(schema: Any) -> Any:
    """Return a schema in the words of Swagger 2.0, which has no `nullable`."""
    if isinstance(schema, list):
        return [_as_swagger2(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        "x-nullable" if name == "nullable" and each is True else name: _as_swagger2(each)
        for name, each in schema.items()
    }


def _swagger2_read(operation: str, text: str) -> Json:
    responses = {"200": {"description": text, "schema": {"type": "string"}}, "default": _swagger2_failure()}
    return {"operationId": operation, "description": text, "responses": responses}


def _swagger2_failure() -> Json:
    return {"description": "An error", "schema": {"$ref": "#/definitions/ErrorResponse"}}


def _failures(schema: str) -> Json:
    found = {"400": "The request does not fit", "413": "The body is too large", "415": "The body is compressed"}
    found |= {"422": "The model cannot score this input", "429": "Too much to do; `Retry-After` says when to try again"}
    found |= {"500": "Our fault; the log has more", "503": "Not ready", "504": "It took too long"}
    return {status: _failure(text, schema) for status, text in found.items()}


def _failure(text: str, schema: str) -> Json:
    return {"description": text, "content": _json(_ref(schema))}


def _error(field: str) -> Json:
    return {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}


def _json(schema: Json, example: Any = None) -> Json:
    return {"application/json": {"schema": schema, **({} if example is None else {"example": example})}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _wrapped(schema: Json) -> Json:
    return {"type": "object", "properties": {"data": schema}, "required": ["data"], "additionalProperties": False}


def _key_of(scorer: Scorer) -> str:
    return _key(f"{scorer.manifest.name}-{scorer.manifest.version}")


def _key(text: str) -> str:
    """Return `text` as what names a component or an operation."""
    return _NO_KEY.sub("_", text).strip("_")
