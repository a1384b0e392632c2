"""Runs operations and says of each whether the client got what it must: `ok`, `differs`, or `none`."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Verdict = Literal["ok", "differs", "none"]


class Result(NamedTuple):
    """What became of one operation of one client; `detail` says what differed, or why the client has no such one."""

    contract: str
    client: str
    operation: str
    verdict: Verdict
    detail: str = ""


class DiffersError(Exception):
    """The client got something else than it must."""


class NotOfferedError(Exception):
    """The client has no such operation, or refuses it itself."""


class RefusedError(Exception):
    """The server refused, and the client says so; `status` is None where the client does not tell it."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def same(what: str, got: Any, expected: Any) -> None:
    """Raise `DiffersError` unless `got` is what is expected."""
    if got != expected:
        raise DiffersError(f"{what}: expected {_short(expected)}, got {_short(got)}")


def holds(what: str, *, condition: object) -> None:
    """Raise `DiffersError` unless the condition holds."""
    if not condition:
        raise DiffersError(what)


def refused(act: Callable[[], object], *, status: int, words: str = "") -> None:
    """Raise `DiffersError` unless `act` is refused with that status, and in a message that has those words."""
    try:
        answer = act()
    except RefusedError as error:
        same("status", error.status, error.status and status)
        holds(f"message: expected `{words}` in it, got {error.message!r}", condition=words in error.message)
    else:
        raise DiffersError(f"expected a refusal with {status}, got {_short(answer)}")


def results(
    contract: str, client: str, operations: Mapping[str, Callable[..., None]], *arguments: Any
) -> Iterator[Result]:
    """Run every operation of a contract with those arguments."""
    for name, operation in operations.items():
        try:
            operation(*arguments)
        except NotOfferedError as error:
            yield Result(contract, client, name, "none", str(error))
        except DiffersError as error:
            yield Result(contract, client, name, "differs", str(error))
        except Exception as error:  # noqa: BLE001  whatever a client raises is what its user sees
            traceback.print_exc(file=sys.stderr)
            yield Result(contract, client, name, "differs", f"{type(error).__name__}: {error}")
        else:
            yield Result(contract, client, name, "ok")


def report(found: Iterable[Result]) -> None:
    """Print the results, a line of JSON each."""
    for result in found:
        print(json.dumps(result), flush=True)


def _short(value: Any, most: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
