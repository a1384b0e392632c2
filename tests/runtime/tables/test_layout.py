"""Which column of a table is which input of the model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables.layout import Layout, ReadOptions, by_names, by_order, of_record


def model(*inputs: TensorSpec) -> Signature:
    return Signature(inputs=inputs, outputs=())


def matrix(name: str, width: int, *features: str) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=(-1, width), features=features)


def column(name: str) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=(-1, 1))


COLUMNS = model(column("a"), column("b"))
PLAIN = model(matrix("x", 2))
NAMED = model(matrix("x", 2, "age", "income"))
MIXED = model(matrix("m", 2), column("b"))
IMAGES = model(TensorSpec(name="image", datatype="UINT8", shape=(-1, 3, 8, 8)))
OPTIONS = ReadOptions()


def shape_of(layout: Layout) -> list[tuple[str, str, int | None]]:
    return [(slot.column, slot.input, slot.element) for slot in layout.slots]


def test_each_input_of_one_value_is_the_column_of_its_name_in_the_models_order() -> None:
    assert shape_of(by_names(COLUMNS, ["b", "a"], OPTIONS)) == [("a", "a", None), ("b", "b", None)]


@pytest.mark.parametrize("cells", [False, True])
def test_the_features_of_the_one_matrix_are_columns(cells: bool) -> None:
    layout = by_names(NAMED, ["income", "age"], OPTIONS, cells=cells)
    assert shape_of(layout) == [("age", "x", 0), ("income", "x", 1)]


def test_a_matrix_may_be_one_column_of_lists_but_not_of_cells() -> None:
    assert shape_of(by_names(NAMED, ["x"], OPTIONS)) == [("x", "x", None)]
    message = "column `age`: expected in the table, got `x`"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        by_names(NAMED, ["x"], OPTIONS, cells=True)


def test_a_matrix_among_other_inputs_is_given_by_its_elements() -> None:
    layout = by_names(MIXED, ["b", "m.1", "m.0"], OPTIONS)
    assert shape_of(layout) == [("m.0", "m", 0), ("m.1", "m", 1), ("b", "b", None)]


def test_a_matrix_with_features_among_other_inputs_is_given_by_both_names() -> None:
    signature = model(matrix("m", 2, "p", "q"), column("b"))
    assert [slot.column for slot in by_names(signature, ["m.p", "m.q", "b"], OPTIONS).slots] == ["m.p", "m.q", "b"]


def test_a_matrix_without_features_takes_columns_of_any_name_in_their_order() -> None:
    layout = by_names(PLAIN, ["height", "id", "weight"], ReadOptions(keep=("id",)), cells=True)
    assert shape_of(layout) == [("height", "x", 0), ("weight", "x", 1)]
    assert [slot.spec.name for slot in layout.slots] == ["height", "weight"]


def test_a_matrix_with_features_takes_no_other_columns() -> None:
    message = "column `age`: expected in the table, got `height`, `weight`"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as caught:
        by_names(NAMED, ["height", "weight"], OPTIONS, cells=True)
    assert caught.value.hint == "`--no-header` reads a file whose first line is not the names"


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    message = "column `b`: expected in the table, got `a`, `c`"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as caught:
        by_names(COLUMNS, ["a", "c"], OPTIONS)
    assert caught.value.hint is None


def test_of_many_columns_the_first_eight_are_named() -> None:
    listed = ", ".join(f"`c{i}`" for i in range(8))
    with pytest.raises(InvalidInputError, match=f"(?m)^column `a`: expected in the table, got {listed}, \\.\\.\\.$"):
        by_names(COLUMNS, [f"c{i}" for i in range(9)], OPTIONS)


def test_a_column_that_the_model_does_not_have_is_refused_unless_ignored_or_kept() -> None:
    message = "column `id`: expected only columns of the model, got this one too"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as caught:
        by_names(COLUMNS, ["a", "id", "b"], OPTIONS)
    hint = "`--ignore-extra` leaves such columns out, `--keep COLUMN` copies one to the output"
    assert caught.value.hint == hint
    for options in (ReadOptions(ignore_extra=True), ReadOptions(keep=("id",))):
        assert [slot.column for slot in by_names(COLUMNS, ["a", "id", "b"], options).slots] == ["a", "b"]


def test_a_kept_column_must_be_there() -> None:
    message = "column `id`: expected in the table, to keep it, got `a`, `b`"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        by_names(COLUMNS, ["a", "b"], ReadOptions(keep=("id",)))


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"(?m)^column `a`: expected once, got it twice$"):
        by_names(COLUMNS, ["a", "b", "a"], OPTIONS)


def test_inputs_of_more_than_a_list_a_row_fit_no_cells() -> None:
    message = "input `image`: expected one value a cell, got rows of shape [3, 8, 8]"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as caught:
        by_order(IMAGES, cells=True)
    assert caught.value.hint == "give json, npz or parquet"
    assert shape_of(by_order(IMAGES)) == [("image", "image", None)]


def test_without_names_the_columns_are_the_models_in_its_order() -> None:
    assert shape_of(by_order(MIXED, cells=True)) == [("m.0", "m", 0), ("m.1", "m", 1), ("b", "b", None)]
    assert shape_of(by_order(MIXED)) == [("m", "m", None), ("b", "b", None)]


def test_a_record_with_some_of_the_names_has_the_layout_of_one_with_all() -> None:
    assert of_record(NAMED, {"income": 1}) == of_record(NAMED, {"income": 1, "age": 2, "other": 3})
    assert shape_of(of_record(NAMED, {"x": [1, 2]})) == [("x", "x", None)]


def test_elements_are_put_together_in_the_models_order_and_type() -> None:
    layout = by_names(MIXED, ["b", "m.1", "m.0"], OPTIONS)
    inputs = layout.inputs({"m.0": [1, 2], "m.1": np.array([3.0, 4.0]), "b": [5, 6]})
    assert inputs["m"].dtype == np.float32
    assert inputs["m"].tolist() == [[1, 3], [2, 4]]
    assert inputs["b"] == [5, 6]
