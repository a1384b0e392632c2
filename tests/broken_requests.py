"""Bytes that HTTP may not call requests, for a server of the models of `odd_requests`: `import broken_requests`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mutations
from odd_requests import KEY, MODELS, infer, pieces, request, tensors

if TYPE_CHECKING:
    import random


def broken(rng: random.Random) -> bytes:
    """Return such bytes: they may have any number of answers."""
    return b"".join(rng.choice(_BROKEN)(rng) for _ in range(rng.choice((1, 1, 1, 2))))


def _good(rng: random.Random) -> tuple[str, bytes]:
    model = rng.choice(MODELS)
    return infer(model.name, rng), json.dumps(tensors(rng, model)).encode()


def _corrupted(rng: random.Random) -> bytes:
    path, body = _good(rng)
    return mutations.corrupted(rng, request("POST", path, body))


def _cut(rng: random.Random) -> bytes:
    path, body = _good(rng)
    whole = request("POST", path, body)
    return whole[: rng.randrange(len(whole))]


def _first_line(rng: random.Random) -> bytes:
    path, body = _good(rng)
    method = rng.choice(
        ("POST", "POST ", " POST", "post", "", "PO\0ST", "P" * 9000, "POST\t", "\x16\x03\x01", "CONNECT")
    )
    target = rng.choice(
        (path, "", "*", f"http://other{path}", "other:443", f"/{chr(0xE9)}", f"{path}#a", "/" * 70_000, "?", '"')
    )
    target = rng.choice((target, f"{path}{chr(rng.randrange(1, 256))}", f"//{path}", "http://", "\\", "/<>{}|^`"))
    version = rng.choice(
        ("HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 ", "", "HTTP/11")
    )
    end = rng.choice(("\r\n", "\r\n", "\n", "\r", "\r\r\n"))
    line = (
        f"{method} {target} {version}{end}host: a\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return line.encode("latin-1") + body


def _lines(rng: random.Random) -> bytes:
    path, body = _good(rng)
    odd = (
        *(
            "a",
            ": a",
            "a : b",
            " a: b",
            "a:\0",
            "a: b\rc",
            "a: b\nc: d",
            "a: b\r\n c",
            "é: b",
            "a(): b",
            "a: \x7f",
            "a:",
        ),
        *("\r\n".join(f"a{at}: b" for at in range(count)) for count in (96, 97, 101, 1000)),
        *("a" * size + ": b" for size in (9000, 70_000)),
        *("a: " + "b" * size for size in (70_000, 500_000)),
        *("host: b", "host: a, b", "transfer-encoding: identity", "content-length:", "keep-alive: 5", "proxy: x"),
    )
    lines = [f"authorization: Bearer {KEY}", f"content-length: {len(body)}", "host: a", rng.choice(odd)]
    rng.shuffle(lines)
    return f"POST {path} HTTP/1.1\r\n".encode() + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _lengths(rng: random.Random) -> bytes:
    path, body = _good(rng)
    size = len(body)
    values = (size, size, size - 1, size + 1, 0, 1, -1, f"+{size}", f"{size}, {size}", f"{size},{size + 1}", f"0{size}")
    values = (
        *values,
        f"{size} ",
        f"0x{size:x}",
        2**63,
        2**64,
        2**64 + size,
        "9" * 99,
        "",
        "a",
        f"{size}.0",
        f"1_{size}",
    )
    codings = (
        "chunked",
        "Chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
        "",
        ",",
    )
    codings = (*codings, "chunked;a=b", " chunked", "\tchunked", "chun ked", "\x0bchunked", "chunked\xa0", '"chunked"')
    fields = [("content-length", str(rng.choice(values))) for _ in range(rng.randrange(3))]
    fields += [("transfer-encoding", rng.choice(codings)) for _ in range(rng.randrange(3))]
    rng.shuffle(fields)
    lines = "".join(f"{rng.choice((name, name.title(), f'{name} '))}: {value}\r\n" for name, value in fields)
    sent = rng.choice((body, b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), b"0\r\n\r\n", b""))
    version = rng.choice(("1.1", "1.1", "1.1", "1.0"))
    head = f"POST {path} HTTP/{version}\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n{lines}\r\n"
    return head.encode("latin-1") + sent


def _chunks(rng: random.Random) -> bytes:
    path, body = _good(rng)
    sizes = (
        "",
        "-1",
        "g",
        "0x5",
        " 5",
        "5 ",
        "f" * 16,
        "f" * 17,
        "0" * 400 + "1",
        "7fffffffffffffff",
        "1;" + "a" * 20_000,
        "1\0",
    )
    parts: list[bytes] = []
    for piece in pieces(rng, body):
        size = rng.choice(sizes) if rng.random() < 0.1 else f"{len(piece) + rng.choice((0,) * 20 + (1, -1)):X}"
        ends = [rng.choice(("\r\n",) * 20 + ("\n", "\r", "", "\r\n\r\n")).encode() for _ in range(2)]
        parts += (size.encode(), ends[0], piece, ends[1])
    trailers = (
        "",
        "",
        "a: b\r\n",
        "content-length: 5\r\n",
        "a\r\n",
        "a: \0\r\n",
        "a: b\r\n" * 2000,
        f"a: {'b' * 99_000}\r\n",
    )
    last = rng.choice(("0\r\n", "0\r\n", "", "00000000000000000000\r\n", "0;a\r\n", "0"))
    head = request("POST", path, transfer_encoding="chunked")
    return head + b"".join(parts) + (last + rng.choice(trailers) + rng.choice(("\r\n", "\r\n", "\n", ""))).encode()


def _noise(rng: random.Random) -> bytes:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    return rng.choice(
        (rng.randbytes(rng.randrange(2000)), preface, b"\r\n" * 5000, b"\0" * 9000, b"GET", b"\n", b"a" * 500_000)
    )


_BROKEN = (
    _corrupted,
    _corrupted,
    _cut,
    _first_line,
    _first_line,
    _lines,
    _lengths,
    _lengths,
    _lengths,
    _chunks,
    _chunks,
    _noise,
)
