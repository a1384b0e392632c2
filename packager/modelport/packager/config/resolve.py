"""Fills in what a validated configuration leaves open, and makes its paths absolute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .rules import is_module_attribute

if TYPE_CHECKING:
    from pathlib import Path

    from .schema import PackageConfig, Resources


def resolve(config: PackageConfig, folder: Path) -> PackageConfig:
    """Return `config` with every path absolute, relative ones seen from `folder`, and its resources decided."""
    base = folder.absolute()
    paths = {
        field: base / path
        for field in ("sample", "expected", "entry_script", "environment")
        if (path := getattr(config, field)) is not None
    }
    model = config.model if is_module_attribute(config.model) else str(base / config.model)
    return msgspec.structs.replace(config, model=model, resources=_decided(config.resources), **paths)


def _decided(resources: Resources) -> Resources:
    """Decide whether replicas scale by themselves: as in Azure ML, unless their number is given."""
    scales = resources.autoscale_enabled
    if scales is None:
        scales = resources.num_replicas is None
    replicas = None if scales else resources.num_replicas or 1
    return msgspec.structs.replace(resources, autoscale_enabled=scales, num_replicas=replicas)
