"""Serves the same packages by every transport, each as real processes, for tests: `import transports`."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Server

_PATIENCE = 60.0
_GRACE = 10.0
_OK = 200
_GUNICORN = (
    *("gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "4", "--graceful-timeout", "1"),
    *("--no-control-socket", "--limit-request-line", "0", "--reuse-port"),
    *("--bind", "127.0.0.1:{port}", "application:app"),
)
_GRANIAN = ("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "application:app")
_BLUEPRINT = """
import flask
from modelport.runtime.server.flask import blueprint

app = flask.Flask(__name__)
app.register_blueprint(blueprint(*{packages}, **{settings}), url_prefix={prefix} or None)


@app.get("/beside")
def beside():
    return "beside"
"""
_ALONE = """
from modelport.runtime.server.asgi import AsgiApp

app = AsgiApp(*{packages}, **{settings})
"""
_MOUNTED = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from modelport.runtime.server.asgi import AsgiApp

served = AsgiApp(*{packages}, **{settings})
app = Starlette(routes=[Route("/beside", lambda _: PlainTextResponse("beside")), Mount({prefix}, served)])
"""


class _Transport(NamedTuple):
    """A server of somebody else, and the application that it is given."""

    command: tuple[str, ...]
    application: str
    prefix: str = ""


_TRANSPORTS = {
    "Flask": _Transport(_GUNICORN, _BLUEPRINT),
    "Flask below a prefix": _Transport(_GUNICORN, _BLUEPRINT, "/deep/models"),
    "ASGI": _Transport(_GRANIAN, _ALONE),
    "ASGI below a prefix": _Transport(_GRANIAN, _MOUNTED, "/models"),
}
OWN = "own"
#: Every transport, our own server first.
ALL = (OWN, *_TRANSPORTS)


@contextmanager
def serving(transport: str, *packages: Path, **settings: object) -> Iterator[Server]:
    """Serve `packages` by the transport of that name, one of `ALL`, while the block runs."""
    if transport == OWN:
        with servers.serving(",".join(map(str, packages)), **settings) as server:
            yield server
        return
    command, application, prefix = _TRANSPORTS[transport]
    text = application.format(packages=[str(package) for package in packages], settings=settings, prefix=repr(prefix))
    with _running(command, text, prefix) as server:
        server.digest = f"sha256:{(packages[0] / 'manifest.sha256').read_text().split()[0]}"
        yield server


@contextmanager
def flask(application: str, *options: str) -> Iterator[Server]:
    """Run gunicorn with the Flask application `app` of the module `application` while the block runs."""
    with _running((*_GUNICORN, *options), application, "") as server:
        yield server


@contextmanager
def _running(command: tuple[str, ...], application: str, prefix: str) -> Iterator[Server]:
    """Run a server with the module `application`, whose packages are at `prefix`, while the block runs."""
    with _reserved_port() as port, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "application.py").write_text(application)
        whole = [sys.executable, "-m", *(part.format(port=port) for part in command)]
        server = servers.Server(["sh", "-c", 'cd "$0" && exec "$@" >&2', folder, *whole], {})  # both are its log
        server.host, server.port, server.prefix = "127.0.0.1", port, prefix
        try:
            _wait_until_ready(server)
            yield server
        finally:
            _end(server)


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Give a port that nobody gets while the block runs, but those who share it by `SO_REUSEPORT`."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + _PATIENCE
    while server.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if server.ask("/v2/health/ready").status == _OK:
                return
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.02)  # unless it has ended
    raise AssertionError("expected a server that is ready, got:\n" + "\n".join(server.lines))


def _end(server: Server) -> None:
    """Stop the server, and its workers if they do not end with it."""
    workers = server.workers() if server.process.poll() is None else []
    server.process.terminate()
    try:
        server.process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
    server.kill()
