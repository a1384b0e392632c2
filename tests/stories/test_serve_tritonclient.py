"""A client that is not ours gets, over HTTP, the very bits that offline scoring gives."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import servers
import tiny_models
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from modelport.runtime import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

    Arrays = dict[str, np.ndarray]

NAMES = ["Bern", "Zürich", "", "東京", "a\x00b", "\U0001f600"]


@contextmanager
def client_of(server: Server) -> Iterator[InferenceServerClient]:
    with closing(InferenceServerClient(server.url, network_timeout=60)) as client:
        yield client


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.table(tmp_path_factory.mktemp("packages") / "table")


def ask(
    client: InferenceServerClient, model: str, inputs: Arrays, *, binary: bool, outputs: list[Any] | None = None
) -> Any:
    """Send arrays as tritonclient does, strings in them as bytes."""
    tensors = []
    for name, array in inputs.items():
        datatype = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "O": "BYTES"}[array.dtype.str.lstrip("<|")]
        tensor = InferInput(name, array.shape, datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return client.infer(model, tensors, outputs=outputs)


def same(got: np.ndarray, expected: np.ndarray) -> bool:
    """Compare bit by bit; strings that came in binary are bytes."""
    if expected.dtype == object:
        return [v.decode() if isinstance(v, bytes) else v for v in got.ravel()] == expected.ravel().tolist()
    return (got.dtype, got.shape, got.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def table_of(rows: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(size=(rows, 1)) * 10.0 ** rng.integers(-300, 300, size=(rows, 1)),
        "count": rng.integers(-(2**53), 2**53, size=(rows, 1)),
        "city": np.array([NAMES[i] for i in rng.integers(len(NAMES), size=rows)], object).reshape(-1, 1),
    }


def test_the_client_finds_server_and_model_ready_and_reads_what_they_say(linear: Path) -> None:
    with servers.serving(linear) as server, client_of(server) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("linear")
        assert client.is_model_ready("linear", "1")
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        assert client.get_model_metadata("linear", "1")["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
        ]


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_come_as_the_client_asks_for_them(table: Path, binary: bool) -> None:
    inputs = table_of(50, seed=1)
    expected = load(table).score(inputs)
    with servers.serving(table) as server, client_of(server) as client:
        for outputs in (
            None,
            [InferRequestedOutput("town", binary_data=True)],
            [InferRequestedOutput("town", binary_data=False)],
            [InferRequestedOutput("town", binary_data=True), InferRequestedOutput("total", binary_data=False)],
        ):
            result = ask(client, "table", inputs, binary=binary, outputs=outputs)
            names = [output["name"] for output in result.get_response()["outputs"]]
            assert names == (["total", "town"] if outputs is None else [output.name() for output in outputs])
            assert all(same(result.as_numpy(name), expected[name]) for name in names)


def test_a_missing_number_is_nan_in_bytes_and_null_in_json(table: Path) -> None:
    inputs = {**table_of(2, seed=2), "amount": np.array([[np.nan], [1.5]])}
    expected = load(table).score(inputs)
    with servers.serving(table) as server, client_of(server) as client:
        result = ask(client, "table", inputs, binary=True, outputs=[InferRequestedOutput("total", binary_data=True)])
        assert same(result.as_numpy("total"), expected["total"])
        result = ask(client, "table", inputs, binary=True, outputs=[InferRequestedOutput("total", binary_data=False)])
        assert result.get_response()["outputs"][0]["data"] == [None, expected["total"][1, 0]]


def test_a_refusal_reaches_the_client_in_words(linear: Path) -> None:
    with servers.serving(linear) as server, client_of(server) as client:
        with pytest.raises(InferenceServerException, match=r"input `x`: expected FP32, got FP64"):
            ask(client, "linear", {"x": np.zeros((1, 4))}, binary=True)
        with pytest.raises(InferenceServerException, match=r"model: expected `linear`, got `other`"):
            ask(client, "other", {"x": np.zeros((1, 4), np.float32)}, binary=True)


@pytest.mark.parametrize("make", [tiny_models.fixed, tiny_models.state], ids=["fixed batch", "no batch"])
def test_models_without_rows_are_served_as_they_are(make: Any, tmp_path: Path) -> None:
    package = make(tmp_path / "package")
    scorer = load(package)
    (*_, inputs), (*_, expected) = scorer.samples.inputs, scorer.samples.recorded
    with servers.serving(package) as server, client_of(server) as client:
        for binary in (True, False):
            result = ask(client, scorer.manifest.name, inputs, binary=binary)
            assert all(same(result.as_numpy(name), array) for name, array in expected.items())


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("model", ["linear", "table"])
def test_every_answered_row_has_the_bits_of_offline_scoring(
    model: str, binary: bool, request: pytest.FixtureRequest
) -> None:
    """40,000 rows each way and model: batches of many sizes, one row and thousands among them."""
    package: Path = request.getfixturevalue(model)
    scorer = load(package)
    sizes = [*range(1, 120), *(997,) * 5, 4096, 8191, 8193, 7395]
    rng = np.random.default_rng(5)
    answered = 0
    with servers.serving(package) as server, client_of(server) as client:
        for seed, size in enumerate(sizes):
            linear_rows = {"x": (rng.normal(size=(size, 4)) * 10.0 ** rng.integers(-30, 30)).astype(np.float32)}
            inputs = linear_rows if model == "linear" else table_of(size, seed)
            outputs = [InferRequestedOutput(spec.name, binary_data=binary) for spec in scorer.signature.outputs]
            result = ask(client, model, inputs, binary=binary, outputs=outputs)
            expected = scorer.score(inputs)
            assert all(same(result.as_numpy(name), array) for name, array in expected.items())
            answered += size
    assert answered == 40_000
