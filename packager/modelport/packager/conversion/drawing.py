"""Draws a sample from a signature when none is given: seeded, so that it is the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager.errors import ConversionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature, TensorSpec

ROWS: Final = 256
CALLS: Final = 8
_SEED: Final = 20_250_102


def draw(signature: Signature) -> Rows:
    """Return `ROWS` rows for a model with rows, else `CALLS` whole calls stacked on a new first axis.

    Raises `ConversionError` where nothing sensible can be drawn: text, and free dimensions other than the batch.
    """
    rng = np.random.default_rng(_SEED)
    return {spec.name: _drawn(spec, rng, rows=signature.has_rows) for spec in signature.inputs}


def _drawn(spec: TensorSpec, rng: np.random.Generator, *, rows: bool) -> NDArray[Any]:
    if spec.datatype == "BYTES":
        raise ConversionError(
            f"input `{spec.name}`: expected a sample, got none to draw text from", hint="give --sample FILE"
        )
    inner = spec.shape[1:] if rows else spec.shape
    if -1 in inner:
        raise ConversionError(
            f"input `{spec.name}`: expected a sample, got free dimensions in {list(spec.shape)}",
            hint="give --sample FILE",
        )
    shape = (ROWS if rows else CALLS, *inner)
    if spec.datatype == "BOOL":
        return rng.random(shape) < 0.5  # noqa: PLR2004
    if spec.dtype.kind in "iu":
        return rng.integers(0, 2, shape)
    return _floats(rng, shape)


def _floats(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return standard normal numbers, a quarter of them rounded to one decimal, a quarter to two, and some zeros."""
    values = rng.normal(size=shape)
    quarter = max(1, shape[0] // 4)
    values[:quarter] = np.round(values[:quarter], 1)
    values[quarter : 2 * quarter] = np.round(values[quarter : 2 * quarter], 2)
    values[-1] = 0.0
    return values
