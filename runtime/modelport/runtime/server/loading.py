"""Loads the packages of a server and proves them, each with its golden samples, before anything of them is served."""

from __future__ import annotations

import contextlib
import resource
import threading
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime import golden
from modelport.runtime.errors import InvalidSettingError
from modelport.runtime.package import open_package
from modelport.runtime.scorer import Scorer

from . import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.runtime.settings import Settings

# What loading may take beyond what the process has: so much, and so many times the package's own bytes.
_SPARE: Final = 4 << 30
_TIMES: Final = 16
_limiting = threading.Lock()


class LoadedModels(NamedTuple):
    """The models of a server, in the order of its packages, and the seconds that one call of the slowest takes."""

    scorers: tuple[Scorer, ...]
    floor: float

    def words(self) -> control.Loaded:
        """Return what the supervisor is told of them."""
        return control.Loaded(
            models=tuple(
                control.Model(
                    name=scorer.manifest.name,
                    version=scorer.manifest.version,
                    digest=scorer.digest,
                    proof=scorer.manifest.proof.summary,
                )
                for scorer in self.scorers
            )
        )


def load_models(settings: Settings, digests: tuple[str, ...] = (), share: str = "") -> LoadedModels:
    """Load every package, start its entry script, and check its golden samples.

    `digests` are those that the packages must have, the settings' own if there are none; weights of large models are
    shared through the directory `share` if there is one. Raises what `load` and
    `golden.require` raise, `ScriptError`, and `InvalidSettingError` if two have one name and version.
    """
    wanted = digests or settings.digest or (None,) * len(settings.package)
    scorers: list[Scorer] = []
    floor = 0.0
    for path, digest in zip(settings.package, wanted, strict=True):
        scorer = _load(settings, path, digest, share)
        golden.require(scorer)
        if settings.script is None:
            scorer.start()
        else:
            scorer.use_script(settings.script)
        sample = scorer.samples.inputs[0]
        begun = perf_counter()
        scorer.runner.run(sample)
        floor = max(floor, perf_counter() - begun)
        scorers.append(scorer)
    _check_names(scorers)
    return LoadedModels(tuple(scorers), floor)


def _load(settings: Settings, path: str, digest: str | None, share: str) -> Scorer:
    package = open_package(path, digest=digest)
    with _limited(_SPARE + _TIMES * sum(map(len, package.files.values()))):
        return Scorer(package, engine=settings.engine, providers=settings.providers, share=share)


def _check_names(scorers: list[Scorer]) -> None:
    seen: set[tuple[str, str]] = set()
    for scorer in scorers:
        key = (scorer.manifest.name, scorer.manifest.version)
        if key in seen:
            raise InvalidSettingError(f"packages: expected each name and version once, got `{key[0]} {key[1]}` twice")
        seen.add(key)


@contextlib.contextmanager
def _limited(spare: int) -> Iterator[None]:
    """Let this process map at most `spare` bytes more while the block runs: a hostile model ends there, in an error."""
    with _limiting:  # a load that was given up may still be under way
        yield from _limited_alone(spare)


def _limited_alone(spare: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        yield
        return
    limit = pages * resource.getpagesize() + spare
    if resource.RLIM_INFINITY not in (soft, hard) and limit >= soft:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
