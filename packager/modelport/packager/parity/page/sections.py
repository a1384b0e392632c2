"""The parts of the page, from the verdict down to the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import words
from .chart import coverage, histogram
from .figures import count, counted, number
from .markup import Markup, element, prose, scrollable
from .witnesses import witness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelport.packager.parity.report import OutputComparison, ParityReport, RowSet, Verdict

#: What the verdict's sign draws within its circle of 48 units.
_SIGNS: Final[dict[Verdict, str]] = {
    "passed": "M14 25 l7 7 l14 -16",
    "failed": "M16 16 l16 16 M32 16 l-16 16",
    "accepted": "M24 13 v14 M24 34 v1",
}


def header(report: ParityReport) -> Markup:
    """Show the model's name, the verdict, what it came to and what it rests on."""
    return element(
        "header",
        element("p", "Parity report", class_="eyebrow"),
        element("h1", element("bdi", report.name)),
        element(
            "div",
            _sign(report.verdict),
            element(
                "div",
                element("p", words.VERDICTS[report.verdict], class_="word"),
                element("p", words.summary(report)),
                element("p", element("strong", f"Proof: {report.proof}. "), words.PROOFS[report.proof]),
            ),
            class_=f"verdict {report.verdict}",
            role="region",
            aria_label="Verdict",
        ),
    )


def _sign(verdict: Verdict) -> Markup:
    return element(
        "svg",
        element("circle", cx="24", cy="24", r="23"),
        element("path", d=_SIGNS[verdict]),
        class_="sign",
        viewBox="0 0 48 48",
        width="48",
        height="48",
        aria_hidden="true",
    )


def reasons(report: ParityReport) -> Markup | None:
    """Say why the comparison failed, whether or not that was accepted."""
    if not report.failures:
        return None
    title = "What was accepted" if report.verdict == "accepted" else "Why it failed"
    return _section(
        title,
        element("ul", *(element("li", prose(failure)) for failure in report.failures)),
        class_=f"reasons {report.verdict}",
    )


def key_figures(report: ParityReport) -> Markup:
    """Show the handful of numbers that everyone asks for."""
    proof = report.proof_summary
    figures = [("Rows compared", count(report.rows))]
    if any(output.kind == "label" for output in report.outputs):
        figures += [("Labels that differ", count(proof.label_mismatches)), ("Ties, counted apart", count(proof.ties))]
    if any(output.kind == "number" for output in report.outputs):
        figures += [
            ("Rows beyond tolerance", count(proof.rows_over_tolerance)),
            ("Largest difference", number(proof.max_absolute)),
        ]
    return element("dl", *(_figure(name, value) for name, value in figures), class_="figures")


def compared(report: ParityReport) -> Markup:
    """Say what was compared with what, and under which contract."""
    facts = (
        ("Converted model", element("bdi", report.model)),
        ("Compared with", element("bdi", report.reference)),
        ("Executed by", element("bdi", report.engine)),
        ("Contract", f"{report.contract}. {words.CONTRACTS[report.contract]}"),
        ("Repeats", words.determinism(report)),
    )
    return _section("What was compared", element("dl", *(_figure(name, text) for name, text in facts), class_="facts"))


def outputs(report: ParityReport) -> Markup | None:
    """Show each output with its figures and, for numbers, how its differences are spread."""
    if not report.outputs:
        return None
    return _section("Outputs", *(_output(index, output) for index, output in enumerate(report.outputs)))


def _output(index: int, output: OutputComparison) -> Markup:
    chip = "chip bad" if words.differs(output) else "chip good"
    return element(
        "article",
        element("h3", element("bdi", output.name), element("span", words.outcome(output), class_=chip)),
        element("dl", *(_figure(name, value) for name, value in _figures_of(output)), class_="figures small"),
        element("p", words.TIE, class_="caption") if output.ties else None,
        _histogram(index, output),
    )


