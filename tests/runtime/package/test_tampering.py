"""Every change of a package is refused before an engine sees a byte of it."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest
import tiny_models

from modelport.runtime import scorer
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package
from modelport.runtime.scorer import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POSITIONS = 200
FLIPS = (0x01, 0x20, 0xFF)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package, and an engine that must not start."""
    path = tiny_models.external(tmp_path / "package")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the engine saw a changed package")

    monkeypatch.setattr(scorer, "open_engine", refuse)
    return path


def flips(package: Path, name: str, positions: list[int]) -> tuple[int, int]:
    """Return how many flips were made, and how many of them refused."""
    path = package / name
    whole = path.read_bytes()
    made = refused = 0
    for position in positions:
        for flip in FLIPS:
            changed = bytearray(whole)
            changed[position] ^= flip
            path.write_bytes(changed)
            made += 1
            with pytest.raises(InvalidPackageError):
                load(package)
            refused += 1
    path.write_bytes(whole)
    return made, refused


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_a_flip_at_every_byte_of_manifest_and_digest_is_refused(package: Path, name: str) -> None:
    size = (package / name).stat().st_size
    made, refused = flips(package, name, list(range(size)))
    assert made == refused == size * len(FLIPS)
    open_package(package)


@pytest.mark.parametrize("name", ["model.onnx", "samples.npz", "weights.bin"])
def test_a_flip_at_200_places_of_every_other_file_is_refused(package: Path, name: str) -> None:
    size = (package / name).stat().st_size
    positions = random.Random(7).sample(range(size), min(POSITIONS, size))  # noqa: S311  a seeded choice of places
    made, refused = flips(package, name, positions)
    assert made == refused == len(positions) * len(FLIPS)
    open_package(package)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "model.onnx", "samples.npz", "weights.bin"])
def test_a_file_cut_off_or_grown_is_refused(package: Path, name: str) -> None:
    whole = (package / name).read_bytes()
    for size in {0, 1, len(whole) // 2, len(whole) - 1}:
        (package / name).write_bytes(whole[:size])
        with pytest.raises(InvalidPackageError):
            load(package)
    (package / name).write_bytes(whole + b"\n")
    with pytest.raises(InvalidPackageError):
        load(package)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "model.onnx", "samples.npz", "weights.bin"])
def test_a_missing_file_is_named(package: Path, name: str) -> None:
    (package / name).unlink()
    with pytest.raises(InvalidPackageError, match=rf"`{name}`"):
        load(package)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "model.onnx", "samples.npz", "weights.bin"])
def test_a_renamed_file_is_refused(package: Path, name: str) -> None:
    (package / name).rename(package / f"{name}.old")
    with pytest.raises(InvalidPackageError):
        load(package)


def test_swapped_files_are_refused(package: Path) -> None:
    model, weights = (package / "model.onnx").read_bytes(), (package / "weights.bin").read_bytes()
    (package / "model.onnx").write_bytes(weights)
    (package / "weights.bin").write_bytes(model)
    message = rf"(?m)^`model.onnx`: expected {len(model)} bytes, got {len(weights)}$"
    with pytest.raises(InvalidPackageError, match=message):
        load(package)


def test_files_of_one_size_swapped_are_refused_by_their_digest(package: Path) -> None:
    size = (package / "weights.bin").stat().st_size
    (package / "weights.bin").write_bytes(bytes(size))
    message = r"(?m)^`weights.bin`: expected sha256 [0-9a-f]{12}..., got [0-9a-f]{12}...: the file was changed$"
    with pytest.raises(InvalidPackageError, match=message):
        load(package)


ADDED: list[tuple[str, Callable[[Path], object]]] = [
    ("a file", lambda root: (root / "notes.txt").write_text("mine")),
    ("a hidden file", lambda root: (root / ".hidden").write_text("mine")),
    ("a file in a new directory", lambda root: [(root / "sub").mkdir(), (root / "sub" / "x").write_text("mine")]),
    ("an empty directory", lambda root: (root / "empty").mkdir()),
    ("nested empty directories", lambda root: (root / "a" / "b").mkdir(parents=True)),
    ("a name with a newline and an escape", lambda root: (root / "a\n\x1b[31mb").write_text("mine")),
    ("a name that is no UTF-8", lambda root: (root / "a\udcff").write_text("mine")),
    ("a name that differs by case", lambda root: shutil.copy(root / "model.onnx", root / "MODEL.onnx")),
]


@pytest.mark.parametrize("add", [add for _, add in ADDED], ids=[name for name, _ in ADDED])
def test_whatever_is_added_is_refused_in_printable_words(package: Path, add: Callable[[Path], object]) -> None:
    add(package)
    with pytest.raises(InvalidPackageError, match="expected only what the manifest names") as caught:
        load(package)
    assert caught.value.message.isprintable()


def test_another_package_with_its_own_digest_is_refused_by_the_pin(package: Path, tmp_path: Path) -> None:
    pinned = open_package(package).digest
    other = tiny_models.linear(tmp_path / "other")
    got = open_package(other).digest
    message = f"(?m)^package `{other}`: expected digest `{pinned}`, got {got}$"
    with pytest.raises(InvalidPackageError, match=message):
        load(other, digest=pinned)
    assert open_package(package, digest=pinned).digest == pinned


@pytest.mark.parametrize("digest", ["", "sha256:", "0" * 64, "SHA256:" + "0" * 64])
def test_a_pin_that_is_no_digest_fits_nothing(package: Path, digest: str) -> None:
    with pytest.raises(InvalidPackageError, match="expected digest"):
        load(package, digest=digest)


def test_a_file_where_a_package_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"x")
    message = r"(?m)^package `.*model.pkl`: expected a directory, a .tar or a .zip, got another file$"
    with pytest.raises(InvalidPackageError, match=message) as caught:
        load(tmp_path / "model.pkl")
    assert caught.value.hint == "`modelport convert MODEL -o DIR` makes a package"


def test_nothing_where_a_package_should_be_is_refused(tmp_path: Path) -> None:
    message = r"(?m)^package `.*nowhere`: expected a directory, got nothing there$"
    with pytest.raises(InvalidPackageError, match=message):
        load(tmp_path / "nowhere")


def test_an_empty_directory_is_no_package(tmp_path: Path) -> None:
    message = r"(?m)^package `.*`: expected `manifest.json`, got a directory without it$"
    with pytest.raises(InvalidPackageError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("path", ["with\0nul", "x" * 5000, "\ud800"])
def test_a_path_that_no_file_system_knows_is_refused(path: str) -> None:
    with pytest.raises(InvalidPackageError) as caught:
        load(path)
    caught.value.message.encode()


def test_a_package_behind_a_link_opens(package: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(package)
    assert open_package(tmp_path / "current").digest == open_package(package).digest
