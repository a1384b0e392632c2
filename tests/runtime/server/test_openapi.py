"""The descriptions of the server are valid, and what they give as examples is what the server takes and answers."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import document_models
import jsonschema_rs
import numpy as np
import pytest
import scripted
import tiny_models
from adding import adding
from onnx import TensorProto, helper
from rsgi import Headers
from schemathesis.specs.openapi import definitions

from modelport.packager.package import write_package
from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.server import routes
from modelport.runtime.server.keys import Keys
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from modelport.runtime.server.responses import Response

    Json = dict[str, Any]

MODELS = {**document_models.MODELS, "external": tiny_models.external}
KEY = "key-1234567890"


def site_of(*packages: Path, keys: Keys | None = None) -> Site:
    return Site(DataPlane(*(ModelSlot(load(package)) for package in packages)), keys=keys)


def ask(site: Site, method: str, path: str, body: object = None, **headers: str) -> Response:
    path, _, query = path.partition("?")
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return site.visit(Head(method, path, query, given)).answer(b"" if body is None else json.dumps(body).encode())


def described(site: Site, version: str, path: str = "/swagger.json", **headers: str) -> Json:
    response = ask(site, "GET", f"{path}?version={version}", **headers)
    assert response.status == 200, response.body
    return json.loads(response.body)


def check(description: Json) -> None:
    """Check a description against the published schema of its kind, and that all its references lead somewhere."""
    kind = "SWAGGER_20_VALIDATOR" if "swagger" in description else "OPENAPI_30_VALIDATOR"
    getattr(definitions, kind).validate(description)
    for reference in references(description):
        found = description
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    names = [operation["operationId"] for path in description["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def validator(description: Json, schema: Json) -> Any:
    """Return what validates values of `schema`, written in the words of JSON Schema."""
    return jsonschema_rs.Draft7Validator({**with_null(schema), "components": with_null(description["components"])})


def with_null(schema: Any) -> Any:
    """Return a schema in which `nullable` is said by the type, as JSON Schema has it."""
    if isinstance(schema, list):
        return [with_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: with_null(each) for name, each in schema.items()}
    if changed.get("nullable") is True:
        changed["type"] = [changed["type"], "null"]
    return changed


def posts(description: Json) -> dict[str, Json]:
    return {path: operations["post"] for path, operations in description["paths"].items() if "post" in operations}


def content(part: Json) -> Json:
    return part["content"]["application/json"]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Site]:
    home = tmp_path_factory.mktemp("packages")
    made: dict[str, Site] = {}

    def site(name: str) -> Site:
        if name not in made:
            made[name] = site_of(MODELS[name](home / name))
        return made[name]

    return site


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", MODELS)
def test_a_description_is_valid(sites: Callable[[str], Site], name: str, version: str) -> None:
    check(described(sites(name), version))


@pytest.mark.parametrize("name", MODELS)
def test_every_example_fits_its_schema_and_is_answered_as_the_example_says(
    sites: Callable[[str], Site], name: str
) -> None:
    site = sites(name)
    description = described(site, "3")
    assert len(posts(description)) == 4
    for path, operation in posts(description).items():
        taken, given = content(operation["requestBody"]), content(operation["responses"]["200"])
        for part in (taken, given):
            validator(description, part["schema"]).validate(part["example"])
        response = ask(site, "POST", path, taken["example"])
        assert (response.status, json.loads(response.body)) == (200, given["example"])


@pytest.mark.parametrize("name", MODELS)
def test_the_example_of_swagger_2_is_answered_as_it_says(sites: Callable[[str], Site], name: str) -> None:
    definitions = described(sites(name), "2")["definitions"]
    response = ask(sites(name), "POST", "/score", definitions["ServiceInput"]["example"])
    assert json.loads(response.body) == definitions["ServiceOutput"]["example"]


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_refuses_what_the_server_refuses(sites: Callable[[str], Site], name: str) -> None:
    """Each value of the example in turn is made one that no model takes."""
    site = sites(name)
    description = described(site, "3")
    for path in ("/score", next(path for path in posts(description) if path.endswith("/infer"))):
        taken = content(posts(description)[path]["requestBody"])
        checks = validator(description, taken["schema"])
        for spoiled in spoiled_in_turn(taken["example"]):
            assert not checks.is_valid(spoiled)
            assert ask(site, "POST", path, spoiled).status == 400


def spoiled_in_turn(example: Any) -> Iterator[Any]:
    for way in ways(example):
        spoiled = copy.deepcopy(example)
        inside = spoiled
        for step in way[:-1]:
            inside = inside[step]
        inside[way[-1]] = {"no": "value"}
        yield spoiled


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from ways(each, (*way, name))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from ways(each, (*way, at))
    else:
        yield way


def test_no_rows_one_row_and_wrapped_rows_fit_the_schemas_of_input_and_output(sites: Callable[[str], Site]) -> None:
    site = sites("table")
    description = described(site, "3")
    operation = posts(description)["/score"]
    taken, given = content(operation["requestBody"]), content(operation["responses"]["200"])
    rows = taken["example"]
    without_null = [{name: value for name, value in row.items() if name == "count"} for row in rows]
    for document in ([], rows, rows[0], {"data": rows}, {"data": []}, without_null):
        validator(description, taken["schema"]).validate(document)
        response = ask(site, "POST", "/score", document)
        assert response.status == 200
        validator(description, given["schema"]).validate(json.loads(response.body))


def test_what_is_no_number_fits_the_schema_of_an_answer(sites: Callable[[str], Site]) -> None:
    site = sites("quotients")
    description = described(site, "3")
    score, infer = posts(description)["/score"], posts(description)["/v2/models/quotients/versions/1/infer"]
    response = ask(site, "POST", "/score", [{"a": a, "b": 0} for a in (1, -1, 0)])
    assert json.loads(response.body)[0]["q"] == "Infinity"
    validator(description, content(score["responses"]["200"])["schema"]).validate(json.loads(response.body))
    tensors = [{"name": name, "shape": [1], "datatype": "FP32", "data": [0]} for name in "ab"]
    response = ask(site, "POST", "/v2/models/quotients/infer", {"inputs": tensors})
    assert json.loads(response.body)["outputs"][0]["data"] == [None]
    validator(description, content(infer["responses"]["200"])["schema"]).validate(json.loads(response.body))


def test_swagger_2_has_the_paths_and_operations_of_azure_mls_own(sites: Callable[[str], Site]) -> None:
    """As `server/swagger2_template.json` of azureml-inference-server-http has them."""
    description = described(sites("linear"), "2")
    found = {path: {name: each["operationId"] for name, each in description["paths"][path].items()} for path in PATHS}
    assert found == PATHS
    (body,) = description["paths"]["/score"]["post"]["parameters"]
    assert (body["name"], body["in"], body["schema"]) == (
        "serviceInputPayload",
        "body",
        {"$ref": "#/definitions/ServiceInput"},
    )
    assert {"ServiceInput", "ServiceOutput", "ErrorResponse"} <= description["definitions"].keys()


PATHS = {
    "/": {"get": "ServiceHealthCheck"},
    "/score": {"post": "RunMLService"},
    "/swagger.json": {"get": "GetSwaggerSpec"},
}


def test_openapi_3_has_every_path_that_reads_or_scores(sites: Callable[[str], Site]) -> None:
    assert described(sites("linear"), "3")["paths"].keys() == {
        *("/", "/v2", "/v2/health/live", "/v2/health/ready"),
        *("/v2/models/linear/versions/1", "/v2/models/linear/versions/1/ready", "/v2/models/linear/versions/1/infer"),
        *("/score", "/models/linear/score", "/models/linear/versions/1/score"),
    }


@pytest.mark.parametrize("name", ["linear", "classifier"])
def test_every_path_that_is_described_is_there(sites: Callable[[str], Site], name: str) -> None:
    for version in ("2", "3"):
        for path, operations in described(sites(name), version)["paths"].items():
            for method in operations:
                assert routes.find(method.upper(), path)


@pytest.mark.parametrize(
    ("version", "expected"), [("", "2.0"), ("version=2", "2.0"), ("version=2.0", "2.0"), ("version=4&version=2", "2.0")]
)
def test_swagger_2_is_what_is_given_unless_3_is_asked_for(
    sites: Callable[[str], Site], version: str, expected: str
) -> None:
    assert json.loads(ask(sites("linear"), "GET", f"/swagger.json?{version}").body)["swagger"] == expected
    for wanted in ("3", "3.0"):
        assert described(sites("linear"), wanted)["openapi"] == "3.0.3"


@pytest.mark.parametrize("version", ["", "1", "4", "3.1", "3\n", "x" * 100])
def test_another_version_is_not_there(sites: Callable[[str], Site], version: str) -> None:
    response = ask(sites("linear"), "GET", f"/swagger.json?version={version}")
    assert response.status == 404
    got = "xxx" * 25 + "xx..." if len(version) > 80 else version.replace("\n", "\\n")
    if len(version) < 80:
        assert json.loads(response.body) == {"message": f"description: expected version 2 or 3, got `{got}`"}


def test_with_keys_it_is_said_what_needs_one(tmp_path: Path) -> None:
    site = site_of(tiny_models.linear(tmp_path / "linear"), keys=Keys([KEY]))
    bearer = f"Bearer {KEY}"
    for version in ("2", "3"):
        description = described(site, version, authorization=bearer)
        check(description)
        if version == "2":
            scheme = description["securityDefinitions"]["Bearer"]
            assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
        else:
            assert description["components"]["securitySchemes"] == {"Bearer": {"type": "http", "scheme": "bearer"}}
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                needed = ask(site, method.upper(), path).status == 401
                assert operation.get("security") == ([{"Bearer": []}] if needed else None), path


def test_without_keys_none_is_spoken_of(sites: Callable[[str], Site]) -> None:
    for version in ("2", "3"):
        text = json.dumps(described(sites("linear"), version))
        assert "security" not in text
        assert "401" not in text


def test_of_a_script_nobody_knows_what_it_takes(tmp_path: Path) -> None:
    script = "def init(): pass\ndef run(data): return data"
    site = site_of(scripted.put(tiny_models.linear(tmp_path / "linear"), script))
    two, three = described(site, "2"), described(site, "3")
    check(two)
    check(three)
    assert two["definitions"]["ServiceInput"] == {"type": "object", "example": {}}
    schemas = three["components"]["schemas"]
    assert (schemas["linear-1.Input"], schemas["linear-1.Output"]) == ({}, {})
    infer = posts(three)["/v2/models/linear/versions/1/infer"]  # the graph answers there as ever
    taken, given = content(infer["requestBody"])["example"], content(infer["responses"]["200"])["example"]
    assert json.loads(ask(site, "POST", "/v2/models/linear/infer", taken).body) == given


def test_of_several_models_all_are_described_and_each_alone(tmp_path: Path) -> None:
    site = site_of(
        adding(tmp_path / "new", 2, "wine", "2"),
        adding(tmp_path / "old", 1, "wine", "1"),
        tiny_models.table(tmp_path / "table"),
    )
    both = {"/models/wine/score", "/models/wine/versions/2/score"}
    every = {*both, "/models/wine/versions/1/score", "/models/table/score", "/models/table/versions/1/score"}
    for version in ("2", "3"):
        description = described(site, version)
        check(description)
        assert {path for path in posts(description) if path.endswith("score")} == every
        assert description["info"]["description"] == "Scores wine 2, wine 1, table 1"
        for path, headers in (
            ("/models/wine/swagger.json", {}),
            ("/swagger.json", {"azureml_model_deployment": "wine"}),
        ):
            one = described(site, version, path, **headers)
            check(one)
            assert {path for path in posts(one) if path.endswith("score")} == both
            assert (one["info"]["title"], one["info"]["version"]) == ("wine", "2")
    for path, operation in posts(described(site, "3")).items():
        taken, given = content(operation["requestBody"]), content(operation["responses"]["200"])
        assert json.loads(ask(site, "POST", path, taken["example"]).body) == given["example"]
    response = ask(site, "GET", "/models/beer/swagger.json")
    assert (response.status, json.loads(response.body)) == (
        404,
        {"message": "model: expected one of `wine`, `table`, got `beer`"},
    )


def pictures(path: Path) -> Path:
    """`nullable` FP32 [-1, 3, 64, 64] -> `y` FP32 [-1, 3, 64, 64]: the same."""
    shape = (-1, 3, 64, 64)
    model = tiny_models._model(
        [helper.make_node("Identity", ["nullable"], ["y"])],
        [helper.make_tensor_value_info("nullable", TensorProto.FLOAT, [None, *shape[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, *shape[1:]])],
        {},
    )
    signature = Signature(
        inputs=(TensorSpec(name="nullable", datatype="FP32", shape=shape, nullable=True),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=shape),),
        rows_identical=True,
    )
    inputs = [{"nullable": np.ones((2, *shape[1:]), np.float32)}]
    return write_package(tiny_models.plan("pictures", model, signature, inputs), path)


def test_large_values_are_described_without_an_example(tmp_path: Path) -> None:
    site = site_of(pictures(tmp_path / "pictures"))
    two, three = described(site, "2"), described(site, "3")
    check(two)
    check(three)
    for description in (two, three):
        text = json.dumps(description)
        assert "example" not in text
        assert len(text) < 20_000


def test_a_column_is_called_in_swagger_2_as_it_is_called(tmp_path: Path) -> None:
    site = site_of(pictures(tmp_path / "pictures"))
    row = described(site, "2")["definitions"]["ServiceInput"]["items"]
    assert row["properties"].keys() == {"nullable"}
    assert re.search('"x-nullable": true', json.dumps(row["properties"]))
