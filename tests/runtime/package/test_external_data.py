"""External data comes from the package's own verified files or not at all, wherever in the model it is named."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sealed
import tiny_models
from onnx import TensorProto
from outside_data import ADD, CONSTANT, PLACES, in_subgraph, model, outside

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import onnxwire, open_package
from modelport.runtime.package.reader import check_external
from modelport.runtime.scorer import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.external(tmp_path / "package")


def put_model(package: Path, model: onnx.ModelProto | bytes) -> None:
    (package / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    sealed.seal(package)


LOCATIONS = {
    "absolute": "/etc/passwd",
    "absolute to itself": "{package}/weights.bin",
    "the parent": "../secret.bin",
    "up and down": "a/../../secret.bin",
    "up from within": "sub/../../secret.bin",
    "a dot": "./weights.bin",
    "two slashes": "sub//weights.bin",
    "a backslash": "..\\secret.bin",
    "a drive": "C:\\secret.bin",
    "a URL": "file:///etc/passwd",
    "a process's memory": "/proc/self/mem",
    "empty": "",
    "the directory": ".",
    "a NUL": "weights.bin\0/../../secret",
    "another case": "WEIGHTS.BIN",
    "a space after it": "weights.bin ",
    "a file that is not there": "missing.bin",
    "the manifest": "manifest.json",
    "the model itself": "model.onnx",
    "the samples": "samples.npz",
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_location_that_is_no_external_data_of_the_package_is_refused(package: Path, location: str) -> None:
    (package.parent / "secret.bin").write_bytes(CONSTANT.tobytes())
    put_model(package, model([ADD], [outside(location=location.format(package=package))]))
    message = r"(?m)^`model.onnx`: expected external data inside the package, got `.*`$"
    with pytest.raises(InvalidPackageError, match=message) as caught:
        open_package(package)
    assert caught.value.message.isprintable()


RANGES = {
    "an offset after the end": {"offset": "17"},
    "a length over the end": {"length": "17"},
    "offset and length over the end": {"offset": "8", "length": "9"},
    "an offset that wraps 64 bits": {"offset": "999999999999999999", "length": "16"},
}


@pytest.mark.parametrize("entries", RANGES.values(), ids=RANGES)
def test_a_range_outside_of_the_file_is_refused(package: Path, entries: dict[str, str]) -> None:
    put_model(package, model([ADD], [outside(**entries)]))
    message = r"(?m)^`model.onnx`: expected external data within the 16 bytes of `weights.bin`, got -?\d+ bytes at \d+$"
    with pytest.raises(InvalidPackageError, match=message):
        open_package(package)


@pytest.mark.parametrize(
    "text", ["-1", "-8", "+0", " 0", "0 ", "1_0", "0x8", "8e0", "", "٣", "9" * 5000, "18446744073709551616"]
)
@pytest.mark.parametrize("key", ["offset", "length"])
def test_offsets_and_lengths_are_plain_numbers(package: Path, key: str, text: str) -> None:
    put_model(package, model([ADD], [outside(**{key: text})]))
    with pytest.raises(InvalidPackageError, match="external data whose offset or length is no plain number"):
        open_package(package)


@pytest.mark.parametrize(("offset", "length"), [(-1, 4), (0, -2), (-(2**63), 2**63)])
def test_a_negative_range_is_refused_whoever_found_it(offset: int, length: int) -> None:
    reference = onnxwire.ExternalData("w", offset, length)
    with pytest.raises(InvalidPackageError, match="expected external data within the 16 bytes of `w`"):
        check_external(reference, {"w": 16}, "model.onnx")


def test_data_that_the_package_does_not_have_is_refused(package: Path) -> None:
    (package / "weights.bin").unlink()
    sealed.seal(package)
    with pytest.raises(InvalidPackageError, match=r"expected external data inside the package, got `weights.bin`$"):
        open_package(package)


def test_data_that_the_model_does_not_use_is_refused(package: Path) -> None:
    (package / "more.bin").write_bytes(b"more")
    sealed.seal(package)
    message = "(?m)^`more.bin`: expected external data that the model names, got a file that it does not$"
    with pytest.raises(InvalidPackageError, match=message):
        open_package(package)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_reference_hidden_anywhere_in_the_model_is_found(
    package: Path, place: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    put_model(package, place(outside("c", "../../secret.bin")))
    with pytest.raises(InvalidPackageError, match=r"inside the package, got `../../secret.bin`$"):
        open_package(package)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_data_of_the_package_may_belong_to_the_main_graphs_initializers_only(
    package: Path, place: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    put_model(package, place(outside("c")))
    message = (
        "`model.onnx`: expected external data of the main graph's initializers only, "
        "got `weights.bin` named by another tensor"
    )
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(message)}$"):
        open_package(package)


def test_the_engine_reads_data_of_subgraphs_from_the_working_directory_which_is_why_they_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should this fail one day, ONNX Runtime has become safer than our rule."""
    from modelport.runtime.engines import EngineRequest, open_engine  # noqa: PLC0415

    (tmp_path / "weights.bin").write_bytes((CONSTANT + 100).tobytes())
    monkeypatch.chdir(tmp_path)
    request = EngineRequest(
        model=in_subgraph(outside("c")).SerializeToString(),
        outputs=("y",),
        external_data={"weights.bin": CONSTANT.tobytes()},
    )
    (got,) = open_engine(request).run({"x": np.zeros((1, 4), np.float32)})
    assert got.tolist() == [[100.0, 101.0, 102.0, 103.0]]


