"""Packages by an attacker who can compute digests: whatever the directory holds is made the manifest's word."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import digest_line
from modelport.runtime.package.onnxwire import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def seal(package: Path, roles: dict[str, str] | None = None, change: Callable[[Any], None] = lambda _: None) -> None:
    """Write manifest and digest anew for the files that lie there; `roles` of new ones, `change` for the manifest."""
    document = msgspec.json.decode((package / "manifest.json").read_bytes())
    entries = {}
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.is_file() and name not in ("manifest.json", "manifest.sha256"):
            data = path.read_bytes()
            role = (roles or {}).get(name) or document["files"].get(name, {"role": "external-data"})["role"]
            entries[name] = {"role": role, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    document["files"] = entries
    with suppress(InvalidPackageError, KeyError):
        facts = read_facts((package / "model.onnx").read_bytes())
        document["requires"] |= {"ir_version": facts.ir_version, "opsets": facts.opsets}
    change(document)
    put_manifest(package, strictjson.canonical(document))


def put_manifest(package: Path, text: bytes) -> None:
    """Write `text` as the manifest, with the digest that fits it."""
    (package / "manifest.json").write_bytes(text)
    (package / "manifest.sha256").write_bytes(digest_line(text))
