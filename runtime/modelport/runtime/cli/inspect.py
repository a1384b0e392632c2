"""The command that says what a package is, without running its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import typer

from .options import AsJson, Digest, PackagePath  # noqa: TC001  Typer reads the annotations
from .wording import counted, sized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelport.runtime.package import Manifest, Package, Proof
    from modelport.runtime.signature import Signature, TensorSpec

_LISTED: Final = 6
_PROOFS: Final = {
    "trained": "compared with the trained model",
    "expected": "compared with outputs that were given",
    "reference": "compared with onnx's reference evaluator, not with what was trained",
    "self": "compared with nothing but itself",
}


def inspect(package: PackagePath, digest: Digest = None, as_json: AsJson = False) -> None:
    """Verify a package and say what it is: signature, proof, requirements."""
    from modelport.runtime.package import open_package  # noqa: PLC0415  heavy things load when the command runs

    opened = open_package(package, digest=digest)
    typer.echo(_as_json(opened) if as_json else "\n".join(_as_text(opened)))


def _as_json(package: Package) -> str:
    found = {"digest": package.digest, **msgspec.to_builtins(package.manifest)}
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _as_text(package: Package) -> Iterator[str]:
    manifest = package.manifest
    yield f"{manifest.name} {manifest.version} {package.digest}"
    yield from _facts(manifest)
    for title, specs in (("inputs", manifest.signature.inputs), ("outputs", manifest.signature.outputs)):
        yield f"\n{title}"
        yield from _aligned([(spec.name, spec.datatype, str(list(spec.shape)), _values(spec)) for spec in specs])


def _facts(manifest: Manifest) -> Iterator[str]:
    size = sum(entry.size for entry in manifest.files.values())
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in manifest.requires.opsets.items())
    versions = ", ".join(f"{name} {version}" for name, version in manifest.producer.versions.items())
    yield from _aligned(
        [
            ("model", f"{manifest.producer.model} ({manifest.producer.framework})"),
            ("size", f"{sized(size)} in {counted(len(manifest.files), 'file')}"),
            ("proof", f"{manifest.proof.kind}, {_verdict(manifest.proof)}: {_PROOFS[manifest.proof.kind]}"),
            ("", _differences(manifest.proof)),
            ("contract", manifest.contract),
            ("execution", _execution(manifest)),
            ("batch", _batch(manifest.signature)),
            ("requires", f"ONNX Runtime {manifest.requires.onnxruntime}, opset {opsets}"),
            ("made with", versions or "not said"),
            ("made on", manifest.cpu),
        ]
    )


def _verdict(proof: Proof) -> str:
    return "passed" if proof.passed else "accepted with its differences"


def _differences(proof: Proof) -> str:
    return (
        f"{counted(proof.rows, 'row')}: {counted(proof.label_mismatches, 'differing label')}, "
        f"{counted(proof.ties, 'tie')}, {counted(proof.rows_over_tolerance, 'row')} over tolerance, "
        f"numbers off by at most {proof.max_absolute:.2g}"
    )


def _execution(manifest: Manifest) -> str:
    threads = counted(manifest.execution.threads, "thread")
    padded = ", a row alone is scored as two" if manifest.execution.pad else ""
    return f"{threads}{padded}{'' if manifest.deterministic else ', not deterministic'}"


def _batch(signature: Signature) -> str:
    if not signature.has_rows:
        return f"{signature.batch}: scored as it is"
    return f"rows, {'the same bits' if signature.rows_identical else 'other last bits'} in any batch"


def _values(spec: TensorSpec) -> str:
    parts = []
    if spec.features:
        parts.append(f"{len(spec.features)} features: {_listed(spec.features)}")
    if spec.categories:
        kind = "categories only" if spec.closed else "categories"
        parts.append(f"{len(spec.categories)} {kind}: {_listed(spec.categories)}")
    if spec.labels:
        parts.append(f"{len(spec.labels)} labels: {_listed(spec.labels)}")
    if spec.nullable:
        parts.append("may be missing")
    return "; ".join(parts)


def _listed(values: Sequence[object]) -> str:
    from modelport.runtime.signature import shown  # noqa: PLC0415

    listed = ", ".join(value if isinstance(value, str) and value.isidentifier() else shown(value) for value in values)
    return listed if len(values) <= _LISTED else f"{_listed(values[:_LISTED])}, ..."


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines, each column but the last as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in list(zip(*rows, strict=True))[:-1]]
    for *cells, last in rows:
        line = "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), last])
        yield f"  {line}".rstrip()
