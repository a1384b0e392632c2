"""How commands put numbers into words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`, `20,190 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sized(size: float) -> str:
    """Return a number of bytes in the unit that suits it, in powers of 1000."""
    if size < 1000:  # noqa: PLR2004
        return counted(int(size), "byte")
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:  # noqa: PLR2004
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"
