"""All that is served over HTTP, whatever the transport: a request's head and body become a response."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import ModelportError, UnknownNameError

from . import azureml, pages, request, routes
from .responses import Response, failed, ok
from .v2 import endpoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelport.runtime.dataplane import DataPlane, Served
    from modelport.runtime.scorer import Scorer

    from .cors import Cors
    from .keys import Keys
    from .metrics import Metrics
    from .request import Head, Ids
    from .routes import Route

    Extra = Sequence[tuple[str, str]]

_SERVER: Final = (("x-ms-server-version", f"modelport/{version('modelport')}"),)


class Site:
    """Answers for the models of `plane`.

    With `keys`, what tells of a model needs one; with `cors`, pages of other origins may ask; with `metrics` there
    are some.
    """

    def __init__(
        self, plane: DataPlane, *, keys: Keys | None = None, cors: Cors | None = None, metrics: Metrics | None = None
    ) -> None:
        self.plane = plane
        self._keys = keys
        self._cors = cors
        self._metrics = metrics

    def visit(self, head: Head) -> Visit:
        """Look at the head of a request; what is wrong with it is told by the visit's answer."""
        return Visit(self, head)

    def find(self, head: Head) -> Route:
        """Return where a request leads; raises what keeps it from getting there."""
        route = routes.find(head.method, head.path)
        if self._keys is not None and route.endpoint not in routes.OPEN and head.method != "OPTIONS":
            self._keys.require(head.header("authorization"))
        return route

    def preflight(self, head: Head) -> Response | None:
        """Return the answer to a browser that asks whether a page may ask, None if this is no such question."""
        return None if self._cors is None else self._cors.preflight(head)

    def shared(self, head: Head) -> Extra:
        """Return the headers that let a page of another origin read the answer."""
        return () if self._cors is None else self._cors.headers(head)

    def answer(self, route: Route, head: Head, content: bytes) -> Response:
        """Answer; raises the error that it comes to."""
        if route.endpoint == "infer":
            return endpoints.infer(self.plane, route, head, content)
        if route.endpoint == "score":
            return azureml.score(self.plane, route, head, content)
        return self._look(route, head)

    def _look(self, route: Route, head: Head) -> Response:
        """Answer an endpoint that only reads."""
        match route.endpoint:
            case "home":
                self.plane.require_ready()
                return azureml.HEALTHY
            case "swagger":
                from . import openapi  # noqa: PLC0415  few servers are ever asked for it

                return azureml.mark(ok(openapi.describe(self.plane, route, head, keys=self._keys is not None)))
            case "docs" | "console":
                return pages.page(route.endpoint)
            case "metrics":
                if self._metrics is None:
                    raise UnknownNameError("path: expected metrics to be on, got `/metrics` while they are off")
                return self._metrics.response()
            case _:
                return endpoints.look(self.plane, route)


class Visit:
    """One request: where it leads, and its one answer."""

    def __init__(self, site: Site, head: Head) -> None:
        self.head = head
        self.route: Route | None = None
        self._site = site
        self._error: Exception | None = None
        self._known: tuple[str, str, str] | None = None
        self._ready = site.preflight(head)
        try:
            self.ids: Ids = request.ids(head.headers)
        except ModelportError as error:
            self.ids, self._error = request.fresh_ids(), error
            return
        if self._ready is not None:
            return
        try:
            self.route = site.find(head)
        except ModelportError as error:
            self._error = error

    @property
    def scores(self) -> bool:
        """Whether the request is to be scored; if it is a POST, by its body."""
        return self.route is not None and self._error is None and self.route.endpoint in routes.SCORING

    @cached_property
    def chosen(self) -> tuple[str | None, str | None]:
        """The name and the version that the request names, None each where it does not."""
        return (None, None) if self.route is None else azureml.chosen(self._site.plane, self.route, self.head)

    @property
    def model(self) -> str | None:
        """The name of the model that the request is for, None where there is none of the name that it gives."""
        return self.served.model or None

    @cached_property
    def served(self) -> Served:
        """The model that the request is for, as it is counted."""
        return self._site.plane.served(*self.chosen)

    @property
    def runs_script(self) -> bool:
        """Whether an entry script answers: what its next call takes nobody knows, and nothing ends it."""
        scorer = self._scorer() if self.route is not None and self.route.endpoint == "score" else None
        return scorer is not None and scorer.has_script

    def known(self) -> tuple[str, str, str]:
        """Return name, version and digest of the model that scored the request, or was to; empty where there is none.

        A reload may put another in its place at any moment.
        """
        return self._known or self._named()

    def _scorer(self) -> Scorer | None:
        try:
            return self._site.plane.scorer(*self.chosen)
        except ModelportError:
            return None

    def _named(self) -> tuple[str, str, str]:
        scorer = self._scorer()
        return ("", "", "") if scorer is None else (scorer.manifest.name, scorer.manifest.version, scorer.digest)

    def answer(self, content: bytes = b"") -> Response:
        """Return the response to the request with that body."""
        if self._ready is not None:
            return self._ready
        if self._error is not None or self.route is None:
            return self._dressed(self._failed(self._error or RuntimeError("a request leads nowhere")))
        try:
            if self.scores:
                self._known = self._named()
            return self._dressed(self._site.answer(self.route, self.head, content))
        except Exception as error:  # noqa: BLE001  the one place where every error becomes an answer
            return self.refuse(error)

    def refuse(self, error: Exception) -> Response:
        """Return the response to a request that ended with `error`, and have it counted if it was to be scored."""
        if self.scores and self.route is not None:
            self._site.plane.observer.fail(self.served, error)
        return self._dressed(self._failed(error))

    def _failed(self, error: Exception) -> Response:
        if routes.is_azureml(self.head.path):
            return azureml.mark(failed(error, self.ids.request, field="message"))
        return failed(error, self.ids.request)

    def _dressed(self, response: Response) -> Response:
        ours = (*self.ids.headers, *_SERVER, *self._site.shared(self.head))
        names = {name for name, _ in ours if name != "vary"}  # those that a script's own response may have, too
        return response._replace(headers=(*[pair for pair in response.headers if pair[0] not in names], *ours))
