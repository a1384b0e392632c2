"""The two sides of a comparison, asked the same rows: the original and the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from modelport.packager import rows as rows_of
from modelport.packager.errors import ConversionError
from modelport.runtime.signature import DTYPES

from . import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from modelport.packager.conversion import Reference
    from modelport.packager.rows import Rows
    from modelport.runtime.package import Contract, Tolerance
    from modelport.runtime.signature import Signature, TensorSpec

    from .compare import Arrays, Comparison


class RefusedError(Exception):
    """The original does not answer these rows, and says why."""


class Compared(NamedTuple):
    """One set of rows with both answers; `rows` are as the contract lets them in.

    `behind` says, by output of labels, by how much the graph's choice scores less than the original's best one.
    """

    name: str
    rows: Rows
    expected: Arrays
    got: Arrays
    behind: dict[str, NDArray[np.float64]]

    def comparisons(self, tolerance: dict[str, Tolerance]) -> dict[str, Comparison]:
        """Return the comparison of every output."""
        return {
            name: compare.compare(
                self.expected[name], got, tolerance[name], self.behind.get(name), numbers=compare.is_number(got)
            )
            for name, got in self.got.items()
        }


class Sides(NamedTuple):
    """The original, and the graph as `run` executes it; both see rows as `contract` lets them in."""

    reference: Reference
    contract: Contract
    signature: Signature
    run: Callable[[Arrays], Arrays]

    def ask(self, name: str, rows: Rows) -> Compared:
        """Ask both sides.

        Raises `RefusedError` if the original does not answer, `ScoringError` or `InvalidInputError` if the graph does
        not, and `ConversionError` if the graph's outputs are others than the signature's.
        """
        rows = rows_of.under_contract(rows, self.contract)
        try:
            expected = self.reference.answer(rows)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise RefusedError(f"{type(error).__name__}: {reason[0][:200]}") from error
        got = self.run(rows_of.to_engine(rows, self.signature))
        shaped = {
            spec.name: _shaped_like(spec, expected[spec.name], got[spec.name], with_rows=self.signature.has_rows)
            for spec in self.signature.outputs
        }
        behind = {}
        if self.reference.behind is not None:
            for name_, array in got.items():
                if not compare.is_number(array):
                    behind[name_] = self.reference.behind(expected, array)
        return Compared(name, rows, shaped, got, behind)


def _shaped_like(spec: TensorSpec, expected: NDArray[Any], got: NDArray[Any], *, with_rows: bool) -> NDArray[Any]:
    """Return `expected` in the shape of `got`, which must be what `spec` says and differ by dimensions of 1 only."""
    shape = got.shape if with_rows else got.shape[1:]  # whole calls are stacked
    fits = len(shape) == len(spec.shape) and all(
        want in (-1, have) for want, have in zip(spec.shape, shape, strict=True)
    )
    same = [size for size in expected.shape if size != 1] == [size for size in got.shape if size != 1]
    if not fits or not same or got.dtype != DTYPES[spec.datatype]:
        raise ConversionError(
            f"output `{spec.name}`: expected {spec.datatype} {list(spec.shape)} as {list(expected.shape)}, "
            f"got {got.dtype} {list(got.shape)} from the graph"
        )
    return expected.reshape(got.shape)
