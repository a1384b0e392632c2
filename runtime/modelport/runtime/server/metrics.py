"""Metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .responses import Response


class Metrics:
    """Placeholder until the counters are exported."""

    def response(self) -> Response:
        """Return the metrics."""
        raise NotImplementedError
