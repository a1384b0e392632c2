"""Numbers as people read them: no line breaks within one."""

from __future__ import annotations

import math
import sys
from typing import Final

_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TIMES: Final = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
_SMALLEST_PLAIN: Final = 1e-3
_LARGEST_PLAIN: Final = 1e6


def count(number: int) -> str:
    """Return `number` with its thousands apart: `16,000`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return `number` and its noun: `1 row`, `16,000 rows`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def share(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent, rounded so that only all is 100 % and only none is 0 %."""
    if part == 0 or whole == 0:
        return "0\N{NO-BREAK SPACE}%"
    if part == whole:
        return "100\N{NO-BREAK SPACE}%"
    thousandths = part * 1000 // whole
    return f"{thousandths / 10:.1f}\N{NO-BREAK SPACE}%" if thousandths else "< 0.1\N{NO-BREAK SPACE}%"


def number(value: float) -> str:
    """Return `value` to three significant digits: `0`, `0.25`, a power of ten, `∞`, `NaN`.

    The largest float64 stands for infinity in a report, which JSON cannot hold.
    """
    if math.isnan(value):
        return "NaN"
    if abs(value) >= sys.float_info.max:
        return "∞" if value > 0 else "\N{MINUS SIGN}∞"
    if value == 0:
        return "0"
    if _SMALLEST_PLAIN <= abs(value) < _LARGEST_PLAIN:
        digits = 3 if abs(value) < 1000 else 0  # noqa: PLR2004
        return f"{value:.{digits}g}" if digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}{_TIMES}{power_of_ten(int(exponent))}"


def power_of_ten(exponent: int) -> str:
    """Return ten to the `exponent`: `10⁻⁷`."""
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"