def _figures_of(output: OutputComparison) -> tuple[tuple[str, str], ...]:
    rows = ("Rows", count(output.rows))
    if output.kind == "label":
        return rows, ("Labels that differ", count(output.mismatches)), ("Ties, counted apart", count(output.ties))
    return (
        rows,
        ("Rows beyond tolerance", count(output.over_tolerance)),
        ("Largest absolute difference", number(output.max_absolute)),
        ("99.9\N{NO-BREAK SPACE}% of rows differ by at most", number(output.p999_absolute)),
        ("Largest relative difference beyond the tolerance", number(output.max_relative)),
        ("Tolerance", words.tolerance(output)),
    )


def _histogram(index: int, output: OutputComparison) -> Markup | None:
    if output.histogram is None:
        return None
    return element(
        "figure",
        histogram(output, output.histogram, f"output-{index}"),
        element(
            "figcaption",
            words.HISTOGRAM,
            words.RELATIVE if output.relative_tolerance > 0 else None,
            class_="caption",
        ),
    )


def witnesses(report: ParityReport) -> Markup | None:
    """Show the worst rows."""
    if not report.witnesses:
        return None
    by_name = {output.name: output for output in report.outputs}
    shown = (witness(place, found, by_name.get(found.output)) for place, found in enumerate(report.witnesses, 1))
    return _section("Rows that differ most", *shown)


def row_sets(report: ParityReport) -> Markup | None:
    """Show the kinds of rows that were tried, with what each brought to light."""
    if not report.row_sets:
        return None
    heads = ("Rows", "Count", "Labels that differ", "Ties", "Beyond tolerance", "Largest difference")
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(_row_set(rows) for rows in report.row_sets)),
        class_="row-sets",
    )
    return _section("Rows that were tried", scrollable(table, "Rows that were tried"))


def _row_set(rows: RowSet) -> Markup:
    cells = (
        (count(rows.rows), False),
        (count(rows.label_mismatches), rows.label_mismatches > 0),
        (count(rows.ties), False),
        (count(rows.over_tolerance), rows.over_tolerance > 0),
        (number(rows.max_absolute), rows.over_tolerance > 0),
    )
    shown = (element("td", text, class_="bad" if bad else None) for text, bad in cells)
    return element("tr", element("th", element("bdi", rows.name), scope="row"), *shown)


def thresholds(report: ParityReport) -> Markup | None:
    """Show how far the trees' thresholds were probed."""
    if report.thresholds is None:
        return None
    drawn = coverage(report.thresholds) if report.thresholds.distinct else None
    return _section("Thresholds of the trees", drawn, element("p", words.thresholds(report.thresholds)))


def sameness(report: ParityReport) -> Markup | None:
    """Say whether batches and threads change an answer."""
    told = [words.batches(report.batches)] if report.batches else []
    told += [words.threads(report.threads)] if report.threads else []
    return _section("Batches and threads", *(element("p", text) for text in told)) if told else None


def notes(report: ParityReport) -> Markup | None:
    """Say what was repaired or narrowed on the way."""
    if not report.notes:
        return None
    return _section("Notes", element("ul", *(element("li", prose(note)) for note in report.notes)))


def footer(report: ParityReport) -> Markup:
    """Say where the same figures stand for machines."""
    return element(
        "footer",
        f"Made by modelport from {counted(report.rows, 'compared row')}. "
        "The package's manifest and parity.json hold the same figures for machines.",
    )


def _section(title: str, *children: str | None, class_: str | None = None) -> Markup:
    return element("section", element("h2", title), *children, class_=class_)


def _figure(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def in_order(report: ParityReport) -> Iterable[Markup | None]:
    """Yield every part of the page that `report` has something for, from the top."""
    yield header(report)
    yield element(
        "main",
        key_figures(report),
        reasons(report),
        compared(report),
        outputs(report),
        witnesses(report),
        row_sets(report),
        thresholds(report),
        sameness(report),
        notes(report),
    )
    yield footer(report)
