"""The worst rows of a comparison, as people read them: inputs by feature name, and what each side answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import compare
from .report import Witness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature

    from .compare import Comparison
    from .report import Value
    from .sides import Compared

_WRONG: Final = 12
_RIGHT: Final = 3
_SHOWN: Final = 64


def witnesses(
    compared: Sequence[Compared], results: Sequence[dict[str, Comparison]], signature: Signature
) -> tuple[Witness, ...]:
    """Return the worst rows: wrong ones first, by difference; without any, the largest differences inside tolerance."""
    worst: list[tuple[bool, float, int, str, int]] = []
    for number, result in enumerate(results):
        for output, part in result.items():
            order = np.lexsort((-part.difference, ~part.wrong))[:_WRONG]
            worst += [
                (bool(part.wrong[row]), float(part.difference[row]), number, output, int(row))
                for row in order.tolist()
                if part.difference[row] > 0 and not part.tied[row]
            ]
    worst.sort(key=lambda entry: (not entry[0], -entry[1], entry[2], entry[3], entry[4]))
    wrong = any(entry[0] for entry in worst)
    labels = {spec.name: spec.labels if spec.datatype.startswith("FP") else () for spec in signature.outputs}
    return tuple(
        Witness(
            rows=compared[number].name,
            output=output,
            inputs=_inputs(compared[number].rows, row, signature),
            expected=_value(compared[number].expected[output][row]),
            got=_value(compared[number].got[output][row]),
            difference=compare.bounded(difference),
            labels=labels.get(output, ()),
        )
        for _, difference, number, output, row in worst[: _WRONG if wrong else _RIGHT]
    )


def _inputs(rows: Rows, row: int, signature: Signature) -> dict[str, Value]:
    """Return the values of a row by feature; of a wide input the first ones."""
    shown: dict[str, Value] = {}
    for spec in signature.inputs:
        values = np.atleast_1d(rows[spec.name][row]).ravel()[:_SHOWN]
        for column, value in enumerate(values.tolist()):
            name = spec.features[column] if spec.features else f"{spec.name}[{column}]"
            shown[spec.name if len(values) == 1 and not spec.features else name] = _plain(value)
    return shown


def _value(value: Any) -> Value:
    array = np.asarray(value)
    if array.ndim == 0 or array.size == 1:
        return _plain(array.ravel().tolist()[0])
    return [_plain(item) for item in array.ravel()[:_SHOWN].tolist()]


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
