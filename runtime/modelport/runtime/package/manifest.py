"""The manifest of a package: what it says of itself, as frozen structs and canonical JSON.

What version 1 promises to later versions is written in docs/package-format.md.
"""

from __future__ import annotations

import hashlib
import re
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, InvalidPackageError, named
from modelport.runtime.signature import Signature, TensorSpec, shown

from .files import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
DIGEST: Final = "manifest.sha256"
MAX_THREADS: Final = 1024
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
#: A file or directory of a package.
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")

Role = Literal["model", "external-data", "script", "environment", "resources", "samples", "statistics", "parity"]
Contract = Literal["float32", "float64"]
ProofKind = Literal["trained", "expected", "reference", "self"]


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the package: its role, its length in bytes and its SHA-256 in hexadecimal."""

    role: Role
    size: int
    sha256: str


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the engine must run the model so that the samples' answers come out.

    `pad`: a single row is scored as two, because a batch of one gives other bits.
    """

    threads: int = 1
    pad: bool = False


class Producer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What made the package: the model's class and framework, and the version of every library that took part."""

    framework: str
    model: str
    versions: dict[str, str]


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The oldest ONNX Runtime that runs the model, its IR version, and its operator set by domain (`""` is ONNX's)."""

    onnxruntime: str
    ir_version: int
    opsets: dict[str, int]


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What parity rests on and what it came to; the whole report is the file of role `parity`.

    `passed` is false only where a user accepted the differences (`accepted`).
    """

    kind: ProofKind
    passed: bool
    accepted: bool = False
    rows: int
    label_mismatches: int = 0
    ties: int = 0
    rows_over_tolerance: int = 0
    max_absolute: float = 0.0
    max_relative: float = 0.0

    @property
    def summary(self) -> str:
        """What it rests on, and that its differences were accepted if they were: what is shown beside a package."""
        return f"{self.kind}, differences accepted" if self.accepted else self.kind


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a package says of itself. It holds no time, host, user or path."""

    format_version: int
    name: str
    version: str
    signature: Signature
    contract: Contract
    execution: Execution
    deterministic: bool
    cpu: str
    proof: Proof
    producer: Producer
    requires: Requirements
    files: dict[str, FileEntry]

    def encode(self) -> bytes:
        """Return the canonical bytes, which the package's digest is taken over."""
        return strictjson.canonical(self)

    def names(self, role: Role) -> tuple[str, ...]:
        """Return the files of `role`, in order of their names."""
        return tuple(sorted(name for name, entry in self.files.items() if entry.role == role))

    def name_of(self, role: Role) -> str:
        """Return the one file of `role`; raises `InvalidPackageError` if there is not exactly one."""
        found = self.names(role)
        if len(found) != 1:
            raise InvalidPackageError(f"manifest: expected one file of role `{role}`, got {len(found)}")
        return found[0]


def digest_of(manifest: bytes) -> str:
    """Return the digest that names a package, `sha256:` and 64 hexadecimal digits, from its manifest's bytes."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def digest_line(manifest: bytes) -> bytes:
    """Return the content of `manifest.sha256`: what `sha256sum -c` reads."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def decode(text: bytes) -> Manifest:
    """Decode and validate a manifest.

    Raises `InvalidPackageError` for another format version, unknown or missing fields, duplicate keys, deep nesting,
    text that is not canonical, unusable names and unsafe file paths.
    """
    try:
        version = strictjson.decode(text, _FormatVersion).format_version
        if version != FORMAT_VERSION:
            raise InvalidPackageError(
                f"manifest: expected format version {FORMAT_VERSION}, got {shown(version)}",
                hint="install a newer modelport" if version > FORMAT_VERSION else None,
            )
        manifest = strictjson.decode(text, Manifest)
    except InvalidInputError as error:
        raise InvalidPackageError(f"manifest: {error.message.removeprefix('JSON: ')}") from error
    if manifest.encode() != text:
        raise InvalidPackageError("manifest: expected canonical JSON, got the same content written otherwise")
    _validate(manifest)
    return manifest


def check_name(kind: str, name: str) -> None:
    """Raise `InvalidInputError` unless `name` can be a package's name or version."""
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"{kind}: expected 1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit, "
            f"got {named(name)}"
        )


def check_apart(subject: str, names: Iterable[str]) -> None:
    """Raise `InvalidPackageError` on names of files that some file system could not hold side by side."""
    folded: dict[str, str] = {}
    for name in names:
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise InvalidPackageError(
                f"{subject}: expected names that differ by more than case, got {named(other)} and {named(name)}"
            )
    for folded_name, name in folded.items():
        for parent in parents(folded_name):
            if parent in folded:
                raise InvalidPackageError(
                    f"{subject}: expected {named(folded[parent])} to be a file, got {named(name)} in it"
                )


def parents(name: str) -> Iterator[str]:
    """Return the directories that the file `name` lies in, the outermost first."""
    return accumulate(name.split("/")[:-1], "{}/{}".format)


class _FormatVersion(msgspec.Struct):
    format_version: int


_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BATCH: Final = re.compile(r"rows|none|fixed:[1-9][0-9]{0,8}")
_ROLES: Final[tuple[Role, ...]] = ("model", "samples")
_VERSION: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}")
_MAX_ELEMENTS: Final = 1 << 40


