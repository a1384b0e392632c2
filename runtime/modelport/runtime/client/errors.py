"""What can go wrong between a client and a server, beside what goes wrong in process too."""

from __future__ import annotations

from modelport.runtime.errors import ModelportError


class UnreachableError(ModelportError):
    """No server answered: none is there, or the connection broke, however often it was tried."""


class OverloadedError(ModelportError):
    """The server has too much to do (429), and still had when the client gave up."""


class ServerError(ModelportError):
    """The server failed, or what it answered is not the protocol's. `status` is that of HTTP, None if it sent none."""

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
