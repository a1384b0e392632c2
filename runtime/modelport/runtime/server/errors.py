"""What can go wrong between a client and the data plane, and with the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelport.runtime.errors import InvalidInputError, ModelportError

if TYPE_CHECKING:
    from collections.abc import Sequence


class MethodNotAllowedError(ModelportError):
    """The path is there, but not for this method; `allowed` are those that it has."""

    def __init__(self, message: str, *, allowed: Sequence[str], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.allowed = allowed


class LengthRequiredError(InvalidInputError):
    """A request says neither how long its body is nor that it comes in chunks."""


class BodyTooLargeError(InvalidInputError):
    """A body is larger than the setting `max_body_bytes` allows."""


class UnsupportedEncodingError(InvalidInputError):
    """A body is compressed in a way that we do not read."""


class OverloadedError(ModelportError):
    """There is more to do than can be done in time; `retry_after` says after how many seconds to try again."""

    def __init__(self, message: str, *, retry_after: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class SlowRequestError(InvalidInputError):
    """A client takes longer than it may to send its request."""


class DisconnectedError(ModelportError):
    """A client is gone before its request was scored."""


class HeaderTooLargeError(InvalidInputError):
    """A header is longer than what it is for allows."""


class UnauthorizedError(ModelportError):
    """A request has no key of this server."""


class WorkerFailedError(ModelportError):
    """A worker process ended before it could serve."""
