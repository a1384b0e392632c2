"""Everything that both sides of a candidate are asked, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.errors import ConversionError
from modelport.runtime.errors import InvalidInputError, ScoringError

from . import compare, probes, sets
from .domain import Domain, domain_of, has_missing, never_seen
from .sides import RefusedError, Sides

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelport.packager.conversion import Candidate
    from modelport.packager.rows import Cell, Rows
    from modelport.runtime.package import Tolerance
    from modelport.runtime.signature import Signature

    from .compare import Arrays
    from .report import Thresholds
    from .sides import Compared

    Run = Callable[[Arrays], Arrays]

_MISSING: Final = "missing values"
_FEW: Final = 20


class Trial:
    """A candidate under comparison: the rows that both sides answered, those that the graph did not, and notes.

    `domain` is what the comparison found the candidate to accept, `thresholds` how far its trees were probed.
    """

    def __init__(self, candidate: Candidate, sample: Rows, run: Callable[[Signature], Run]) -> None:
        self._candidate = candidate
        self._sample = sample
        self._run = run
        self.compared: list[Compared] = []
        self.failed: list[str] = []
        self.notes: list[str] = list(candidate.notes)
        if not candidate.only_sample and rows_of.count(sample) < _FEW:
            self.notes.append(
                f"the sample has {rows_of.count(sample)} rows: ranges, categories and splits that it does not show are "
                f"not compared; give {_FEW} or more"
            )
        self.thresholds: Thresholds | None = None
        self.domain = Domain(candidate.signature, (), (), ())
        self.tolerance: dict[str, Tolerance] = {}

    def run(self) -> None:
        """Ask both sides everything.

        Raises `ConversionError` if the original or the graph does not answer the sample.
        """
        candidate, sample = self._candidate, self._sample
        if not candidate.only_sample:
            self.domain = domain_of(candidate, sample)
            self.notes += self.domain.notes
        self._ask_sample()
        if candidate.only_sample:
            return
        for name, rows in sets.drawn_sets(sample, candidate.looked_up):
            self._ask(name, rows)
        self._ask_missing()
        if self.domain.unseen:
            beyond = {cell: never_seen(candidate.signature.input(cell[0]), sample, cell) for cell in self.domain.unseen}
            self._ask("unknown categories", sets.unknown_set(sample, self.domain.unseen, beyond))
        probed, self.thresholds = probes.probe(candidate.trees, sample, candidate.looked_up)
        if probed is not None:
            self._ask("tree thresholds", probed)

    @property
    def _sides(self) -> Sides:
        signature = self.domain.signature
        return Sides(self._candidate.reference, self._candidate.contract, signature, self._run(signature))

    def _ask_sample(self) -> None:
        try:
            first = self._sides.ask("sample", self._sample)
        except RefusedError as error:
            raise ConversionError(
                f"sample: expected rows that the original answers, got {error}",
                hint="give rows as the model was trained on",
            ) from error
        except (ScoringError, InvalidInputError) as error:
            raise ConversionError(f"model: expected a graph that answers the sample, got {error.message}") from error
        self.compared.append(first)
        self.tolerance = {name: compare.tolerance_for(name, array) for name, array in first.expected.items()}

    def _ask(self, name: str, rows: Rows) -> None:
        """Ask both sides; what the original refuses is left out, what the graph alone refuses is a failure."""
        try:
            self.compared.append(self._sides.ask(name, rows))
        except RefusedError as error:
            self.notes.append(f"rows `{name}` were left out, since the original refuses them: {error}")
        except (ScoringError, InvalidInputError) as error:
            self.failed.append(f"rows `{name}`: the original answers, and the graph does not: {error.message}")

    def _ask_missing(self) -> None:
        """Ask about missing values; an input that differs there, and misses none in the sample, is narrowed."""
        cells = self.domain.missing
        if not cells:
            return
        suspects = [] if self._agrees(cells) else list(dict.fromkeys(name for name, _ in cells))
        for name in suspects:
            own = [cell for cell in cells if cell[0] == name]
            if not has_missing(self._sample[name]) and not self._agrees(own):
                self.domain = self.domain.without_missing(name)
                self.notes.append(
                    f"`{name}`: missing values are refused, since the original and the graph differ there"
                )
        if self.domain.missing:
            self._ask(_MISSING, sets.missing_set(self._sample, self.domain.missing))

    def _agrees(self, cells: Sequence[Cell]) -> bool:
        try:
            compared = self._sides.ask(_MISSING, sets.missing_set(self._sample, cells))
        except (RefusedError, ScoringError, InvalidInputError):
            return False
        return not any(np.any(part.wrong) for part in compared.comparisons(self.tolerance).values())
