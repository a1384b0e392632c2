"""Changes JSON documents and bytes in ways that somebody might come upon, or aim at: `import mutations`."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random


class Text(str):
    """JSON text, right or not, that stands where a value does."""

    __slots__ = ()


class Pairs(list[tuple[Any, Any]]):
    """An object: its keys with their values, in which a key may stand twice."""


_DEPTHS = (9, 62, 64, 65, 1000)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -0.0, -1, 1.5, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 1e39, 5e-324),
    *(
        "",
        " ",
        "x",
        "x" * 5000,
        "1",
        "NaN",
        "null",
        "\0",
        "\x7f\x1b[31m",
        "\u202etxt",
        "é",
        "e\u0301",
        "\U0001d501",
        "\ud800",
    ),
    *([], [[]], [None], Pairs(), Pairs([("", None)])),
    *map(Text, ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "01", "+1", ".5", "1.", "0x1f", "1_0")),
    *map(Text, ("-", "'x'", '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83e\\udd86"', '"\\u0000"', '"\\x"', '"\t"', "")),
    *map(Text, ("9" * 400, "-" + "9" * 5000, "0." + "9" * 400, "1" + "0" * 40, "undefined", "/**/1", "[1,]", '{"a"}')),
    *(Text("[" * depth + "]" * depth) for depth in _DEPTHS),
    *(Text('{"a":' * depth + "1" + "}" * depth) for depth in _DEPTHS),
)
_KEYS = (
    "",
    "x",
    "X",
    "name",
    "inputs",
    "data",
    "columns",
    "index",
    "parameters",
    "binary_data_size",
    "shape",
    "\0",
    "é",
)
_BYTES = (0x00, 0x09, 0x0A, 0x0D, 0x20, 0x22, 0x2C, 0x30, 0x3A, 0x5B, 0x5C, 0x7B, 0x7F, 0x80, 0xC3, 0xED, 0xFE, 0xFF)


def document(value: Any) -> Any:
    """Return what `json` gives in a form in which anything can be put into it; a copy."""
    if isinstance(value, dict):
        return Pairs([(key, document(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return [document(item) for item in value]
    return value


def written(value: Any) -> bytes:
    """Return a document as text."""
    return _text(value).encode("utf-8", "surrogatepass")


def mutated(rng: random.Random, value: Any) -> Any:
    """Return a copy of a document with some change at some place."""
    changed = [copy.deepcopy(value)]
    holder, at = rng.choice(_places(changed))
    _put(holder, at, _changed(rng, _get(holder, at), value))
    return changed[0]


def corrupted(rng: random.Random, data: bytes) -> bytes:
    """Return `data` with a few bytes of it changed, put in, taken out or repeated, or with an end of it missing."""
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    end = min(end, at + rng.choice((1, 1, 2, 4, 64)))
    odd = bytes(rng.choices(_BYTES, k=rng.choice((1, 1, 2, 4))))
    flipped = bytes([byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]])
    return rng.choice(
        (
            data[:at] + odd + data[at:],
            data[:at] + odd + data[at + len(odd) :],
            data[:at] + data[end:],
            data[:at] + data[at:end] * rng.choice((2, 3, 50)) + data[end:],
            data[:at],
            data[:at] + flipped + data[at + 1 :],
        )
    )


def disguised(rng: random.Random, text: bytes) -> bytes:
    """Return a JSON text in another form: with a mark before it, something behind it, in another encoding."""
    other = text.decode("utf-8", "replace")
    return rng.choice(
        (
            b"\xef\xbb\xbf" + text,
            other.encode(rng.choice(("utf-16", "utf-16-le", "utf-32"))),
            other.encode("latin-1", "ignore"),
            text + rng.choice((b"]", b"}", b"\0", b" \n", b"//", b"{}", text)),
            rng.choice((b" ", b"\n", b"\t\r ", b"\x0b", b"\xa0")) * rng.choice((1, 3, 9000)) + text,
            text.replace(b",", b" ,\r\n\t").replace(b":", b" : "),
            rng.choice((b"", b"null", b"[]", b"{}", b'""', b"0", b"[[[", b'{"inputs":', b"\xff", b" " * 70_000)),
        )
    )


def _text(value: Any) -> str:
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _places(root: list[Any]) -> list[tuple[list[Any], int]]:
    """Return every place of a document that something stands at; `root` is a list of the document alone."""
    places: list[tuple[list[Any], int]] = []
    waiting: list[list[Any]] = [root]
    while waiting:
        holder = waiting.pop()
        for at in range(min(len(holder), 64)):
            places.append((holder, at))
            if isinstance(value := _get(holder, at), list):
                waiting.append(value)
    return places


def _get(holder: list[Any], at: int) -> Any:
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _put(holder: list[Any], at: int, value: Any) -> None:
    holder[at] = (holder[at][0], value) if isinstance(holder, Pairs) else value


def _changed(rng: random.Random, value: Any, whole: Any) -> Any:
    """Return what comes to stand where `value` stood, in the document `whole`."""
    if rng.random() < 0.3:
        return rng.choice(_VALUES)
    if isinstance(value, Pairs):
        return _other_object(rng, value)
    if isinstance(value, list):
        return _other_list(rng, value, whole)
    if isinstance(value, str) and not isinstance(value, Text):
        return _other_string(rng, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _other_number(rng, value)
    return rng.choice(_VALUES)


def _other_object(rng: random.Random, value: Pairs) -> Any:
    if not value:
        return Pairs([(rng.choice(_KEYS), rng.choice(_VALUES))])
    at = rng.randrange(len(value))
    key, item = value[at]
    return rng.choice(
        (
            Pairs([*value, (rng.choice(_KEYS), rng.choice(_VALUES))]),
            Pairs([*value[:at], *value[at + 1 :]]),
            Pairs([*value, (key, rng.choice((item, rng.choice(_VALUES))))]),
            Pairs([*value[:at], (rng.choice(_KEYS), item), *value[at + 1 :]]),
            Pairs([(Text(f'"\\u{ord(key[:1] or "a"):04x}{key[1:]}"'), item), *value]),
            Pairs([(rng.choice(("data", "input_data", "inputs")), value)]),
            Pairs(rng.sample(value, len(value))),
        )
    )


def _other_list(rng: random.Random, value: list[Any], whole: Any) -> list[Any]:
    at = rng.randrange(len(value) + 1)
    return rng.choice(
        (
            [*value[:at], rng.choice(_VALUES), *value[at:]],
            value[:at] + value[at + 1 :],
            value * rng.choice((2, 3, 100)),
            [value],
            [item for part in value for item in (part if isinstance(part, list) else [part])],
            [[item] for item in value],
            [*value, whole],
        )
    )


def _other_string(rng: random.Random, value: str) -> Any:
    at = rng.randrange(len(value) + 1)
    return rng.choice(
        (
            value.upper(),
            value[:at],
            value + rng.choice("\0 /.%\u200b"),
            value[:at] + chr(rng.choice((0x20, 0xE9, 0x430, 0x2028, 0xFFFF, 0x1F986))) + value[at:],
            value * rng.choice((2, 300)),
            Text(f'"{value[:at]}\\u{rng.randrange(0x10000):04x}{value[at:]}"'),
            [value],
        )
    )


def _other_number(rng: random.Random, value: float) -> Any:
    return rng.choice(
        (
            value + 1,
            -value,
            value * 10 ** rng.randrange(40),
            float(value),
            str(value),
            [value],
            Text(f"{value}{'0' * 30}"),
            Text(f"{value}e{rng.randrange(-400, 400)}"),
            rng.uniform(-1e9, 1e9),
            rng.getrandbits(rng.choice((8, 32, 63, 64, 200))),
        )
    )
