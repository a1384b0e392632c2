"""The package: a directory with a manifest, or an archive of one, read and verified."""

from .manifest import (
    FORMAT_VERSION,
    MAX_THREADS,
    PLAIN_NAME,
    Contract,
    Execution,
    FileEntry,
    Manifest,
    Producer,
    Proof,
    ProofKind,
    Requirements,
    Role,
    check_name,
    digest_line,
    digest_of,
)
from .reader import Package, check_contents, open_package
from .samples import Samples, Spread, Tolerance

__all__ = [
    "FORMAT_VERSION",
    "MAX_THREADS",
    "PLAIN_NAME",
    "Contract",
    "Execution",
    "FileEntry",
    "Manifest",
    "Package",
    "Producer",
    "Proof",
    "ProofKind",
    "Requirements",
    "Role",
    "Samples",
    "Spread",
    "Tolerance",
    "check_contents",
    "check_name",
    "digest_line",
    "digest_of",
    "open_package",
]
