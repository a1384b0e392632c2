"""Opens a package: reads every file once, checks it, and keeps the very bytes that were checked."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidPackageError

from . import disguise, manifest, onnxwire
from .manifest import DIGEST, MANIFEST, FileEntry, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_MANIFEST: Final = 64 << 20
_DIGEST_SIZE: Final = 64 + 2 + len(MANIFEST) + 1


class Package:
    """A package that was read and verified: its manifest, its digest, and the bytes of its files."""

    def __init__(self, path: Path, digest: str, contents: Manifest, files: Mapping[str, bytes]) -> None:
        self.path = path
        self.digest = digest
        self.manifest = contents
        self.files = files

    @property
    def model(self) -> bytes:
        """The bytes of the ONNX model."""
        return self.files[self.manifest.name_of("model")]

    @property
    def external_data(self) -> dict[str, bytes]:
        """The model's external data by the location that the model names."""
        return {name: self.files[name] for name in self.manifest.names("external-data")}


def open_package(path: str | os.PathLike[str], *, digest: str | None = None) -> Package:
    """Read and verify the package at `path`; with `digest`, only if that is its digest.

    Every file is opened once, without following links, and what is returned are the bytes that were hashed.
    Raises `InvalidPackageError` on any changed, missing, added, truncated or disguised file, on links and special
    files, and on external data that leaves the package.
    """
    root = Path(path)
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InvalidPackageError(f"package `{root}`: expected a directory, got nothing there") from error
    except NotADirectoryError as error:
        raise InvalidPackageError(
            f"package `{root}`: expected a directory, got a file",
            hint="`modelport convert MODEL -o DIR` makes a package",
        ) from error
    except OSError as error:
        raise InvalidPackageError(f"package `{root}`: expected a readable directory, got {error.strerror}") from error
    try:
        return _read(root, descriptor, digest)
    finally:
        os.close(descriptor)


def _read(root: Path, descriptor: int, wanted: str | None) -> Package:
    found = dict(_walk(descriptor, ""))
    for name in (MANIFEST, DIGEST):
        if name not in found:
            raise InvalidPackageError(f"package `{root}`: expected `{name}`, got a directory without it")
    text = _content(descriptor, MANIFEST, found[MANIFEST], _MAX_MANIFEST)
    line = _content(descriptor, DIGEST, found[DIGEST], _DIGEST_SIZE)
    if line != manifest.digest_line(text):
        raise InvalidPackageError(
            f"`{DIGEST}`: expected the digest of `{MANIFEST}`, got another: one of the two was changed"
        )
    digest = manifest.digest_of(text)
    if wanted is not None and wanted != digest:
        raise InvalidPackageError(f"package `{root}`: expected digest {wanted}, got {digest}")
    contents = manifest.decode(text)
    _same_names(contents, found)
    files = {name: _verified(descriptor, name, found[name], entry) for name, entry in sorted(contents.files.items())}
    _check_contents(contents, files)
    return Package(root, digest, contents, files)


def _walk(descriptor: int, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file below `descriptor` with its status, refusing whatever is neither plain file nor directory."""
    empty = True
    for name in sorted(os.listdir(descriptor)):
        empty = False
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            try:
                yield from _walk(inner, f"{prefix}{name}/")
            finally:
                os.close(inner)
        else:
            _check_plain(f"{prefix}{name}", status)
            yield f"{prefix}{name}", status
    if empty and prefix:
        raise InvalidPackageError(f"`{prefix}`: expected only what the manifest names, got an empty directory")


def _check_plain(name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise InvalidPackageError(f"`{name}`: expected a plain file, got a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidPackageError(f"`{name}`: expected a plain file, got a special one")
    if status.st_nlink > 1:
        raise InvalidPackageError(
            f"`{name}`: expected a plain file, got a hard link ({status.st_nlink} names)",
            hint="copy the package: `cp -r`",
        )


def _content(descriptor: int, name: str, status: os.stat_result, limit: int) -> bytes:
    """Read a file whole, at most `limit` bytes, making sure that it is the one that was looked at."""
    parts = name.split("/")
    holders: list[int] = []
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            holders.append(os.open(part, flags, dir_fd=holders[-1] if holders else descriptor))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        opened = os.open(parts[-1], flags, dir_fd=holders[-1] if holders else descriptor)
    except OSError as error:
        raise InvalidPackageError(f"`{name}`: expected a readable file, got {error.strerror}") from error
    finally:
        for holder in holders:
            os.close(holder)
    with open(opened, "rb", buffering=0) as file:  # noqa: PTH123  opened by descriptor
        now = os.fstat(opened)
        _check_plain(name, now)
        if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
            raise InvalidPackageError(f"`{name}`: expected one file, got another while reading")
        if now.st_size > limit:
            raise InvalidPackageError(f"`{name}`: expected at most {limit} bytes, got {now.st_size}")
        return _read_all(file.fileno(), now.st_size)


def _read_all(descriptor: int, size: int) -> bytes:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size and (count := os.readv(descriptor, [view[filled:]])):
        filled += count
    view.release()
    return bytes(buffer) if filled == size else bytes(buffer[:filled])


def _same_names(contents: Manifest, found: Mapping[str, os.stat_result]) -> None:
    expected = {*contents.files, MANIFEST, DIGEST}
    if missing := sorted(expected - found.keys()):
        raise InvalidPackageError(f"`{missing[0]}`: expected the file that the manifest names, got nothing there")
    if added := sorted(found.keys() - expected):
        raise InvalidPackageError(f"`{added[0]}`: expected only what the manifest names, got this file too")


def _verified(descriptor: int, name: str, status: os.stat_result, entry: FileEntry) -> bytes:
    if status.st_size != entry.size:
        raise InvalidPackageError(f"`{name}`: expected {entry.size} bytes, got {status.st_size}")
    data = _content(descriptor, name, status, entry.size)
    if (got := hashlib.sha256(data).hexdigest()) != entry.sha256:
        raise InvalidPackageError(
            f"`{name}`: expected sha256 {entry.sha256[:12]}..., got {got[:12]}...: the file was changed"
        )
    return data


def _check_contents(contents: Manifest, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        if disguise.looks_like_pickle(data):
            raise InvalidPackageError(
                f"`{name}`: expected {contents.files[name].role}, got a pickle",
                hint="a pickle runs code when it is read; packages never hold one",
            )
    model = contents.name_of("model")
    facts = onnxwire.read_facts(files[model], model)
    outside = set(contents.names("external-data"))
    for reference in facts.external:
        check_external(reference, {name: len(files[name]) for name in outside}, model)
    if unused := sorted(outside - {reference.location for reference in facts.external}):
        raise InvalidPackageError(
            f"`{unused[0]}`: expected external data that the model names, got a file that it does not"
        )


def check_external(reference: onnxwire.ExternalData, sizes: Mapping[str, int], model: str) -> None:
    """Raise `InvalidPackageError` unless `reference` stays inside one of the package's external data files."""
    location, offset, length = reference
    if location not in sizes:
        raise InvalidPackageError(f"`{model}`: expected external data inside the package, got `{location[:200]}`")
    size = sizes[location]
    if offset < 0 or length < -1 or offset + max(length, 0) > size:
        raise InvalidPackageError(
            f"`{model}`: expected external data within the {size} bytes of `{location}`, got {length} bytes at {offset}"
        )
