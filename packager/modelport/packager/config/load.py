"""Reads `modelport.yaml`: parse, validate, resolve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.packager.errors import InvalidConfigError
from modelport.runtime import strictjson

from .parse import MAX_BYTES, parse
from .resolve import resolve
from .validate import validate

if TYPE_CHECKING:
    import os

    from modelport.runtime.package import Role

    from .schema import PackageConfig, Resources

SCRIPT: Final = "score.py"
ENVIRONMENT: Final = "environment.lock"
RESOURCES: Final = "resources.json"


def load_config(path: str | os.PathLike[str]) -> PackageConfig:
    """Return the configuration in the file `path`, checked and resolved: paths absolute, resources decided.

    Raises `InvalidConfigError` with every problem, one a line, each with its line and the path of its field.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidConfigError(
            f"configuration `{file}`: expected a file that can be read, got {error.strerror}"
        ) from error
    return resolve(validate(parse(text, file), file), file.parent)


def encode_resources(resources: Resources) -> bytes:
    """Return the canonical JSON of `resources`, the file of role `resources` in a package."""
    return strictjson.canonical(resources)


def packaged_files(config: PackageConfig) -> dict[str, tuple[Role, bytes]]:
    """Return what a resolved configuration adds to a package: resources, and the script and the lock that it names.

    Raises `InvalidConfigError` if one of them cannot be read any more.
    """
    files: dict[str, tuple[Role, bytes]] = {RESOURCES: ("resources", encode_resources(config.resources))}
    named: tuple[tuple[str, Role, Path | None], ...] = (
        (SCRIPT, "script", config.entry_script),
        (ENVIRONMENT, "environment", config.environment),
    )
    for name, role, path in named:
        if path is not None:
            files[name] = (role, _content(path))
    return files


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfigError(f"file `{path}`: expected to be read, got {error.strerror}") from error
