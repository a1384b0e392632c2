"""The server as a Flask blueprint, for any Flask application under any WSGI server."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.extras import needed_by

with needed_by("the Flask blueprint"):
    import flask
    from werkzeug.exceptions import RequestEntityTooLarge

from .body import Declared
from .embedding import Embedded, embed
from .errors import BodyTooLargeError
from .request import Head

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from .site import Visit

_PIECE: Final = 1 << 20
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def blueprint(*packages: str | os.PathLike[str], name: str = "modelport", **settings: object) -> flask.Blueprint:
    """Return a blueprint that serves `packages`: `app.register_blueprint(blueprint("churn"), url_prefix="/models")`.

    `settings` are those of a server by name, such as `keys_file` or `max_body_bytes`; those of its processes, its
    address, its queue and its log are the WSGI server's matter. The packages are loaded, and their golden samples
    checked, when this is called. Two of them in one application need a `name` each. Raises `InvalidSettingError`,
    `InvalidPackageError`, `FailedCheckError` and what else keeps a package from being served.
    """
    embedded = embed(packages, settings)
    made = flask.Blueprint(name, __name__)

    def answer(path: str = "") -> flask.Response:
        return _answer(embedded, f"/{path}")

    options: dict[str, Any] = {"methods": _METHODS, "provide_automatic_options": False}
    made.add_url_rule("/", "root", answer, **options)
    made.add_url_rule("/<path:path>", "path", answer, **options)
    return made


def _answer(embedded: Embedded, path: str) -> flask.Response:
    request, begun = flask.request, perf_counter()
    head = Head(request.method, path, request.query_string.decode("latin-1"), _Headers(), begun)
    visit = embedded.site.visit(head)
    if not visit.scores:
        response = visit.answer()
    else:
        embedded.metrics.began(visit.served)
        try:
            response = _scored(visit, embedded.settings.max_body_bytes)
        finally:
            embedded.metrics.ended(visit.served, seconds=perf_counter() - begun, queued=0.0)
    return flask.Response(response.body, response.status, list(response.headers))


def _scored(visit: Visit, limit: int) -> Any:
    try:
        content = _content(visit.head, limit) if visit.head.method == "POST" else b""
    except Exception as error:  # noqa: BLE001  the visit knows what each becomes
        return visit.refuse(error)
    return visit.answer(content)


def _content(head: Head, limit: int) -> bytes:
    """Return the body, of which no more is read than the limit allows."""
    declared = Declared(head.headers)
    declared.check(limit)
    if declared.length is None:
        content = _read(limit + 1, "chunks up to the last one, got broken or missing ones")
        if len(content) > limit:
            raise BodyTooLargeError(f"body: expected at most {limit} bytes, got more")
    else:
        whole = f"{declared.length} bytes, got fewer"
        content = _read(int(declared.length), whole)
        if len(content) < int(declared.length):
            raise InvalidInputError(f"body: expected {whole}")
    return declared.decoded(content, limit)


def _read(most: int, expected: str) -> bytes:
    """Return at most so many bytes of the body, or what the application has read of it before."""
    request = flask.request
    try:
        return b"".join(_pieces(most)) or bytes(request.get_data(cache=False))
    except RequestEntityTooLarge as error:  # the application has a limit of its own
        raise BodyTooLargeError(f"body: expected at most {request.max_content_length} bytes, got more") from error
    except Exception as error:  # each server has its own for a client that is gone, or sends what is no chunk
        raise InvalidInputError(f"body: expected {expected}") from error


def _pieces(most: int) -> Iterator[bytes]:
    stream, left = flask.request.stream, most
    while left > 0 and (piece := stream.read(min(left, _PIECE))):
        left -= len(piece)
        yield piece


class _Headers:
    """The headers of Flask's request as every transport has them."""

    def get_all(self, name: str) -> list[str]:
        return [value for value in flask.request.headers.getlist(name) if value.isascii()]

    def __contains__(self, name: str) -> bool:
        return name in flask.request.headers

    def items(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in flask.request.headers.items()]
