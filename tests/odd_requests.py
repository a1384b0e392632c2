"""Requests that are odd somewhere, as bytes, for a server of the models here: `import odd_requests`.

Each is whole by HTTP's rules, whatever it says: it has exactly one answer.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import mutations
import numpy as np
import scripted
import sealed
import table_models
import tiny_models

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

KEY = "a-key-for-tests"
ORIGIN = "https://example.com"
LENGTH = "inference-header-content-length"
DEPLOYMENT = "azureml-model-deployment"
#: It refuses what the model refuses; whatever else is raised is an error of the script, and one of the server.
SCRIPT = """
from modelport.runtime import package_scorer
from modelport.runtime.errors import InvalidInputError

def init():
    global scorer
    scorer = package_scorer()

def run(data, request_headers):
    try:
        return scorer.answer(data)
    except InvalidInputError as error:
        return {"refused": error.message, "headers": len(request_headers)}
"""


class Odd(NamedTuple):
    """A request, and what is known of its answer: the very `content` if it is a good one that was asked before.

    `errors` is under what an error is told, None where it depends. `closes` says that the connection may be closed.
    """

    kind: str
    data: bytes
    errors: str | None = None
    content: bytes | None = None
    to_head: bool = False
    closes: bool = False


class Model(NamedTuple):
    """A model that is served, and what makes rows for it: a list for each input by its name, and its columns."""

    name: str
    inputs: Callable[[random.Random, int], dict[str, tuple[str, int, list[Any]]]]
    columns: tuple[str, ...]


def packages(folder: Path) -> list[Path]:
    """Write the packages that the requests are for."""
    script = scripted.put(tiny_models.linear(folder / "scripted"), SCRIPT)
    sealed.seal(script, change=lambda manifest: manifest.update(name="scripted"))
    return [
        tiny_models.linear(folder / "linear"),
        tiny_models.table(folder / "table"),
        table_models.classifier(folder / "classifier"),
        script,
    ]


def _number(rng: random.Random) -> float:
    return rng.choice((0, -1, 0.5, 1e-45, 3.4e38, rng.uniform(-1e3, 1e3), rng.randrange(1000)))


def _x(rng: random.Random, rows: int) -> dict[str, tuple[str, int, list[Any]]]:
    return {"x": ("FP32", 4, [_number(rng) for _ in range(4 * rows)])}


def _table(rng: random.Random, rows: int) -> dict[str, tuple[str, int, list[Any]]]:
    cities = ("Bern", "Zürich", "", "\0", "a" * 300, "🦆", None)
    return {
        "amount": ("FP64", 1, [rng.choice((_number(rng), None)) for _ in range(rows)]),
        "count": ("INT64", 1, [rng.randrange(-(2**40), 2**40) for _ in range(rows)]),
        "city": ("BYTES", 1, [rng.choice(cities) for _ in range(rows)]),
    }


def _features(rng: random.Random, rows: int) -> dict[str, tuple[str, int, list[Any]]]:
    return {"X": ("FP32", 2, [rng.choice((_number(rng), None)) for _ in range(2 * rows)])}


MODELS = (
    Model("linear", _x, ("x0", "x1", "x2", "x3")),
    Model("table", _table, ("amount", "count", "city")),
    Model("classifier", _features, ("age", "income")),
    Model("scripted", _x, ("x0", "x1", "x2", "x3")),
)


# ---- whole requests


def request(method: str, target: str, body: bytes | None = None, **headers: str) -> bytes:
    """Return a request with a key; an underscore in the name of a header stands for a hyphen."""
    fields = {"host": "test", "authorization": f"Bearer {KEY}", **headers}
    if body is not None and "transfer_encoding" not in fields:
        fields.setdefault("content_length", str(len(body)))
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def tensors(rng: random.Random, model: Model) -> Any:
    """Return a good request of V2."""
    rows = rng.choice((0, 1, 1, 2, 3))
    inputs = []
    for name, (datatype, width, values) in model.inputs(rng, rows).items():
        nested = [values[at : at + width] for at in range(0, len(values), width)]
        data = nested if rows and rng.random() < 0.3 else values
        inputs.append({"name": name, "shape": [rows, width], "datatype": datatype, "data": data})
    document: dict[str, Any] = {"inputs": inputs}
    if rng.random() < 0.3:
        document["id"] = "42"
    if rng.random() < 0.2:
        document["outputs"] = [{"name": rng.choice(("y", "total", "label")), "parameters": {"binary_data": True}}]
    if rng.random() < 0.2:
        document["parameters"] = rng.choice(({"binary_data_output": True}, {"timeout": 10**9}, {"priority": 1}))
    return document


def table(rng: random.Random, model: Model) -> Any:
    """Return a good document of any kind."""
    rows = rng.choice((1, 1, 2, 3))
    columns: dict[str, list[Any]] = {}
    for name, (_, width, values) in model.inputs(rng, rows).items():
        names = (name,) if width == 1 else model.columns
        columns |= {each: values[at::width] for at, each in enumerate(names)}
    lists = [list(row) for row in zip(*columns.values(), strict=True)]
    records = [dict(zip(columns, row, strict=True)) for row in lists]
    split = {"columns": list(columns), "data": lists, "index": list(range(rows))}
    document = rng.choice((records, records[0], columns, lists, split))
    if rng.random() < 0.3:
        return {rng.choice(("data", "input_data")): document}
    return document


def infer(model: str, rng: random.Random) -> str:
    """Return the path of V2 that scores."""
    return f"/v2/models/{model}{rng.choice(('', '/versions/1'))}/infer"


def score(model: str, rng: random.Random) -> tuple[str, dict[str, str]]:
    """Return the path of Azure ML that scores, and the header that it may need."""
    if rng.random() < 0.5:
        return "/score", {DEPLOYMENT: rng.choice((model, f"{model}:1"))}
    return f"/models/{model}{rng.choice(('', '/versions/1'))}/score", {}


def binary(rng: random.Random, model: Model) -> tuple[Any, bytes]:
    """Return a good request of V2 whose tensors are bytes, and the bytes."""
    document, data = tensors(rng, model), b""
    for tensor in document["inputs"]:
        flat = np.array(tensor.pop("data"), object).ravel()
        if tensor["datatype"] == "BYTES":
            texts = [str(value or "").encode() for value in flat]
            part = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        else:
            dtype = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}[tensor["datatype"]]
            part = np.array([0 if value is None else value for value in flat], dtype).tobytes()
        tensor["parameters"] = {"binary_data_size": len(part)}
        data += part
    return document, data


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """Return `data` cut into pieces of one size."""
    size = rng.choice((1, 7, 64, 4096))
    return [data[at : at + size] for at in range(0, len(data), size)]


# ---- odd ones that are framed


def odd_tensors(rng: random.Random) -> Odd:
    """Return a request of V2 with a JSON body that is odd."""
    model = rng.choice(MODELS)
    return Odd("tensors", request("POST", infer(model.name, rng), _odd_text(rng, tensors(rng, model))), "error")


def odd_document(rng: random.Random) -> Odd:
    """Return a document for `/score` that is odd."""
    model = rng.choice(MODELS)
    document = tensors(rng, model) if rng.random() < 0.2 else table(rng, model)
    path, headers = score(model.name, rng)
    return Odd("document", request("POST", path, _odd_text(rng, document), **headers), "message")


def odd_binary(rng: random.Random) -> Odd:
    """Return a request of V2 whose bytes, or what is said of them, are odd."""
    model = rng.choice(MODELS)
    document, data = binary(rng, model)
    text = json.dumps(document).encode()
    length = str(len(text))
    kind = rng.randrange(5)
    if kind == 0:
        text = _odd_text(rng, document)
        length = str(len(text))
    elif kind == 1:
        said = ("", "0", "-1", "1", str(len(text) + 1), str(len(text) - 1), "9" * 30, "0x20", f"{length}, {length}")
        length = rng.choice((*said, f"+{length}", f" {length}", f"{length}.0", "١", "\xb2"))  # noqa: RUF001
        length = length.encode("latin-1", "replace").decode("latin-1")
    elif kind == 2:
        data = mutations.corrupted(rng, data)
    elif kind == 3:
        data = b"".join(
            rng.choice((b"\xff\xff\xff\xff", b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\1\0\0\0")) for _ in data[::4]
        )
    else:
        body = mutations.corrupted(rng, text + data)
        text, data = body, b""
    return Odd("binary", request("POST", infer(model.name, rng), text + data, **{LENGTH: length}), "error")


def odd_coding(rng: random.Random) -> Odd:
    """Return a good body, or an odd one, that comes in chunks or compressed, in odd ways that HTTP allows."""
    model = rng.choice(MODELS)
    body = json.dumps(tensors(rng, model)).encode()
    path = infer(model.name, rng)
    if rng.random() < 0.5:
        extension = rng.choice((b"", b"", b";a", b";a=b", b' ;a="b"'))
        chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces(rng, body))
        data = chunks + rng.choice((b"0", b"000")) + b"\r\n\r\n"
        return Odd("chunks", request("POST", path, data, transfer_encoding="chunked"), "error")
    packed = gzip.compress(body, rng.randrange(1, 10))
    other = rng.choice((packed, packed, packed + packed, packed[:-1], packed + b"\0", body, b"", gzip.compress(packed)))
    data = rng.choice((packed, other, mutations.corrupted(rng, packed), _bomb()))
    coding = rng.choice(("gzip", "gzip", "gzip", "GZIP", "x-gzip", "identity", "gzip, gzip", "br", "", "\xe9"))
    return Odd("gzip", request("POST", path, data, content_encoding=coding), "error")


def odd_head(rng: random.Random) -> Odd:
    """Return a request with an odd path, query or header."""
    method = rng.choice(("GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "x-y", "get"))
    model = rng.choice(MODELS)
    good = (
        "/v2",
        "/v2/health/ready",
        f"/v2/models/{model.name}",
        infer(model.name, rng),
        "/score",
        "/swagger.json",
        "/",
    )
    good = (*good, f"/models/{model.name}/score", f"/models/{model.name}/swagger.json", "/metrics", "/docs", "/console")
    path = _odd_path(rng, rng.choice(good)) if rng.random() < 0.6 else rng.choice(good)
    if rng.random() < 0.4:
        path += "?" + _odd_query(rng)
    body = json.dumps(tensors(rng, model)).encode() if method != "GET" or rng.random() < 0.1 else None
    headers = dict(_odd_header(rng) for _ in range(rng.randrange(4)))
    closes = body is not None or "connection" in headers or "upgrade" in headers
    return Odd("head", request(method, path, body, **headers), closes=closes, to_head=method == "HEAD")


#: What makes framed requests, each as often as it stands here.
FRAMED = (
    odd_tensors,
    odd_tensors,
    odd_tensors,
    odd_document,
    odd_document,
    odd_binary,
    odd_binary,
    odd_coding,
    odd_head,
)


def _odd_text(rng: random.Random, value: Any) -> bytes:
    document = mutations.document(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        document = mutations.mutated(rng, document)
    text = mutations.written(document)
    chance = rng.random()
    if chance < 0.1:
        return mutations.corrupted(rng, text)
    return mutations.disguised(rng, text) if chance < 0.15 else text


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (4 << 20))


def _odd_path(rng: random.Random, path: str) -> str:
    at = rng.randrange(1, len(path) + 1)
    part = rng.choice(
        ("%00", "%2e%2e", "%2F", "%ff", "%C3%A9", "%", "%zz", "%25", "..", "//", ".", "a" * 9000, "%0d%0a")
    )
    part = rng.choice((part, part, quote("\u202e/é🦆"), "/../../etc/passwd", "/versions/%00", "/versions/01", "/infer"))
    return rng.choice((path[:at] + part + path[at:], path[:at], f"{path}/", path * 2, path.upper(), f"/{part}"))


def _odd_query(rng: random.Random) -> str:
    good = ("x0=1&x1=2&x2=3&x3=4", "age=1&income=2", "amount=1&count=2&city=Bern", "version=3", "a=1&a=2")
    odd = (
        "&" * 2000,
        "a" * 9000,
        "%00=%ff",
        "=",
        "a",
        "%",
        "a=%F0%9F%A6%86",
        "version=2.0",
        "x=[[1]]",
        "a=" + "[" * 3000,
    )
    return rng.choice((rng.choice(good), rng.choice(odd), f"{rng.choice(good)}&{rng.choice(odd)}"))


def _odd_header(rng: random.Random) -> tuple[str, str]:
    name, values = rng.choice(_HEADERS)
    value = rng.choice(values) if rng.random() < 0.7 else "".join(map(chr, rng.choices(_VISIBLE, k=rng.randrange(150))))
    return name, value.strip(" \t")


_VISIBLE = (9, *range(0x20, 0x7F), *range(0x80, 0x100))
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((name, ("1", "a" * 100, "a" * 101, "a b", "", "\xe9")) for name in ("x-request-id", "x-ms-request-id")),
    ("x-ms-client-request-id", ("1", "{0}", '"', "<script>")),
    ("traceparent", (_TRACE, _TRACE.upper(), f"{_TRACE}-", f"ff{_TRACE[2:]}", f"01{_TRACE[2:]}-x", "", "0" * 5000)),
    ("authorization", ("", "Bearer", "Basic eA==", f"bearer {KEY}", f"Bearer  {KEY}", f"Bearer {KEY}x", "Bearer \xe9")),
    ("origin", (ORIGIN, "null", "*", f"{ORIGIN}.evil", "https://EXAMPLE.com", "")),
    ("access-control-request-method", ("POST", "", "\xff")),
    ("access-control-request-headers", ("x", "x" * 9000, "a,b", "")),
    (DEPLOYMENT, ("linear", "linear:1", "linear:2", ":", "..", "\xe9", "scripted", "a" * 9000)),
    (LENGTH, ("0", "10", "-1", "a")),
    ("content-type", ("application/json", "text/plain; charset=utf-16", "multipart/form-data; boundary=x", "")),
    ("accept", ("text/html", "*/*;q=0", "")),
    ("expect", ("100-continue", "200-ok", "")),
    ("connection", ("keep-alive", "close", "upgrade", "te", "x-request-id", "")),
    ("upgrade", ("h2c", "websocket", "")),
    ("te", ("trailers", "gzip")),
    ("range", ("bytes=0-1", "bytes=" + ",".join(f"{at}-" for at in range(1000)))),
    ("cookie", ("a=b; " * 1000,)),
    ("host", ("", "a b", "[::1", "x" * 9000)),
)
