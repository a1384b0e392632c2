"""A ready model keeps its external data only where the engine takes it from memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from outside_data import ADD, CONSTANT, PLACES, model, outside

from modelport.packager import convert
from modelport.packager.errors import ConversionError
from modelport.runtime import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx


def put(directory: Path, made: onnx.ModelProto) -> Path:
    (directory / "weights.bin").write_bytes(CONSTANT.tobytes())
    (directory / "m.onnx").write_bytes(made.SerializeToString())
    return directory / "m.onnx"


def test_initializers_outside_go_into_the_package(tmp_path: Path) -> None:
    path = put(tmp_path, model([ADD], [outside("c")]))
    convert(path, np.zeros((3, 4), np.float32), output=tmp_path / "package")
    got = load(tmp_path / "package").score(np.zeros((1, 4), np.float32))
    assert got["y"].tolist() == [CONSTANT.tolist()]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_other_tensors_outside_are_refused_with_the_remedy(
    tmp_path: Path, place: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    path = put(tmp_path, place(outside("c")))
    message = (
        "`m.onnx`: expected external data of the main graph's initializers only, "
        "got `weights.bin` named by another tensor"
    )
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert(path, np.zeros((3, 4), np.float32), output=tmp_path / "package")
    expected = "save the model again with tensors of subgraphs, functions and attributes inside the file"
    assert caught.value.hint == expected
    assert not (tmp_path / "package").exists()
