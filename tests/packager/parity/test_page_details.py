"""The page of a parity report: how numbers are written, bars drawn and differences marked."""

from __future__ import annotations

import math
import re
import sys
from xml.etree import ElementTree as ET

import parity_reports
import pytest
from html_reader import Reader
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager.parity.page import figures
from modelport.packager.parity.page.chart import coverage, histogram
from modelport.packager.parity.page.witnesses import witness
from modelport.packager.parity.report import Histogram, OutputComparison, Thresholds, Witness


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.25, "0.25"),
        (123.456, "123"),
        (0.00123456, "0.00123"),
        (54321.0, "54,321"),
        (2.98e-7, "2.98 x 10⁻⁷"),
        (1e-6, "1 x 10⁻⁶"),
        (-4e12, "-4 x 10¹²"),
        (math.inf, "∞"),
        (sys.float_info.max, "∞"),
        (-math.inf, "\N{MINUS SIGN}∞"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_written_to_three_digits(value: float, text: str) -> None:
    assert figures.number(value).replace("\N{MULTIPLICATION SIGN}", "x").replace("\N{NO-BREAK SPACE}", " ") == text


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_only_all_is_100_percent_and_only_none_is_0(part: int, whole: int) -> None:
    part = min(part, whole)
    text = figures.share(part, whole).replace("\N{NO-BREAK SPACE}", " ")
    assert (text == "100 %") == (part == whole)
    assert (text == "0 %") == (part == 0)


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (16_000, "16,000 rows")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert figures.counted(number, "row") == text


def drawn(found: Histogram, *, tolerance: float, over: int = 0) -> ET.Element:
    output = OutputComparison(name="y", kind="number", rows=1, absolute_tolerance=tolerance, over_tolerance=over)
    return ET.fromstring(histogram(output, found, "y"))  # noqa: S314  our own drawing


def bars(drawing: ET.Element) -> dict[str, tuple[float, float]]:
    """Return the middle and the length of every bar by what its title says."""
    found = [(group.findtext("title"), group.find("rect")) for group in drawing.iter("g")]
    return {
        " ".join(title.split()).replace("\N{MULTIPLICATION SIGN}", "x"): (
            float(rect.attrib["y"]) + float(rect.attrib["height"]) / 2,
            float(rect.attrib["width"].rstrip("%")),
        )
        for title, rect in found
        if title and rect is not None
    }


def ticks(drawing: ET.Element) -> list[str | None]:
    return [text.text for text in drawing.iter("text") if text.attrib.get("class") == "tick"]


def line_of(drawing: ET.Element) -> float:
    return next(float(line.attrib["y1"]) for line in drawing.iter("line") if line.attrib["class"] == "tolerance")


def test_bars_go_from_no_difference_to_the_largest_and_grow_with_their_count() -> None:
    found = bars(drawn(parity_reports.spread(10, m8=1000, m7=1), tolerance=1e-6))
    assert list(found) == [
        "no difference: 10 rows",
        "1 x 10⁻⁸ to 1 x 10⁻⁷: 1,000 rows",
        "1 x 10⁻⁷ to 1 x 10⁻⁶: 1 row",
    ]
    none, many, one = found.values()
    assert none[0] < many[0] < one[0]
    assert 0 < one[1] < none[1] < many[1]


def test_the_tolerance_lies_between_the_bars_within_and_beyond_it() -> None:
    drawing = drawn(parity_reports.spread(0, m7=5, m6=5), tolerance=1e-6, over=5)
    (within, _), (beyond, _) = bars(drawing).values()
    assert within < line_of(drawing) < beyond
    assert [rect.attrib["class"] for rect in drawing.iter("rect")] == ["bar", "bar beyond"]


def test_a_tolerance_of_nothing_lies_between_no_difference_and_the_rest() -> None:
    drawing = drawn(parity_reports.spread(3, m1=1), tolerance=0.0, over=1)
    (none, _), (some, _) = bars(drawing).values()
    assert none < line_of(drawing) < some


def test_bars_beyond_the_line_are_not_marked_while_every_row_is_within_the_relative_tolerance() -> None:
    drawing = drawn(parity_reports.spread(0, m3=5), tolerance=1e-6)
    assert [rect.attrib["class"] for rect in drawing.iter("rect")] == ["bar"]


@pytest.mark.parametrize("tolerance", [1e-300, 1e-14, 3e-9, 1e8, math.inf])
def test_any_tolerance_has_its_place_in_the_drawing(tolerance: float) -> None:
    drawing = drawn(parity_reports.spread(1, m8=1), tolerance=tolerance)
    assert 0 < line_of(drawing) <= float(drawing.attrib["height"])


def test_the_drawing_leaves_out_decades_without_values_at_both_ends() -> None:
    assert ticks(drawn(parity_reports.spread(1, m8=1), tolerance=1e-6)) == ["0", "10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"]


def test_edges_that_are_no_powers_of_ten_are_written_as_numbers() -> None:
    found = Histogram(zero=0, edges=(0.25, 1.0), counts=(1, 1, 1))
    assert ticks(drawn(found, tolerance=0.5)) == ["0", "0.25", "1"]


def test_a_drawing_has_a_title_and_describes_itself() -> None:
    drawing = drawn(parity_reports.spread(2, m8=1), tolerance=1e-6)
    assert drawing.attrib["role"] == "img"
    assert drawing.attrib["aria-labelledby"] == "y-title y-desc"
    assert drawing.findtext("title") == "Differences of y"
    told = " ".join((drawing.findtext("desc") or "").split()).replace("\N{MULTIPLICATION SIGN}", "x")
    assert told == "no difference: 2 rows; 1 x 10⁻⁸ to 1 x 10⁻⁷: 1 row. Tolerance: 1 x 10⁻⁶."


def test_coverage_is_drawn_to_scale() -> None:
    drawing = ET.fromstring(coverage(Thresholds(distinct=400, probed=300, reached=100, rows=900)))  # noqa: S314
    widths = {rect.attrib["class"]: rect.attrib["width"] for rect in drawing.iter("rect")}
    assert widths == {"track": "100%", "probed": "75%", "reached": "25%"}


def answers(expected: object, got: object, labels: tuple[str, ...] = ()) -> str:
    """Return the answers of a witness with what is marked in brackets."""
    found = Witness(rows="sample", output="y", inputs={}, expected=expected, got=got, difference=1.0, labels=labels)
    page = witness(1, found, None).replace("<mark>", "&lt;").replace("</mark>", "&gt;")
    return Reader(page).text.removeprefix("1. y off by 1 sample Expected Got Difference ").removesuffix(" Inputs")


@pytest.mark.parametrize(
    ("expected", "got", "shown"),
    [
        (0.731058, 0.731066, "answer 0.731058 0.7310 < 66 > 8 x 10⁻⁶"),
        (1.5e-7, 1.25e-7, "answer 1.5e-07 1. < 25e-07 > 2.5 x 10⁻⁸"),
        (10.5, 9.5, "answer 10.5 < 9.5 > 1"),
        (1e-5, 1e-6, "answer 1e-05 < 1e-06 > 9 x 10⁻⁶"),
        (0.5, 0.5, "answer 0.5 0.5 0"),
        (math.nan, math.nan, "answer NaN NaN 0"),
        (0.5, math.nan, "answer 0.5 < NaN > other"),
        (0.0, -0.0, "answer 0.0 < -0.0 > 0"),
        (True, False, "answer true < false > 1"),
        (
            "a" * 400 + "b",
            "a" * 400 + "c",
            f'answer "{"a" * 300}... (401 characters)" < "{"a" * 300}... (401 characters)" > other',
        ),
        ("1", 1, 'answer "1" < 1 > other'),
        (None, "x", 'answer missing < "x" > other'),
        ([1, 2], [1, 3], "value 0 1 1 0 value 1 2 < 3 > 1"),
        ([0.5, 0.25], [0.5], "value 0 0.5 0.5 0 value 1 0.25 < missing > other"),
    ],
)
def test_what_differs_is_marked(expected: object, got: object, shown: str) -> None:
    assert re.sub(r"\s*([<>])\s*", r" \1 ", answers(expected, got)) == shown


def test_the_values_of_an_answer_have_the_names_of_their_classes() -> None:
    text = answers([0.25, 0.75], [0.5, 0.5], labels=("no", "yes"))
    assert re.sub(r"\s*([<>])\s*", r" \1 ", text).startswith("no 0.25 0. < 5 > 0.25 yes 0.75")
    assert answers([1, 2], [1, 2], labels=("one",)).startswith("value 0")


def test_of_many_values_those_that_differ_most_are_shown_in_order() -> None:
    expected = [0.0] * 1000
    got = [*expected]
    got[7], got[900] = 0.5, 0.25
    text = answers(expected, got)
    assert [int(name) for name in re.findall(r"value (\d+) ", text)] == [*range(11), 900]
    assert "The 12 of 1,000 values that differ most are shown." in text


def test_a_long_input_takes_a_line_of_its_own_and_a_matrix_row_is_cut() -> None:
    inputs = {"city": "x" * 100, "row": [0.5] * 40, "short": [1, 2]}
    page = witness(1, Witness(rows="r", output="y", inputs=inputs, expected=1, got=2, difference=1.0), None)
    assert page.count('<div class="long">') == 2
    assert "0.5 , 0.5 , ... (40 values)]" in Reader(page).text
    assert "short [ 1 , 2 ]" in Reader(page).text
