"""The command that checks a package against its golden samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from .limited import SECONDS, LimitMemory, LimitSeconds, limited
from .options import AsJson, Digest, EngineName, PackagePath, Providers, names_of
from .wording import counted

if TYPE_CHECKING:
    from modelport.runtime.golden import Check, OutputCheck
    from modelport.runtime.scorer import Scorer


def check(
    package: PackagePath,
    digest: Digest = None,
    engine: EngineName = "onnxruntime",
    providers: Providers = "",
    as_json: AsJson = False,
    *,
    limit_seconds: LimitSeconds = SECONDS,
    limit_memory: LimitMemory = None,
) -> None:
    """Verify a package and score its golden samples here, in a process with limits.

    The verdict is `identical` (the recorded bits), `within bound` (other bits, inside the recorded tolerance),
    `plausible` (a model that is not deterministic, inside what it was seen to do) or `failed`, which exits with 1.
    """
    limited(limit_seconds, limit_memory)
    from modelport.runtime import golden  # noqa: PLC0415  heavy things load when the command runs
    from modelport.runtime.scorer import load  # noqa: PLC0415

    scorer = load(package, digest=digest, engine=engine, providers=names_of(providers))
    result = golden.check(scorer)
    typer.echo(_as_json(scorer, result) if as_json else _as_text(scorer, result))
    golden.refuse_failed(scorer.manifest.name, result)


def _as_json(scorer: Scorer, result: Check) -> str:
    name, version = scorer.manifest.name, scorer.manifest.version
    proof = {"proof": scorer.manifest.proof.kind, "accepted": scorer.manifest.proof.accepted}
    found = {"name": name, "version": version, "digest": scorer.digest, **proof, **msgspec.to_builtins(result)}
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _as_text(scorer: Scorer, result: Check) -> str:
    proof = scorer.manifest.proof.summary
    width = max(len(output.name) for output in result.outputs)
    return "\n".join(
        [
            f"{scorer.manifest.name} {scorer.manifest.version} {scorer.digest}: {result.verdict}",
            *(f"  {output.name:<{width}}  {output.verdict}{_difference(output)}" for output in result.outputs),
            f"{counted(result.samples, 'sample')} on {result.engine}, {_cpu(result)}; proof {proof}",
        ]
    )


def _difference(output: OutputCheck) -> str:
    if output.reason:
        return f": {output.reason}"
    return f", off by at most {output.worst:.2g}" if output.worst else ""


def _cpu(result: Check) -> str:
    return "a CPU of the recorded kind" if result.same_cpu else "a CPU of another kind than the recorded one"
