"""An archive by an attacker opens as the very package that its digest names, or is refused in printable words."""

from __future__ import annotations

import contextlib
import os
import random
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import archiving
import pytest
import sealed
import tiny_models
from archiving import check_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import files, open_package
from modelport.runtime.package.files import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from modelport.runtime.package import Package

    Entries = list[tuple[str, bytes]]
    Pack = Callable[[Entries], bytes]

MIB = 1 << 20
EACH = pytest.mark.parametrize("pack", archiving.FORMS.values(), ids=archiving.FORMS)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.external(tmp_path / "package")


@pytest.fixture
def entries(package: Path) -> Entries:
    return archiving.contents(package)


ODD_NAMES = [
    ("../x", r"\.\./x", "one that leads out of it"),
    ("churn/../../x", r"churn/\.\./\.\./x", "one that leads out of it"),
    ("..", r"\.\.", "one that leads out of it"),
    ("/etc/passwd", "/etc/passwd", "an absolute one"),
    ("//server/share", "//server/share", "an absolute one"),
    (".//etc/passwd", "/etc/passwd", "an absolute one"),
    ("C:/x", "C:/x", "one of a Windows drive"),
    ("c:x", "c:x", "one of a Windows drive"),
    ("..\\x", r"\.\.\\x", "one with a backslash"),
    ("a\\b", r"a\\b", "one with a backslash"),
    ("a//b", "a//b", "one with an empty step"),
    ("a/./b", r"a/\./b", "one with an empty step"),
    (".", r"\.", "one with an empty step"),
    ("a\nb", r"a\\nb", "one that cannot be shown"),
    ("\x1b[31ma", r"\\x1b\[31ma", "one that cannot be shown"),
    ("\u202ea", r"\\u202ea", "one that cannot be shown"),
    ("a" * 5000, rf"{'a' * 77}\.\.\.", "one of more than 4096 characters"),
]


@pytest.mark.parametrize("odd", ODD_NAMES, ids=[ascii(name[:20]) for name, _, _ in ODD_NAMES])
@EACH
def test_a_name_that_is_none_inside_the_package_is_refused(
    tmp_path: Path, entries: Entries, pack: Pack, odd: tuple[str, str, str]
) -> None:
    name, shown, got = odd
    message = f"`{shown}`: expected a name inside the package, got {got}"
    check_refused(tmp_path, pack([*entries, (name, b"x")]), message)


