"""Opens a package: reads every file once, checks it, and keeps the very bytes that were checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidPackageError, named

from . import disguise, manifest, onnxwire, samples
from .manifest import DIGEST, MANIFEST, FileEntry, Manifest
from .sources import opened

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from .samples import Samples
    from .sources import Source, StoredFile

_MAX_MANIFEST: Final = 16 << 20
_DIGEST_SIZE: Final = len(manifest.digest_line(b""))


class Package:
    """A package that was read and verified: its manifest, its digest, and the bytes of its files."""

    def __init__(self, path: Path, digest: str, contents: Manifest, files: Mapping[str, bytes]) -> None:
        self.path = path
        self.digest = digest
        self.manifest = contents
        self.files = files
        self.samples = check_contents(contents, files)

    @property
    def model(self) -> bytes:
        """The bytes of the ONNX model."""
        return self.files[self.manifest.name_of("model")]

    @property
    def external_data(self) -> dict[str, bytes]:
        """The model's external data by the location that the model names."""
        return {name: self.files[name] for name in self.manifest.names("external-data")}


def open_package(path: str | os.PathLike[str], *, digest: str | None = None) -> Package:
    """Read and verify the package at `path`, a directory, a tar or a zip; with `digest`, only if that is its digest.

    Every file is read once, without following links, and what is returned are the bytes that were hashed.
    Raises `InvalidPackageError` on any changed, missing, added, truncated or disguised file, on links and special
    files, and on external data that leaves the package.
    """
    with opened(Path(path)) as source:
        return _read(source, digest)


def check_contents(contents: Manifest, files: Mapping[str, bytes]) -> Samples:
    """Raise `InvalidPackageError` unless `files` are what a package may hold; return its golden samples.

    None is a pickle, the model is ONNX, its external data lies in files of the package, all of which it names, and
    the samples fit the signature.
    """
    for name, data in sorted(files.items()):
        if disguise.looks_like_pickle(data):
            raise InvalidPackageError(
                f"`{name}`: expected {contents.files[name].role}, got a pickle",
                hint="a pickle runs code when it is read; packages never hold one",
            )
    model = contents.name_of("model")
    facts = onnxwire.read_facts(files[model], model)
    sizes = {name: len(files[name]) for name in contents.names("external-data")}
    for reference in facts.external:
        check_external(reference, sizes, model)
    if unused := sorted(sizes.keys() - {reference.location for reference in facts.external}):
        raise InvalidPackageError(
            f"`{unused[0]}`: expected external data that the model names, got a file that it does not"
        )
    requires = contents.requires
    if (facts.ir_version, facts.opsets) != (requires.ir_version, requires.opsets):
        raise InvalidPackageError(
            f"manifest: expected what `{model}` says of its IR version and operator sets, got other numbers"
        )
    found = samples.decode(files[contents.name_of("samples")], contents.signature)
    if contents.signature.has_rows and not any(len(array) for array in found.inputs[0].values()):
        raise InvalidPackageError("samples: expected at least one row, got none: they would prove nothing")
    return found


def check_external(reference: onnxwire.ExternalData, sizes: Mapping[str, int], model: str) -> None:
    """Raise `InvalidPackageError` unless `reference` stays inside one of the package's external data files."""
    location, offset, length, nested = reference
    if location not in sizes:
        raise InvalidPackageError(f"`{model}`: expected external data inside the package, got {named(location)}")
    if nested:
        raise InvalidPackageError(
            f"`{model}`: expected external data of the main graph's initializers only, "
            f"got `{location}` named by another tensor",
            hint="tensors of subgraphs, functions and attributes must be stored inside the model: "
            "ONNX Runtime would look for their data in the working directory",
        )
    size = sizes[location]
    if offset < 0 or length < -1 or offset + max(length, 0) > size:
        raise InvalidPackageError(
            f"`{model}`: expected external data within the {size} bytes of `{location}`, got {length} bytes at {offset}"
        )


def _read(source: Source, wanted: str | None) -> Package:
    found = source.files()
    for name in (MANIFEST, DIGEST):
        if name not in found:
            raise InvalidPackageError(f"package `{source.path}`: expected `{name}`, got {source.kind} without it")
    text = found[MANIFEST].read(_MAX_MANIFEST)
    line = found[DIGEST].read(_DIGEST_SIZE)
    if line != manifest.digest_line(text):
        raise InvalidPackageError(
            f"`{DIGEST}`: expected the digest of `{MANIFEST}`, got another: one of the two was changed"
        )
    digest = manifest.digest_of(text)
    if wanted is not None and wanted != digest:
        raise InvalidPackageError(f"package `{source.path}`: expected digest {named(wanted)}, got {digest}")
    contents = manifest.decode(text)
    _same_names(contents.files, found)
    files = {
        name: _verified(name, file, contents.files[name]) for name, file in found.items() if name in contents.files
    }
    return Package(source.path, digest, contents, dict(sorted(files.items())))


def _same_names(entries: Iterable[str], found: Iterable[str]) -> None:
    expected, there = {*entries, MANIFEST, DIGEST}, set(found)
    if missing := sorted(expected - there):
        raise InvalidPackageError(f"`{missing[0]}`: expected the file that the manifest names, got nothing there")
    if added := sorted(there - expected):
        raise InvalidPackageError(f"{named(added[0])}: expected only what the manifest names, got this file too")


def _verified(name: str, file: StoredFile, entry: FileEntry) -> bytes:
    if file.size != entry.size:
        raise InvalidPackageError(f"`{name}`: expected {entry.size} bytes, got {file.size}")
    data = file.read(entry.size)
    if (got := hashlib.sha256(data).hexdigest()) != entry.sha256:
        raise InvalidPackageError(
            f"`{name}`: expected sha256 {entry.sha256[:12]}..., got {got[:12]}...: the file was changed"
        )
    return data
