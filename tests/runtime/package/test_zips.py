"""What a zip can hold beside plain files is refused, and so is every byte that belongs to nothing."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import archiving
import pytest
import sealed
import tiny_models
from archiving import check_refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Entries = list[tuple[str, bytes]]

LOCAL, ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.external(tmp_path / "package")


@pytest.fixture
def entries(package: Path) -> Entries:
    return archiving.contents(package)


def patched(archive: bytes, record: bytes, offset: int, form: str, *values: Any, number: int = -1) -> bytes:
    """Return `archive` with values put `offset` bytes into the record of that signature, the last if not said."""
    changed = bytearray(archive)
    places = [place for place in range(len(archive)) if archive.startswith(record, place)]
    struct.pack_into(form, changed, places[number] + offset, *values)
    return bytes(changed)


@pytest.mark.parametrize(
    ("mode", "got"),
    [
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFIFO, "a special one"),
        (stat.S_IFCHR, "a special one"),
        (stat.S_IFBLK, "a special one"),
        (stat.S_IFSOCK, "a special one"),
        (stat.S_IFDIR, "a special one"),
    ],
)
def test_what_is_neither_plain_file_nor_directory_is_refused(
    tmp_path: Path, entries: Entries, mode: int, got: str
) -> None:
    def change(member: zipfile.ZipInfo) -> None:
        if member.filename == "weights.bin":
            member.external_attr = (mode | 0o644) << 16

    message = f"`weights.bin`: expected a plain file, got {got}"
    check_refused(tmp_path, archiving.zipped(entries, change=change), message)


def test_a_directory_that_says_that_it_is_a_link_or_has_data_is_refused(tmp_path: Path, entries: Entries) -> None:
    def change(member: zipfile.ZipInfo) -> None:
        member.external_attr = (stat.S_IFLNK if member.filename == "d/" else stat.S_IFREG) << 16

    message = "`d/`: expected a plain file, got a symbolic link"
    check_refused(tmp_path, archiving.zipped([*entries, ("d/", b"")], change=change), message)
    message = "`d/`: expected a size that 1 bytes in the zip can have, got 1"
    check_refused(tmp_path, archiving.stored([*entries, ("d/", b"x")]), message)


def test_an_encrypted_entry_is_refused(tmp_path: Path, entries: Entries) -> None:
    message = "`weights.bin`: expected a plain file, got an encrypted one"
    for flags in (0x0001, 0x0041, 0x2000):
        check_refused(tmp_path, patched(archiving.zipped(entries), ENTRY, 8, "<H", flags), message)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 1, 9, 93, 99])
def test_a_method_that_not_everything_reads_is_refused(tmp_path: Path, entries: Entries, method: int) -> None:
    whole = archiving.zipped(entries)
    odd = patched(patched(whole, LOCAL, 8, "<H", method), ENTRY, 10, "<H", method)
    check_refused(tmp_path, odd, f"`weights.bin`: expected a file stored or deflated, got compression method {method}")


def test_another_name_where_the_data_lies_is_refused(tmp_path: Path, entries: Entries) -> None:
    whole = archiving.zipped(entries)
    message = r"`weights.bin`: expected one name, got `\.\./ghts.bin` where its data lies"
    check_refused(tmp_path, patched(whole, LOCAL, 30, "3s", b"../"), message)
    message = r"`\.\./ghts.bin`: expected one name, got `weights.bin` where its data lies"
    check_refused(tmp_path, patched(whole, ENTRY, 46, "3s", b"../"), message)


@pytest.mark.parametrize(("offset", "form"), [(8, "<H"), (14, "<L"), (18, "<L"), (22, "<L")])
def test_another_size_crc_or_method_where_the_data_lies_is_refused(
    tmp_path: Path, entries: Entries, offset: int, form: str
) -> None:
    message = "`weights.bin`: expected one size, CRC and method, got others where its data lies"
    for pack in (archiving.zipped, archiving.stored):
        check_refused(tmp_path, patched(pack(entries), LOCAL, offset, form, 7), message)


@pytest.mark.parametrize("offset", [0, 4, 8, 12])
def test_another_size_or_crc_behind_the_data_is_refused(tmp_path: Path, entries: Entries, offset: int) -> None:
    message = "`weights.bin`: expected its size and CRC behind its data, got something else"
    check_refused(tmp_path, patched(archiving.streamed(entries), b"PK\x07\x08", offset, "<L", 7), message)


def resized(archive: bytes, size: int) -> bytes:
    """Return `archive` with both headers of its last entry saying that it inflates to `size` bytes."""
    return patched(patched(archive, LOCAL, 22, "<L", size), ENTRY, 24, "<L", size)


def with_weights(package: Path, data: bytes) -> Entries:
    """Return what the package would be with other weights, which its manifest promises."""
    (package / "weights.bin").write_bytes(data)
    sealed.seal(package)
    return archiving.contents(package)


def test_an_entry_that_inflates_to_more_or_less_than_it_says_is_refused(tmp_path: Path, package: Path) -> None:
    promised = with_weights(package, bytes(1000))
    for size in (999, 1001, 2_000_000):
        odd = archiving.zipped([*promised[:-1], ("weights.bin", bytes(size))])
        message = (
            r"`weights.bin`: expected to inflate to 1000 bytes(, got more| and end there, got 999 and another end)"
        )
        check_refused(tmp_path, resized(odd, 1000), message)


def test_a_size_that_nothing_inflates_to_is_refused(tmp_path: Path, package: Path) -> None:
    whole = archiving.zipped(with_weights(package, bytes(1000)))
    packed = len(zlib.compress(bytes(1000), wbits=-15))
    message = rf"`weights.bin`: expected a size that {packed} bytes in the zip can have, got 4294967294"
    check_refused(tmp_path, resized(whole, 0xFFFFFFFE), message)
    message = r"`weights.bin`: expected a size that 1000 bytes in the zip can have, got 999"
    check_refused(tmp_path, resized(archiving.stored(archiving.contents(package)), 999), message)


def test_data_with_another_crc_is_refused(tmp_path: Path, entries: Entries) -> None:
    message = "`weights.bin`: expected the CRC that the zip names, got another: the archive is damaged"
    for pack in (archiving.zipped, archiving.stored):
        odd = patched(patched(pack(entries), LOCAL, 14, "<L", 7), ENTRY, 16, "<L", 7)
        check_refused(tmp_path, odd, message)


def test_data_that_does_not_inflate_is_refused(tmp_path: Path, entries: Entries) -> None:
    message = r"`weights.bin`: expected a whole archive, got a damaged one \(.+\)"
    check_refused(tmp_path, patched(archiving.zipped(entries), LOCAL, 41, "4s", b"\xff" * 4), message)


def meddled(entries: Entries, meddle: Callable[[list[zipfile.ZipInfo]], object]) -> bytes:
    """Return a zip whose directory lists what `meddle` makes of the list of its entries."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
        meddle(archive.filelist)
    return stream.getvalue()


