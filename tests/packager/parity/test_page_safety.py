"""The page of a parity report: nothing gets in unescaped, nothing leads out, everyone can read it."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree as ET

import parity_reports
import pytest
from html_reader import Reader
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager.parity.page import render
from modelport.packager.parity.page.markup import prose, visible
from modelport.packager.parity.report import (
    BatchCheck,
    Histogram,
    OutputComparison,
    ParityReport,
    RowSet,
    ThreadCheck,
    Thresholds,
    Witness,
)

ELEMENTS: Final = """
    html head meta link title style body header main section article footer div span p h1 h2 h3 h4 dl dt dd ul li table
    thead tbody tr th td figure figcaption strong code mark bdi svg desc g rect line circle path text
"""
ATTRIBUTES: Final = """
    lang charset name content http-equiv rel href class id role scope tabindex aria-label aria-hidden aria-labelledby
    x y dx dy x1 x2 y1 y2 rx cx cy r d width height viewbox
"""


def test_hostile_text_is_shown_and_is_no_markup() -> None:
    reader = Reader(render(parity_reports.failed()))
    assert reader.names <= {*ELEMENTS.split()}
    assert parity_reports.HOSTILE in reader.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 東京 🙂", "Zürich 東京 🙂"),
        ("a\x00b\n", r"a\x00b\n"),
        ("\ud800", r"\ud800"),
        ("abc\u202edef\u200b\ufeff", r"abc\u202edef\u200b\ufeff"),
        ("line\u2028break\ufffe", r"line\u2028break\ufffe"),
    ],
)
def test_characters_that_cannot_be_seen_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_text_between_backticks_is_code_and_escaped() -> None:
    assert prose("output `<y>`: & more") == "output <code>&lt;y&gt;</code>: &amp; more"
    assert prose("one ` alone") == "one ` alone"


def test_long_text_is_cut_and_its_length_told() -> None:
    assert re.search(r'"(long text ){30}\.\.\. \(800 characters\)"', Reader(render(parity_reports.failed())).text)


def test_the_page_leads_nowhere_and_forbids_every_load() -> None:
    reader = Reader(render(parity_reports.failed()))
    assert set(reader.attributes) <= {*ATTRIBUTES.split()}
    assert reader.attributes["href"] == {"data:,"}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in reader.attributes["content"]
    assert not re.search(r"url\(|@import|//", reader.styles)


text = st.text(st.characters(codec=None), max_size=20) | st.sampled_from([parity_reports.HOSTILE, "x" * 400, "`"])
count = st.integers(0, 2**40)
size = st.floats(min_value=0)
value = (
    st.one_of(text, st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.none())
    | st.lists(st.floats(), max_size=20)
    | st.lists(text, max_size=3)
)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    exponents = sorted(draw(st.sets(st.integers(-30, 30), max_size=12)))
    counts = draw(st.lists(count, min_size=len(exponents) + 1, max_size=len(exponents) + 1))
    return Histogram(zero=draw(count), edges=tuple(10.0**exponent for exponent in exponents), counts=tuple(counts))


def several(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(strategy, max_size=2).map(tuple)


outputs = st.builds(
    OutputComparison,
    name=text,
    kind=st.sampled_from(["label", "number"]),
    rows=count,
    mismatches=count,
    ties=count,
    over_tolerance=count,
    absolute_tolerance=size,
    relative_tolerance=size,
    max_absolute=st.floats(),
    histogram=st.none() | histograms(),
)
witnesses = st.builds(
    Witness,
    rows=text,
    output=text,
    inputs=st.dictionaries(text, value, max_size=4),
    expected=value,
    got=value,
    difference=st.floats(),
)
thresholds = st.tuples(count, count, count).map(
    lambda found: Thresholds(distinct=max(found), probed=sorted(found)[1], reached=min(found), rows=max(found))
)
reports = st.builds(
    ParityReport,
    name=text,
    model=text,
    reference=text,
    engine=text,
    contract=st.sampled_from(["float32", "float64"]),
    proof=st.sampled_from(["trained", "expected", "reference", "self"]),
    verdict=st.sampled_from(["passed", "failed", "accepted"]),
    deterministic=st.booleans(),
    failures=several(text),
    notes=several(text),
    outputs=several(outputs),
    row_sets=several(st.builds(RowSet, name=text, rows=count, over_tolerance=count, max_absolute=size)),
    witnesses=several(witnesses),
    thresholds=st.none() | thresholds,
    batches=st.none() | st.builds(BatchCheck, sizes=st.just((1, 2)), rows=count, max_absolute=size),
    threads=st.none() | st.builds(ThreadCheck, threads=st.just(2), rows=count, changed=count, max_absolute=size),
)


@given(reports)
def test_any_report_gives_a_well_formed_page_of_known_elements_only(report: ParityReport) -> None:
    page = render(report)
    assert page.encode().decode() == page
    reader = Reader(page)
    assert reader.names <= {*ELEMENTS.split()}
    assert set(reader.attributes) <= {*ATTRIBUTES.split()}
    assert " ".join(visible(report.name).split()).replace("\N{MULTIPLICATION SIGN}", "x") in reader.text
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(drawing)  # noqa: S314  our own page
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_every_table_names_its_columns_and_rows() -> None:
    page = render(parity_reports.failed())
    assert page.count("<table") == 3
    assert len(re.findall(r"<th[ >]", page)) == page.count('scope="col"') + page.count('scope="row"')


def luminance(colour: str) -> float:
    """Return the relative luminance that WCAG 2 defines."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", Reader(render(parity_reports.passed())).styles, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    colours = found[0] | found[scheme]
    tones = ("passed", "failed", "accepted")
    pairs = [(front, back) for front in ("text", "quiet", *tones) for back in ("page", "card")]
    pairs += [(front, f"{tone}-soft") for tone in tones for front in ("text", tone)]
    pairs += [("mark-text", "mark"), ("text", "soft")]
    for front, back in pairs:
        dark, light = sorted((luminance(colours[front]), luminance(colours[back])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)