def test_a_decoy_in_the_working_directory_changes_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("weights.bin", "model.onnx", "samples.npz"):
        (place / name).write_bytes(bytes(16))
    monkeypatch.chdir(place)
    got = load(package).score(np.zeros((2, 4), np.float32))["y"]
    assert got.tolist() == [CONSTANT.tolist()] * 2


def test_external_data_in_a_subdirectory_is_given_to_the_engine_by_its_whole_name(package: Path) -> None:
    (package / "data").mkdir()
    (package / "weights.bin").rename(package / "data" / "w")
    put_model(package, model([ADD], [outside(location="data/w")]))
    assert load(package).score(np.zeros((1, 4), np.float32))["y"].tolist() == [CONSTANT.tolist()]


def test_the_engine_keeps_nothing_of_the_buffers_that_it_was_given(package: Path) -> None:
    scorer = load(package)
    garbage = [bytes(16) for _ in range(100_000)]  # would take the place of freed buffers
    assert scorer.score(np.zeros((1, 4), np.float32))["y"].tolist() == [CONSTANT.tolist()]
    del garbage


TRACED = """
import sys
import numpy as np
import onnxruntime
from modelport.runtime import load
scorer = load(sys.argv[1])
scorer.score(np.zeros((1, 4), np.float32))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows which files are opened")
def test_every_file_of_a_package_is_opened_once(package: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=open,openat,openat2",
        "-o",
        log,
        sys.executable,
        "-c",
        TRACED,
        package,
    ]
    traced = subprocess.run(command, check=False, capture_output=True, text=True)
    if traced.returncode != 0:
        pytest.skip(f"strace cannot trace here: {traced.stderr[:200]}")
    text = log.read_text(errors="replace")
    for name in ("manifest.json", "manifest.sha256", "model.onnx", "samples.npz", "weights.bin"):
        assert text.count(f'"{name}"') == 1, name
        assert text.count(f"/{name}") == 0, name


def test_the_reference_to_data_that_is_inside_after_all_must_still_be_one_of_the_package(package: Path) -> None:
    tensor: Any = outside("c", "/etc/passwd")
    tensor.data_location = TensorProto.DEFAULT
    tensor.raw_data = CONSTANT.tobytes()
    put_model(package, model([ADD], [tensor]))
    with pytest.raises(InvalidPackageError, match=r"got `/etc/passwd`$"):
        open_package(package)
