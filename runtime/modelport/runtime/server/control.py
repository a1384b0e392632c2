"""What the supervisor and a worker say to each other: one JSON object a message over a socket that keeps them apart."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Final

import msgspec

from modelport.runtime import errors
from modelport.runtime.errors import ModelportError, shortened
from modelport.runtime.settings import Settings  # noqa: TC001  msgspec reads the annotation

LONGEST: Final = 1 << 17


class Job(msgspec.Struct, frozen=True, kw_only=True, tag="job"):
    """To a worker, first: what to serve. `digests` are those of the packages that serve now, none at the start.

    `share` is the directory through which workers have weights together, `files` the one for temporary files of theirs,
    each empty for none. With `trial` it only tries whether the packages can be served, says so and ends.
    """

    settings: Settings
    digests: tuple[str, ...] = ()
    share: str = ""
    files: str = ""
    trial: bool = False


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """To a worker that has loaded: accept connections."""


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """To a worker: load the packages anew, which must have these digests, and go on serving those from before."""

    digests: tuple[str, ...]


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """To a worker: serve what was prepared from the next request on, and keep what served before."""


class Abandon(msgspec.Struct, frozen=True, tag="abandon"):
    """To a worker: forget what was prepared."""


class RollBack(msgspec.Struct, frozen=True, tag="roll-back"):
    """To a worker: serve what was kept again."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """To a worker, last: stop, with nothing left unanswered."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a worker has loaded, with what its proof rests on."""

    name: str
    version: str
    digest: str
    proof: str

    @property
    def summary(self) -> str:
        """How the log calls it."""
        return f"{self.name} {self.version} {self.digest}"


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """From a worker: the models are loaded and their golden samples pass."""

    models: tuple[Model, ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """From a worker: the error that kept it from doing what it was told, by the name of its class."""

    kind: str
    message: str
    hint: str | None

    @classmethod
    def of(cls, error: ModelportError) -> Failed:
        """Return the words for `error`."""
        return cls(kind=type(error).__name__, message=shortened(error.message, LONGEST // 8), hint=error.hint)

    def error(self) -> ModelportError:
        """Return the error that it was on the other side."""
        kind: type[ModelportError] = getattr(errors, self.kind, ModelportError)
        return kind(self.message, hint=self.hint)


#: What a worker that has loaded may be told.
Order = Serve | Prepare | Commit | Abandon | RollBack | Drain


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a conversation."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def say(end: socket.socket, word: msgspec.Struct) -> None:
    """Send `word`. If the other side is gone, that shows when it is next listened to."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        end.sendall(msgspec.json.encode(word))


def hear(end: socket.socket, kind: Any) -> Any:
    """Wait for a message of `kind` (a struct, or a union of them); None when the other side is gone."""
    try:
        message = end.recv(LONGEST)
    except ConnectionResetError:
        return None
    return msgspec.json.decode(message, type=kind) if message else None