def _validate(manifest: Manifest) -> None:
    """Raise `InvalidPackageError` on what the types of the fields do not rule out."""
    try:
        check_name("name", manifest.name)
        check_name("version", manifest.version)
    except InvalidInputError as error:
        raise InvalidPackageError(f"manifest: {error.message}") from error
    if not 1 <= manifest.execution.threads <= MAX_THREADS:
        raise InvalidPackageError(
            f"manifest: expected 1 to {MAX_THREADS} threads, got {shown(manifest.execution.threads)}"
        )
    _validate_signature(manifest.signature)
    _validate_proof(manifest.proof)
    _validate_requirements(manifest.requires)
    for name, entry in manifest.files.items():
        _validate_file(name, entry)
    check_apart("manifest", (MANIFEST, DIGEST, *manifest.files))
    for role in _ROLES:
        manifest.name_of(role)


def _validate_proof(proof: Proof) -> None:
    counts = (proof.rows, proof.label_mismatches, proof.ties, proof.rows_over_tolerance)
    if proof.rows < 1 or min(counts) < 0 or min(proof.max_absolute, proof.max_relative) < 0:
        raise InvalidPackageError("manifest: proof: expected at least one row and no number below 0, got others")
    if proof.passed == proof.accepted:
        raise InvalidPackageError(
            f"manifest: proof: expected to be either passed or accepted, got {'both' if proof.passed else 'neither'}"
        )


def _validate_requirements(requires: Requirements) -> None:
    if not _VERSION.fullmatch(requires.onnxruntime):
        raise InvalidPackageError(
            f"manifest: expected the oldest ONNX Runtime as `1.20`, got {named(requires.onnxruntime)}"
        )


def _validate_signature(signature: Signature) -> None:
    if not _BATCH.fullmatch(signature.batch):
        raise InvalidPackageError(f"manifest: expected batch `rows`, `none` or `fixed:N`, got {named(signature.batch)}")
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        if not specs:
            raise InvalidPackageError(f"manifest: expected at least one {kind}, got none")
        if len({spec.name for spec in specs}) < len(specs):
            raise InvalidPackageError(f"manifest: expected {kind}s of different names, got one name twice")
        for spec in specs:
            _validate_spec(f"{kind} {named(spec.name)}", spec, signature.batch)
    if (signature.rows_identical is None) == signature.has_rows:
        raise InvalidPackageError(
            "manifest: expected `rows_identical` with batch `rows`, and with no other, got otherwise"
        )


def _validate_spec(subject: str, spec: TensorSpec, batch: str) -> None:
    shape = shown(list(spec.shape))
    if min(spec.shape, default=0) < -1 or prod(max(size, 1) for size in spec.shape) > _MAX_ELEMENTS:
        raise InvalidPackageError(
            f"manifest: {subject}: expected sizes from -1 up, at most {_MAX_ELEMENTS} elements, got {shape}"
        )
    first = -1 if batch == "rows" else int(batch.removeprefix("fixed:")) if batch != "none" else None
    if first is not None and spec.shape[:1] != (first,):
        raise InvalidPackageError(f"manifest: {subject}: expected {first} as first dimension, got {shape}")
    columns = len(set(spec.features))
    if spec.features and (spec.shape[-1:] != (columns,) or columns < len(spec.features)):
        raise InvalidPackageError(
            f"manifest: {subject}: expected one feature a column, got {len(spec.features)} for shape {shape}"
        )
    _validate_lists(subject, spec)
    if spec.nullable and (spec.datatype not in ("FP16", "FP32", "FP64", "BYTES") or not _has_null(spec)):
        raise InvalidPackageError(
            f"manifest: {subject}: expected only floats, and text with a `null`, to be nullable, got {spec.datatype}"
        )


def _validate_lists(subject: str, spec: TensorSpec) -> None:
    """Raise `InvalidPackageError` on categories and labels that such a tensor cannot have."""
    if spec.closed and not spec.categories:
        raise InvalidPackageError(f"manifest: {subject}: expected categories where the list is closed, got none")
    columns = spec.shape[-1] if len(spec.shape) > 1 else -1
    if spec.labels and spec.datatype.startswith("FP") and columns not in (-1, len(spec.labels)):
        raise InvalidPackageError(
            f"manifest: {subject}: expected a label for each of {columns} columns, got {len(spec.labels)}"
        )


def _has_null(spec: TensorSpec) -> bool:
    return spec.datatype != "BYTES" or spec.null is not None


def _validate_file(name: str, entry: FileEntry) -> None:
    parts = name.split("/")
    if len(parts) > MAX_LEVELS or not all(PLAIN_NAME.fullmatch(part) for part in parts) or name in (MANIFEST, DIGEST):
        raise InvalidPackageError(f"manifest: expected a plain relative file name, got {named(name)}")
    if entry.size < 0 or not _SHA256.fullmatch(entry.sha256):
        raise InvalidPackageError(
            f"manifest: expected a size and a SHA-256 for `{name}`, got {shown(entry.size)} and {named(entry.sha256)}"
        )
