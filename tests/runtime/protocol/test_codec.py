"""Whole bodies: what a client sends becomes a request or an error of the client's, and never one of ours."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st
from rsgi import Headers
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.protocol import InferResponse, Tensor, codec
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site

if TYPE_CHECKING:
    from modelport.runtime.server.responses import Response

LENGTH = "inference-header-content-length"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> DataPlane:
    return DataPlane(ModelSlot(load(tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear"))))


def answer(plane: DataPlane, body: bytes, headers: dict[str, str] | None = None) -> Response:
    """Answer as the application does."""
    return Site(plane).visit(Head("POST", "/v2/models/linear/infer", "", Headers(headers or {}))).answer(body)


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [1, 4], "datatype": "FP32", **fields}


def body(*tensors: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"inputs": list(tensors), **fields}).encode()


def test_a_request_is_what_its_json_says() -> None:
    text = body(tensor(data=[1, 2.5, 3, 4]), id="7", outputs=[{"name": "y"}], parameters={"priority": 3})
    request, form = codec.decode("linear", "1", text, None)
    assert (request.model, request.version, request.id, request.outputs) == ("linear", "1", "7", ("y",))
    (given_,) = request.inputs
    assert (given_.name, given_.datatype, given_.shape) == ("x", "FP32", (1, 4))
    assert np.asarray(given_.data).tolist() == [1, 2.5, 3, 4]
    assert form == codec.Form(binary=False, outputs={})


def test_tensors_after_the_json_and_in_it_are_read_together() -> None:
    first, second = np.array([1.5, 2.5], np.float32).tobytes(), b"\x01\x00\x00\x00a"
    text = body(
        {"name": "a", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        {"name": "b", "shape": [1], "datatype": "INT64", "data": [7]},
        {"name": "c", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
    )
    request, _ = codec.decode("m", None, text + first + second, str(len(text)))
    assert [np.asarray(given_.data).tolist() for given_ in request.inputs] == [[1.5, 2.5], [7], ["a"]]


def test_an_answer_is_binary_where_that_is_asked_for() -> None:
    response = InferResponse(
        model="m",
        version="1",
        id=None,
        outputs=(
            Tensor(name="a", datatype="INT64", shape=(2,), data=np.array([1, 2])),
            Tensor(name="b", datatype="BYTES", shape=(1,), data=np.array(["é"], object)),
        ),
    )
    content, length = codec.encode(response, codec.Form(binary=False, outputs={}))
    assert length is None
    assert json.loads(content) == {
        "model_name": "m",
        "model_version": "1",
        "outputs": [
            {"name": "a", "datatype": "INT64", "shape": [2], "data": [1, 2]},
            {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["é"]},
        ],
    }
    content, length = codec.encode(response, codec.Form(binary=True, outputs={"a": False}))
    assert json.loads(content[:length])["outputs"] == [
        {"name": "a", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        {"name": "b", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}},
    ]
    assert content[length:] == b"\x02\x00\x00\x00\xc3\xa9"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("requested", [None, True, False])
def test_what_tritonclient_writes_is_read_and_what_is_answered_tritonclient_reads(
    plane: DataPlane, binary: bool, requested: bool | None
) -> None:
    row = np.array([[1.5, -2.5, 0.1, 4]], np.float32)
    given_ = InferInput("x", row.shape, "FP32")
    given_.set_data_from_numpy(row, binary_data=binary)
    outputs = None if requested is None else [InferRequestedOutput("y", binary_data=requested)]
    content, length = InferenceServerClient.generate_request_body([given_], outputs=outputs)
    response = answer(plane, content, {} if length is None else {LENGTH: str(length)})
    assert response.status == 200
    headers = dict(response.headers)
    got = InferenceServerClient.parse_response_body(
        response.body, header_length=int(headers[LENGTH]) if LENGTH in headers else None
    )
    assert got.as_numpy("y").tobytes() == plane.scorer().score(row)["y"].tobytes()
    assert (LENGTH in headers) == (requested is not False)


def test_data_that_is_null_is_none_where_the_tensor_is_bytes() -> None:
    """KServe's client writes a tensor without rows so."""
    request, _ = codec.decode(
        "m", None, body(tensor(data=None, shape=[0, 4], parameters={"binary_data_size": 0})), None
    )
    assert np.asarray(request.inputs[0].data).size == 0
    with pytest.raises(InvalidInputError, match=r"(?m)^input `x`: expected .*, got "):
        codec.decode("m", None, body(tensor(data=None)), None)


