"""What is missing when an optional dependency is not installed, and which extra brings it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from importlib.metadata import requires
from typing import TYPE_CHECKING, Final

from .errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The distribution that brings a module of another name.
_DISTRIBUTIONS: Final = {"google": "protobuf", "joblib": "scikit-learn", "sklearn": "scikit-learn", "yaml": "pyyaml"}
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+).*;.*extra == ['\"]([^'\"]+)['\"]")


@contextmanager
def needed_by(subject: str) -> Iterator[None]:
    """Raise `MissingExtraError` about `subject` where what is done inside misses a module that is not modelport's."""
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := missing_extra(subject, error):
            raise missing from error
        raise


def missing_extra(subject: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error that names the module which `subject` misses; None for a module of modelport's own."""
    if error.name is None or error.name.partition(".")[0] == "modelport":
        return None
    extra = extra_of(error.name, requires("modelport") or [])
    return MissingExtraError(
        f"{subject}: expected `{error.name}` to be installed",
        hint=f'pip install "modelport[{extra}]"' if extra else None,
    )


def extra_of(module: str, requirements: Sequence[str]) -> str | None:
    """Return the first extra of `requirements` (PEP 508) that brings `module`, None if none does."""
    top = module.partition(".")[0]
    wanted = _normal(_DISTRIBUTIONS.get(top, top))
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found and _normal(found.group(1)) == wanted:
            return found.group(2)
    return None


def _normal(distribution: str) -> str:
    """Return the name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
