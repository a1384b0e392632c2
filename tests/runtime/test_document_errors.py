"""What is no document, or does not fit, is refused and said why; nothing that is sent makes another error."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from document_models import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.runtime import Scorer, load
from modelport.runtime.errors import InvalidInputError, ModelportError, ScoringError

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelport.runtime.signature import Signature


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scorer]:
    """Return the scorer of a model of `MODELS`, each loaded once."""
    return cache(lambda name: load(MODELS[name](tmp_path_factory.mktemp("model") / "package")))


def refused(message: str) -> Any:
    return pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$")


EXPECTED = "expected records, columns, rows, any of them as `data` or `input_data`, or V2 `inputs`"
LEVELS = "JSON: expected at most 64 levels, got more at byte"


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        # no JSON
        ("table", "", "body: expected JSON, got nothing"),
        ("table", " ", "JSON: unexpected end (byte 1)"),
        ("table", "[", "JSON: unexpected end (byte 1)"),
        ("table", "{'a': 1}", "JSON: object keys must be strings (byte 1)"),
        ("table", "[NaN]", "JSON: invalid character (byte 1)"),
        ("table", "[1] 2", "JSON: trailing characters (byte 5)"),
        ("table", "\ufeff[]", "JSON: expected a value at byte 0, got a byte order mark"),
        ("table", b"\xff", "JSON: expected UTF-8, got an invalid byte at 0"),
        ("table", '["\ud800"]', "JSON: expected UTF-8, got an invalid byte at 2"),
        ("table", '["\\ud800"]', "JSON: unexpected end of escaped utf-16 surrogate pair"),
        ("table", '[{"count": 1, "count": 2}]', "JSON: expected each key once, got `count` twice at byte 14"),
        ("table", "[" * 65 + "]" * 65, f"{LEVELS} 64"),
        ("table", "[" * 100_000, f"{LEVELS} 64"),
        ("table", '{"data":' * 65, f"{LEVELS} 512"),
        ("table", "[1e999]", "JSON: number out of range - at `$[0]`"),
        ("table", f"[{'1' * 5000}]", "JSON: integer value out of range - at `$[0]`"),
        # of no kind
        ("table", "null", f"document: {EXPECTED}, got null"),
        ("table", "1.5", f"document: {EXPECTED}, got 1.5"),
        ("table", "true", f"document: {EXPECTED}, got true"),
        ("table", '"a\\u0000b"', rf'document: {EXPECTED}, got "a\u0000b"'),
        ("table", '{"data": "x"}', f'document: {EXPECTED}, got "x"'),
        ("table", '{"input_data": null}', f"document: {EXPECTED}, got null"),
        ("table", '{"data": {}}', f"document: {EXPECTED}, got an object with nothing in it"),
        ("table", '{"input_data": {"data": []}}', f"document: {EXPECTED}, got an object with `data`"),
        (
            "table",
            '{"a": 1, "\\u001b": 2, "c": 3, "d": 4}',
            rf"document: {EXPECTED}, got an object with `a`, `\x1b`, `c`",
        ),
        ("table", '{"data": [], "more": 1}', "document: expected only `data`, got `more` too"),
        ("table", '{"data": [], "input_data": []}', "document: expected only `data`, got `input_data` too"),
        ("table", '{"input_data": [], "params": {"a": 1}}', "document: expected only `input_data`, got `params` too"),
        ("table", '{"data": [], "index": []}', "document: expected only `data`, got `index` too"),
        # split
        (
            "table",
            '{"columns": ["a"]}',
            "document: expected `columns` and `data` as a list of names and a list of rows",
        ),
        (
            "table",
            '{"columns": "a", "data": []}',
            "document: expected `columns` and `data` as a list of names and a list of rows",
        ),
        (
            "table",
            '{"columns": ["a"], "data": [[1], 2]}',
            "document: expected `columns` and `data` as a list of names and a list of rows",
        ),
        (
            "table",
            '{"data": {"columns": ["a"], "data": {"a": []}}}',
            "document: expected `columns` and `data` as a list of names and a list of rows",
        ),
        (
            "table",
            '{"columns": ["a"], "data": [], "more": 1}',
            f"document: {EXPECTED}, got an object with `columns`, `data`, `more`",
        ),
        ("table", '{"columns": ["a"], "data": [[1], [2, 3]]}', "row 1: expected 1 values as `columns`, got 2"),
        ("table", '{"columns": ["a"], "data": [[]]}', "row 0: expected 1 values as `columns`, got 0"),
        (
            "lookup",
            '{"columns": ["index", "index"], "data": []}',
            "document: expected each of `columns` once, got one twice",
        ),
        ("lookup", '{"columns": [1, "1"], "data": []}', "document: expected each of `columns` once, got one twice"),
        (
            "lookup",
            '{"columns": ["index"], "data": [[0]], "index": []}',
            "document: expected an `index` of 1 rows, got another",
        ),
        (
            "lookup",
            '{"columns": ["index"], "data": [[0]], "index": 0}',
            "document: expected an `index` of 1 rows, got another",
        ),
        ("lookup", '{"columns": [], "data": []}', "input `index`: expected a column, got none of that name"),
        ("lookup", '{"columns": [null, {}], "data": []}', "input `index`: expected a column, got none of that name"),
        # names
        ("table", '{"amount": 1}', "input `count`: expected a column, got none of that name"),
        ("table", '{"count": [1]}', "input `amount`: expected a column, got none of that name"),
        (
            "table",
            '[{"amount": 1, "count": 1, "city": "a", "more": 1}]',
            "input `more`: expected only `amount`, `count`, `city`",
        ),
        ("table", '[{"count": 1}, {}]', "record 1: expected `count`, got 0 other values"),
        ("table", "[{}]", "input `count`: expected a column, got none of that name"),
        ("classifier", '{"age": [1]}', "feature `income`: expected a column, got none of that name"),
        ("classifier", '{"age": [1], "income": [2], "X": [3]}', "input `age`: expected only `X`"),
        ("inputs", '{"inputs": [], "outputs": []}', "input `id`: expected a column, got none of that name"),
        # values
        ("table", "[[1, 2]]", "array: expected 3 columns (`amount`, `count`, `city`), got shape [1, 2]"),
        ("table", '[[1, 2, "a"], [1]]', "array: expected 3 columns (`amount`, `count`, `city`), got shape [2]"),
        ("linear", "[[1, 2, 3, 4], [1]]", "input `x`: expected an array, got rows of different lengths"),
        ("linear", "[[1, 2, 3, null]]", "input `x`: expected FP32, got NaN at [0, 3]"),
        ("linear", "[[1, 2, 3, 1e300]]", "input `x`: expected FP32, got 1e+300 at [0, 3]: out of range"),
        ("linear", '[[1, 2, 3, "4"]]', 'input `x`: expected FP32, got "4" at [0, 3]'),
        ("linear", '[[1, 2, 3, {"a": 1}]]', "input `x`: expected FP32, got a dict at [0, 3]"),
        ("linear", '{"x": [[1, 2]]}', "input `x`: expected shape [-1, 4], got [1, 2]"),
        ("linear", f"[[1, 2, 3, {'1' * 400}]]", f"input `x`: expected FP32, got {'1' * 37}... at [0, 3]"),
        ("lookup", "[0.5]", "input `index`: expected INT64, got 0.5 at [0]"),
        ("lookup", "[true]", "input `index`: expected INT64, got true at [0]"),
        ("lookup", f"[{2**70}]", f"input `index`: expected INT64, got {2**70} at [0]: out of range"),
        (
            "table",
            '{"amount": [1], "count": [1, 2], "city": ["a"]}',
            "input `count`: expected 1 rows as `amount`, got 2",
        ),
        ("classifier", '{"age": [1], "income": [1, 2]}', "feature `income`: expected 1 rows as `age`, got 2"),
        ("fixed", "[]", "input `x`: expected a column, got none of that name"),
        ("fixed", "[[1, 2]]", "input `x`: expected shape [4, 2], got [1, 2]"),
        ("whole", '{"x": 1}', "input `x`: expected shape [-1], got []"),
        ("state", '{"columns": ["x", "state"], "data": [[1, 0]]}', "input `state`: expected shape [], got [1]"),
        ("state", '[{"x": [1], "state": 0}]', "input `x`: expected shape [-1], got [1, 1]"),
        # V2
        ("lookup", '{"inputs": []}', "input `index`: expected a tensor, got none of that name"),
        ("lookup", '{"inputs": {"index": [0]}}', "JSON: expected `array`, got `object` - at `$.inputs`"),
        ("lookup", '{"inputs": [{"name": "index"}]}', "JSON: object missing required field `shape` - at `$.inputs[0]`"),
        ("lookup", '{"inputs": [], "id": 1}', "JSON: expected `str | null`, got `int` - at `$.id`"),
        ("lookup", '{"inputs": [], "more": 1}', f"document: {EXPECTED}, got an object with `inputs`, `more`"),
        ("lookup", '{"data": {"inputs": []}}', f"document: {EXPECTED}, got an object with `inputs`"),
        ("lookup", '{"inputs": [], "outputs": [{"name": "other"}]}', "output `other`: expected one of `value`"),
        (
            "lookup",
            '{"inputs": [], "outputs": [{"name": "value", "parameters": {"binary_data": true}}]}',
            "body: expected outputs asked for as JSON, got some asked for as bytes",
        ),
        (
            "lookup",
            '{"inputs": [], "parameters": {"binary_data_output": true}}',
            "body: expected outputs asked for as JSON, got some asked for as bytes",
        ),
        (
            "lookup",
            '{"inputs": [{"name": "index", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}]}',
            "input `index`: expected a `binary_data_size` from 0 to 0, the bytes left, got `8`",
        ),
        (
            "lookup",
            '{"inputs": [{"name": "index", "shape": [2], "datatype": "INT64", "data": [1]}]}',
            "input `index`: expected 2 values for shape [2], got 1",
        ),
    ],
)
def test_a_document_that_is_none_or_does_not_fit_is_refused(
    scorers: Callable[[str], Scorer], model: str, text: str | bytes, message: str
) -> None:
    with refused(message):
        scorers(model).run(text)


@pytest.mark.parametrize("text", ["{}", b"{}"])
def test_text_and_bytes_are_read_alike(scorers: Callable[[str], Scorer], text: str | bytes) -> None:
    with refused(f"document: {EXPECTED}, got an object with nothing in it"):
        scorers("lookup").run(text)


def test_an_engine_that_fails_on_a_document_says_so_and_goes_on(scorers: Callable[[str], Scorer]) -> None:
    with pytest.raises(ScoringError, match=r"(?m)^model: expected an answer, got "):
        scorers("lookup").run("[99]")
    assert scorers("lookup").run("[0]") == [0.10000000149011612]


def answered_or_refused(scorer: Scorer, text: str | bytes) -> None:
    """Check that `text` has an answer that JSON can hold, or an error that can be shown."""
    try:
        msgspec.json.encode(scorer.run(text))
    except ModelportError as error:
        message = error.message
    else:
        return
    assert message.isprintable()


WORDS = ("data", "input_data", "params", "columns", "index", "inputs", "outputs", "id", "parameters")
TENSOR = ("name", "shape", "datatype", "data", "parameters", "binary_data_size", "binary_data_output")
COLUMNS = ("x", "state", "amount", "count", "city", "age", "income", "X", "index", "a", "b")
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 2, -1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e-320, 1e300, 3.5e38])
    | st.sampled_from(["", "Bern", "FP32", "FP64", "INT64", "BYTES", *COLUMNS])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, st.integers(0, 4)).map(lambda found: [found[0]] * found[1])
        | st.dictionaries(
            st.sampled_from(WORDS + TENSOR + COLUMNS) | st.text(st.characters(codec="utf-8")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def near_documents(signature: Signature) -> st.SearchStrategy[Any]:
    """Return documents that are almost ones for `signature`: the right names, and values that may be any."""
    names = [spec.features for spec in signature.inputs if spec.features] + [tuple(s.name for s in signature.inputs)]
    table = st.sampled_from(names).flatmap(lambda found: st.fixed_dictionaries(dict.fromkeys(found, JSON)))
    split = st.fixed_dictionaries(
        {"columns": st.sampled_from(names).map(list) | JSON, "data": st.lists(st.lists(JSON, max_size=3)) | JSON},
        optional={"index": JSON, "more": JSON},
    )
    tensors = [
        st.fixed_dictionaries(
            {
                "name": st.just(spec.name),
                "datatype": st.sampled_from([spec.datatype, "FP64", "?"]),
                "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
                "data": JSON,
            },
            optional={"parameters": st.dictionaries(st.sampled_from(TENSOR), JSON)},
        )
        for spec in signature.inputs
    ]
    request = st.fixed_dictionaries(
        {"inputs": st.tuples(*tensors)},
        optional={"id": JSON, "outputs": st.sampled_from([[], [{"name": "value"}]]) | JSON, "parameters": JSON},
    )
    plain = table | st.lists(table, max_size=3) | split
    return plain | request | st.sampled_from(WORDS[:2]).flatmap(lambda name: plain.map(lambda found: {name: found}))


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=100)
@given(st.data())
def test_any_json_is_answered_or_refused(scorers: Callable[[str], Scorer], model: str, data: st.DataObject) -> None:
    scorer = scorers(model)
    document = data.draw(near_documents(scorer.signature) | JSON)
    answered_or_refused(scorer, msgspec.json.encode(document))


@settings(max_examples=200)
@given(st.text() | st.binary() | JSON.map(msgspec.json.encode), st.integers(0, 50), st.binary(max_size=3))
def test_any_text_is_answered_or_refused(
    scorers: Callable[[str], Scorer], text: str | bytes, at: int, more: bytes
) -> None:
    damaged = text[:at] + more + text[at + 1 :] if isinstance(text, bytes) else text
    for model in ("table", "classifier", "state"):
        answered_or_refused(scorers(model), damaged)