NOT_BEHIND = r"expected to begin where the entry before it ends, at byte [0-9]+, got [0-9]+"
MORE = r"package `.*packed`: expected nothing but entries in the zip and its directory, got more"


def test_an_entry_that_the_directory_leaves_out_is_refused(tmp_path: Path, entries: Entries) -> None:
    hidden = [*entries[:1], ("hidden", b"x"), *entries[1:]]
    check_refused(tmp_path, meddled(hidden, lambda listed: listed.pop(0)), f"`hidden`: {NOT_BEHIND}")
    check_refused(tmp_path, meddled(hidden, lambda listed: listed.pop(1)), f"`manifest.sha256`: {NOT_BEHIND}")
    check_refused(tmp_path, meddled([*entries, ("hidden", b"x")], list.pop), MORE)
    check_refused(tmp_path, meddled([*entries, ("hidden", b"x")], list.clear), MORE)


def test_entries_that_share_their_data_or_lie_in_another_order_are_refused(tmp_path: Path, entries: Entries) -> None:
    check_refused(tmp_path, meddled(entries, lambda listed: listed.append(listed[-1])), f"`weights.bin`: {NOT_BEHIND}")
    check_refused(tmp_path, meddled(entries, list.reverse), f"`weights.bin`: {NOT_BEHIND}")


def test_an_entry_that_reaches_into_the_directory_is_refused(tmp_path: Path, entries: Entries) -> None:
    for size in (17, 0x7FFFFFFF, 0xFFFFFFFF):
        odd = patched(archiving.stored(entries), LOCAL, 18, "<2L", size, size)
        odd = patched(odd, ENTRY, 20, "<2L", size, size)
        check_refused(tmp_path, odd, r"`weights.bin`: expected to end before byte [0-9]+, got more")


