"""Arrays are read from `.npz` row by row, plain ones only."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from table_io import TABLE, read, rows_of

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables import ReadOptions
from modelport.runtime.tables.npzreader import read_whole
from modelport.runtime.tables.places import Source

MATRIX = Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),), outputs=())
IMAGE = Signature(inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, -1, -1)),), outputs=())


def npz(*unnamed: Any, compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, *unnamed, **arrays)
    return file.getvalue()


arrays = st_numpy.arrays(
    st.sampled_from([np.float64, np.int32, "<U3", ">f4"]), st_numpy.array_shapes(min_dims=3, max_dims=3, min_side=0)
)


@given(arrays, st.integers(1, 4), st.booleans(), st.booleans())
def test_the_rows_in_batches_are_those_of_the_array(array: Any, rows: int, compressed: bool, fortran: bool) -> None:
    given_array = np.asfortranarray(array) if fortran else array
    batches = read("npz", npz(x=given_array, compressed=compressed), IMAGE, rows=rows)
    assert [len(batch.numbers) for batch in batches] == [len(array[i : i + rows]) for i in range(0, len(array), rows)]
    if batches:
        np.testing.assert_array_equal(np.concatenate([batch.columns["x"] for batch in batches]), array)


def test_each_input_is_the_array_of_its_name() -> None:
    data = npz(city=np.array(["Bern", "Genf"]), count=np.array([1, 2]), amount=np.array([1.5, np.nan]))
    (batch,) = read("npz", data)
    assert [row[2:] for row in rows_of([batch])] == [(1, "Bern"), (2, "Genf")]
    np.testing.assert_array_equal(batch.columns["amount"], [1.5, np.nan])


def test_one_array_without_a_name_is_the_one_input() -> None:
    assert rows_of(read("npz", npz(np.array([[1, 2]])), MATRIX)) == [(1, [1, 2])]


def test_the_columns_of_a_matrix_may_be_arrays() -> None:
    data = npz(**{"x.0": np.array([1, 2]), "x.1": np.array([3, 4])})
    assert rows_of(read("npz", data, MATRIX)) == [(1, 1, 3), (2, 2, 4)]


def test_an_array_can_be_kept() -> None:
    batches = read("npz", npz(x=np.ones((3, 2)), id=np.arange(3)), MATRIX, rows=2, options=ReadOptions(keep=("id",)))
    assert [batch.kept["id"].tolist() for batch in batches] == [[0, 1], [2]]  # type: ignore[union-attr]


def test_python_objects_are_refused_unread() -> None:
    message = "array `x`: expected plain values, got Python objects"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as caught:
        read("npz", npz(x=np.array([[1, "a"]], object)), MATRIX)
    assert caught.value.hint == "a pickle runs code when it is read; save strings with `array.astype(str)`"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npz(amount=[1.0], count=[1, 2], city=["a"]), "array `count`: expected 1 rows as `amount`, got 2"),
        (npz(amount=1.0, count=1, city="a"), "array `amount`: expected rows, got a single value"),
        (npz(amount=[1.0]), "column `count`: expected in the table, got `amount`"),
        (b"no zip", "npz: expected a zip of arrays, got File is not a zip file"),
    ],
)
def test_a_file_that_does_not_hold_the_models_rows_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("npz", data, TABLE)


def _damaged(change: slice, value: bytes) -> bytes:
    data = bytearray(npz(x=np.ones((100, 2)), compressed=True))
    data[change] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _damaged(slice(60, 70), b"0123456789"),
        npz(x=np.ones((100, 2))).replace(b"(100, 2)", b"(999, 2)"),
        npz(x=np.ones((100, 2))).replace(b"\x93NUMPY", b"\x93NUMPI"),
    ],
)
def test_a_damaged_archive_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read("npz", data, MATRIX)


def test_a_member_that_is_no_array_is_named() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"x,y\n1,2\n")
    with pytest.raises(InvalidInputError, match=r"(?m)^array `x`: expected a NumPy array, got the magic string is not"):
        read("npz", file.getvalue(), MATRIX)


def _stored(content: bytes, descr: str, shape: tuple[int, ...]) -> bytes:
    """Return an archive with an array `x` whose head says whatever it is told."""
    head, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", head.getvalue() + content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_stored(bytes(8), "<f4", (5, 2)), "array `x`: expected 40 more bytes, got 8"),
        (_stored(bytes(8), "<f4", (-5, 2)), "array `x`: expected a NumPy array, got shape [-5, 2] of float32"),
        (_stored(b"", "<U0", (2, 10**12)), f"array `x`: expected a NumPy array, got shape [2, {10**12}] of <U0"),
        (_stored(b"\xff" * 8, "<U1", (1, 2)), "array `x`: expected Unicode text, got other numbers"),
        (_stored(b"\xff" * 8, ">U1", (1, 2)), "array `x`: expected Unicode text, got other numbers"),
    ],
)
def test_a_head_that_lies_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("npz", data, MATRIX)


def test_arrays_that_are_no_rows_are_read_whole() -> None:
    data = npz(x=np.arange(3), state=np.array(0.5))
    found = read_whole(Source(io.BytesIO(data), None), IMAGE)
    assert found["x"].tolist() == [0, 1, 2]
    assert found["state"].shape == ()
    assert found["state"] == 0.5


HEADERS = {
    "unfinished": "{'descr': '<f4', 'shape': (9**9,",
    "deep": "(" * 5000,
    "of many dimensions": f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(1,) * 81}, }}",
    "of a size beyond memory": f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, 0, {2**63}), }}",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_none_is_named(header: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(InvalidInputError, match=r"^array `x`: expected a NumPy array, got .+"):
        read("npz", file.getvalue(), MATRIX)
