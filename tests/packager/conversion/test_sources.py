"""A model that a user names: what its module misses is said, and how to get it only where that is known."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from modelport.packager import conversion
from modelport.packager.conversion.sources import find_model
from modelport.packager.errors import ConversionError
from modelport.runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

BROUGHT = [("sklearn", 'pip install "modelport[sklearn]"'), ("unheard_of", None)]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of a user's module `train_here`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "train_here", raising=False)
    return tmp_path / "train_here.py"


@pytest.mark.parametrize(("module", "hint"), BROUGHT)
def test_what_a_train_module_misses_is_named(
    train: Path, monkeypatch: pytest.MonkeyPatch, module: str, hint: str | None
) -> None:
    train.write_text(f"import {module}\n")
    monkeypatch.setitem(sys.modules, module, None)
    message = f"(?m)^module `train_here`: expected `{module}` to be installed$"
    with pytest.raises(MissingExtraError, match=message) as caught:
        find_model("train_here:model", folder=train.parent)
    assert caught.value.hint == hint


def test_a_train_module_that_asks_for_what_modelport_does_not_have_is_at_fault(train: Path) -> None:
    train.write_text("import modelport.nowhere\n")
    message = (
        "^module `train_here`: expected to be imported, got ModuleNotFoundError: No module named 'modelport.nowhere'$"
    )
    with pytest.raises(ConversionError, match=message):
        find_model("train_here:model", folder=train.parent)


def test_what_a_pickle_misses_is_named(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train.write_text("class Model:\n    pass\n")
    path = train.with_name("model.pkl")
    path.write_bytes(pickle.dumps(find_model("train_here:Model", folder=train.parent)))
    monkeypatch.setitem(sys.modules, "train_here", None)
    with pytest.raises(MissingExtraError, match=r"(?m)^model `.*model.pkl`: expected `train_here` to be installed$"):
        find_model(str(path), trust_pickle=True)


def test_a_pickle_without_joblib_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MissingExtraError, match=r"(?m)^model `.*`: expected `joblib` to be installed$") as caught:
        find_model(str(tmp_path / "model.joblib"), trust_pickle=True)
    assert caught.value.hint == 'pip install "modelport[sklearn]"'


class Broken:
    """An entry point of a converter whose module asks for another one."""

    name = "sklearn"

    def __init__(self, missing: str) -> None:
        self.missing = missing

    def load(self) -> object:
        raise ModuleNotFoundError(name=self.missing)


@pytest.mark.parametrize(("missing", "kind"), [("skl2onnx", MissingExtraError), ("modelport.x", ModuleNotFoundError)])
def test_a_converter_that_misses_a_module_of_ours_is_our_fault(
    monkeypatch: pytest.MonkeyPatch, missing: str, kind: type[Exception]
) -> None:
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415

    monkeypatch.setattr(conversion, "entry_points", lambda **_: [Broken(missing)])
    with pytest.raises(kind):
        conversion.converter_for(LinearRegression())
