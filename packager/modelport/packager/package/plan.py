"""What a package will hold, as a value: its manifest, its files and its digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from modelport.runtime.package import (
    FORMAT_VERSION,
    FileEntry,
    Manifest,
    Role,
    check_contents,
    digest_line,
    digest_of,
)
from modelport.runtime.package.manifest import DIGEST, MANIFEST, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelport.runtime.package import Contract, Execution, Producer, Proof, Requirements
    from modelport.runtime.signature import Signature


class PackagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A package before it is written: every file's bytes by name, the manifest and its digest among them."""

    manifest: Manifest
    digest: str
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(map(len, self.files.values()))


def plan_package(
    *,
    name: str,
    version: str,
    signature: Signature,
    contract: Contract,
    execution: Execution,
    deterministic: bool,
    cpu: str,
    proof: Proof,
    producer: Producer,
    requires: Requirements,
    files: Mapping[str, tuple[Role, bytes]],
) -> PackagePlan:
    """Plan a package of `files` (role and bytes by name). The same arguments give the same digest.

    Raises `InvalidPackageError` if the package would not be one that the runtime opens.
    """
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=version,
        signature=signature,
        contract=contract,
        execution=execution,
        deterministic=deterministic,
        cpu=cpu,
        proof=proof,
        producer=producer,
        requires=requires,
        files={file: _entry(role, data) for file, (role, data) in files.items()},
    )
    return _checked(manifest.encode(), {file: data for file, (_, data) in files.items()})


def _entry(role: Role, data: bytes) -> FileEntry:
    return FileEntry(role=role, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _checked(text: bytes, contents: dict[str, bytes]) -> PackagePlan:
    """Return the plan of these files and the manifest `text`, read as the runtime reads it."""
    manifest = decode(text)
    check_contents(manifest, contents)
    files = {**contents, MANIFEST: text, DIGEST: digest_line(text)}
    return PackagePlan(manifest=manifest, digest=digest_of(text), files=files)