@EACH
def test_a_directory_of_such_a_name_is_refused_too(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    message = r"`\.\./x`: expected a name inside the package, got one that leads out of it"
    check_refused(tmp_path, pack([("../x/", b""), *entries]), message)


@pytest.mark.parametrize("name", ["note.txt", ".hidden", "inner.tar", "-rf", "a b", "größe", "sub/x", "ab:c"])
@EACH
def test_whatever_is_added_is_refused_and_an_archive_in_it_never_opened(
    tmp_path: Path, entries: Entries, pack: Pack, name: str
) -> None:
    message = f"`{name}`: expected only what the manifest names, got this file too"
    check_refused(tmp_path, pack([*entries, (name, archiving.tar(entries))]), message)


@EACH
def test_two_entries_of_one_name_are_refused(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    message = r"`weights.bin`: expected one entry of this name, got two"
    check_refused(tmp_path, pack([*entries, entries[-1]]), message)
    check_refused(tmp_path, pack([*entries, (f"./{entries[-1][0]}", b"")]), message)


@EACH
def test_names_that_some_file_systems_take_for_one_are_refused(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    message = r"package `.*packed`: expected names that differ by more than case, got `model.onnx` and `Model.onnx`"
    check_refused(tmp_path, pack([*entries, ("Model.onnx", b"x")]), message)
    message = r"package `.*packed`: expected `weights.bin` to be a file, got `Weights.bin/x` in it"
    check_refused(tmp_path, pack([*entries, ("Weights.bin/x", b"x")]), message)


@pytest.mark.parametrize("name", ["empty/", "a/b/", "weights.bin/", "Weights.bin/"])
@EACH
def test_an_empty_directory_is_refused(tmp_path: Path, entries: Entries, pack: Pack, name: str) -> None:
    message = f"`{name}`: expected only what the manifest names, got an empty directory"
    check_refused(tmp_path, pack([*entries, (name, b"")]), message)
    below = [(f"churn/{file}", data) for file, data in [*entries, (name, b"")]]
    check_refused(tmp_path, pack(below), message)


@EACH
def test_a_package_beside_something_else_is_none(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    message = r"package `.*packed`: expected `manifest.json`, got an archive without it"
    below = [(f"churn/{name}", data) for name, data in entries]
    check_refused(tmp_path, pack([*below, ("README", b"x")]), message)
    check_refused(tmp_path, pack([*below, ("other/manifest.json", b"x")]), message)
    check_refused(tmp_path, pack([(f"a/{name}", data) for name, data in below]), message)
    check_refused(tmp_path, pack([("README", b"x")]), message)
    check_refused(tmp_path, pack(entries[1:]), message)


@EACH
def test_missing_and_changed_files_are_refused_as_in_a_directory(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    message = r"`weights.bin`: expected the file that the manifest names, got nothing there"
    check_refused(tmp_path, pack(entries[:-1]), message)
    message = r"`weights.bin`: expected sha256 [0-9a-f]{12}..., got [0-9a-f]{12}...: the file was changed"
    check_refused(tmp_path, pack([*entries[:-1], ("weights.bin", bytes(16))]), message)
    check_refused(
        tmp_path, pack([*entries[:-1], ("weights.bin", bytes(17))]), r"`weights.bin`: expected 16 bytes, got 17"
    )


@EACH
def test_directories_without_end_are_refused(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    deep = "d/" * (MAX_LEVELS + 1)
    message = rf"`{deep}x`: expected at most {MAX_LEVELS} levels of directories, got more"
    check_refused(tmp_path, pack([*entries, (f"{deep}x", b"")]), message)


@EACH
def test_entries_without_number_are_refused(
    tmp_path: Path, entries: Entries, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MAX_FILES", 6)
    message = r"package `.*packed`: expected at most 6 files, got more"
    check_refused(tmp_path, pack([*entries, ("a", b""), ("b", b"")]), message)
    check_refused(tmp_path, pack([*entries, ("a/", b""), ("a/", b"")]), message)


def large(entries: Entries) -> bytes:
    """Return a zip with the fields that large ones need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 10)
        return archiving.zipped(entries)


@EACH
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, entries: Entries, pack: Pack) -> None:
    whole = pack(entries)
    end = len(whole.rstrip(b"\0")) if pack is archiving.tar else len(whole)
    for size in {*range(0, end, 37), end - 1}:
        with pytest.raises(InvalidPackageError):
            opened_from(tmp_path, whole[:size])


@pytest.mark.parametrize("pack", [*archiving.FORMS.values(), large], ids=[*archiving.FORMS, "large"])
def test_a_flip_in_any_place_is_refused_or_does_not_matter(tmp_path: Path, package: Path, pack: Pack) -> None:
    expected = open_package(package)
    whole = pack(archiving.contents(package))
    places = random.Random(7).sample(range(len(whole)), min(2000, len(whole)))  # noqa: S311  a seeded choice
    messages = []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        try:
            found = opened_from(tmp_path, changed)
        except InvalidPackageError as error:
            messages.append(error.message)
        else:
            assert (found.digest, found.files) == (expected.digest, expected.files)
    assert len(messages) > len(places) / 2
    assert all(map(str.isprintable, messages))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    tiny_models.external(folder / "package")
    return folder


@settings(max_examples=300)
@given(st.sampled_from([*archiving.FORMS.values(), large]), st.data())
def test_an_archive_of_which_parts_were_replaced_is_refused_or_the_same(
    shared: Path, pack: Pack, data: st.DataObject
) -> None:
    expected = open_package(shared / "package")
    whole = pack(archiving.contents(shared / "package"))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(whole)) | st.integers(max(0, len(whole) - 400), len(whole)))
        end = start + data.draw(st.integers(0, 40))
        piece = data.draw(st.binary(max_size=40) | st.just(whole[start // 2 : start // 2 + 40]))
        whole = whole[:start] + piece + whole[end:]
    try:
        found = opened_from(shared, whole)
    except InvalidPackageError:
        return
    assert (found.digest, found.files) == (expected.digest, expected.files)


def opened_from(folder: Path, archive: bytes) -> Package:
    (folder / "packed").write_bytes(archive)
    return open_package(folder / "packed")


@pytest.mark.parametrize("data", [b"", b"\0", b"PK", bytes(20480), b"BZh9", b"\x80\x04K\x01.", b"ustar"])
def test_any_other_file_is_refused(tmp_path: Path, data: bytes) -> None:
    message = r"package `.*packed`: expected a directory, a .tar or a .zip, got another file"
    error = check_refused(tmp_path, data, message)
    assert error.hint == "`modelport convert MODEL -o DIR` makes a package"


def test_a_special_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/null"):
        message = rf"(?m)^package `{path}`: expected a directory, a .tar or a .zip, got a special file$"
        with pytest.raises(InvalidPackageError, match=message):
            open_package(path)


@contextlib.contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Check that what is done inside never holds more than `limit` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


LARGE = 256 * MIB
BOMBS = {
    "note.txt": "`note.txt`: expected only what the manifest names, got this file too",
    "manifest.json": "`manifest.json`: expected at most 16777216 bytes, got 268435456",
    "manifest.sha256": "`manifest.sha256`: expected at most 80 bytes, got 268435456",
    "weights.bin": "`weights.bin`: expected 16 bytes, got 268435456",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_zip_bomb_is_refused_before_it_inflates(tmp_path: Path, entries: Entries, name: str) -> None:
    bomb = archiving.zipped([*(entry for entry in entries if entry[0] != name), (name, bytes(LARGE))])
    with at_most(4 * MIB):
        check_refused(tmp_path, bomb, BOMBS[name])


@pytest.mark.parametrize("name", BOMBS)
def test_a_gzip_bomb_is_refused_before_it_inflates(tmp_path: Path, entries: Entries, name: str) -> None:
    bomb = archiving.tgz([*(entry for entry in entries if entry[0] != name), (name, bytes(LARGE))])
    limit = 64 * MIB + 100 * len(bomb)
    message = rf"`{name}`: expected to end within the tar's first {limit} bytes, got 268435456 bytes at [0-9]+"
    with at_most(4 * MIB):
        error = check_refused(tmp_path, bomb, message)
    assert error.hint == "give the .tar itself: only a compressed one has such a limit"


@pytest.mark.parametrize("pack", [archiving.tar, archiving.tgz, archiving.zipped], ids=["tar", "tgz", "zip"])
def test_a_file_takes_the_memory_that_the_manifest_says_and_little_more(
    tmp_path: Path, package: Path, pack: Pack
) -> None:
    (package / "zeros.bin").write_bytes(bytes(32 * MIB))
    sealed.seal(package, {"zeros.bin": "resources"})
    (tmp_path / "packed").write_bytes(pack(archiving.contents(package)))
    with at_most(44 * MIB):
        open_package(tmp_path / "packed")
