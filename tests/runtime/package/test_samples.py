"""Golden samples are plain arrays that fit the signature, and take no more memory than their file has bytes."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.golden import same_bits
from modelport.runtime.package.samples import Samples, Spread, Tolerance, decode, encode
from modelport.runtime.signature import DTYPES, Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIGNATURE = Signature(
    inputs=(
        TensorSpec(name="x", datatype="FP32", shape=(-1, 2), nullable=True),
        TensorSpec(name="city", datatype="BYTES", shape=(-1, 1)),
    ),
    outputs=(
        TensorSpec(name="y", datatype="FP32", shape=(-1,)),
        TensorSpec(name="label", datatype="BYTES", shape=(-1,)),
    ),
)


def samples(rows: int = 3) -> Samples:
    inputs = {
        "x": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2),
        "city": np.array([[f"Zürich {row}\0"] for row in range(rows)], object).reshape(rows, 1),
    }
    outputs = {
        "y": np.linspace(0, 1, rows, dtype=np.float32),
        "label": np.array([""] * rows, object),
    }
    expected = {**outputs, "y": outputs["y"].astype(np.float64)}
    tolerance = {"y": Tolerance(1e-6, 1e-5), "label": Tolerance(0.0, 0.0)}
    return Samples([inputs], [expected], [outputs], tolerance, {"y": Spread(0.0, 1.0, 0.5, 0.1)})


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def header(text: str) -> bytes:
    padded = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(padded)) + padded


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_samples_come_back_as_they_were(rows: int) -> None:
    given_, got = samples(rows), decode(encode(samples(rows), SIGNATURE), SIGNATURE)
    for kind in ("inputs", "expected", "recorded"):
        for one, other in zip(getattr(given_, kind), getattr(got, kind), strict=True):
            assert list(one) == list(other)
            assert all(same_bits(one[name], other[name]) for name in one)
    assert got.tolerance == given_.tolerance
    assert got.spread == given_.spread


def test_the_same_samples_give_the_same_bytes() -> None:
    swapped = samples()
    swapped.inputs[0]["x"] = swapped.inputs[0]["x"].astype(">f4")
    swapped.expected[0]["y"] = np.repeat(swapped.expected[0]["y"], 2)[::2]
    swapped.inputs[0]["city"] = swapped.inputs[0]["city"].astype(object)
    assert encode(swapped, SIGNATURE) == encode(samples(), SIGNATURE)


def test_the_bytes_of_samples_never_change() -> None:
    """The digest of every package depends on them."""
    expected = "9c3fe5735b80d62860e8d3079c739baeabf4d5fead683ba97242a9764e4da5ec"
    assert hashlib.sha256(encode(samples(), SIGNATURE)).hexdigest() == expected


def test_text_of_any_kind_is_stored_as_utf_8() -> None:
    spec = Signature(inputs=SIGNATURE.inputs[1:], outputs=SIGNATURE.outputs[1:])
    for cities in (np.array([["a"], ["bc"]]), np.array([[b"a"], [b"bc"]]), np.array([["a"], ["bc"]], object)):
        answers = {"label": np.array(["", "x"])}
        made = Samples([{"city": cities}], [answers], [answers], {"label": Tolerance(0, 0)}, {})
        assert decode(encode(made, spec), spec).inputs[0]["city"].tolist() == [["a"], ["bc"]]


def test_whole_calls_of_different_lengths_come_back() -> None:
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="INT64", shape=(-1,)),),
        outputs=(TensorSpec(name="y", datatype="BOOL", shape=()),),
        batch="none",
    )
    calls = [{"x": np.arange(size)} for size in (0, 1, 5)]
    answers = [{"y": np.array(size > 1)} for size in (0, 1, 5)]
    got = decode(encode(Samples(calls, answers, answers, {"y": Tolerance(0, 0)}, {}), signature), signature)
    assert [call["x"].tolist() for call in got.inputs] == [[], [0], [0, 1, 2, 3, 4]]
    assert [bool(answer["y"]) for answer in got.recorded] == [False, False, True]


@given(st.sampled_from([name for name in DTYPES if name != "BYTES"]), st.binary(max_size=64))
def test_every_bit_of_every_datatype_comes_back(datatype: Any, data: bytes) -> None:
    dtype = DTYPES[datatype]
    array = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    spec = TensorSpec(name="y", datatype=datatype, shape=(-1,))
    inputs = (TensorSpec(name="x", datatype="INT8", shape=(-1,)),)
    signature = Signature(inputs=inputs, outputs=(spec,))
    x = {"x": np.zeros(len(array), np.int8)}
    made = Samples([x], [{"y": array}], [{"y": array}], {"y": Tolerance(0, 0)}, {})
    assert same_bits(decode(encode(made, signature), signature).recorded[0]["y"], array)


@given(st.lists(st.text(max_size=5), max_size=5))
def test_every_text_comes_back(texts: list[str]) -> None:
    signature = Signature(inputs=SIGNATURE.inputs[1:], outputs=SIGNATURE.outputs[1:])
    cities = np.array(texts, object).reshape(-1, 1)
    made = Samples(
        [{"city": cities}], [{"label": cities[:, 0]}], [{"label": cities[:, 0]}], {"label": Tolerance(0, 0)}, {}
    )
    assert decode(encode(made, signature), signature).inputs[0]["city"].ravel().tolist() == texts


WHOLE = encode(samples(), SIGNATURE)


def replaced(name: str, data: bytes | None) -> bytes:
    contents = members(WHOLE)
    if data is None:
        del contents[name]
    else:
        contents[name] = data
    return zipped(contents)


@pytest.mark.parametrize("name", [name for name in members(WHOLE) if not name.startswith("spread")])
def test_a_missing_array_is_refused(name: str) -> None:
    message = r"(?m)^samples: expected plain arrays for each input and output, got '"
    with pytest.raises(InvalidPackageError, match=message):
        decode(replaced(name, None), SIGNATURE)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_samples_are_refused_before_they_are_inflated(compression: int) -> None:
    bomb = zipped({**members(WHOLE), "bomb.npy": bytes(1 << 20)}, compression)
    message = "(?m)^samples: expected members stored as they are, got a compressed or encrypted one$"
    with pytest.raises(InvalidPackageError, match=message):
        decode(bomb, SIGNATURE)


def test_encrypted_samples_are_refused() -> None:
    data = bytearray(WHOLE)
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(InvalidPackageError, match=r"got a compressed or encrypted one$"):
        decode(bytes(data), SIGNATURE)


def test_members_that_share_their_bytes_are_refused() -> None:
    """Entries of a central directory may all point at one member: many gigabytes in a small file."""
    contents = members(WHOLE)
    first = zipped({"a.npy": npy(np.zeros(1000))})
    at = first.index(b"PK\1\2")
    entry = first[at : first.index(b"PK\5\6")]
    count = 10
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entry) * count, at, 0)
    assert contents
    with pytest.raises(
        InvalidPackageError, match=r"(?m)^samples: expected members within its \d+ bytes, got some that overlap$"
    ):
        decode(first[:at] + entry * count + end, SIGNATURE)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in [*members(WHOLE).items(), ("count.npy", npy(np.array(1)))]:
            archive.writestr(name, data)
    with pytest.raises(
        InvalidPackageError, match=r"(?m)^samples: expected members `NAME.npy`, each once, got another or one twice$"
    ):
        decode(stream.getvalue(), SIGNATURE)


def test_a_member_that_is_no_array_is_refused() -> None:
    with pytest.raises(InvalidPackageError, match=r"expected members `NAME.npy`, each once, got another or one twice$"):
        decode(zipped({**members(WHOLE), "notes.txt": b"mine"}), SIGNATURE)


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }"

NO_ARRAY = "expected plain arrays for each input and output, got "
OTHER_SIZE = "expected as many bytes as the array's shape says, got others"
PLAIN = "expected plain little-endian arrays in C order"
ANSWERS = "expected the original's answers as"

ODD_ARRAYS: dict[str, tuple[bytes, str]] = {
    "no array": (b"text", NO_ARRAY),
    "empty": (b"", NO_ARRAY),
    "a terabyte declared": (header(HUGE), OTHER_SIZE),
    "a negative size": (
        header(HUGE.replace("1000000000000", "-1")),
        OTHER_SIZE,
    ),
    "a size beyond 64 bits": (
        header(HUGE.replace("1000000000000", "1" + "0" * 40)),
        OTHER_SIZE,
    ),
    "too few bytes": (
        npy(np.zeros((3, 2), np.float32))[:-1],
        OTHER_SIZE,
    ),
    "too many bytes": (
        npy(np.zeros((3, 2), np.float32)) + b"\0",
        OTHER_SIZE,
    ),
    "another order": (
        npy(np.asfortranarray(np.zeros((3, 2), np.float32))),
        f"{PLAIN}, got float32",
    ),
    "another byte order": (npy(np.zeros((3, 2), ">f4")), f"{PLAIN}, got >f4"),
    "complex": (npy(np.zeros((3, 2), np.complex64)), f"{PLAIN}, got complex64"),
    "text": (npy(np.zeros((3, 2), "U4")), f"{PLAIN}, got <U4"),
    "dates": (npy(np.zeros((3, 2), "M8[s]")), f"{PLAIN}, got datetime64[s]"),
    "a structure": (
        npy(np.zeros(3, [("a", "<f4")])),
        f"{PLAIN}, got [('a', '<f4')]",
    ),
    "another format": (npy(np.zeros((3, 2), np.float32), (2, 0)), "expected arrays of `.npy` format 1.0, got another"),
    "a header that calls": (
        header("__import__('os').system('touch canary')"),
        NO_ARRAY,
    ),
    "a header of brackets": (header("(" * 100), NO_ARRAY),
    "another datatype": (npy(np.zeros((3, 2))), "input `x`: expected FP32, got FP64"),
    "another width": (npy(np.zeros((3, 3), np.float32)), "input `x`: expected shape [-1, 2], got [3, 3]"),
    "other rows": (npy(np.zeros((4, 2), np.float32)), "expected as many rows of every input and output, got [3, 4]"),
    "a value that is not allowed": (
        npy(np.full((3, 2), np.inf, np.float32)),
        "input `x`: expected FP32, got Infinity at [0, 0]",
    ),
}


@pytest.mark.parametrize(("data", "message"), ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidPackageError) as caught:
        decode(replaced("0.input.0.npy", data), SIGNATURE)
    assert caught.value.message.startswith(f"samples: {message}")


ODD_TEXTS: dict[str, tuple[str, NDArray[Any]]] = {
    "offsets from elsewhere": ("offsets", np.array([1, 10, 20, 30])),
    "offsets beyond the end": ("offsets", np.array([0, 10, 20, 31])),
    "no offsets": ("offsets", np.zeros(0, np.int64)),
    "too few offsets": ("offsets", np.array([0, 30])),
    "a letter cut in two": ("offsets", np.array([0, 2, 20, 30])),
    "another shape": ("shape", np.array([2, 1])),
    "a shape to guess": ("shape", np.array([-1, 1])),
    "a shape beyond all": ("shape", np.array([2**62, 2**62])),
    "offsets that are no integers": ("offsets", np.array([0.0, 10.0, 20.0, 30.0])),
}


@pytest.mark.parametrize(("part", "array"), ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_texts_that_do_not_fit_are_refused(part: str, array: NDArray[Any]) -> None:
    assert len(members(WHOLE)["0.input.1.bytes.npy"]) == 128 + 30
    with pytest.raises(InvalidPackageError, match=r"(?m)^samples: "):
        decode(replaced(f"0.input.1.{part}.npy", npy(array)), SIGNATURE)


@pytest.mark.parametrize("count", [np.array(0), np.array(-1), np.array(2**62), np.array([1, 1]), np.array(2)])
def test_a_count_of_calls_that_is_not_so_is_refused(count: NDArray[Any]) -> None:
    with pytest.raises(InvalidPackageError, match=r"(?m)^samples: expected "):
        decode(replaced("count.npy", npy(count)), SIGNATURE)


@pytest.mark.parametrize("key", ["tolerance.0", "spread.0"])
@pytest.mark.parametrize("numbers", [[np.nan] * 4, [np.inf, 0.0], [[0.0, 0.0]], [], [0.0], [0.0] * 5])
def test_numbers_that_say_nothing_are_refused(key: str, numbers: list[Any]) -> None:
    with pytest.raises(InvalidPackageError, match=r"(?m)^samples: expected "):
        decode(replaced(f"{key}.npy", npy(np.array(numbers, np.float64))), SIGNATURE)


ONE_COLUMN = np.zeros((3, 1), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.recorded[0].update(y=np.zeros(3)), "output `y`: expected FP32 [-1], got float64 [3]"),
        (
            lambda made: made.recorded[0].update(y=np.zeros((3, 1), np.float32)),
            "output `y`: expected FP32 [-1], got float32 [3, 1]",
        ),
        (
            lambda made: made.expected[0].update(y=np.zeros(2)),
            f"output `y`: {ANSWERS} float32 [3], got float64 [2]",
        ),
        (
            lambda made: made.expected[0].update(y=np.zeros(3, np.int64)),
            f"output `y`: {ANSWERS} float32 [3], got int64 [3]",
        ),
        (
            lambda made: made.expected[0].update(label=np.zeros(3)),
            f"output `label`: {ANSWERS} object [3], got float64 [3]",
        ),
    ],
)
def test_answers_that_do_not_fit_are_refused(change: Callable[[Samples], None], message: str) -> None:
    made = samples()
    change(made)
    with pytest.raises(InvalidPackageError) as caught:
        decode(encode(made, SIGNATURE), SIGNATURE)
    assert caught.value.message == f"samples: {message}"


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_damaged_samples_are_read_or_refused_in_our_words(position: int, flip: int) -> None:
    data = bytearray(WHOLE)
    data[position] ^= flip
    with suppress(InvalidPackageError):
        decode(bytes(data), SIGNATURE)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_in_our_words(data: bytes) -> None:
    for start in (b"", b"PK\3\4", b"PK\5\6"):
        with pytest.raises(InvalidPackageError, match=r"(?m)^samples: "):
            decode(start + data, SIGNATURE)
