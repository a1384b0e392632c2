"""Reading a ready model from disk: whole, with what lies beside it, and nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import tiny_models
from outside_data import ADD, CONSTANT, model, outside

from modelport.packager import convert
from modelport.packager.conversion.onnxfile import read_onnx
from modelport.packager.errors import ConversionError
from modelport.runtime import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelport.runtime import Scorer

X = np.zeros((3, 4), np.float32)
BESIDE = "save the model again with its weights beside it or inside"


def put(directory: Path, *tensors: onnx.TensorProto) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "m.onnx"
    path.write_bytes(model([ADD], list(tensors)).SerializeToString())
    return path


def added(scorer: Scorer) -> list[float]:
    """Return the constant that the model adds."""
    found: list[float] = scorer.score(X[:1])["y"][0].tolist()
    return found


def test_external_data_goes_into_the_package_and_the_source_may_go(tmp_path: Path) -> None:
    source = tiny_models.external(tmp_path / "source")
    made = convert(source / "model.onnx", X, output=tmp_path / "package")
    assert made.plan.manifest.files["weights.bin"].role == "external-data"
    assert (tmp_path / "package" / "weights.bin").read_bytes() == CONSTANT.tobytes()
    shutil.rmtree(source)
    assert added(load(tmp_path / "package", digest=made.digest)) == CONSTANT.tolist()


def test_external_data_in_a_directory_keeps_its_place(tmp_path: Path) -> None:
    path = put(tmp_path / "source", outside(location="deep/weights.bin"))
    (path.parent / "deep").mkdir()
    (path.parent / "deep" / "weights.bin").write_bytes(CONSTANT.tobytes())
    convert(path, X, output=tmp_path / "package")
    assert (tmp_path / "package" / "deep" / "weights.bin").is_file()
    assert added(load(tmp_path / "package")) == CONSTANT.tolist()


def test_a_part_of_a_file_is_taken_by_offset_and_length(tmp_path: Path) -> None:
    path = put(tmp_path / "source", outside(offset="16", length="16"))
    (path.parent / "weights.bin").write_bytes(b"\xff" * 16 + CONSTANT.tobytes() + b"\xff" * 16)
    made = convert(path, X, output=tmp_path / "package")
    assert made.report.verdict == "passed"
    assert added(load(tmp_path / "package")) == CONSTANT.tolist()


def test_a_changed_weight_gives_another_digest_and_a_moved_source_the_same(tmp_path: Path) -> None:
    path = put(tmp_path / "source", outside())
    (path.parent / "weights.bin").write_bytes(CONSTANT.tobytes())
    first = convert(path, X, output=tmp_path / "one")
    moved = shutil.copytree(path.parent, tmp_path / "elsewhere" / "deeper")
    assert convert(moved / "m.onnx", X, output=tmp_path / "two").digest == first.digest
    (moved / "weights.bin").write_bytes((CONSTANT + 1).tobytes())
    assert convert(moved / "m.onnx", X, output=tmp_path / "three").digest != first.digest


def test_nothing_beside_the_model_is_read_but_what_it_names(tmp_path: Path) -> None:
    path = put(tmp_path / "source", outside())
    (path.parent / "weights.bin").write_bytes(CONSTANT.tobytes())
    (path.parent / "secrets.bin").write_bytes(b"secret")
    assert read_onnx(path).external_data == {"weights.bin": CONSTANT.tobytes()}


def linked(path: Path, content: Path) -> None:
    path.symlink_to(content)


def hard_linked(path: Path, content: Path) -> None:
    os.link(content, path)


def fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, _: Path) -> None:
    path.mkdir()


def absent(_: Path, __: Path) -> None:
    """Leave nothing there."""


@pytest.mark.parametrize("made", [linked, hard_linked, fifo, directory, absent], ids=lambda made: made.__name__)
def test_external_data_that_is_no_plain_file_is_refused_with_the_remedy(
    made: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "content").write_bytes(CONSTANT.tobytes())
    path = put(tmp_path / "source", outside())
    made(path.parent / "weights.bin", tmp_path / "content")
    message = "`m.onnx`: expected external data in plain files beside it, got `weights.bin`"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert(path, X, output=tmp_path / "package")
    assert caught.value.hint == BESIDE
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("location", ["../content", "deep/../../content", "linked/content"])
def test_external_data_outside_the_models_directory_is_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(CONSTANT.tobytes())
    path = put(tmp_path / "source", outside(location=location))
    (path.parent / "deep").mkdir()
    (path.parent / "linked").symlink_to(tmp_path)
    with pytest.raises(ConversionError, match=rf"(?m)^`m\.onnx`: expected .*`{re.escape(location)}`.*$"):
        convert(path, X, output=tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_external_data_at_an_absolute_path_is_refused(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(CONSTANT.tobytes())
    path = put(tmp_path / "source", outside(location=str(content)))
    with pytest.raises(ConversionError, match=r"(?m)^`m\.onnx`: expected .*$"):
        convert(path, X, output=tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_external_data_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "source", outside())
    (path.parent / "weights.bin").write_bytes(CONSTANT.tobytes()[:-1])
    with pytest.raises(ConversionError, match=r"(?m)^.*expected .*$"):
        convert(path, X, output=tmp_path / "package")
    assert not (tmp_path / "package").exists()


DAMAGED = {
    "cut": (lambda data: data[:-7], r"`m\.onnx`: expected an ONNX model, got other or damaged bytes \(.+\)"),
    "other bytes": (
        lambda _: b"hello world",
        r"`m\.onnx`: expected an ONNX model, got other or damaged bytes \(.+\)",
    ),
    "empty": (lambda _: b"", r"`m\.onnx`: expected an ONNX model, got bytes without IR version, operator set or graph"),
    "an unknown operator": (
        lambda data: data.replace(b"Add", b"Odd"),
        r"model: expected a valid ONNX model, got .*Odd.*",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_refused(kind: str, tmp_path: Path) -> None:
    damage, message = DAMAGED[kind]
    path = put(tmp_path / "source", onnx.numpy_helper.from_array(CONSTANT, "c"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConversionError, match=f"(?m)^{message}$"):
        convert(path, X, output=tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    message = f"`{path}`: expected a readable ONNX model, got No such file or directory"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(path, X, output=tmp_path / "package")


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.mkdir()
    message = f"`{path}`: expected a readable ONNX model, got Is a directory"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(path, X, output=tmp_path / "package")


@pytest.mark.parametrize("location", ["my weights.bin", "samples.npz", "model.onnx", "parity.json", ".hidden"])
def test_external_data_that_a_package_cannot_hold_under_its_name_is_refused_with_the_remedy(
    tmp_path: Path, location: str
) -> None:
    made = model([ADD], [outside(location=location)])
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    if location != "model.onnx":
        (tmp_path / location).write_bytes(CONSTANT.tobytes())
    message = rf"(?m)^`m\.onnx`: expected external data under another name, got `{re.escape(location)}`$"
    with pytest.raises(ConversionError, match=message) as caught:
        read_onnx(tmp_path / "m.onnx")
    assert caught.value.hint == "save the model again with its weights in a file such as `weights.bin`"
