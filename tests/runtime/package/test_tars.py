"""What a tar can hold beside plain files is refused, however it is said."""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING, Any

import archiving
import pytest
import tiny_models
from archiving import check_refused

from modelport.runtime.package import open_package, tars

if TYPE_CHECKING:
    from pathlib import Path

    Entries = list[tuple[str, bytes]]

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    return archiving.contents(tiny_models.external(tmp_path / "package"))


def member(name: str, data: bytes = b"", *, form: int = tarfile.PAX_FORMAT, **fields: Any) -> bytes:
    """Return one entry of a tar, its header saying what `fields` say."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for field, value in fields.items():
        setattr(header, field, value)
    return header.tobuf(form) + data + bytes(-len(data) % BLOCK)


def tar(*members: bytes) -> bytes:
    return b"".join(members) + END


def record(key: str, value: str) -> bytes:
    """Return a record of an extended header: its length counts itself."""
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def said(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Return an extended header."""
    return member("said", b"".join(records), type=kind)


KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a special one",
    tarfile.BLKTYPE: "a special one",
    tarfile.FIFOTYPE: "a special one",
    tarfile.GNUTYPE_SPARSE: "a sparse one",
    b"V": "a special one",  # the name of the volume
    b"M": "a special one",  # the rest of a file that began on another volume
    b"D": "a special one",  # a directory with a list of what was in it
    b"X": "a special one",  # an extended header of Solaris
    b"\xff": "a special one",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_is_neither_plain_file_nor_directory_is_refused(
    tmp_path: Path, entries: Entries, kind: bytes, compress: Any
) -> None:
    plain = [member(*entry) for entry in entries[:-1]]
    odd = member("weights.bin", type=kind, linkname="model.onnx")
    message = f"`weights.bin`: expected a plain file, got {KINDS[kind]}"
    check_refused(tmp_path, compress(tar(*plain, odd)), message)
    check_refused(tmp_path, compress(tar(odd, *plain)), message)


def test_a_link_with_a_long_name_and_target_is_refused(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        link = member("a" * 120, type=tarfile.SYMTYPE, linkname="b" * 120, form=form)
        check_refused(tmp_path, tar(link), rf"`{'a' * 77}\.\.\.`: expected a plain file, got a symbolic link")


def test_a_sparse_file_of_the_newer_kind_is_refused(tmp_path: Path) -> None:
    sparse = said(record("GNU.sparse.major", "1"), record("GNU.sparse.realsize", "1099511627776"))
    error = check_refused(
        tmp_path, tar(sparse, member("weights.bin", b"x")), "`weights.bin`: expected a plain file, got a sparse one"
    )
    assert error.hint == "`tar` without `--sparse` stores it whole"


@pytest.mark.parametrize(
    ("path", "shown", "got"),
    [
        ("../x", r"\.\./x", "one that leads out of it"),
        ("/x", "/x", "an absolute one"),
        ("x/", "x/", "one with an empty step"),
        ("C:x", "C:x", "one of a Windows drive"),
        ("a\0b", r"a\\x00b", "one that cannot be shown"),
        ("a\udcff", r"a\\udcff", "one that cannot be shown"),
    ],
)
def test_a_name_in_an_extended_header_goes_by_the_same_rules(
    tmp_path: Path, entries: Entries, path: str, shown: str, got: str
) -> None:
    plain = [member(*entry) for entry in entries]
    message = f"`{shown}`: expected a name inside the package, got {got}"
    check_refused(tmp_path, tar(*plain, said(record("path", path)), member("weights.bin", b"x")), message)
    long_name = member("././@LongLink", path.encode("utf-8", "surrogateescape") + b"\0", type=tarfile.GNUTYPE_LONGNAME)
    check_refused(tmp_path, tar(*plain, long_name, member("weights.bin", b"x")), message)


def test_what_extended_headers_say_counts(tmp_path: Path, entries: Entries) -> None:
    name, data = entries[-1]
    plain = [member(*entry) for entry in entries[:-1]]
    header, rest = member("other", data)[:BLOCK], member("other", data)[BLOCK:]
    unsized = member("other", size=0) + rest
    assert unsized != header + rest
    for odd in (
        said(record("path", "x"), record("path", name)) + header + rest,
        said(record("path", name)) + said(record("size", str(len(data)))) + unsized,
        said(record("path", "x"), record("path", "")) + member(name, data),
        said(record("comment", "x=y"), kind=tarfile.XGLTYPE) + member(name, data),
    ):
        (tmp_path / "packed").write_bytes(tar(*plain, odd))
        assert open_package(tmp_path / "packed").files[name] == data


def test_an_extended_header_speaks_of_the_next_entry_only(tmp_path: Path, entries: Entries) -> None:
    members = [member(*entry) for entry in entries]
    message = "`a`: expected only what the manifest names, got this file too"
    check_refused(tmp_path, tar(said(record("path", "a")), member("b"), *members), message)
    message = r"`said`: expected an extended header of one entry, got `path` of all that follow"
    check_refused(tmp_path, tar(said(record("path", "a"), kind=tarfile.XGLTYPE), *members), message)


@pytest.mark.parametrize("size", ["-1", "1e3", " 5", "9" * 20, "0x10", "1_0", "٣"])
def test_a_size_that_is_no_number_of_bytes_is_refused(tmp_path: Path, size: str) -> None:
    message = f"`a`: expected a size in bytes, got `{size}`"
    check_refused(tmp_path, tar(said(record("size", size)), member("a")), message)


@pytest.mark.parametrize("size", [-1, -512, -(1 << 62)])
def test_a_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    odd = member("a", size=size, form=tarfile.GNU_FORMAT)
    check_refused(tmp_path, tar(odd), f"`a`: expected a size in bytes, got `{size}`")
    odd = member("a", size=size, type=tarfile.XHDTYPE, form=tarfile.GNU_FORMAT)
    check_refused(tmp_path, tar(odd), f"`a`: expected a size in bytes, got `{size}`")


@pytest.mark.parametrize("size", [1 << 20, 1 << 40, 1 << 62])
def test_an_entry_larger_than_the_archive_is_refused(tmp_path: Path, size: int) -> None:
    message = f"`a`: expected to end within the tar's first 1536 bytes, got {size} bytes at 512"
    error = check_refused(tmp_path, tar(member("a", size=size, form=tarfile.GNU_FORMAT)), message)
    assert error.hint is None
    message = f"`a`: expected to end within the tar's first 2560 bytes, got {size} bytes at 1536"
    check_refused(tmp_path, tar(said(record("size", str(size))), member("a")), message)


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"8 path=a\n",
        b"11 path=a\n",
        b"0 path=a\n",
        b"010 path=a\n",
        b"10 path_a\n",
        b"10 path=ab",
        b"99999999 a=\n",
    ],
)
def test_an_extended_header_that_is_not_whole_is_refused(tmp_path: Path, text: bytes) -> None:
    message = "`said`: expected an extended header of whole records, got another"
    check_refused(tmp_path, tar(said(text), member("a")), message)


