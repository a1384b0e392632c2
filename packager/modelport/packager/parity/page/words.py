"""What a report's values mean, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .figures import count, counted, number, share

if TYPE_CHECKING:
    from modelport.packager.parity.report import (
        BatchCheck,
        OutputComparison,
        ParityReport,
        ThreadCheck,
        Thresholds,
        Verdict,
    )
    from modelport.runtime.package import Contract, ProofKind

VERDICTS: Final[dict[Verdict, str]] = {
    "passed": "Passed",
    "failed": "Failed",
    "accepted": "Accepted with differences",
}

PROOFS: Final[dict[ProofKind, str]] = {
    "trained": "The trained model itself answered the same rows, so what is shown here holds for what was trained.",
    "expected": "The outputs to compare with were given; the trained model was not at hand.",
    "reference": (
        "ONNX's reference evaluator answered the same rows: the engine computes what the graph says. "
        "Whether the graph equals what was trained is not shown."
    ),
    "self": (
        "There was nothing to compare with but the model itself: it agrees with itself over batches and repeats. "
        "Whether it equals what was trained is not shown."
    ),
}

CONTRACTS: Final[dict[Contract, str]] = {
    "float64": "Inputs keep their 64 bits: the answer must be the one for the number as it was given.",
    "float32": "Inputs are rounded to 32 bits first: the answer must be the one for the rounded number.",
}

TIE: Final = "A tie is a row whose two best classes are within 10⁻⁶ of each other in the original."
HISTOGRAM: Final = (
    "How many rows differ by how much, each by its largest difference. "
    "Bars grow with the logarithm of the count, so that single outliers show."
)
RELATIVE: Final = " The line is the tolerance of a value near 0; a larger value may differ by more."


def summary(report: ParityReport) -> str:
    """Return what the comparison came to, in one or two sentences."""
    if not report.outputs:
        return "No output was compared."
    found = [text for kind in ("label", "number") if (text := _agreement(report, kind)) is not None]
    text = f"{counted(report.rows, 'row')} compared: {' and '.join(found)}."
    if report.verdict == "accepted":
        return f"{text} The package was made all the same, because whoever made it accepted this."
    return text


def _agreement(report: ParityReport, kind: str) -> str | None:
    outputs = [output for output in report.outputs if output.kind == kind]
    if not outputs:
        return None
    if kind == "number":
        over = sum(output.over_tolerance for output in outputs)
        return f"{_beyond(over)} beyond tolerance" if over else "every number is within its tolerance"
    wrong, ties = sum(output.mismatches for output in outputs), sum(output.ties for output in outputs)
    apart = f" ({counted(ties, 'tie')} apart)" if ties else ""
    return f"{_differ(wrong)}{apart}" if wrong else f"every label is the same{apart}"


def _beyond(rows: int) -> str:
    return f"{counted(rows, 'row')} {'has a number' if rows == 1 else 'have numbers'}"


def _differ(labels: int) -> str:
    return f"{counted(labels, 'label')} {'differs' if labels == 1 else 'differ'}"


def differs(output: OutputComparison) -> bool:
    """Return whether `output` has a row that fails the comparison."""
    return output.mismatches > 0 or output.over_tolerance > 0


def outcome(output: OutputComparison) -> str:
    """Return how `output` fared, in a few words."""
    if output.kind == "label":
        return _differ(output.mismatches) if output.mismatches else "all labels equal"
    if output.over_tolerance:
        return f"{counted(output.over_tolerance, 'row')} beyond tolerance"
    return "identical" if output.max_absolute == 0 else "within tolerance"


def tolerance(output: OutputComparison) -> str:
    """Return how far a number of `output` may be off."""
    absolute, relative = output.absolute_tolerance, output.relative_tolerance
    if absolute == 0 and relative == 0:
        return "none: exact"
    parts = [number(absolute)] if absolute else []
    if relative:
        parts.append(f"{number(relative)} of the value")
    return " + ".join(parts)


def thresholds(found: Thresholds) -> str:
    """Return how far the trees' split thresholds were probed."""
    if found.distinct == 0:
        return "The model's trees have no thresholds to probe."
    probed = "All" if found.probed == found.distinct else f"{count(found.probed)} of"
    return (
        f"{probed} {counted(found.distinct, 'split threshold')} probed ({share(found.probed, found.distinct)}), "
        f"{count(found.reached)} of them ({share(found.reached, found.distinct)} of all) by a row that arrives at the "
        "split. Each was tried at the threshold itself and one step of float32 and of float64 to either side: "
        f"{counted(found.rows, 'row')}."
    )


def batches(check: BatchCheck) -> str:
    """Return whether the size of a batch changes what a row gives."""
    sizes = ", ".join(map(count, check.sizes))
    compared = f"{counted(check.rows, 'row')}, in batches of {sizes} and all at once"
    if check.identical:
        return f"A row gives the same bits in any batch ({compared})."
    if check.identical_padded:
        return (
            f"A row alone gives other bits, by at most {number(check.max_absolute)} ({compared}). "
            "Scored as two it gives the same bits as in any batch, and so it is scored."
        )
    return f"A row gives other bits in other batches, by at most {number(check.max_absolute)} ({compared})."


def threads(check: ThreadCheck) -> str:
    """Return whether the number of threads changes what a row gives."""
    used = f"{count(check.threads)} threads instead of one"
    if check.changed == 0:
        return f"With {used}, {counted(check.rows, 'row')} give the same bits."
    return (
        f"With {used}, {count(check.changed)} of {counted(check.rows, 'row')} give other bits, "
        f"by at most {number(check.max_absolute)}."
    )


def determinism(report: ParityReport) -> str:
    """Return whether the model answers the same twice."""
    if report.deterministic:
        return "The same rows give the same answer each time."
    return "The model does not give the same answer twice: its samples check shapes and ranges only."