def test_a_zip_behind_something_else_is_refused(tmp_path: Path, entries: Entries) -> None:
    path = tmp_path / "behind"
    path.write_bytes(LOCAL + b"something else")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(*entries[0])
    check_refused(tmp_path, path.read_bytes(), f"`manifest.json`: {NOT_BEHIND}")
    whole = archiving.zipped(entries)
    end = r"package `.*packed`: expected the directory of the zip to end at byte [0-9]+, got [0-9]+"
    check_refused(tmp_path, LOCAL + whole, end)
    check_refused(tmp_path, whole + whole, end)
    check_refused(
        tmp_path, b"#!/bin/sh\n" + whole, "package `.*`: expected a directory, a .tar or a .zip, got another file"
    )


def test_a_zip_before_something_else_is_refused(tmp_path: Path, entries: Entries) -> None:
    whole = archiving.zipped(entries)
    message = r"package `.*packed`: expected the zip to end where its last record says, got another end"
    check_refused(tmp_path, whole + b"x", message)
    check_refused(tmp_path, patched(whole, END, 20, "<H", 1), message)
    message = r"package `.*packed`: expected the directory of the zip to end at byte [0-9]+, got 0"
    check_refused(tmp_path, whole + END + bytes(18), message)


def test_a_zip_without_a_directory_is_refused(tmp_path: Path, entries: Entries) -> None:
    whole = archiving.zipped(entries)
    message = r"package `.*packed`: expected the directory at the end of the zip, got none: it was cut off"
    for size in (4, 100, whole.index(ENTRY), len(whole) - 22, len(whole) - 1):
        check_refused(tmp_path, whole[:size], message)


def test_a_directory_of_other_records_than_it_counts_is_refused(tmp_path: Path, entries: Entries) -> None:
    whole = archiving.zipped(entries)
    check_refused(tmp_path, patched(whole, END, 10, "<H", 4), MORE)
    message = r"package `.*packed`: expected an entry of the zip's directory at byte [0-9]+, got something else"
    check_refused(tmp_path, patched(whole, ENTRY, 0, "4s", LOCAL), message)
    message = r"package `.*packed`: expected a whole archive, got one that was cut off"
    check_refused(tmp_path, patched(whole, END, 10, "<H", 6), message)
    message = r"package `.*packed`: expected an entry of the zip at byte [0-9]+, got something else"
    check_refused(tmp_path, patched(whole, LOCAL, 0, "4s", ENTRY, number=2), message)


def test_numbers_that_need_64_bits_are_checked_as_others_are(
    tmp_path: Path, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    whole = archiving.zipped(entries)
    size, packed, offset = (46 + len("weights.bin") + 4 + 8 * index for index in range(3))  # in the directory
    for value in (7, (1 << 64) - 1):
        for field in (40, 48):  # size and place of the directory
            message = r"package `.*packed`: expected the directory of the zip to end at byte [0-9]+, got [0-9]+"
            check_refused(tmp_path, patched(whole, b"PK\x06\x06", field, "<Q", value), message)
        for field in (size, packed):
            message = "`weights.bin`: expected one size, CRC and method, got others where its data lies"
            check_refused(tmp_path, patched(whole, ENTRY, field, "<Q", value), message)
        check_refused(tmp_path, patched(whole, ENTRY, offset, "<Q", value), f"`weights.bin`: {NOT_BEHIND}")
    odd = patched(whole, ENTRY, 30, "<H", 18)  # an extra field that is cut off in the second number
    check_refused(tmp_path, odd, f"`weights.bin`: {NOT_BEHIND}")
    local = size - 46 + 30
    odd = patched(patched(whole, ENTRY, size, "<Q", (1 << 64) - 1), LOCAL, local, "<Q", (1 << 64) - 1)
    message = f"`weights.bin`: expected a size that [0-9]+ bytes in the zip can have, got {(1 << 64) - 1}"
    check_refused(tmp_path, odd, message)
    odd = patched(patched(whole, ENTRY, packed, "<Q", (1 << 64) - 1), LOCAL, local + 8, "<Q", (1 << 64) - 1)
    check_refused(tmp_path, odd, "`weights.bin`: expected to end before byte [0-9]+, got more")


def test_a_zip_that_promises_more_entries_than_it_has_room_for_ends_where_it_ends(
    tmp_path: Path, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    odd = patched(archiving.zipped(entries), b"PK\x06\x06", 32, "<Q", (1 << 64) - 1)
    message = r"package `.*packed`: expected an entry of the zip's directory at byte [0-9]+, got something else"
    check_refused(tmp_path, odd, message)
