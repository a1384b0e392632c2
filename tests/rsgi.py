"""What RSGI hands to an application, made by hand, and the application to hand it to, for tests: `import rsgi`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from modelport.runtime.dataplane import DataPlane, ModelSlot, Pace
from modelport.runtime.server.app import App
from modelport.runtime.server.site import Site
from modelport.runtime.server.traffic import Traffic
from modelport.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest

    from modelport.runtime import Scorer


class Headers(dict[str, str]):
    """A request's headers, each name once."""

    def get_all(self, name: str) -> list[str]:
        """Return the values of `name`."""
        return [self[name]] if name in self else []


class Request:
    """A request as RSGI gives it, scope and exchange in one, and the answer to it: 0 until there is one."""

    def __init__(self, method: str, path: str, content: bytes = b"", **headers: str) -> None:
        self.method = method
        self.path = path
        self.query_string = ""
        self.client = "127.0.0.1:1"
        self.headers = Headers({"content-length": str(len(content)), **headers})
        self._content = content
        self._left = asyncio.Event()
        self.status = 0
        self.answer: dict[str, Any] = {}
        self.answer_headers: dict[str, str] = {}

    async def __call__(self) -> bytes:
        return self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    def leave(self) -> None:
        """Have the client close its connection."""
        self._left.set()

    async def client_disconnect(self) -> None:
        await self._left.wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.status, self.answer, self.answer_headers = status, json.loads(content), dict(headers)


class Setup:
    """An application and its parts."""

    def __init__(self, scorer: Scorer, *, floor: float = 0.0, **settings: Any) -> None:
        self.plane = DataPlane(ModelSlot(scorer))
        self.traffic = Traffic()
        self.pace = Pace(floor)
        self.app = App(Site(self.plane), self.pace, self.traffic, Settings(package=("x",), **settings))

    async def answer(self, request: Request) -> Request:
        await self.app.__rsgi__(request, request)
        return request

    def watch(self, monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> None:
        """Call `before` whenever the data plane is about to score."""
        infer = self.plane.infer

        def watched(request: Any) -> Any:
            before()
            return infer(request)

        monkeypatch.setattr(self.plane, "infer", watched)
