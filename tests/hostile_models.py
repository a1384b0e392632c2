"""A tiny package whose every name is hostile, for tests of what shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto, helper
from tiny_models import _model, plan

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

#: Names that would do something if they were ever taken for markup, code or a place in an object.
HOSTILE: Final = (
    '<script>document.title = "ran"</script>',
    '"><img src=x onerror=\'document.title = "ran"\'>',
    "x" * 400,
    "\u202egnirts\u202c \u200f\u05e9\u05dc\u05d5\u05dd",
    "\U0001f469\u200d\U0001f467 \U0001f984 Straße",
    "__proto__",
    "constructor",
    "it's; `rm -rf $HOME`",
    "tab\tand\nline",
    " ",
)
_WIDE: Final = 60


def hostile(path: Path) -> Path:
    """Many columns of numbers and one of closed categories, all with hostile names -> values with hostile labels."""
    columns = [*HOSTILE, *(f"column {number}" for number in range(_WIDE))]
    label = f"chosen {HOSTILE[0]}"
    model = _model(
        [
            helper.make_node("Concat", columns, [HOSTILE[0] + "out"], axis=1),
            helper.make_node("Identity", ["city"], [label]),
        ],
        [
            *(helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in columns),
            helper.make_tensor_value_info("city", TensorProto.STRING, [None, 1]),
        ],
        [
            helper.make_tensor_value_info(HOSTILE[0] + "out", TensorProto.DOUBLE, [None, len(columns)]),
            helper.make_tensor_value_info(label, TensorProto.STRING, [None, 1]),
        ],
        {},
    )
    signature = Signature(
        inputs=(
            *(TensorSpec(name=name, datatype="FP64", shape=(-1, 1), nullable=True) for name in columns),
            TensorSpec(name="city", datatype="BYTES", shape=(-1, 1), categories=HOSTILE, closed=True),
        ),
        outputs=(
            TensorSpec(name=HOSTILE[0] + "out", datatype="FP64", shape=(-1, len(columns)), labels=tuple(columns)),
            TensorSpec(name=label, datatype="BYTES", shape=(-1, 1)),
        ),
        rows_identical=True,
    )
    sample = {name: np.array([[number / 100]]) for number, name in enumerate(columns)}
    made = plan("hostile", model, signature, [{**sample, "city": np.array([[HOSTILE[0]]], object)}])
    return write_package(made, path)
