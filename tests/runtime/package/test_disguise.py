"""A pickle is found in every disguise, and never read: each one here would leave a trace if it were."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import sealed
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package
from modelport.runtime.package.disguise import looks_like_pickle
from modelport.runtime.scorer import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = Path("canary-of-the-pickles")


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (CANARY,)


@pytest.fixture(autouse=True)
def no_pickle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not CANARY.exists(), "a pickle ran"


def test_the_canary_sings() -> None:
    pickle.loads(pickle.dumps(Evil()))
    assert CANARY.exists()
    CANARY.unlink()


CONTENTS: dict[str, Any] = {
    "evil": Evil(),
    "None": None,
    "numbers": list(range(1000)),
    "a table": {"a": [0.5, None], "b": "text"},
    "an array": np.zeros(3),
    "objects": np.array([None, Evil()], object),
    "text first": ["x" * 100_000, Evil()],
}

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "bare": lambda data: data,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "lzma of other parameters": lambda data: lzma.compress(
        data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0}]
    ),
    "gzip twice": lambda data: gzip.compress(gzip.compress(data)),
    "zlib": zlib.compress,
    "zlib of a small window": lambda data: (deflate := zlib.compressobj(wbits=9)).compress(data) + deflate.flush(),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_pickles_of_every_protocol_and_compression_are_found(
    content: Any, compression: Callable[[bytes], bytes], protocol: int
) -> None:
    assert looks_like_pickle(compression(pickle.dumps(content, protocol)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("zlib", 9)])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_joblib_writes_is_found(content: Any, compress: Any, protocol: int) -> None:
    stream = io.BytesIO()
    joblib.dump(content, stream, compress=compress, protocol=protocol)
    assert looks_like_pickle(stream.getvalue())


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_torch_writes_is_found(compression: int) -> None:
    evil = pickle.dumps(Evil(), 2)
    assert looks_like_pickle(zipped({"archive/version": b"3\n", "archive/data.pkl": evil}, compression))
    assert looks_like_pickle(zipped({"archive/version": b"3\n", "archive/data": evil}, compression))


def test_what_torch_wrote_before_it_used_zip_is_found() -> None:
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    assert looks_like_pickle(magic + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2) + bytes(100))


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_arrays_of_objects_are_found(save: Callable[..., None]) -> None:
    for dtype in (object, [("a", "f8"), ("b", object)]):
        stream = io.BytesIO()
        save(stream, np.zeros(3, dtype), allow_pickle=True)
        assert looks_like_pickle(stream.getvalue())


def tarred(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def old_tar(data: bytes) -> bytes:
    """Return a tar as it was before POSIX: without a magic, the checksum of its first header made right again."""
    header = bytearray(data[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def array_file(header: str) -> bytes:
    """Return a `.npy` with this header, and a pickle where its values stand."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + pickle.dumps(Evil())


EVIL = pickle.dumps(Evil())
WRAPPED: dict[str, bytes] = {
    "a zip behind a prefix": b"#!/bin/sh\n" + zipped({"a": EVIL}),
    "a zip in a zip": zipped({"inner": zipped({"a": EVIL})}),
    "gzip in a zip": zipped({"a": gzip.compress(EVIL)}),
    "a zip in gzip": gzip.compress(zipped({"a": EVIL})),
    "gzip in two parts": gzip.compress(b"") + gzip.compress(EVIL),
    "xz in two parts": lzma.compress(b"") + lzma.compress(EVIL),
    "bz2 in two parts": bz2.compress(b"") + bz2.compress(EVIL),
    "a tar of old": old_tar(tarred({"a": EVIL})),
    "a tar": tarred({"text": b"text", "a": EVIL}),
    "a tar of a named one": tarred({"a.pkl": b""}),
    "a tar in xz": lzma.compress(tarred({"a": EVIL})),
    "more wrappers than anyone needs": gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))),
    "a hexadecimal number": b"I0x10\n0cpathlib\nPath\n(S'x'\ntR.",
    "a hexadecimal number after a protocol": b"\x80\x02I0x10\n0cpathlib\nPath\n(S'x'\ntR.",
    "objects in double quotes": array_file('{"descr": "|O", "fortran_order": False, "shape": (1,), }'),
    "objects with a size": array_file("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }"),
    "objects by name": array_file("{'descr': 'object', 'fortran_order': False, 'shape': (1,), }"),
    "objects escaped": array_file(r"{'descr': '|\x4f', 'fortran_order': False, 'shape': (1,), }"),
    "objects after a line": array_file("{\n'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
    "objects in an npz": zipped({"a.npy": array_file("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }")}),
    "an array with a header of nonsense": array_file("{'descr': "),
}