def test_extended_headers_without_end_are_refused_before_they_are_read(tmp_path: Path) -> None:
    message = r"package `.*packed`: expected at most 16777216 bytes of extended headers, got more"
    check_refused(tmp_path, tar(said(bytes(16 << 20)), member("a")), message)
    check_refused(tmp_path, gzip.compress(said() * (32 << 10) + said(record("path", "b")) + tar(member("a"))), message)


def test_entries_without_end_are_refused_though_they_take_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_ALWAYS_INFLATED", 1 << 20)
    monkeypatch.setattr(tars, "_MAX_RATIO", 10)
    endless = gzip.compress(member("a/", type=tarfile.DIRTYPE) * 10_000)
    message = (
        f"`a`: expected to end within the tar's first {(1 << 20) + 10 * len(endless)} bytes, got 0 bytes at [0-9]+"
    )
    check_refused(tmp_path, endless, message)


def test_the_size_of_a_directory_is_not_of_data(tmp_path: Path, entries: Entries) -> None:
    folder = member("churn/", type=tarfile.DIRTYPE, size=4096)
    (tmp_path / "packed").write_bytes(tar(folder, *(member(f"churn/{name}", data) for name, data in entries)))
    open_package(tmp_path / "packed")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_tar_without_an_end_or_with_something_behind_it_is_refused(
    tmp_path: Path, entries: Entries, compress: Any
) -> None:
    whole = b"".join(member(*entry) for entry in entries)
    end = len(whole)
    message = r"package `.*packed`: expected a whole archive, got one that was cut off"
    check_refused(tmp_path, compress(whole), message)
    check_refused(tmp_path, compress(whole + bytes(BLOCK - 1)), message)
    message = rf"package `.*packed`: expected nothing behind the end of the tar at byte {end}, got more"
    check_refused(tmp_path, compress(whole + END + b"x"), message)
    check_refused(tmp_path, compress(whole + END + whole + END), message)
    check_refused(tmp_path, compress(whole + bytes(BLOCK) + whole + END), message)
    check_refused(tmp_path, compress(whole + bytes(2 << 20)), message)
    message = rf"package `.*packed`: expected the header of a tar at byte {end}, got something else"
    check_refused(tmp_path, compress(whole + b"x" * BLOCK + END), message)


def test_a_damaged_gzip_is_refused(tmp_path: Path, entries: Entries) -> None:
    whole = archiving.tgz(entries)
    message = r"package `.*packed`: expected a whole archive, got a damaged one \(.+\)"
    wrong_sum = whole[:-8] + bytes(4) + whole[-4:]
    for odd in (wrong_sum, whole[:-4] + bytes(4), whole + b"x", whole[:-1], whole[:50], whole[:10] + b"\xff" * 99):
        check_refused(tmp_path, odd, message)


def test_what_gzip_compressed_must_be_a_tar(tmp_path: Path, entries: Entries) -> None:
    message = r"package `.*packed`: expected the header of a tar at byte 0, got something else"
    for odd in (bytes(range(256)) * 8, gzip.compress(archiving.tar(entries)), archiving.zipped(entries)):
        check_refused(tmp_path, gzip.compress(odd), message)
