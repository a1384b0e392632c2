"""The worst rows, each with what both sides answered and the inputs that led there."""

from __future__ import annotations

import math
from itertools import takewhile, zip_longest
from typing import TYPE_CHECKING, Final

from .figures import count, number
from .markup import Markup, element, joined, scrollable
from .words import differs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelport.packager.parity.report import OutputComparison, Value, Witness

    Scalar = str | int | float | bool | None

_MOST_CHARACTERS: Final = 300
_MOST_ELEMENTS: Final = 12
_LONG: Final = 60  # characters that want a line of their own


def witness(position: int, found: Witness, output: OutputComparison | None) -> Markup:
    """Show one row: where it is from, expected against got of `output`, and its inputs by feature name."""
    is_label = output is not None and output.kind == "label"
    off = "another label" if is_label else f"off by {number(found.difference)}"
    return element(
        "article",
        element(
            "h3",
            f"{position}. ",
            element("bdi", found.output),
            element("span", off, class_="chip bad" if output is None or differs(output) else "chip"),
            element("span", element("bdi", found.rows), class_="origin"),
        ),
        _answers(found, is_label=is_label),
        element("h4", "Inputs"),
        element("dl", *(_input(name, value) for name, value in found.inputs.items()), class_="inputs"),
        class_="witness",
    )


def _input(name: str, value: Value) -> Markup:
    is_long = len(name) > _LONG or len(str(value)) > _LONG
    shown = element("dt", element("bdi", _short(name))), element("dd", _values(value))
    return element("div", *shown, class_="long" if is_long else None)


def _answers(found: Witness, *, is_label: bool) -> Markup:
    heads = ("", "Expected", "Got", *(() if is_label else ("Difference",)))
    rows, more = _pairs(found.expected, found.got, found.labels)
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(_answer(*row, is_label=is_label) for row in rows)),
        class_="answers",
    )
    note = element("p", f"The {len(rows)} of {count(len(rows) + more)} values that differ most are shown.")
    return joined([scrollable(table, "Expected and got"), note if more else None])


def _pairs(expected: Value, got: Value, labels: Sequence[Scalar]) -> tuple[list[tuple[str, Scalar, Scalar]], int]:
    """Return what to set side by side, each with its name, and how many values were left out."""
    if not isinstance(expected, list) and not isinstance(got, list):
        return [("answer", expected, got)], 0
    left: list[Scalar] = [*expected] if isinstance(expected, list) else [expected]
    right: list[Scalar] = [*got] if isinstance(got, list) else [got]
    pairs = list(zip_longest(left, right))
    worst = sorted(range(len(pairs)), key=lambda index: (-_distance(*pairs[index]), index))[:_MOST_ELEMENTS]
    names = [_short(str(label)) for label in labels] if len(labels) == len(pairs) else []
    named = [(names[index] if names else f"value {index}", *pairs[index]) for index in sorted(worst)]
    return named, len(pairs) - len(worst)


def _answer(name: str, expected: Scalar, got: Scalar, *, is_label: bool) -> Markup:
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", _value(expected)),
        element("td", _marked(expected, got)),
        None if is_label else element("td", _difference(expected, got), class_="distance"),
    )


def _distance(expected: Scalar, got: Scalar) -> float:
    """Return how far apart two values are: infinitely where one is text, missing or no number."""
    if _same(expected, got):
        return 0.0
    if isinstance(expected, int | float) and isinstance(got, int | float):
        distance = abs(float(got) - float(expected))
        return math.inf if math.isnan(distance) else distance
    return math.inf


def _difference(expected: Scalar, got: Scalar) -> str:
    distance = _distance(expected, got)
    if distance == 0:
        return "0"
    return "other" if math.isinf(distance) else number(distance)


def _same(expected: Scalar, got: Scalar) -> bool:
    return _text(expected) == _text(got)


def _marked(expected: Scalar, got: Scalar) -> Markup:
    """Show `got` with what differs from `expected` marked: the digits that do, or the whole value."""
    if _same(expected, got):
        return _value(got)
    if isinstance(expected, float) and isinstance(got, float):
        text = _text(got)
        equal = _equal_digits(_text(expected), text)
        return element("span", text[:equal], element("mark", text[equal:]), class_="value")
    return element("mark", _value(got))


def _equal_digits(left: str, right: str) -> int:
    """Return how many leading characters of two numbers say the same: none if they differ in magnitude."""
    if left.find(".") != right.find(".") or left.partition("e")[2] != right.partition("e")[2]:
        return 0
    pairs = zip(left.partition("e")[0], right.partition("e")[0], strict=False)
    equal = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return equal if equal > left.find(".") else 0


def _values(value: Value) -> Markup:
    if not isinstance(value, list):
        return _value(value)
    first: list[Scalar] = [*value[:_MOST_ELEMENTS]]
    shown = (joined([", " if index else None, _value(each)]) for index, each in enumerate(first))
    more = f", ... ({count(len(value))} values)" if len(value) > len(first) else None
    return element("span", "[", *shown, more, "]")


def _value(value: Scalar) -> Markup:
    if value is None:
        return element("span", "missing", class_="missing")
    return element("bdi", f'"{_short(value)}"' if isinstance(value, str) else _text(value), class_="value")


def _text(value: Scalar) -> str:
    """Return `value` so that two values have the same text only if they are the same."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    if isinstance(value, float):
        return float.__repr__(value)  # a subclass, such as NumPy's, may write itself otherwise
    return f'"{value}"' if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}... ({count(len(text))} characters)"
