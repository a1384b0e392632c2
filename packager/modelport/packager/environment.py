"""The environment that a package is scored in: exact wheels with hashes, from a lock that ships with modelport."""

from __future__ import annotations

from importlib.resources import files


def scoring_lock() -> bytes:
    """Return the lock of the base install: what opens and serves a package, for every platform that it resolves for."""
    return (files("modelport.packager") / "scoring.lock").read_bytes()
