"""How commands put numbers into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelport.runtime.package import Proof


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`, `20,190 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def proven(proof: Proof) -> str:
    """Return what a package's proof rests on, and that its differences were accepted if they were."""
    return f"proof {proof.kind}{', differences accepted' if proof.accepted else ''}"


def sized(size: float) -> str:
    """Return a number of bytes in the unit that suits it, in powers of 1000."""
    if size < 1000:  # noqa: PLR2004
        return counted(int(size), "byte")
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:  # noqa: PLR2004
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"
