"""Charts as inline SVG: a histogram of differences over decades, and a bar of coverage.

Lengths across are in percent and lengths down in pixels, so that text keeps its size on every screen; colours come
from the page's style sheet.
"""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Final

import msgspec

from .figures import counted, number, power_of_ten, share
from .markup import Markup, element

if TYPE_CHECKING:
    from modelport.packager.parity.report import Histogram, OutputComparison, Thresholds

_ROW: Final = 26.0
_BAR: Final = 17.0
_TOP: Final = 24.0
_ZERO_GAP: Final = 12.0  # between the bar of rows that do not differ at all and the logarithmic axis
_AXIS: Final = 14.0
_LONGEST: Final = 56.0
_SHORTEST: Final = 0.8


class _Bin(msgspec.Struct, frozen=True):
    """Rows whose difference lies from `low` up to, not including, `high`; None is an open end."""

    low: float | None
    high: float | None
    count: int

    @property
    def range(self) -> str:
        if self.low is None:
            return "any size" if self.high is None else f"below {number(self.high)}"
        return f"{number(self.low)} or more" if self.high is None else f"{number(self.low)} to {number(self.high)}"


def histogram(output: OutputComparison, found: Histogram, key: str) -> Markup:
    """Draw the absolute differences of `output`: one bar a decade, and the tolerance as a dashed line.

    `key` makes the identifiers of the drawing unique in its page. Bars grow with the logarithm of their count, so
    that a single outlier beside a million equal rows is seen.
    """
    bins, mark = _in_view(_bins(found), output.absolute_tolerance)
    top = _TOP + _ROW + _ZERO_GAP
    most = max([found.zero, *(each.count for each in bins)])
    drawn = [_tick(_TOP + _ROW / 2, "0"), _bar(_TOP, found.zero, most, "bar zero", "no difference")]
    for position, each in enumerate(bins):
        kind = "bar beyond" if output.over_tolerance > 0 and position >= mark else "bar"
        drawn.append(_bar(top + _ROW * position, each.count, most, kind, each.range))
        if position and each.low is not None:
            drawn.append(_tick(top + _ROW * position, _edge(each.low)))
    height = top + _ROW * len(bins) + _ROW / 2
    return element(
        "svg",
        element("title", f"Differences of {output.name}", id=f"{key}-title"),
        element("desc", _description(output, found), id=f"{key}-desc"),
        element("text", "absolute difference", x="0", y="12"),
        *drawn,
        _axis(_TOP, _TOP + _ROW),
        _axis(top, top + _ROW * len(bins)),
        _tolerance(top + _ROW * mark),
        class_="histogram",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        width="100%",
        height=_at(height),
    )


def coverage(found: Thresholds) -> Markup:
    """Draw how many of the trees' thresholds were probed, and how many a row arrived at."""
    told = f"{share(found.probed, found.distinct)} probed, {share(found.reached, found.distinct)} reached"
    bars = (("track", found.distinct), ("probed", found.probed), ("reached", found.reached))
    return element(
        "svg",
        element("title", "Threshold coverage", id="coverage-title"),
        element("desc", told, id="coverage-desc"),
        *(
            element("rect", class_=kind, x="0", y="0", rx="7", height="14", width=_percent(part, found.distinct))
            for kind, part in bars
        ),
        class_="coverage",
        role="img",
        aria_labelledby="coverage-title coverage-desc",
        width="100%",
        height="14",
    )


def _bins(found: Histogram) -> list[_Bin]:
    lows, highs = (None, *found.edges), (*found.edges, None)
    return [_Bin(low, high, count) for low, high, count in zip(lows, highs, found.counts, strict=True)]


def _in_view(bins: list[_Bin], tolerance: float) -> tuple[list[_Bin], float]:
    """Return the bins that hold something or the tolerance, all between and one more on each side.

    Beside them stands where the tolerance lies, counted in bins from the first one shown.
    """
    place = _place(bins, tolerance)
    shown = [position for position, each in enumerate(bins) if each.count]
    if tolerance > 0 or not shown:
        shown.append(min(int(place), len(bins) - 1))
    first, last = max(min(shown) - 1, 0), min(max(shown) + 1, len(bins) - 1)
    return bins[first : last + 1], max(place - first, 0.0)


def _place(bins: list[_Bin], tolerance: float) -> float:
    """Return where on the axis, counted in bins, `tolerance` lies; the middle of a bin with an open end."""
    if not tolerance > 0:
        return 0.0
    if math.isinf(tolerance):
        return float(len(bins))
    position = bisect.bisect_right([each.high for each in bins if each.high is not None], tolerance)
    low, high = bins[position].low, bins[position].high
    if low is None or high is None or low <= 0:
        return position + 0.5
    return position + (math.log(tolerance) - math.log(low)) / (math.log(high) - math.log(low))


def _bar(top: float, count: int, most: int, kind: str, told: str) -> Markup | None:
    if count == 0:
        return None
    length = max(_SHORTEST, _LONGEST * math.log1p(count) / math.log1p(most))
    middle = top + _ROW / 2
    box = {"x": f"{_at(_AXIS)}%", "y": _at(middle - _BAR / 2), "width": f"{_at(length)}%", "height": _at(_BAR)}
    return element(
        "g",
        element("title", f"{told}: {counted(count, 'row')}"),
        element("rect", class_=kind, rx="2", **box),
        element("text", f"{count:,}", class_="count", x=f"{_at(_AXIS + length)}%", dx="6", y=_at(middle), dy=".35em"),
    )


def _tick(y: float, text: str) -> Markup:
    return element("text", text, class_="tick", x=f"{_at(_AXIS)}%", dx="-8", y=_at(y), dy=".35em")


def _axis(top: float, bottom: float) -> Markup:
    return element("line", class_="axis", x1=f"{_at(_AXIS)}%", x2=f"{_at(_AXIS)}%", y1=_at(top), y2=_at(bottom))


def _tolerance(y: float) -> Markup:
    return element(
        "g",
        element("line", class_="tolerance", x1=f"{_at(_AXIS)}%", x2="100%", y1=_at(y), y2=_at(y)),
        element("text", "tolerance", class_="tolerance-label", x="100%", y=_at(y), dy="-.4em"),
    )


def _edge(edge: float) -> str:
    if edge > 0 and math.isfinite(edge) and math.isclose(math.log10(edge), round(math.log10(edge)), abs_tol=1e-9):
        exponent = round(math.log10(edge))
        return power_of_ten(exponent) if exponent else "1"
    return number(edge)


def _description(output: OutputComparison, found: Histogram) -> str:
    filled = [f"{each.range}: {counted(each.count, 'row')}" for each in _bins(found) if each.count]
    parts = [f"no difference: {counted(found.zero, 'row')}", *filled]
    return f"{'; '.join(parts)}. Tolerance: {number(output.absolute_tolerance)}."


def _percent(part: int, whole: int) -> str:
    return f"{_at(100 * part / whole if whole else 0)}%"


def _at(value: float) -> str:
    """Return a coordinate, short and the same on every platform."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
