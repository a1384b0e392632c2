"""Draws a sample from a signature when none is given: seeded, so that it is the same everywhere."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager.errors import ConversionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature, TensorSpec

ROWS: Final = 256
CALLS: Final = 8
_FEWEST_ROWS: Final = 5
_MOST_VALUES: Final = 2_000_000
_SEED: Final = 20_250_102


def draw(signature: Signature) -> Rows:
    """Return `ROWS` rows for a model with rows, fewer of large ones; else `CALLS` whole calls, stacked.

    Raises `ConversionError` where nothing sensible can be drawn: text, and free dimensions other than the batch.
    """
    rng = np.random.default_rng(_SEED)
    shapes = {spec.name: spec.shape[1:] if signature.has_rows else spec.shape for spec in signature.inputs}
    wide = sum(prod(max(size, 1) for size in shape) for shape in shapes.values())
    count = max(_FEWEST_ROWS, min(ROWS, _MOST_VALUES // wide)) if signature.has_rows else CALLS
    return {spec.name: _drawn(spec, (count, *shapes[spec.name]), rng) for spec in signature.inputs}


def _drawn(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if spec.datatype == "BYTES":
        raise ConversionError(
            f"input `{spec.name}`: expected a sample, got none to draw text from", hint="give --sample FILE"
        )
    if -1 in shape:
        raise ConversionError(
            f"input `{spec.name}`: expected a sample, got free dimensions in {list(spec.shape)}",
            hint="give --sample FILE",
        )
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
