"""The access log: a line a request, with the ids under which others know it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from .responses import Response
    from .site import Visit

#: What a path may have beside letters, digits and `_.-~` (RFC 3986, 3.3); all else is escaped, so it is one word.
_PLAIN: Final = "/:@!$&'()*+,;="

_log: Final = logging.getLogger("modelport.access")


def note(visit: Visit, response: Response, *, client: str, seconds: float, queued: float) -> None:
    """Log a request that was answered; the fields are those of a JSON line, the message is for people."""
    head, route, trace = visit.head, visit.route, visit.ids.trace
    fields: dict[str, object] = {
        "request_id": visit.ids.request,
        "client": client,
        "method": head.method,
        "path": head.path,
        "status": response.status,
        "bytes": len(response.body),
        "seconds": round(seconds, 6),
        "queued": round(queued, 6),
    }
    if route is not None and visit.scores:
        model, version, digest = visit.known()
        fields |= {"model": model, "version": version, "digest": digest}
    if trace is not None:
        fields |= {"trace_id": trace.trace, "span_id": trace.span, "parent_id": trace.parent}
    _log.info(
        "%s %s %s %d %d %.6f %s",
        client,
        head.method,
        quote(head.path, safe=_PLAIN, errors="replace"),
        response.status,
        len(response.body),
        seconds,
        visit.ids.request,
        extra={"fields": fields},
    )
