"""A document of any kind gives the very bits that `Scorer.score` gives, and is answered in kind."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from document_models import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.runtime import Scorer, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.signature import TensorSpec

    Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scorer]:
    """Return the scorer of a model of `MODELS`, each loaded once."""
    return cache(lambda name: load(MODELS[name](tmp_path_factory.mktemp("model") / "package")))


def sent(scorer: Scorer, document: Any) -> Any:
    """Return the answer to `document` as who sent it reads it."""
    return msgspec.json.decode(msgspec.json.encode(scorer.run(msgspec.json.encode(document))))


class Kind:
    """A kind of document: how columns are written in it, and how an answer in kind is read as columns."""

    def __init__(
        self,
        write: Callable[[Columns], Any],
        read: Callable[[Any, Sequence[str]], Mapping[str, list[Any]]],
        *,
        alone: bool = False,
    ) -> None:
        self.write = write
        self.read = read
        self.alone = alone

    def under(self, wrapper: str, **more: Any) -> Kind:
        def read(answer: Any, names: Sequence[str]) -> Mapping[str, list[Any]]:
            assert list(answer) == [wrapper]
            return self.read(answer[wrapper], names)

        return Kind(lambda columns: {**more, wrapper: self.write(columns)}, read, alone=self.alone)


def rows_of(columns: Columns) -> list[list[Any]]:
    return [list(row) for row in zip(*columns.values(), strict=True)]


def records_of(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows_of(columns)]


def from_records(answer: list[dict[str, Any]], names: Sequence[str]) -> Columns:
    assert all(list(record) == list(names) for record in answer)
    return {name: [record[name] for record in answer] for name in names}


def from_rows(answer: list[Any], names: Sequence[str]) -> Columns:
    rows = [[value] for value in answer] if len(names) == 1 else answer
    assert all(len(row) == len(names) for row in rows)
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def from_split(answer: dict[str, Any], names: Sequence[str]) -> Columns:
    assert list(answer) == ["columns", "data"]
    assert answer["columns"] == list(names)
    assert all(len(row) == len(names) for row in answer["data"])
    return {name: [row[at] for row in answer["data"]] for at, name in enumerate(names)}


def from_indexed(answer: dict[str, Any], names: Sequence[str]) -> Columns:
    assert answer.pop("index") == [f"row {row}" for row in range(len(answer["data"]))]
    return from_split(answer, names)


def indexed(columns: Columns) -> dict[str, Any]:
    rows = rows_of(columns)
    return {"index": [f"row {row}" for row in range(len(rows))], "columns": list(columns), "data": rows}


PLAIN = {
    "records": Kind(records_of, from_records),
    "one record": Kind(
        lambda columns: records_of(columns)[0], lambda one, names: from_records([one], names), alone=True
    ),
    "columns": Kind(lambda columns: columns, lambda answer, _: answer),
    "rows": Kind(rows_of, from_rows),
    "split": Kind(lambda columns: {"columns": list(columns), "data": rows_of(columns)}, from_split),
    "split with an index": Kind(indexed, from_indexed),
}
KINDS = {
    **PLAIN,
    **{f"data: {name}": kind.under("data") for name, kind in PLAIN.items()},
    **{f"input_data: {name}": kind.under("input_data") for name, kind in PLAIN.items()},
    **{f"input_data and params: {name}": kind.under("input_data", params={}) for name, kind in PLAIN.items()},
}

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def bits(spec: TensorSpec, values: Any) -> tuple[tuple[int, ...], bytes | list[Any]]:
    """Return what is to be equal of values: the shape without a last dimension of one, and the bits; one NaN only."""
    if spec.datatype == "BYTES":
        texts = np.array(values, object)
        return texts.reshape(len(texts), -1).shape, texts.ravel().tolist()
    array: NDArray[Any] = np.array([_number(value) for value in np.array(values, object).ravel()], np.float64)
    array = array.astype(spec.dtype).reshape(np.shape(values))
    array[array != array] = np.nan  # noqa: PLR0124
    return array.reshape(len(array), -1).shape, array.tobytes()


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def check_bits(scorer: Scorer, columns: Columns, kind: Kind) -> None:
    """Check that the answer to `columns` as `kind` has the bits of their score."""
    specs = scorer.signature.outputs
    answer = kind.read(sent(scorer, kind.write(columns)), [spec.name for spec in specs])
    expected = scorer.score(columns)
    assert list(answer) == list(expected)
    for spec in specs:
        assert bits(spec, answer[spec.name]) == bits(spec, expected[spec.name])


def columns(**cells: st.SearchStrategy[Any]) -> st.SearchStrategy[Columns]:
    """Return tables of one to five rows."""
    rows = st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=5)
    return rows.map(lambda found: {name: [row[name] for row in found] for name in cells})


def first_row(found: Columns, kind: Kind) -> Columns:
    return {name: values[:1] if kind.alone else values for name, values in found.items()}


TEXTS = st.text(st.characters(codec="utf-8"))
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
SINGLES = st.floats(allow_nan=False, allow_infinity=False, width=32)


@every_kind
@settings(max_examples=20)
@given(columns(amount=st.none() | DOUBLES, count=st.integers(-(2**31), 2**31), city=st.none() | TEXTS))
def test_a_table_gives_the_bits_of_its_score_in_every_kind(
    scorers: Callable[[str], Scorer], kind: Kind, found: Columns
) -> None:
    check_bits(scorers("table"), first_row(found, kind), kind)


@every_kind
@settings(max_examples=20)
@given(columns(age=st.none() | SINGLES, income=st.none() | SINGLES))
def test_a_matrix_of_features_gives_the_bits_of_its_score_in_every_kind(
    scorers: Callable[[str], Scorer], kind: Kind, found: Columns
) -> None:
    check_bits(scorers("classifier"), first_row(found, kind), kind)


@every_kind
@settings(max_examples=20)
@given(columns(a=SINGLES, b=SINGLES))
def test_infinities_and_what_is_no_number_come_through_every_kind(
    scorers: Callable[[str], Scorer], kind: Kind, found: Columns
) -> None:
    check_bits(scorers("quotients"), first_row(found, kind), kind)


MATRIX = {
    **{name: kind for name, kind in KINDS.items() if not name.endswith("rows")},
    "rows": Kind(lambda columns: columns["x"], lambda answer, _: {"y": answer}),
}


@pytest.mark.parametrize("kind", MATRIX.values(), ids=MATRIX)
@settings(max_examples=20)
@given(columns(x=st.lists(SINGLES, min_size=4, max_size=4)))
def test_a_matrix_without_features_gives_the_bits_of_its_score(
    scorers: Callable[[str], Scorer], kind: Kind, found: Columns
) -> None:
    check_bits(scorers("linear"), first_row(found, kind), kind)


@settings(max_examples=50)
@given(st.lists(st.tuples(SINGLES, SINGLES), min_size=1, max_size=5), st.none() | TEXTS)
def test_a_v2_request_gives_the_bits_of_its_score(
    scorers: Callable[[str], Scorer], rows: list[tuple[float, float]], name: str | None
) -> None:
    classifier = scorers("classifier")
    tensor = {"name": "X", "datatype": "FP32", "shape": [len(rows), 2], "data": rows}
    answer = sent(classifier, {"id": name, "inputs": [tensor]})
    expected = classifier.score(rows)
    label, probabilities = answer.pop("outputs")
    assert answer == {"model_name": "classifier", "model_version": "1", **({} if name is None else {"id": name})}
    got = np.array(probabilities["data"], np.float32).reshape(probabilities["shape"])
    assert got.tobytes() == expected["probabilities"].tobytes()
    assert label == {"name": "label", "datatype": "BYTES", "shape": [len(rows)], "data": expected["label"].tolist()}


ROW = {"amount": 0.5, "count": 1, "city": "Bern"}
V2_TABLE = [
    {"name": "amount", "datatype": "FP64", "shape": [1, 1], "data": [0.5]},
    {"name": "count", "datatype": "INT64", "shape": [1, 1], "data": [[1]]},
    {"name": "city", "datatype": "BYTES", "shape": [1, 1], "data": ["Bern"]},
]
TOTAL = {"name": "total", "datatype": "FP64", "shape": [1, 1], "data": [1.5]}
TOWN = {"name": "town", "datatype": "BYTES", "shape": [1, 1], "data": ["Bern"]}
TABLE = {"model_name": "table", "model_version": "1"}


def v2(**tensor: Any) -> dict[str, Any]:
    return {"inputs": [tensor]}


def of_lookup(*values: float | None) -> dict[str, Any]:
    value = {"name": "value", "datatype": "FP32", "shape": [len(values)], "data": list(values)}
    return {"model_name": "lookup", "model_version": "1", "outputs": [value]}


@pytest.mark.parametrize(
    ("model", "document", "answer"),
    [
        # what is missing
        ("table", [{"count": 1}, {**ROW, "city": None}], [{"total": None, "town": ""}, {"total": 1.5, "town": ""}]),
        ("table", {"amount": None, "count": 1, "city": None}, {"total": None, "town": ""}),
        ("table", {"amount": [None], "count": [1], "city": [None]}, {"total": [None], "town": [""]}),
        ("table", [[None, 1, None]], [[None, ""]]),
        # the order of names
        ("table", [dict(reversed(ROW.items()))], [{"total": 1.5, "town": "Bern"}]),
        (
            "table",
            {"data": [["Bern", 1, 0.5]], "columns": ["city", "count", "amount"]},
            {"columns": ["total", "town"], "data": [[1.5, "Bern"]]},
        ),
        # one row that is no batch
        ("table", [0.5, 1, "Bern"], [[1.5, "Bern"]]),
        ("lookup", [0, 2, 1], [0.10000000149011612, "Infinity", 0.20000000298023224]),
        ("lookup", {"index": 2}, {"value": "Infinity"}),
        ("lookup", {"data": {"index": [2]}}, {"data": {"value": ["Infinity"]}}),
        ("classifier", {"X": [0, 1]}, {"label": ["no"], "probabilities": [[0.6224593312, 0.3775406688]]}),
        # lists and booleans as values
        ("pair", [{"a": [1, 2], "b": True}], [{"both": [[1.0, 2.0], [1.0, 2.0]], "not_b": False}]),
        ("pair", {"a": [[1, 2]], "b": [True]}, {"both": [[[1.0, 2.0], [1.0, 2.0]]], "not_b": [False]}),
        ("ragged", [[1, 2, 3]], [[1.0, 2.0, 3.0]]),
        # no rows
        ("table", [], []),
        ("table", {"data": []}, {"data": []}),
        ("linear", [], []),
        ("table", {"amount": [], "count": [], "city": []}, {"total": [], "town": []}),
        (
            "table",
            {"columns": ["amount", "count", "city"], "data": [], "index": []},
            {"columns": ["total", "town"], "data": [], "index": []},
        ),
        # an index of anything, which comes back
        (
            "lookup",
            {"columns": ["index"], "data": [[0], [0]], "index": [None, {"a": 2**70}]},
            {"columns": ["value"], "data": [[0.10000000149011612]] * 2, "index": [None, {"a": 2**70}]},
        ),
        (
            "lookup",
            {"columns": ["index"], "data": [[0]], "index": None},
            {"columns": ["value"], "data": [[0.10000000149011612]]},
        ),
        # V2
        ("table", {"inputs": V2_TABLE}, {**TABLE, "outputs": [TOTAL, TOWN]}),
        (
            "table",
            {"id": "a", "inputs": V2_TABLE, "parameters": {"x": 1}},
            {**TABLE, "outputs": [TOTAL, TOWN], "id": "a"},
        ),
        ("table", {"inputs": V2_TABLE, "outputs": [{"name": "town"}]}, {**TABLE, "outputs": [TOWN]}),
        (
            "table",
            {"outputs": [{"name": "town"}, {"name": "total"}], "inputs": V2_TABLE[::-1]},
            {**TABLE, "outputs": [TOWN, TOTAL]},
        ),
        (
            "table",
            {"inputs": V2_TABLE, "outputs": [{"name": "town", "parameters": {"binary_data": False}}]},
            {**TABLE, "outputs": [TOWN]},
        ),
        ("lookup", v2(name="index", datatype="INT64", shape=[2], data=[2, 0]), of_lookup(None, 0.10000000149011612)),
        ("lookup", v2(name="index", datatype="INT64", shape=[0], data=[]), of_lookup()),
        # without rows, every kind is answered as it is, whole
        ("state", {"x": [1, 2, 3], "state": 0.5}, {"sum": 6.5, "last": 3.0}),
        ("state", {"data": {"x": [1], "state": 0.5}}, {"data": {"sum": 1.5, "last": 1.0}}),
        ("fixed", [[1, 0], [1, 0], [3, 0], [3, 4]], {"y": [[-1.0, -1.0], [-1.0, -1.0], [1.0, -1.0], [1.0, 3.0]]}),
        ("fixed", {"x": [[1, 0]] * 4}, {"y": [[0.0, 0.0]] * 4}),
        ("fixed", [{"x": [1, 0]}] * 4, {"y": [[0.0, 0.0]] * 4}),
        ("fixed", {"columns": ["x"], "data": [[[1, 0]]] * 4, "index": [1, 2, 3, 4]}, {"y": [[0.0, 0.0]] * 4}),
        ("whole", [1, 2], {"total": 3.0, "x2": [2.0, 4.0]}),
        ("whole", {"columns": ["x"], "data": [[1], [2]]}, {"total": 3.0, "x2": [2.0, 4.0]}),
        ("whole", [{"x": 1}, {"x": 2}], {"total": 3.0, "x2": [2.0, 4.0]}),
        ("whole", [3e38, 3e38], {"total": "Infinity", "x2": ["Infinity", "Infinity"]}),
        # a column called as a part of a document is called
        ("data", {"data": [1, 2], "index": [3, 4]}, {"sum": [4.0, 6.0]}),
        ("data", {"data": 1, "index": 3}, {"sum": 4.0}),
        ("data", [{"data": 1, "index": 3}], [{"sum": 4.0}]),
        ("data", {"input_data": {"data": [1], "index": [3]}}, {"input_data": {"sum": [4.0]}}),
        ("data", {"columns": ["data", "index"], "data": [[1, 3]]}, {"columns": ["sum"], "data": [[4.0]]}),
        (
            "data",
            {"columns": ["data", "index"], "data": [[1, 3]], "index": ["a"]},
            {"columns": ["sum"], "data": [[4.0]], "index": ["a"]},
        ),
        ("columns", {"columns": [1, 2], "data": [3, 4]}, {"sum": [4.0, 6.0]}),
        ("columns", {"columns": 1, "data": 3}, {"sum": 4.0}),
        ("columns", {"input_data": {"columns": [1], "data": [3]}}, {"input_data": {"sum": [4.0]}}),
        ("inputs", {"inputs": [1, 2], "id": [3, 4]}, {"sum": [4.0, 6.0]}),
        ("inputs", {"inputs": 1, "id": 3}, {"sum": 4.0}),
        ("input_data", {"input_data": [1, 2]}, {"sum": [1.0, 2.0]}),
        ("input_data", {"data": [1, 2]}, {"data": [1.0, 2.0]}),
        ("input_data", [[1], [2]], [1.0, 2.0]),
        ("lookup", {"columns": ["index"], "data": [[0]]}, {"columns": ["value"], "data": [[0.10000000149011612]]}),
    ],
)
def test_a_document_is_answered_in_kind(
    scorers: Callable[[str], Scorer], model: str, document: Any, answer: Any
) -> None:
    got = sent(scorers(model), document)
    assert _close(got) == _close(answer)
    assert _order(got) == _order(answer)


def _close(value: Any) -> Any:
    """Return `value` with its numbers made comparable to what is written with a few digits."""
    if isinstance(value, dict):
        return {name: _close(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_close(inner) for inner in value]
    return pytest.approx(value, rel=1e-6) if type(value) is float else value


def _order(value: Any) -> Any:
    """Return the names of `value` in their order, at every level."""
    if isinstance(value, dict):
        return [(name, _order(inner)) for name, inner in value.items()]
    return [_order(inner) for inner in value] if isinstance(value, list) else type(value)


def test_numbers_that_json_has_no_word_for_are_null_or_text(scorers: Callable[[str], Scorer]) -> None:
    table = {"a": [1, -1, 0, 1], "b": [0, 0, 0, 4]}
    got = sent(scorers("quotients"), table)
    assert got["q"] == ["Infinity", "-Infinity", None, 0.25]
    assert got["q2"] == [[value, value] for value in got["q"]]
    assert sent(scorers("quotients"), [[1, 0], [0, 0]]) == [["Infinity", ["Infinity"] * 2], [None, [None, None]]]


def test_white_space_around_a_document_is_passed_over(scorers: Callable[[str], Scorer]) -> None:
    assert scorers("lookup").run(" \n[\t0 ]\r\n") == [0.10000000149011612]
