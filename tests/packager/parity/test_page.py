"""The page of a parity report: what it says, and that it is written whole."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import msgspec
import parity_reports
import pytest
from html_reader import Reader

from modelport.packager.errors import WriteError
from modelport.packager.parity.page import render, write_page
from modelport.packager.parity.report import ParityReport

if TYPE_CHECKING:
    from pathlib import Path


def shown(report: ParityReport) -> str:
    return Reader(render(report)).text


@pytest.mark.parametrize(
    "part",
    [
        "flight-delay Passed 48,216 rows compared: every label is the same (3 ties apart) and every number is within",
        "tolerance. Proof: trained. The trained model itself answered the same rows, so what is shown here holds for",
        "Rows compared 48,216 Labels that differ 0 Ties, counted apart 3 Rows beyond tolerance 0 Largest",
        "Compared with sklearn.pipeline.Pipeline (scikit-learn 1.9.1) Executed by onnxruntime 1.32.0 (cpu)",
        "Contract float64. Inputs keep their 64 bits: the answer must be the one for the number as it was given.",
        "label all labels equal Rows 48,216 Labels that differ 0 Ties, counted apart 3 A tie is a row whose two best",
        "probabilities within tolerance Rows 48,216 Rows beyond tolerance 0 Largest absolute difference 2.98 x 10⁻⁷",
        "Tolerance 1 x 10⁻⁶ + 1 x 10⁻⁵ of the value",
        "tree thresholds 11,352 0 0 0 2.1 x 10⁻⁷",
        "All 1,892 split thresholds probed (100 %), 1,771 of them (93.6 % of all) by a row that arrives at the split.",
        "A row alone gives other bits, by at most 5.96 x 10⁻⁸ (1,000 rows, in batches of 1, 2, 5 and all at once).",
        "Scored as two it gives the same bits as in any batch, and so it is scored.",
        "With 2 threads instead of one, 8,192 rows give the same bits.",
        "Notes Trees behind a scaler compare in 32 bits",
    ],
)
def test_a_passed_report_says(part: str) -> None:
    assert part in shown(parity_reports.passed())


@pytest.mark.parametrize(
    "part",
    [
        "Failed 16,000 rows compared: 17 labels differ (4 ties apart) and 699 rows have numbers beyond tolerance.",
        "Why it failed output label : 17 of 16,000 labels differ, none of them a tie",
        "Contract float32. Inputs are rounded to 32 bits first: the answer must be the one for the rounded number.",
        "label 17 labels differ Rows 16,000 Labels that differ 17 Ties, counted apart 4",
        "1. label another label rounded to 2 decimals Expected Got answer",
        "2. probabilities off by 0.23 rounded to 2 decimals Expected Got Difference value 0 0.51 0.51 0",
        "feature_57 5.7",
        "1,250 of 4,213 split thresholds probed (29.6 %), 960 of them (22.7 % of all)",
        "A row gives the same bits in any batch (1,000 rows, in batches of 1, 2, 5 and all at once).",
        "With 2 threads instead of one, 12 of 2,000 rows give other bits, by at most 1.2 x 10⁻⁷.",
    ],
)
def test_a_failed_report_says(part: str) -> None:
    assert part in shown(parity_reports.failed())


@pytest.mark.parametrize(
    "part",
    [
        "prices Accepted with differences 400 rows compared: 1 row has a number beyond tolerance. The package was made",
        "Proof: expected. The outputs to compare with were given; the trained model was not at hand.",
        "What was accepted output price : 1 of 400 rows",
        "Tolerance none: exact",
        "The model does not give the same answer twice: its samples check shapes and ranges only.",
        "A row gives other bits in other batches, by at most 1.5",
    ],
)
def test_a_report_with_accepted_differences_says(part: str) -> None:
    assert part in shown(parity_reports.accepted())


def test_only_a_passed_report_says_so() -> None:
    assert "Passed" not in shown(parity_reports.accepted()) + shown(parity_reports.failed())
    assert "Why it failed" not in shown(parity_reports.passed())


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ("reference", "Whether the graph equals what was trained is not shown."),
        ("self", "Whether it equals what was trained is not shown."),
    ],
)
def test_a_proof_without_the_trained_model_says_so(proof: str, said: str) -> None:
    assert said in shown(msgspec.structs.replace(parity_reports.passed(), proof=proof))


def test_a_report_with_nothing_in_it_says_that_nothing_was_compared() -> None:
    empty = ParityReport(
        name="m",
        model="m",
        reference="r",
        engine="e",
        contract="float32",
        proof="self",
        verdict="failed",
        deterministic=True,
    )
    text = shown(empty)
    assert "No output was compared." in text
    for title in ("Outputs", "Rows that differ most", "Rows that were tried", "Thresholds", "Batches", "Notes"):
        assert title not in text


def test_a_model_whose_trees_have_no_thresholds_draws_no_coverage() -> None:
    report = parity_reports.passed()
    none = msgspec.structs.replace(report.thresholds, distinct=0, probed=0, reached=0, rows=0)
    page = render(msgspec.structs.replace(report, thresholds=none))
    assert "The model's trees have no thresholds to probe." in Reader(page).text
    assert "coverage-title" not in page


def test_the_same_report_gives_the_same_page() -> None:
    assert render(parity_reports.failed()) == render(parity_reports.failed())


def test_a_page_is_written_whole_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "parity.html"
    assert write_page(parity_reports.passed(), path) == path
    assert path.read_text("utf-8") == render(parity_reports.passed())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_page_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "parity.html"
    path.write_text("old")
    write_page(parity_reports.failed(), path)
    assert path.read_text("utf-8") == render(parity_reports.failed())


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "parity.html"
    path.mkdir()
    message = f"report `{path}`: expected a file that can be written, got Is a directory"
    with pytest.raises(WriteError, match=f"(?m)^{re.escape(message)}$"):
        write_page(parity_reports.passed(), path)
    assert list(tmp_path.iterdir()) == [path]
