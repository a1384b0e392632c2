"""Which column of a table is which input of the model."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.values import coerce

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelport.runtime.outputs import Columns
    from modelport.runtime.signature import Signature, TensorSpec


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is read.

    `keep` names columns that are copied to the output; `ignore_extra` leaves out columns that the model does not have;
    `header` false says that a CSV file has no names, so its columns are the model's, in order.
    """

    keep: tuple[str, ...] = ()
    ignore_extra: bool = False
    header: bool = True


class Slot(NamedTuple):
    """A column of the table and what it feeds: the whole of an input, or the element `element` of a row of it.

    `spec` is that of the column alone, under the column's name: [-1] for an element.
    """

    column: str
    spec: TensorSpec
    input: str
    element: int | None = None


class Layout(NamedTuple):
    """The model's columns in the order of its signature."""

    slots: tuple[Slot, ...]

    def inputs(self, columns: Columns) -> dict[str, Any]:
        """Put `columns`, by name, together as the model's inputs. Raises `InvalidInputError`."""
        found: dict[str, Any] = {}
        for name, group in groupby(self.slots, key=lambda slot: slot.input):
            slots = list(group)
            if slots[0].element is None:
                found[name] = columns[slots[0].column]
            else:
                found[name] = np.stack([coerce(slot.spec, columns[slot.column]) for slot in slots], axis=1)
        return found


def by_names(signature: Signature, names: Sequence[str], options: ReadOptions, *, cells: bool = False) -> Layout:
    """Return the layout of a table that has columns `names`.

    An input is the column of its name; with `cells`, which hold one value each, only where it has one value a row.
    A matrix may also be given by its elements: columns called as its features, or `x.0`, `x.1`, ... for a matrix `x`
    without. A model of one matrix without features takes as many columns of any name as it has, in their order.
    Raises `InvalidInputError` naming a column that is missing, there twice, or one too many.
    """
    _check_distinct(names)
    layout = _in_order(signature, names, options) or of_record(signature, names, cells=cells)
    present = set(names)
    if missing := [slot.column for slot in layout.slots if slot.column not in present]:
        nothing = cells and len(missing) == len(layout.slots)
        raise InvalidInputError(
            f"column {named(missing[0])}: expected in the table, got {_listed(names)}",
            hint="`--no-header` reads a file whose first line is not the names" if nothing else None,
        )
    if absent := [name for name in options.keep if name not in present]:
        raise InvalidInputError(f"column {named(absent[0])}: expected in the table, to keep it, got {_listed(names)}")
    if extra := unknown(layout, names, options):
        raise InvalidInputError(
            f"column {named(extra[0])}: expected only columns of the model, got this one too",
            hint="`--ignore-extra` leaves such columns out, `--keep COLUMN` copies one to the output",
        )
    return layout


def of_record(signature: Signature, names: Iterable[str], *, cells: bool = False) -> Layout:
    """Return the layout that a record with some or all of `names` has; nothing is refused for missing."""
    present = set(names)
    alone = len(signature.inputs) == 1
    return Layout(tuple(slot for spec in signature.inputs for slot in _slots(spec, present, alone=alone, cells=cells)))


def by_order(signature: Signature, *, cells: bool = False) -> Layout:
    """Return the layout of a table without names: the model's columns in the order of the signature."""
    return of_record(signature, [spec.name for spec in signature.inputs], cells=cells)


def unknown(layout: Layout, names: Iterable[str], options: ReadOptions) -> list[str]:
    """Return those of `names` that are neither the model's nor kept, unless they are to be ignored."""
    if options.ignore_extra:
        return []
    known = {slot.column for slot in layout.slots}.union(options.keep)
    return [name for name in names if name not in known]


def _in_order(signature: Signature, names: Sequence[str], options: ReadOptions) -> Layout | None:
    """Return the layout of columns that a matrix without features takes in their order, None if they are not that."""
    spec = signature.inputs[0]
    left = [name for name in names if name not in options.keep]
    if len(signature.inputs) > 1 or spec.features or len(left) == 1 or len(left) != _width(spec):
        return None
    if not {spec.name, *_element_names(spec, len(left))}.isdisjoint(left):
        return None
    return Layout(tuple(_element(spec, name, element) for element, name in enumerate(left)))


def _slots(spec: TensorSpec, present: set[str], *, alone: bool, cells: bool) -> list[Slot]:
    width = _width(spec)
    whole = [Slot(spec.name, spec, spec.name)]
    if cells and width is None:
        raise InvalidInputError(
            f"input `{spec.name}`: expected one value a cell, got rows of shape {list(spec.shape[1:])}",
            hint="give json, npz or parquet",
        )
    if width is None or (spec.name in present and (width == 1 or not cells)):
        return whole
    if alone and spec.features:
        return [_element(spec, name, element) for element, name in enumerate(spec.features)]
    names = _element_names(spec, width)
    if width == 1 or not (cells or present.intersection(names)):
        return whole
    return [_element(spec, name, element) for element, name in enumerate(names)]


def _width(spec: TensorSpec) -> int | None:
    """Return how many values a row of an input has, None unless it is a plain list of a known number of them."""
    if len(spec.shape) == 1:
        return 1
    return spec.shape[1] if len(spec.shape) == 2 and spec.shape[1] > 0 else None  # noqa: PLR2004


def _element_names(spec: TensorSpec, width: int) -> list[str]:
    return [f"{spec.name}.{element}" for element in spec.features or range(width)]


def _element(spec: TensorSpec, column: str, element: int) -> Slot:
    alone = msgspec.structs.replace(spec, name=column, shape=(-1,), features=())
    return Slot(column, alone, spec.name, element)


def _check_distinct(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInputError(f"column {named(name)}: expected once, got it twice")
        seen.add(name)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(named(name) for name in names[:8])
    return f"{shown}{', ...' if len(names) > 8 else ''}" if names else "no columns"  # noqa: PLR2004
