"""Encoders of categories in ONNX: tables that the fitted encoder itself filled in.

skl2onnx's own converters forget missing values and round categories. Here each category, a missing value and one that
was never seen are put to the encoder, and what it answers is what the graph looks up. Where the encoder refuses, the
graph's lookup fails too.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

from .layout import is_missing
from .operators import cast, concat_names, constant, finish, node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NEVER_SEEN: Final = "modelport: never seen"
_AT_ONCE: Final = 256
_DOMAIN: Final = "ai.onnx.ml"


class _Column(NamedTuple):
    """A column [N, 1] of the graph, and its type in skl2onnx's words."""

    name: str
    kind: Any


class _Table(NamedTuple):
    """What an encoder makes of one feature: a row of `blocks` for each of `keys`, then for a missing value, then else.

    `missing` and `other` say whether the encoder answers there at all.
    """

    keys: list[Any]
    missing: bool
    other: bool
    blocks: NDArray[np.float64]


def infer_shape(operator: Any, kind: Any) -> None:
    """Give the output as many columns as the encoder makes, in the contract's type."""
    columns = sum(_widths(operator.raw_operator))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), columns])


def convert(scope: Any, operator: Any, container: Any, *, null: str, missing: Any) -> None:
    """Add a lookup for each feature.

    In the graph, `null` stands for a missing text, which the sample holds as `missing`.
    """
    encoder, kind = operator.raw_operator, operator.outputs[0].type
    one_hot = type(encoder).__name__ == "OneHotEncoder"
    made = []
    for feature, column in enumerate(_features(scope, operator, container)):
        table = _table(encoder, feature, missing)
        if table.blocks.shape[1] == 0:  # the only category was dropped
            continue
        position = _position(scope, container, column, table, null)
        made.append((_hot if one_hot else _looked_up)(scope, container, position, table, kind))
    joined = concat_names(scope, container, made)
    finish(scope, container, "Identity", [joined], operator.outputs[0].full_name)


def _features(scope: Any, operator: Any, container: Any) -> list[_Column]:
    """Return a column [N, 1] for each feature."""
    found = []
    for variable in operator.inputs:
        width = variable.type.shape[1]
        for column in range(width):
            name = variable.full_name
            if width > 1:
                index = constant(scope, container, "column", np.array([column]), None)
                name = node(scope, container, "Gather", [name, index], axis=1)
            found.append(_Column(name, variable.type))
    return found


def _position(scope: Any, container: Any, column: _Column, table: _Table, null: str) -> str:
    """Add the row number [N] in the table, of a column [N, 1]."""
    known = len(table.keys)
    other = known + table.missing
    if isinstance(column.kind, StringTensorType | Int64TensorType):
        text = isinstance(column.kind, StringTensorType)
        keys = [*table.keys, null] if text and table.missing else table.keys
        found = node(
            scope,
            container,
            "LabelEncoder",
            [column.name],
            domain=_DOMAIN,
            op_version=2,
            values_int64s=list(range(len(keys))),
            default_int64=other,
            **({"keys_strings": keys} if text else {"keys_int64s": [int(key) for key in keys]}),
        )
    else:
        found = _equal(scope, container, column, table)
    return node(scope, container, "Reshape", [found, constant(scope, container, "flat", np.array([-1]), None)])


def _equal(scope: Any, container: Any, column: _Column, table: _Table) -> str:
    """Add the row number of a number: the key that equals it, which LabelEncoder would only compare in float32."""
    known = len(table.keys)
    other = constant(scope, container, "other", np.array([known + table.missing]), None)
    keys = constant(scope, container, "keys", np.array([table.keys], np.float64), column.kind)
    equal = node(scope, container, "Equal", [column.name, keys])
    numbers = constant(scope, container, "numbers", np.arange(known).reshape(1, -1), None)
    rows = node(scope, container, "Where", [equal, numbers, other])
    found = node(scope, container, "ReduceMin", [rows, constant(scope, container, "axis", np.array([1]), None)])
    if not table.missing:
        return found
    absent = constant(scope, container, "absent", np.array([known]), None)
    return node(scope, container, "Where", [node(scope, container, "IsNaN", [column.name]), absent, found])


def _looked_up(scope: Any, container: Any, position: str, table: _Table, kind: Any) -> str:
    rows = constant(scope, container, "encoded", table.blocks, kind)
    return node(scope, container, "Gather", [rows, position], axis=0)


def _hot(scope: Any, container: Any, position: str, table: _Table, kind: Any) -> str:
    """Add the one column that is 1, as a number of it: out of range, which makes zeros, where there is none."""
    width = table.blocks.shape[1]
    columns = np.where(table.blocks.any(axis=1), table.blocks.argmax(axis=1), width).astype(np.int64)
    index = node(scope, container, "Gather", [constant(scope, container, "hot", columns, None), position], axis=0)
    depth = constant(scope, container, "depth", np.array(width), None)
    values = constant(scope, container, "values", np.array([0.0, 1.0]), FloatTensorType())
    hot = node(scope, container, "OneHot", [index, depth, values], axis=1)  # ONNX Runtime has no kernel for float64
    return hot if isinstance(kind, FloatTensorType) else cast(scope, container, hot, kind)


def _table(encoder: Any, feature: int, missing: Any) -> _Table:
    categories = encoder.categories_[feature]
    keys = [value for value in categories.tolist() if not is_missing(value)]
    numbers = categories.dtype.kind != "O"
    absent = _asked(encoder, feature, [np.nan if numbers else missing])
    unseen = max(keys, default=0) + 1 if keys and not isinstance(keys[0], str) else _NEVER_SEEN
    other = _asked(encoder, feature, [unseen])
    found = [_asked(encoder, feature, keys[start : start + _AT_ONCE]) for start in range(0, len(keys), _AT_ONCE)]
    blocks = [block for block in (*found, absent, other) if block is not None]
    return _Table(keys, absent is not None, other is not None, np.concatenate(blocks))


def _asked(encoder: Any, feature: int, values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the columns that the encoder makes of `values` of one feature, None if it refuses them."""
    first = [categories[0] for categories in encoder.categories_]
    kinds = {categories.dtype.kind for categories in encoder.categories_}
    rows = np.array([first] * len(values), object if kinds - set("iufb") else np.float64)
    rows[:, feature] = values
    try:
        answer = encoder.transform(rows)
    except (ValueError, TypeError):
        return None
    matrix = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer, np.float64)
    end = list(accumulate(_widths(encoder)))[feature]
    return matrix[:, end - _widths(encoder)[feature] : end]


def _widths(encoder: Any) -> list[int]:
    """Return how many columns the encoder makes of each feature."""
    features = len(encoder.categories_)
    if type(encoder).__name__ == "OneHotEncoder":
        return [int(width) for width in encoder._n_features_outs]  # noqa: SLF001
    if type(encoder).__name__ == "TargetEncoder":
        return [len(encoder.encodings_) // features] * features
    return [1] * features
