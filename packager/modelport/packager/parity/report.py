"""What a comparison of a converted model with its original found, as a value: `parity.json` of the package."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelport.runtime.package import Contract, Proof, ProofKind

Verdict = Literal["passed", "failed", "accepted"]
Value = str | int | float | bool | list[str | int | float | bool | None] | None


class Histogram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many absolute differences were 0 (`zero`), and how many lie between neighbouring `edges` (powers of ten).

    There is one count more than gaps between edges at each end: below the first edge, and from the last one on.
    """

    zero: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class OutputComparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output over all rows. Labels have mismatches and ties; numbers have differences, in the output's unit.

    `kind` is `label` (compared exactly; a mismatch where the original's two best classes are within 1e-6 is a tie) or
    `number` (|got - expected| <= absolute + relative * |expected|).
    """

    name: str
    kind: Literal["label", "number"]
    rows: int
    mismatches: int = 0
    ties: int = 0
    over_tolerance: int = 0
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
    max_absolute: float = 0.0
    p999_absolute: float = 0.0
    max_relative: float = 0.0
    histogram: Histogram | None = None


class RowSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of rows that were compared, such as `sample`, `rounded to 2 decimals` or `tree thresholds`."""

    name: str
    rows: int
    label_mismatches: int = 0
    ties: int = 0
    over_tolerance: int = 0
    max_absolute: float = 0.0


class Witness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the worst rows: its inputs by feature name, and what each side answered for `output`.

    `labels` name the values of an answer of several, such as the classes that probabilities belong to.
    """

    rows: str
    output: str
    inputs: dict[str, Value]
    expected: Value
    got: Value
    difference: float
    labels: tuple[str | int | bool, ...] = ()


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the split thresholds of the model's trees were probed.

    `distinct` pairs of feature and threshold, of which `probed` were, `reached` by a row that arrives at the split;
    each at the threshold and one step of float32 and float64 to either side: `rows` rows.
    """

    distinct: int
    probed: int
    reached: int
    rows: int


class BatchCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether rows give the same bits in batches of `sizes` as in one batch of all.

    `identical` without, and `identical_padded` with a single row scored as two; `max_absolute` is the largest
    difference without padding.
    """

    sizes: tuple[int, ...]
    rows: int
    identical: bool
    identical_padded: bool
    max_absolute: float = 0.0


class ThreadCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rows change bits when the engine uses `threads` threads instead of one, and by how much at most."""

    threads: int
    rows: int
    changed: int
    max_absolute: float = 0.0


class ParityReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole comparison. `failures` says in words why it failed; `notes` what was repaired or narrowed."""

    name: str
    model: str
    reference: str
    engine: str
    contract: Contract
    proof: ProofKind
    verdict: Verdict
    deterministic: bool
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outputs: tuple[OutputComparison, ...] = ()
    row_sets: tuple[RowSet, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    thresholds: Thresholds | None = None
    batches: BatchCheck | None = None
    threads: ThreadCheck | None = None

    @property
    def rows(self) -> int:
        """All rows that were compared."""
        return sum(rows.rows for rows in self.row_sets)

    @property
    def proof_summary(self) -> Proof:
        """What the manifest says of this report."""
        return Proof(
            kind=self.proof,
            passed=self.verdict == "passed",
            accepted=self.verdict == "accepted",
            rows=self.rows,
            label_mismatches=sum(output.mismatches for output in self.outputs),
            ties=sum(output.ties for output in self.outputs),
            rows_over_tolerance=sum(output.over_tolerance for output in self.outputs),
            max_absolute=max((output.max_absolute for output in self.outputs), default=0.0),
            max_relative=max((output.max_relative for output in self.outputs), default=0.0),
        )
