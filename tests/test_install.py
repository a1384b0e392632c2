"""What an install brings is small, locked and the same from every registry."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SCORING_LOCK = ROOT / "packager" / "modelport" / "packager" / "scoring.lock"
LOCKS = [*sorted((ROOT / "locks").glob("*.txt")), SCORING_LOCK]
AT_MOST = 9

_ENTRY = re.compile(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.+!]+(?: ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")
_COMMENT = re.compile(r"    #[^\n]*\n")


def entries(lock: Path) -> set[str]:
    """Return the distributions of a lock; fails unless each line is a pinned version, a hash or a comment."""
    text = _COMMENT.sub("", lock.read_text())
    names = {canonicalize_name(found.group(1)) for found in _ENTRY.finditer(text)}
    assert _ENTRY.sub("", text) == ""
    return set(names)


def closure(distribution: str) -> set[str]:
    """Return `distribution` and all that it needs here, by the metadata of what is installed; extras not among it."""
    found: set[str] = set()
    open_names = {canonicalize_name(distribution)}
    while open_names:
        name = open_names.pop()
        found.add(name)
        for text in requires(name) or []:
            requirement = Requirement(text)
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if needed and canonicalize_name(requirement.name) not in found:
                open_names.add(canonicalize_name(requirement.name))
    return found


def test_the_base_install_is_at_most_nine_packages() -> None:
    assert len(closure("modelport") - {"modelport"}) <= AT_MOST


def test_the_lock_that_packages_carry_is_the_base_install() -> None:
    locked = entries(SCORING_LOCK)
    assert len(locked) <= AT_MOST
    assert closure("modelport") - {"modelport"} <= locked


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_every_distribution_and_no_address(lock: Path) -> None:
    assert entries(lock)
    assert "://" not in lock.read_text()


def test_what_the_main_job_installs_has_no_deep_learning_framework() -> None:
    assert entries(ROOT / "locks" / "run.txt").isdisjoint({"tensorflow", "torch", "keras", "jax"})
