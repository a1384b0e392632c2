"""Decision trees as plain arrays, so that the places where they decide can be probed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows


class Tree(NamedTuple):
    """One tree: a row goes left at node i where x[feature[i]] <= threshold[i]; leaves have feature -1.

    `missing_left` says where a NaN goes.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]


class TreeGroup(NamedTuple):
    """Trees that see the same matrix: `transform` makes it from rows; `single` if they compare in float32."""

    trees: tuple[Tree, ...]
    transform: Callable[[Rows], NDArray[np.float64]]
    single: bool


def arriving_rows(tree: Tree, matrix: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Return for every node of `tree` rows of `matrix` that arrive there: [nodes, most], -1 where none does.

    They are spread over all that arrive, and repeated where there are fewer.
    """
    found = np.full((len(tree.feature), most), -1, np.int64)
    arrived = [(0, np.arange(len(matrix)))]
    while arrived:
        node, rows = arrived.pop()
        if len(rows) == 0:
            continue
        found[node] = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
        feature = tree.feature[node]
        if feature < 0:
            continue
        values = matrix[rows, feature]
        left = np.where(np.isnan(values), tree.missing_left[node], values <= tree.threshold[node])
        arrived += [(int(tree.left[node]), rows[left]), (int(tree.right[node]), rows[~left])]
    return found