@pytest.mark.parametrize(
    ("text", "length", "message"),
    [
        (b"", None, "body: expected JSON, got nothing"),
        (b"[]", None, "JSON: expected `object`, got `array`"),
        (b"{}", None, "JSON: object missing required field `inputs`"),
        (body(tensor()), None, "input `x`: expected `data` or `binary_data_size`, got neither"),
        (
            body(tensor(data=[1], parameters={"binary_data_size": 0})),
            None,
            "input `x`: expected `data` or `binary_data_size`, got both",
        ),
        (body(tensor(data=[1], shape=[-1, 4])), None, "input `x`: expected no dimension below 0, got [-1, 4]"),
        *(
            (
                body(tensor(parameters={"binary_data_size": size})) + b"\x00" * 16,
                len(body(tensor(parameters={"binary_data_size": size}))),
                f"input `x`: expected a `binary_data_size` from 0 to 16, the bytes left, got `{size}`",
            )
            for size in (17, -1, "16", True, 1.5)
        ),
        (
            body(tensor(parameters={"binary_data_size": 12})) + b"\x00" * 12,
            len(body(tensor(parameters={"binary_data_size": 12}))),
            "input `x`: expected 16 bytes for FP32 [1, 4], got 12",
        ),
        (
            body(tensor(parameters={"binary_data_size": 16})) + b"\x00" * 20,
            len(body(tensor(parameters={"binary_data_size": 16}))),
            "body: expected it to end with the last tensor, got 4 bytes more",
        ),
    ],
)
def test_a_body_that_lies_is_refused(text: bytes, length: int | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        codec.decode("linear", None, text, None if length is None else str(length))


@pytest.mark.parametrize("length", ["0", "-1", "101", "1e1", " 5", "", "٣", "9" * 5000])
def test_a_header_length_that_lies_is_refused(length: str) -> None:
    header = "header `Inference-Header-Content-Length`"
    with pytest.raises(
        InvalidInputError, match=rf"(?m)^{header}: expected 1 to 100, the bytes of the body, got `.{{0,40}}`$"
    ):
        codec.decode("linear", None, b" " * 100, length)


GOOD = body(tensor(data=[1, 2.5, 3, 4]), id="7", outputs=[{"name": "y", "parameters": {"binary_data": True}}])
BINARY_JSON = body(tensor(parameters={"binary_data_size": 16}))
BINARY = BINARY_JSON + np.ones(4, np.float32).tobytes()


@settings(max_examples=200)
@given(st.binary(max_size=200), st.none() | st.text(max_size=4) | st.integers(-2, 210).map(str))
def test_random_bytes_are_a_fault_of_the_client(plane: DataPlane, text: bytes, length: str | None) -> None:
    response = answer(plane, text, {} if length is None else {LENGTH: length})
    assert response.status == 400
    assert list(json.loads(response.body)) == ["error"]


@settings(max_examples=300)
@given(
    st.sampled_from([(GOOD, None), (BINARY, str(len(BINARY_JSON)))]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3),
)
def test_a_damaged_request_is_answered_or_a_fault_of_the_client(
    plane: DataPlane, good: tuple[bytes, str | None], edits: list[tuple[int, int, bytes]]
) -> None:
    text, length = bytearray(good[0]), good[1]
    for position, removed, added in edits:
        text[position % len(text) : position % len(text) + removed] = added
    response = answer(plane, bytes(text), {} if length is None else {LENGTH: length})
    assert response.status in (200, 400)


WORDS = st.sampled_from(["inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "binary_data_size"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 5)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["x", "y", "FP32", "BYTES"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
INPUTS = st.fixed_dictionaries(
    {"name": st.just("x") | VALUES, "shape": st.just([1, 4]) | VALUES, "datatype": st.just("FP32") | VALUES},
    optional={"data": st.just([1, 2, 3, 4]) | VALUES, "parameters": VALUES},
)


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(INPUTS, max_size=2) | VALUES},
        optional={"outputs": VALUES, "parameters": VALUES, "id": VALUES},
    )
)
def test_any_json_in_the_protocols_words_is_answered_or_a_fault_of_the_client(
    plane: DataPlane, request: dict[str, Any]
) -> None:
    assert answer(plane, json.dumps(request).encode()).status in (200, 400)
