"""The server as an ASGI application, alone under any ASGI server or mounted in one of Starlette or FastAPI.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from granian.rsgi import ProtocolClosed

from modelport.runtime.dataplane import Pace
from modelport.runtime.errors import InvalidInputError, named

from .app import App
from .embedding import embed
from .traffic import Traffic

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


# From HTTP/2 on the end of a body is known without a length, and connections are not for headers to close.
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_WITHOUT_LENGTH: Final = (204, 304)


class AsgiApp:
    """Serves `packages`: `app.mount("/models", AsgiApp("churn"))`.

    `settings` are those of a server by name, such as `keys_file` or `max_body_bytes`; those of its processes, its
    address and its log mean nothing here. The packages are loaded, and their golden samples checked, when this is
    made. Raises `InvalidSettingError`, `InvalidPackageError`, `FailedCheckError` and what else keeps a package from
    being served.
    """

    def __init__(self, *packages: str | os.PathLike[str], **settings: object) -> None:
        embedded = embed(packages, settings)
        self.site = embedded.site
        self._app = App(embedded.site, Pace(embedded.floor), Traffic(), embedded.settings, metrics=embedded.metrics)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; the life of the application is its server's matter."""
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case kind:
                raise InvalidInputError(f"scope: expected http, lifespan or websocket, got {named(kind)}")

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = _Exchange(receive, http1=_is_http1(scope), head=scope["method"] == "HEAD")
        try:
            await self._app.__rsgi__(_Scope(scope), exchange)
            await exchange.send(send)
        finally:
            exchange.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                self._app.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def _is_http1(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("http_version", "1.1") in ("1.0", "1.1")


class _Headers:
    """ASGI's headers as RSGI has them."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value) for name, value in pairs]

    def get_all(self, name: str) -> list[str]:
        return [value.decode("ascii") for key, value in self._pairs if key == name and value.isascii()]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def items(self) -> list[tuple[str, str]]:
        return [(key, value.decode("latin-1")) for key, value in self._pairs]


class _Scope:
    """ASGI's scope as RSGI has it; the path is that below the place where the application is mounted."""

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self.method: str = scope["method"]
        path: str = scope["path"]
        root: str = scope.get("root_path", "").rstrip("/")
        self.path = (path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path) or "/"
        self.query_string = scope.get("query_string", b"").decode("latin-1")
        self.headers = _Headers(list(scope["headers"]))
        if not _is_http1(scope) and "content-length" not in self.headers:
            self.headers = _Headers([*scope["headers"], _CHUNKED])
        client = scope.get("client")
        self.client = f"{client[0]}:{client[1]}" if client else ""


class _Exchange:
    """The body of an ASGI request, read by a task of its own so that a client that leaves is noticed; the answer."""

    def __init__(self, receive: Receive, *, http1: bool, head: bool) -> None:
        self._receive = receive
        self._http1 = http1
        self._head = head
        self._failed: Exception | None = None
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._gone = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._answer: tuple[int, list[tuple[str, str]], bytes] | None = None

    async def __call__(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._answer is None:  # once answered, the rest of a body is the server's matter
            piece = await self._pieces.get()
            if piece is None:
                return
            if self._gone.is_set():
                raise ProtocolClosed
            yield piece

    async def client_disconnect(self) -> None:
        await self._gone.wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self._answer = (status, headers, content)

    async def send(self, send: Send) -> None:
        """Send the answer; what `receive` raised is raised, it is for those around the application."""
        if self._failed is not None:
            raise self._failed
        status, headers, content = self._answer or (500, [], b"")
        sent = [(name, value) for name, value in headers if self._http1 or name != "connection"]
        if status not in _WITHOUT_LENGTH:
            sent.append(("content-length", str(len(content))))
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"" if self._head else content})

    def close(self) -> None:
        """Read no more."""
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            await self._read_to_the_end()
        except Exception as error:  # noqa: BLE001  raised again where the answer is sent
            self._failed = error
        self._gone.set()
        await self._pieces.put(b"")  # whoever waits for a piece

    async def _read_to_the_end(self) -> None:
        """Read until the client is gone."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                await self._pieces.put(piece)
        await self._pieces.put(None)
        while (await self._receive())["type"] != "http.disconnect":
            pass
