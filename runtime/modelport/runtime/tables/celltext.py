"""What the text of CSV cells means for a tensor. A decimal becomes a float64; text that means nothing stays text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from modelport.runtime.outputs import Column
    from modelport.runtime.signature import TensorSpec


# JSON's numbers, and those that other programs write: a plus sign, no digit before or after the point.
_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_FLOAT: Final = re.compile(_NUMBER)
_FLOATS: Final = re.compile(rf"(?:(?:{_NUMBER})?\n)*+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


def values_of(spec: TensorSpec, texts: list[str]) -> Column:
    """Return what `texts` mean for `spec`, a value each.

    An empty cell is a missing value, but the empty string for strings that cannot be missing. What is no value of the
    datatype is left as text, for `values.coerce` to refuse.
    """
    if spec.datatype in ("FP16", "FP32", "FP64"):
        return _floats(spec, texts)
    if spec.datatype == "BYTES":
        return [text or None for text in texts] if spec.nullable else texts
    return [_boolean(text) if spec.datatype == "BOOL" else _integer(text) for text in texts]


def _floats(spec: TensorSpec, texts: list[str]) -> Column:
    missing = float("nan") if spec.nullable else None
    joined = "\n".join([*texts, ""])
    if joined.count("\n") == len(texts) and _FLOATS.fullmatch(joined):
        values = [float(text) if text else missing for text in texts]
        return values if None in values else np.array(values, np.float64)
    return [_float(text) if text else missing for text in texts]


def _float(text: str) -> Any:
    return float(text) if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text) else text


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text) else text or None


def _boolean(text: str) -> Any:
    return _BOOLEANS.get(text.lower(), text or None)
