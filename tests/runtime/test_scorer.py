"""A row gives the same bits alone, in any batch, in any chunk and from any thread."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.runtime import Scorer, load
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import InvalidInputError, ScoringError
from modelport.runtime.package import Execution, open_package
from modelport.runtime.scorer import CHUNK_ROWS, GraphRunner
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.linear(tmp_path_factory.mktemp("linear") / "package"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.table(tmp_path_factory.mktemp("table") / "package"))


def refused(message: str) -> Any:
    return pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$")


class Recorder:
    """An engine that answers x + 1 and remembers the batches that it got."""

    description = "recorder 1 (cpu)"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        (array,) = inputs.values()
        self.batches.append(len(array))
        return [array + np.float32(1)]


def spec(name: str, shape: tuple[int, ...] = (-1, 2)) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=shape)


def recorded(*, pad: bool = False, rows_identical: bool | None = True) -> tuple[GraphRunner, Recorder]:
    engine = Recorder()
    signature = Signature(inputs=(spec("x"),), outputs=(spec("y"),), rows_identical=rows_identical)
    return GraphRunner(engine, signature, Execution(pad=pad)), engine


def ones(rows: int) -> dict[str, NDArray[np.float32]]:
    return {"x": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)}


@pytest.mark.parametrize("pad", [True, False])
def test_a_row_alone_is_scored_as_two_where_the_package_says_so(pad: bool) -> None:
    runner, engine = recorded(pad=pad)
    assert runner.run(ones(1))["y"].tolist() == [[1.0, 2.0]]
    assert engine.batches == [2 if pad else 1]


@pytest.mark.parametrize(
    ("rows", "batches"),
    [
        (2, [2]),
        (CHUNK_ROWS, [CHUNK_ROWS]),
        (CHUNK_ROWS + 1, [CHUNK_ROWS, 2]),
        (2 * CHUNK_ROWS, [CHUNK_ROWS, CHUNK_ROWS]),
        (2 * CHUNK_ROWS + 3, [CHUNK_ROWS, CHUNK_ROWS, 3]),
    ],
)
def test_many_rows_are_split_and_a_row_left_over_is_padded(rows: int, batches: list[int]) -> None:
    runner, engine = recorded(pad=True)
    np.testing.assert_array_equal(runner.run(ones(rows))["y"], ones(rows)["x"] + 1, strict=True)
    assert engine.batches == batches


@pytest.mark.parametrize("rows_identical", [False, None])
def test_rows_that_depend_on_their_batch_are_never_split(rows_identical: bool | None) -> None:
    runner, engine = recorded(rows_identical=rows_identical)
    runner.run(ones(CHUNK_ROWS + 1))
    assert engine.batches == [CHUNK_ROWS + 1]


def test_no_rows_are_answered_without_the_engine() -> None:
    runner, engine = recorded()
    got = runner.run(ones(0))["y"]
    assert (got.shape, got.dtype) == ((0, 2), np.float32)
    assert engine.batches == []


class Odd:
    """An engine that answers what it was made with."""

    description = "odd 1 (cpu)"

    def __init__(self, *answers: NDArray[Any]) -> None:
        self.answers = answers

    def run(self, _: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        return self.answers


@pytest.mark.parametrize("shape", [(), (2, 2), (0, 2), (4, 2)])
def test_an_engine_that_answers_for_other_rows_is_an_error(shape: tuple[int, ...]) -> None:
    signature = Signature(inputs=(spec("x"),), outputs=(spec("y"),), rows_identical=True)
    runner = GraphRunner(Odd(np.zeros(shape, np.float32)), signature, Execution())
    message = f"(?m)^{re.escape(f'output `y`: expected 3 rows, got shape {list(shape)}')}$"
    with pytest.raises(ScoringError, match=message):
        runner.run(ones(3))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_row_has_the_same_bits_alone_and_in_any_batch(linear: Scorer, rows: int, random: Any) -> None:
    generator = np.random.default_rng(random.randrange(2**32))
    x = generator.normal(size=(rows, 4)).astype(np.float32)
    whole = linear.score(x)["y"]
    alone = np.concatenate([linear.score(x[i : i + 1])["y"] for i in range(rows)])
    order = generator.permutation(rows)
    assert alone.tobytes() == whole.tobytes()
    assert linear.score(x[order])["y"].tobytes() == whole[order].tobytes()


def test_a_table_longer_than_a_chunk_has_the_bits_of_its_rows(linear: Scorer) -> None:
    x = np.random.default_rng(3).normal(size=(2 * CHUNK_ROWS + 1, 4)).astype(np.float32)
    whole = linear.score(x)["y"]
    assert whole.shape == (len(x), 3)
    for start in (0, CHUNK_ROWS - 1, CHUNK_ROWS, len(x) - 1):
        assert linear.score(x[start : start + 1])["y"].tobytes() == whole[start : start + 1].tobytes()
    assert (
        linear.score(x[CHUNK_ROWS - 5 : CHUNK_ROWS + 5])["y"].tobytes()
        == whole[CHUNK_ROWS - 5 : CHUNK_ROWS + 5].tobytes()
    )


def test_any_layout_of_the_input_gives_the_same_bits(linear: Scorer) -> None:
    x = np.random.default_rng(4).normal(size=(7, 4)).astype(np.float32)
    whole = linear.score(x)["y"].tobytes()
    spaced = np.zeros((14, 8), np.float32)
    spaced[::2, ::2] = x
    frame = pd.DataFrame(x)
    layouts = [
        np.asfortranarray(x),
        spaced[::2, ::2],
        x.astype(">f4"),
        x.astype(np.float64),
        x.tolist(),
        np.ma.array(x),
        frame,
    ]
    for layout in layouts[:-1]:
        assert linear.score(layout)["y"].tobytes() == whole
    assert linear.score({"x": frame})["y"].tobytes() == whole
    fortran = {"x": np.asfortranarray(x)}
    assert linear.runner.run(fortran)["y"].tobytes() == whole


def test_many_threads_get_the_bits_of_one(linear: Scorer, table: Scorer) -> None:
    batches = [np.random.default_rng(seed).normal(size=(seed % 5 + 1, 4)).astype(np.float32) for seed in range(400)]
    expected = [linear.score(batch)["y"].tobytes() for batch in batches]
    cities = [{"amount": [0.5], "count": [seed], "city": [f"city {seed}"]} for seed in range(400)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda batch: linear.score(batch)["y"].tobytes(), batches))
        towns = list(pool.map(lambda row: table.score(row)["town"][0, 0], cities))
    assert got == expected
    assert towns == [f"city {seed}" for seed in range(400)]


def test_outputs_keep_their_names_order_rank_and_dtype(table: Scorer) -> None:
    got = table.score({"amount": [0.1, 0.2], "count": [1, 2], "city": ["Bern", None]})
    assert list(got) == ["total", "town"]
    assert (got["total"].dtype, got["total"].shape) == (np.float64, (2, 1))
    assert (got["town"].dtype, got["town"].shape) == (object, (2, 1))
    assert got["total"].ravel().tolist() == [1.1, 2.2]
    assert got["town"].ravel().tolist() == ["Bern", ""]


def test_text_reaches_the_model_whole(table: Scorer) -> None:
    cities = ["", "\0", "a\0b", "Zürich", "😀", "x" * 100_000, " padded "]
    got = table.score({"amount": [0.0] * 7, "count": [0] * 7, "city": cities})
    assert got["town"].ravel().tolist() == cities


def test_a_fixed_batch_is_scored_as_it_is(tmp_path: Path) -> None:
    scorer = load(tiny_models.fixed(tmp_path / "package"))
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert scorer.score(x)["y"].tolist() == (x - x.mean(0)).tolist()
    for rows in (0, 1, 3, 5, 8):
        with refused(f"input `x`: expected shape [4, 2], got [{rows}, 2]"):
            scorer.score(np.zeros((rows, 2), np.float32))


def test_a_model_with_a_state_is_scored_call_by_call(tmp_path: Path) -> None:
    scorer = load(tiny_models.state(tmp_path / "package"))
    state: Any = 0.0
    for call in ([1.0, 2.0], [3.0], [4.0, 5.0, 6.0]):
        got = scorer.score({"x": call, "state": state})
        state = got["sum"]
        assert got["last"].tolist() == call[-1]
    assert (state.shape, state.dtype, state.tolist()) == ((), np.float64, 21.0)


def test_a_failing_kernel_is_a_scoring_error_and_the_next_call_works(tmp_path: Path) -> None:
    scorer = load(tiny_models.state(tmp_path / "package"))
    with pytest.raises(ScoringError, match=r"(?m)^model: expected an answer, got ") as caught:
        scorer.score({"x": np.zeros(0, np.float32), "state": 0.0})  # it has no last element
    assert caught.value.message.isprintable()
    assert scorer.score({"x": [1.0], "state": 1.0})["sum"].tolist() == 2.0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"amount": [[1.0]], "count": [[1]]}, "input `city`: expected a tensor, got none of that name"),
        (
            {"amount": [[1.0]], "count": [[1]], "city": [["a"]], "more": [[1]]},
            "input `more`: expected one of `amount`, `count`, `city`",
        ),
        (
            {"amount": [[1.0]], "count": [[1], [2]], "city": [["a"]]},
            "input `count`: expected 1 rows as `amount`, got 2",
        ),
        (
            {"amount": [[np.inf]], "count": [[1]], "city": [["a"]]},
            "input `amount`: expected FP64, got Infinity at [0, 0]",
        ),
        ({"amount": [1.0], "count": [[1]], "city": [["a"]]}, "input `amount`: expected shape [-1, 1], got [1]"),
        ({"amount": [[1]], "count": [[1]], "city": [["a"]]}, "input `amount`: expected FP64, got INT64"),
    ],
)
def test_the_runner_refuses_what_does_not_fit(table: Scorer, inputs: dict[str, Any], message: str) -> None:
    arrays = {name: np.array(values, object if name == "city" else None) for name, values in inputs.items()}
    with refused(message):
        table.runner.run(arrays)


def test_a_runner_without_rows_checks_names_too(tmp_path: Path) -> None:
    scorer = load(tiny_models.state(tmp_path / "package"))
    inputs = {"x": np.zeros(1, np.float32), "state": np.array(0.0), "more": np.array(0.0)}
    with refused("input `more`: expected one of `x`, `state`"):
        scorer.runner.run(inputs)


def test_a_scorer_says_what_it_is(tmp_path: Path) -> None:
    path = tiny_models.linear(tmp_path / "package")
    scorer = load(path, digest=open_package(path).digest, providers=["cpu"])
    assert scorer.digest == open_package(path).digest
    assert scorer.manifest.name == "linear"
    assert re.fullmatch(r"onnxruntime [\d.]+ \(cpu\)", scorer.engine.description)
    assert len(scorer.samples.inputs[0]["x"]) == 5


def test_the_package_may_change_on_disk_once_it_is_loaded(tmp_path: Path) -> None:
    path = tiny_models.external(tmp_path / "package")
    scorer = load(path)
    expected = scorer.score(np.zeros((2, 4), np.float32))["y"].tobytes()
    for file in path.iterdir():
        file.unlink()
    assert scorer.score(np.zeros((2, 4), np.float32))["y"].tobytes() == expected


HEAVY = (
    "sklearn",
    "scipy",
    "pandas",
    "polars",
    "pyarrow",
    "onnx",
    "torch",
    "tensorflow",
    "typer",
    "rich",
    "yaml",
    "granian",
)

IMPORTS = """
import sys
import modelport.runtime
before = set(sys.modules)
assert "numpy" not in before and "onnxruntime" not in before, "NumPy and ONNX Runtime load when a package opens"
scorer = modelport.runtime.load(sys.argv[1])
scorer.score([[0.0, 1.0, 2.0, 3.0]])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_opening_and_scoring_import_nothing_heavy(tmp_path: Path) -> None:
    path = tiny_models.linear(tmp_path / "package")
    done = subprocess.run([sys.executable, "-c", IMPORTS, path], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(HEAVY)


def test_the_runtime_names_what_it_offers_and_nothing_else() -> None:
    from modelport import runtime  # noqa: PLC0415

    assert all(getattr(runtime, name) is not None for name in runtime.__all__)
    with pytest.raises(AttributeError, match=r"(?m)^module 'modelport.runtime' has no attribute 'nothing'$"):
        _ = runtime.nothing


def test_engines_get_the_rows_of_a_real_graph_only_in_the_dtype_that_they_asked_for(tmp_path: Path) -> None:
    """ONNX Runtime takes an array of foreign byte order for one of its own, and gives other numbers."""
    package = open_package(tiny_models.linear(tmp_path / "package"))
    engine = open_engine(EngineRequest(model=package.model, outputs=("y",)))
    x = np.ones((2, 4), np.float32)
    assert engine.run({"x": x.astype(">f4")})[0].tolist() != engine.run({"x": x})[0].tolist()
    runner = GraphRunner(engine, package.manifest.signature, package.manifest.execution)
    with refused("input `x`: expected FP32 as float32, got >f4"):
        runner.run({"x": x.astype(">f4")})