@pytest.mark.parametrize("data", WRAPPED.values(), ids=WRAPPED)
def test_pickles_are_found_however_they_are_wrapped(data: bytes) -> None:
    assert looks_like_pickle(data)


def test_a_pickle_deep_in_an_archive_is_found_behind_members_that_cannot_be_read() -> None:
    data = bytearray(zipped({"first": b"x" * 100, "second": pickle.dumps(Evil())}))
    data[30 + len("first")] ^= 0xFF  # the first member fails its checksum
    assert looks_like_pickle(bytes(data))


def test_an_archive_of_more_members_than_anyone_needs_counts_as_one() -> None:
    assert looks_like_pickle(zipped({str(number): b"" for number in range(10_001)}))


def test_a_pickle_of_more_opcodes_than_are_looked_at_counts_as_one() -> None:
    assert looks_like_pickle(pickle.dumps(list(range(300_000)), 0))


HARMLESS: dict[str, bytes] = {
    "nothing": b"",
    "a stop": b".",
    "text": b"A stack of opcodes it is not.\n",
    "a requirement": b"certifi\nnumpy\n",
    "a class": b"class Model:\n    pass\n",
    "an import": b"import numpy\nimport os\nN = 3.\n",
    "JSON": b'{"cpu_cores": 1}\n',
    "a list": b"[1, 2]\n",
    "numbers": b"(1, 2)\n",
    "zeros": bytes(10_000),
    "uint8 weights": b"\x7d" * 1000,
    "gzipped text": gzip.compress(b"plain text " * 100),
    "damaged gzip": gzip.compress(b"plain text " * 100)[:20],
    "no lzma": b"\x5d\x00\x00\x00\x00junk",
    "an archive of text": zipped({"a": b"text", "b": b"more"}),
    "no archive": b"PK\x03\x04 but not really",
    "a tar of text": tarred({"a": b"text", "b": b"more"}),
    "gzipped twice": gzip.compress(gzip.compress(b"plain text")),
    "a plain array": array_file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"),
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "zlib's first bytes": b"\x78\x9c junk",
    "floats": np.linspace(0, 1, 1000).tobytes(),
}


@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS)
def test_other_files_are_no_pickles(data: bytes) -> None:
    assert not looks_like_pickle(data)


def test_weights_that_begin_like_a_pickle_are_hardly_ever_taken_for_one() -> None:
    """One file of weights in 256 begins with the byte of a protocol."""
    generator = random.Random(11)  # noqa: S311  seeded
    taken = sum(
        looks_like_pickle(b"\x80" + bytes([generator.randrange(256)]) + generator.randbytes(62)) for _ in range(20_000)
    )
    assert taken < 20


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\0", b"x\x9c", b"\x80\4"]),
)
def test_any_bytes_get_an_answer(data: bytes, start: bytes) -> None:
    assert looks_like_pickle(start + data) in (True, False)


NAMES = ["model.onnx", "samples.npz", "score.py", "weights.bin", "resources.json"]
ROLES = {"score.py": "script", "weights.bin": "external-data", "resources.json": "resources"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_under_any_name_in_a_package_is_refused_unread(
    tmp_path: Path, name: str, compression: Callable[[bytes], bytes], protocol: int
) -> None:
    package = tiny_models.linear(tmp_path / "package")
    (package / name).write_bytes(compression(pickle.dumps(Evil(), protocol)))
    sealed.seal(package, ROLES)
    with pytest.raises(InvalidPackageError, match=rf"(?m)^`{name}`: expected [a-z-]+, got a pickle$") as caught:
        load(package)
    assert caught.value.hint == "a pickle runs code when it is read; packages never hold one"


def test_samples_with_an_array_of_objects_are_refused_unread(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "package")
    with np.load(package / "samples.npz") as archive:
        arrays: dict[str, Any] = dict(archive)
    arrays["0.expected.0"] = np.array([Evil()], object)
    np.savez(package / "samples.npz", **arrays)
    sealed.seal(package)
    with pytest.raises(InvalidPackageError, match=r"(?m)^`samples.npz`: expected samples, got a pickle$"):
        open_package(package)
