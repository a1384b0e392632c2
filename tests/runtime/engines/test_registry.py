"""An engine is found by its name: ours at once, others by the entry points of what is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import tiny_models

from modelport.runtime import load
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import MissingExtraError, UnknownNameError
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = """
class Constant:
    description = "constant 1 (paper)"

    def __init__(self, request):
        self.request = request
        assert request.model == request.files["model.onnx"]

    def run(self, inputs):
        (array,) = inputs.values()
        return [array[:, :3] * 0 + 7]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with engines of its own on `sys.path`."""
    site = tmp_path / "site"
    info = site / "paper_engines-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paper-engines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[modelport.engines]\nconstant = paper_engines:Constant\nbroken = paper_broken.engine:Engine\n"
    )
    (site / "paper_engines.py").write_text(ENGINE)
    (site / "paper_broken").mkdir()
    (site / "paper_broken" / "__init__.py").touch()
    (site / "paper_broken" / "engine.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(site)
    return site


def test_an_engine_that_is_installed_is_found_by_its_entry_point(installed: Path, tmp_path: Path) -> None:
    assert installed.is_dir()
    scorer = load(tiny_models.linear(tmp_path / "package"), engine="constant", providers=["fast"])
    assert scorer.engine.description == "constant 1 (paper)"
    assert scorer.score([[1.0, 2.0, 3.0, 4.0]])["y"].tolist() == [[7.0, 7.0, 7.0]]


def test_the_engine_gets_all_files_and_settings_of_the_package(installed: Path, tmp_path: Path) -> None:
    assert installed.is_dir()
    path = tiny_models.external(tmp_path / "package")
    request = load(path, engine="constant", providers=["fast"]).engine.request  # type: ignore[attr-defined]
    package = open_package(path)
    assert request.outputs == ("y",)
    assert request.threads == 1
    assert request.providers == ("fast",)
    assert request.external_data == {"weights.bin": package.files["weights.bin"]}
    assert request.files == package.files


def test_an_unknown_engine_lists_the_known_ones(installed: Path) -> None:
    assert installed.is_dir()
    message = "engine `steam`: expected one of broken, constant, onnxruntime"
    with pytest.raises(UnknownNameError, match=f"(?m)^{re.escape(message)}$"):
        open_engine(EngineRequest(model=b"", outputs=()), "steam")


def test_an_engine_whose_library_is_missing_says_so(installed: Path) -> None:
    assert installed.is_dir()
    message = (
        "engine `broken`: expected its libraries to be installed, got No module named 'a_library_that_is_not_there'"
    )
    with pytest.raises(MissingExtraError, match=f"(?m)^{re.escape(message)}$") as caught:
        open_engine(EngineRequest(model=b"", outputs=()), "broken")
    assert caught.value.hint == "install what `paper_broken.engine` imports"


PLAIN = """
import sys
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import InvalidPackageError
def refuse(**_):
    raise AssertionError("the metadata of everything installed was searched")
import modelport.runtime.engines as engines
engines.entry_points = refuse
try:
    open_engine(EngineRequest(model=b"", outputs=()))
except InvalidPackageError:
    print("opened by ONNX Runtime")
"""


def test_our_own_engine_is_found_without_a_search() -> None:
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=True)
    assert done.stdout == "opened by ONNX Runtime\n"


def test_our_own_engine_is_an_entry_point_too() -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415

    from modelport.runtime.engines.ort import OrtEngine  # noqa: PLC0415

    (entry,) = entry_points(group="modelport.engines", name="onnxruntime")
    assert entry.load() is OrtEngine
