"""Opens packages for an application that is not ours to serve in: a Flask blueprint, an ASGI application."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.errors import InvalidSettingError, named
from modelport.runtime.settings import resolve, table

from .cors import Cors
from .deadlines import watch_runs
from .keys import Keys
from .loading import load_models
from .metrics import Metrics
from .site import Site

if TYPE_CHECKING:
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.settings import Settings


class Embedded(NamedTuple):
    """A site with its models loaded and proven, and what it was made with. `floor` is the seconds of one call."""

    site: Site
    settings: Settings
    metrics: Metrics
    floor: float


def embed(packages: tuple[str | os.PathLike[str], ...], settings: dict[str, object]) -> Embedded:
    """Load `packages` and check their golden samples; `settings` are those of a server, by name.

    The environment is not read. Raises `InvalidSettingError`, and what `load_models` raises.
    """
    _check_names(settings)
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in settings.items()}
    resolved = resolve({**given, "package": [os.fspath(package) for package in packages]}, {})
    models = load_models(resolved)
    plane = DataPlane(*(ModelSlot(scorer) for scorer in models.scorers))
    watch_runs(plane, resolved.scoring_timeout)
    return _embedded(plane, resolved, models.floor)


def site_of(plane: DataPlane, settings: Settings, metrics: Metrics) -> Site:
    """Return the site that `settings` ask for; raises `InvalidSettingError` if its keys cannot be had."""
    keys = Keys(settings.keys, settings.keys_file) if settings.keys or settings.keys_file else None
    cors = Cors(settings.cors_origins) if settings.cors_origins else None
    return Site(plane, keys=keys, cors=cors, metrics=metrics)


def _check_names(settings: dict[str, object]) -> None:
    """Raise `InvalidSettingError` for a name that is none: a key that is misspelt would protect nothing."""
    known = [setting.name for setting in table() if setting.name != "package"]
    if unknown := [name for name in settings if name not in known]:
        raise InvalidSettingError(f"setting {named(unknown[0])}: expected one of {', '.join(known)}")


def _embedded(plane: DataPlane, settings: Settings, floor: float) -> Embedded:
    def models() -> tuple[Scorer, ...]:
        return plane.scorers()

    metrics = Metrics(models)
    plane.observer = metrics
    return Embedded(site_of(plane, settings, metrics), settings, metrics, floor)
