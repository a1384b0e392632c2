"""Every transport, on a real server, answers as the published description of the protocol says.

tests/data/open_inference_rest.yaml is kserve/open-inference-protocol@d49cc23, Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
import transports
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Server

DESCRIPTION = yaml.safe_load((Path(__file__).parents[2] / "data" / "open_inference_rest.yaml").read_text())
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool}
CITY = {"name": "city", "shape": [2, 1], "datatype": "BYTES", "data": ["Bern", None]}
REQUEST = {
    "id": "42",
    "inputs": [
        {"name": "amount", "shape": [2, 1], "datatype": "FP64", "data": [[0.5], [1]]},
        {"name": "count", "shape": [2, 1], "datatype": "INT64", "data": [1, 2]},
        CITY,
    ],
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.table(tmp_path_factory.mktemp("packages") / "table")


@pytest.fixture(scope="module", params=transports.ALL)
def server(package: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with transports.serving(request.param, package) as server:
        yield server


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether `value` is what `schema` describes, of the few keywords that the description uses."""
    if "$ref" in schema:
        return conforms(value, DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(conforms(value, choice) for choice in schema["anyOf"])
    if not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if isinstance(value, list):
        return all(conforms(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        return set(schema.get("required", ())) <= value.keys() and all(
            conforms(item, known[name]) if name in known else others is None or conforms(item, others)
            for name, item in value.items()
        )
    return True


def schema_of(path: str, method: str, status: int) -> dict[str, Any]:
    operation = DESCRIPTION["paths"][path.replace("table", "${MODEL_NAME}").replace("/1", "/${MODEL_VERSION}")][method]
    return operation["responses"][str(status)].get("content", {}).get("application/json", {}).get("schema", {})


PATHS = [
    "/v2/",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/table/versions/1",
    "/v2/models/table/versions/1/ready",
]


def test_every_path_of_the_description_is_tested_here() -> None:
    tested = {path.replace("table", "${MODEL_NAME}").replace("/1", "/${MODEL_VERSION}") for path in PATHS}
    assert tested | {"/v2/models/${MODEL_NAME}/versions/${MODEL_VERSION}/infer"} == DESCRIPTION["paths"].keys()


@pytest.mark.parametrize("path", PATHS)
def test_what_is_read_is_as_described(server: Server, path: str) -> None:
    answer = server.ask(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    if schema := schema_of(path, "get", 200):
        assert conforms(answer.json, schema)


@pytest.mark.parametrize("path", ["/v2/models/table/infer", "/v2/models/table/versions/1/infer"])
def test_an_inference_is_as_described(server: Server, path: str) -> None:
    described = schema_of("/v2/models/table/versions/1/infer", "post", 200)
    answer = server.ask(path, REQUEST)
    assert answer.status == 200
    assert conforms(answer.json, described)
    assert answer.json == {
        "model_name": "table",
        "model_version": "1",
        "id": "42",
        "outputs": [
            {"name": "total", "datatype": "FP64", "shape": [2, 1], "data": [1.5, 3.0]},
            {"name": "town", "datatype": "BYTES", "shape": [2, 1], "data": ["Bern", ""]},
        ],
    }


def test_a_refusal_is_as_described(server: Server) -> None:
    answer = server.ask("/v2/models/table/infer", {"inputs": [CITY]})
    assert answer.status == 400
    assert conforms(answer.json, schema_of("/v2/models/table/versions/1/infer", "post", 400))
    assert answer.json == {"error": "input `amount`: expected a tensor, got none of that name"}


def test_without_an_id_there_is_none_in_the_answer(server: Server) -> None:
    assert "id" not in server.ask("/v2/models/table/infer", {"inputs": REQUEST["inputs"]}).json


def test_the_server_says_what_it_is(server: Server) -> None:
    for path in ("/v2", "/v2/"):
        said = server.ask(path).json
        assert (said["name"], said["extensions"]) == ("modelport", ["binary_tensor_data"])


def test_the_model_says_what_it_takes_and_gives_and_which_package_it_is(server: Server) -> None:
    said = server.ask("/v2/models/table").json
    properties = said.pop("properties")
    assert said == {
        "name": "table",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "amount", "datatype": "FP64", "shape": [-1, 1], "parameters": {"nullable": True}},
            {"name": "count", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "city", "datatype": "BYTES", "shape": [-1, 1], "parameters": {"nullable": True}},
        ],
        "outputs": [
            {"name": "total", "datatype": "FP64", "shape": [-1, 1]},
            {"name": "town", "datatype": "BYTES", "shape": [-1, 1]},
        ],
    }
    assert properties.pop("engine").startswith("onnxruntime ")
    assert properties == {
        "digest": server.digest,
        "proof": "self",
        "parity": "passed",
        "contract": "float32",
        "batch": "rows",
        "infer": "graph",
        "score": "graph",
    }


def test_live_and_ready_are_yes(server: Server) -> None:
    assert server.ask("/v2/health/live").json == {"live": True}
    assert server.ask("/v2/health/ready").json == {"live": True, "ready": True}
    assert server.ask("/v2/models/table/ready").json == {"name": "table", "ready": True}


def test_a_head_request_is_answered_without_a_body(server: Server) -> None:
    answer = server.ask("/v2/health/ready", method="HEAD")
    assert (answer.status, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "method", "status", "message"),
    [
        ("/v2/models/other", "GET", 404, "model: expected `table`, got `other`"),
        ("/v2/models/other/ready", "GET", 404, "model: expected `table`, got `other`"),
        ("/v2/models/table/versions/2", "GET", 404, "model `table`: expected version `1`, got `2`"),
        ("/v2/models/table/versions/2/infer", "POST", 404, "model `table`: expected version `1`, got `2`"),
        ("/v1", "GET", 404, "path: expected one that the server has, got `/v1` (`/docs` shows them all)"),
        ("/v2/models/%2e%2e%2fetc/ready", "GET", 404, None),
        ("/v2/models/%00/ready", "GET", 404, "model: expected `table`, got `\\x00`"),
        (f"/v2/models/{'a' * 10_000}/ready", "GET", 404, None),
        ("/v2/health/live", "POST", 405, "path `/v2/health/live`: expected GET or HEAD, got `POST`"),
        ("/v2/models/table/infer", "GET", 405, "path `/v2/models/table/infer`: expected POST, got `GET`"),
    ],
)
def test_what_is_not_there_is_said(server: Server, path: str, method: str, status: int, message: str | None) -> None:
    answer = server.ask(path, REQUEST if method == "POST" else None, method=method)
    assert answer.status == status
    assert list(answer.json) == ["error"]
    if message is not None:
        assert answer.json["error"] == message


def test_a_name_that_is_not_utf8_is_not_there(server: Server) -> None:
    assert server.ask("/v2/models/%ff%fe/ready").status == 404
