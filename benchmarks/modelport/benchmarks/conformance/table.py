"""Lays results out as a table: a line an operation, a column a client, and below it what differed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .checks import Result

_WORDS: Final = {"ok": "ok", "none": "-", "differs": "DIFFERS"}
_NONE: Final = ""


def table(results: Sequence[Result]) -> str:
    """Return the table of the results; a client that has no such operation shows `-`."""
    clients = list(dict.fromkeys(result.client for result in results))
    operations = list(dict.fromkeys(result.operation for result in results))
    found = {(result.client, result.operation): _WORDS[result.verdict] for result in results}
    first = max(len(name) for name in operations)
    heads = _heads(clients)
    widths = [max(len("DIFFERS"), *(len(head[place]) for head in heads)) for place in range(len(clients))]
    lines = [_line("", first, head, widths) for head in heads]
    lines += [
        _line(name, first, [found.get((client, name), _NONE) for client in clients], widths) for name in operations
    ]
    return "\n".join(lines)


def notes(results: Sequence[Result]) -> str:
    """Return what differed, and why a client has no such operation, each said once for all operations alike."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for result in results:
        if result.verdict != "ok":
            said.setdefault((result.client, _WORDS[result.verdict], result.detail), []).append(result.operation)
    return "\n".join(
        f"  {word:<8}{client}: {detail} ({'; '.join(names)})" for (client, word, detail), names in sorted(said.items())
    )


def tally(results: Sequence[Result]) -> tuple[int, int]:
    """Return how many operations went well, and how many were tried."""
    tried = [result for result in results if result.verdict != "none"]
    return sum(result.verdict == "ok" for result in tried), len(tried)


def _heads(clients: Sequence[str]) -> list[list[str]]:
    """Return the clients' names as lines of words, the last word of each in the last line."""
    words = [client.split(" ") for client in clients]
    tallest = max(len(each) for each in words)
    padded = [[""] * (tallest - len(each)) + each for each in words]
    return [[each[line] for each in padded] for line in range(tallest)]


def _line(name: str, first: int, cells: Sequence[str], widths: Sequence[int]) -> str:
    columns = "".join(f"  {cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name:<{first}}{columns}".rstrip()
