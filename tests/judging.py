"""Says what is wrong with the answer to an odd request, None if nothing is: `import judging`."""

from __future__ import annotations

import json
import re
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from odd_requests import LENGTH

if TYPE_CHECKING:
    from odd_requests import Odd
    from servers import Answer

#: What a client can be told of its own fault, or of nothing wrong.
_STATUSES = frozenset((200, 204, 400, 401, 404, 405, 411, 413, 415, 431))
#: What is told before there is a request: by the status alone.
_UNREADABLE = frozenset((400, 414, 431))
_FIELDS = ("error", "message")
_INSIDE = re.compile(rb"Traceback|File \"|\.py\b|/tmp/|/work/|/site-packages|onnxruntime|0x[0-9a-f]{8}")
_KEYS = frozenset(("model_name", "model_version", "outputs"))
_LONG = 40


def complaint(odd: Odd, answer: Answer) -> str | None:
    """Judge the answer to a request that is whole by HTTP's rules."""
    if odd.content is not None:
        return None if (answer.status, answer.content) == (200, odd.content) else "expected the answer from before"
    late = answer.status == 504 and b"timeout" in odd.data  # as its own parameter has it
    if answer.status not in _STATUSES and not late:
        return "expected another status"
    if answer.headers.get("connection") == "close" and answer.status == 200 and not odd.closes:
        return "expected the connection to stay open"
    if odd.to_head:
        return None
    if answer.status == 200 and odd.kind in ("tensors", "document") and not _is_fine(odd, answer):
        return "expected it to be refused"
    return _of_content(answer, odd.errors)


def complaint_of_broken(answer: Answer) -> str | None:
    """Judge an answer to what may be no request at all."""
    if not answer.content and answer.status in _UNREADABLE:
        return None
    if answer.status not in _STATUSES | {408}:
        return "expected another status"
    return _of_content(answer, None)


def _is_fine(odd: Odd, answer: Answer) -> bool:
    """Return whether the body of a request is JSON as it may be, its tensors of as many values as they say."""
    if b'"refused"' in answer.content:  # by a script
        return True
    try:
        value = _strictly(odd.data.partition(b"\r\n\r\n")[2])
    except ValueError:
        return False
    tensors = value["inputs"] if odd.kind == "tensors" else ()
    return all(prod(tensor["shape"]) == np.array(tensor["data"], object).size for tensor in tensors)


def _of_content(answer: Answer, errors: str | None) -> str | None:
    if answer.status in (200, 204) and errors is None:
        return None
    if answer.status != 200 and _INSIDE.search(answer.content):
        return "expected nothing of the server's inside"
    kind = "application/octet-stream" if LENGTH in answer.headers else "application/json"
    if answer.headers.get("content-type") != kind:
        return f"expected {kind}"
    size = int(answer.headers.get(LENGTH, len(answer.content)))
    try:
        value = _strictly(answer.content[:size])
    except ValueError as error:
        return f"expected JSON ({error})"
    if answer.status != 200:
        return _of_error(value, _FIELDS if errors is None else (errors,))
    return _of_tensors(value, answer.content[size:]) if errors == "error" else None


def _of_error(value: Any, fields: tuple[str, ...]) -> str | None:
    if isinstance(value, dict) and len(value) == 1:
        ((field, text),) = value.items()
        if field in fields and isinstance(text, str) and text:
            return None
    return f"expected an error as {' or '.join(fields)}"


def _of_tensors(value: Any, data: bytes) -> str | None:
    if not _KEYS <= value.keys() <= _KEYS | {"id"}:
        return "expected the keys of an answer"
    size = 0
    for tensor in value["outputs"]:
        if "data" in tensor and len(tensor["data"]) != prod(tensor["shape"]):
            return "expected as many values as the shape says"
        size += tensor.get("parameters", {}).get("binary_data_size", 0)
    return None if size == len(data) else "expected as many bytes as the sizes say"


def _strictly(text: bytes) -> Any:
    """Return what JSON says; raises `ValueError` for what is none, or has a key twice."""
    return json.loads(
        text, parse_constant=_refuse, object_pairs_hook=_each_once, parse_int=lambda digits: int(digits[:_LONG])
    )


def _refuse(literal: str) -> float:
    raise ValueError(f"{literal} is no number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
