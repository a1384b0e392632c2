"""Tensor values go to bytes and back as Triton lays them out."""

from __future__ import annotations

import re
import struct
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.protocol import binary_tensors
from modelport.runtime.signature import DTYPES

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def read(datatype: str, shape: tuple[int, ...], data: bytes) -> np.ndarray:
    return binary_tensors.decode("x", datatype, shape, memoryview(data))


@given(st.sampled_from([name for name in DTYPES if name != "BYTES"]), SHAPES, st.data())
def test_numbers_are_their_little_endian_bytes(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    array = data.draw(arrays.arrays(DTYPES[datatype], shape))
    content = binary_tensors.encode(array)
    assert content == array.astype(array.dtype.newbyteorder("<")).tobytes()
    got = read(datatype, shape, content)
    assert (got.dtype, got.tobytes()) == (array.dtype, array.tobytes())


@given(SHAPES, st.data())
def test_strings_are_what_tritonclient_makes_of_them(shape: tuple[int, ...], data: st.DataObject) -> None:
    array = data.draw(arrays.arrays(np.dtype(object), shape, elements=TEXT))
    content = binary_tensors.encode(array)
    if array.size:
        assert content == serialize_byte_tensor(array).item()
    assert [text.decode() for text in deserialize_bytes_tensor(content)] == array.ravel().tolist()
    assert read("BYTES", shape, content).tolist() == array.ravel().tolist()


def test_an_array_that_starts_at_an_odd_byte_is_aligned() -> None:
    data = memoryview(b"\x00" + struct.pack("<2d", 1.5, -2.5))[1:]
    array = binary_tensors.decode("x", "FP64", (2,), data)
    assert array.flags.aligned
    assert array.tolist() == [1.5, -2.5]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("FP32", (2, 2), b"\x00" * 12, "input `x`: expected 16 bytes for FP32 [2, 2], got 12"),
        ("FP32", (2**62,), b"", "input `x`: expected 18446744073709551616 bytes for FP32 [4611686018427387904], got 0"),
        ("BOOL", (3,), b"\x00\x01\x02", "input `x`: expected BOOL as 0 or 1, got 2 at [2]"),
        (
            "BF16",
            (1,),
            b"\x00\x00",
            f"input `x`: expected one of {', '.join(DTYPES)}, got `BF16`",
        ),
        (
            "BYTES",
            (1,),
            b"\xff\xff\xff\xffab",
            "input `x`: expected a length of at most 2 at [0], got 4294967295",
        ),
        (
            "BYTES",
            (2,),
            b"\x01\x00\x00\x00a\x01\x00",
            "input `x`: expected 4 bytes of length at [1], got 2",
        ),
        ("BYTES", (1,), b"\x01\x00\x00\x00\xff", "input `x`: expected UTF-8, got an invalid byte at [0]"),
        ("BYTES", (2,), b"\x01\x00\x00\x00a", "input `x`: expected 2 strings, got 1"),
        ("BYTES", (0,), b"\x01\x00\x00\x00a", "input `x`: expected 0 strings, got 1"),
    ],
)
def test_bytes_that_lie_are_named(datatype: str, shape: tuple[int, ...], data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read(datatype, shape, data)


@given(st.sampled_from([*DTYPES, "BF16"]), SHAPES, st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_in_our_words(datatype: str, shape: tuple[int, ...], data: bytes) -> None:
    try:
        array = read(datatype, shape, data)
    except InvalidInputError:
        return
    assert array.size == prod(shape)
