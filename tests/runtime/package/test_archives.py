"""A package in a tar or zip is the package: the same digest, files and samples, however it was packed."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import archiving
import pytest
import sealed
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.runtime import load
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import PLAIN_NAME, open_package
from modelport.runtime.package.disguise import looks_like_pickle
from modelport.runtime.package.manifest import check_apart
from modelport.runtime.package.sources import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.external(tmp_path / "churn")


@pytest.fixture(scope="module")
def model() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield tiny_models.external(Path(place) / "model")


def check_same(archive: Path, package: Path) -> None:
    found, expected = open_package(archive), open_package(package)
    assert (found.path, found.digest, found.manifest) == (archive, expected.digest, expected.manifest)
    assert list(found.files.items()) == list(expected.files.items())
    assert str(found.samples) == str(expected.samples)


OWN_FILES = ("manifest.json", "manifest.sha256", "model.onnx", "samples.npz", "weights.bin")


def lie_apart(names: Iterable[str]) -> bool:
    try:
        check_apart("names", [*OWN_FILES, *names])
    except InvalidPackageError:
        return False
    return True


names = st.lists(st.from_regex(PLAIN_NAME, fullmatch=True), min_size=1, max_size=3).map("/".join)
texts = st.binary(max_size=2000).filter(lambda data: not looks_like_pickle(data))
files = st.dictionaries(names, texts, max_size=4).filter(lie_apart)
tops = st.sampled_from(["", "churn/", "./", "./My Größe 1.0/"])


def put(package: Path, added: dict[str, bytes]) -> None:
    """Add files to a package as those that a target may read."""
    for name, data in added.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(data)
    sealed.seal(package, dict.fromkeys(added, "resources"))


@settings(max_examples=60)
@given(files, st.sampled_from(sorted(archiving.FORMS)), tops, st.data())
def test_a_package_packed_in_any_way_is_the_package(
    model: Path, added: dict[str, bytes], form: str, top: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as place:
        package = shutil.copytree(model, Path(place) / "package")
        put(package, added)
        entries = archiving.contents(package, top)
        directories = {name[: index + 1] for name, _ in entries for index in slashes(name)}
        if data.draw(st.booleans()):
            entries += [(directory, b"") for directory in sorted(directories)]
        archive = Path(place) / "archive"
        archive.write_bytes(archiving.FORMS[form](data.draw(st.permutations(entries))))
        check_same(archive, package)


def slashes(name: str) -> list[int]:
    return [index for index, char in enumerate(name) if char == "/"]


@pytest.mark.parametrize(
    "arguments", [["cf"], ["czf"], ["--format=ustar", "-cf"], ["--format=gnu", "-cf"], ["--format=pax", "-cf"]]
)
@pytest.mark.parametrize(
    "what",
    ["churn", "./churn", "-C churn .", f"-C churn {' '.join(OWN_FILES)}"],
)
def test_what_the_tar_command_packs_opens(tmp_path: Path, package: Path, arguments: list[str], what: str) -> None:
    subprocess.run(["tar", *arguments, "packed", *what.split()], cwd=tmp_path, check=True)
    check_same(tmp_path / "packed", package)


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_what_python_packs_opens(tmp_path: Path, package: Path, form: str) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, "churn"))
    check_same(packed, package)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_open_in_every_kind_of_tar(tmp_path: Path, package: Path, form: int) -> None:
    put(package, {f"{'d' * 70}/{'f' * 80}": b"1"})
    (tmp_path / "packed").write_bytes(archiving.tar(archiving.contents(package, "churn/"), form=form))
    check_same(tmp_path / "packed", package)


def test_what_a_tar_says_of_times_owners_and_all_entries_does_not_matter(tmp_path: Path, package: Path) -> None:
    def dress(member: tarfile.TarInfo) -> None:
        member.uname, member.mtime, member.mode = "Jürg", 1.5, 0o4777
        member.pax_headers = {"SCHILY.xattr.user.note": "a\nb=c", "comment": ""}

    (tmp_path / "packed").write_bytes(archiving.tar(archiving.contents(package), change=dress))
    check_same(tmp_path / "packed", package)
    with tarfile.open(tmp_path / "packed", "w", pax_headers={"comment": "0951f48"}) as archive:
        archive.add(package, "churn")
    check_same(tmp_path / "packed", package)


def test_a_tar_compressed_in_several_parts_opens(tmp_path: Path, package: Path) -> None:
    whole = archiving.tar(archiving.contents(package))
    (tmp_path / "packed").write_bytes(b"".join(gzip.compress(whole[i : i + 999]) for i in range(0, len(whole), 999)))
    check_same(tmp_path / "packed", package)


@pytest.mark.parametrize("form", ["deflated", "streamed"])
def test_a_zip_with_the_fields_of_large_ones_opens(
    tmp_path: Path, package: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    packed = archiving.FORMS[form](archiving.contents(package))
    assert b"PK\x06\x06" in packed
    (tmp_path / "packed").write_bytes(packed)
    check_same(tmp_path / "packed", package)


@pytest.mark.parametrize("comment", [b"0951f48", b"x" * 0xFFFF])
def test_a_zip_may_have_a_comment(tmp_path: Path, package: Path, comment: bytes) -> None:
    (tmp_path / "packed").write_bytes(archiving.zipped(archiving.contents(package)))
    with zipfile.ZipFile(tmp_path / "packed", "a") as archive:
        archive.comment = comment
    check_same(tmp_path / "packed", package)


@pytest.mark.parametrize("form", archiving.FORMS)
def test_the_digest_can_be_pinned(tmp_path: Path, package: Path, form: str) -> None:
    digest = open_package(package).digest
    packed = tmp_path / "packed"
    packed.write_bytes(archiving.FORMS[form](archiving.contents(package)))
    assert load(packed, digest=digest).digest == digest
    message = rf"(?m)^package `.*packed`: expected digest `sha256:0`, got {digest}$"
    with pytest.raises(InvalidPackageError, match=message):
        open_package(packed, digest="sha256:0")


def test_an_archive_behind_a_link_opens(tmp_path: Path, package: Path) -> None:
    (tmp_path / "packed").write_bytes(archiving.tar(archiving.contents(package)))
    (tmp_path / "current").symlink_to("packed")
    check_same(tmp_path / "current", package)


@pytest.mark.parametrize("form", archiving.FORMS)
def test_an_archive_replaced_as_a_whole_is_not_noticed_because_the_opened_one_is_read(
    tmp_path: Path, package: Path, form: str
) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(archiving.FORMS[form](archiving.contents(package)))
    with opened(packed) as archive:
        packed.rename(tmp_path / "moved")
        packed.write_text("something else")
        found = {name: file.read(10_000) for name, file in archive.files().items()}
    assert found == dict(archiving.contents(package))


@pytest.mark.parametrize("form", archiving.FORMS)
def test_files_can_be_read_in_any_order_and_again(tmp_path: Path, package: Path, form: str) -> None:
    expected = archiving.contents(package)
    (tmp_path / "packed").write_bytes(archiving.FORMS[form](expected))
    with opened(tmp_path / "packed") as archive:
        found = archive.files()
        for name, data in (*reversed(expected), *expected):
            assert (found[name].size, found[name].read(len(data))) == (len(data), data)
        with pytest.raises(InvalidPackageError, match=r"(?m)^`weights.bin`: expected at most 15 bytes, got 16$"):
            found["weights.bin"].read(15)


@pytest.mark.parametrize("form", archiving.FORMS)
def test_reading_an_archive_leaves_no_descriptor_open(tmp_path: Path, package: Path, form: str) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    (tmp_path / "packed").write_bytes(archiving.FORMS[form](archiving.contents(package)))
    open_package(tmp_path / "packed")
    (tmp_path / "packed").write_bytes(archiving.FORMS[form](archiving.contents(package)[1:]))
    with pytest.raises(InvalidPackageError):
        open_package(tmp_path / "packed")
    assert descriptors() == before


READ_ONLY = """
import os, sys
from modelport.runtime.package import open_package
changes = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "tempfile.mkstemp", "tempfile.mkdtemp"}
seen = []
def watch(event, arguments):
    if event in changes or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        seen.append((event, arguments))
sys.addaudithook(watch)
open_package(sys.argv[1])
print(seen)
"""


@pytest.mark.parametrize("form", archiving.FORMS)
def test_nothing_is_ever_written(tmp_path: Path, package: Path, form: str) -> None:
    (tmp_path / "packed").write_bytes(archiving.FORMS[form](archiving.contents(package, "churn/")))
    command = [sys.executable, "-B", "-c", READ_ONLY, tmp_path / "packed"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
