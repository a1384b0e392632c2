"""Targets plug in by entry point."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import tiny_models

from modelport.packager.config import load_config
from modelport.packager.targets import TYPES, TargetPlan, find_target, known_types
from modelport.runtime.errors import MissingExtraError, UnknownNameError
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

SHELF = """
from modelport.packager.targets import TargetPlan


class Shelf:
    def plan(self, package, settings):
        return TargetPlan(target="shelf", files={settings["file"]: package.digest.encode()})

    def apply(self, plan):
        return ", ".join(plan.files)
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a distribution with two targets on the path, one of them with a need that is not met."""
    info = tmp_path / "shelf_target-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[modelport.targets]\nshelf = shelf_target:Shelf\nneedy = needy_target:Needy\n"
    )
    (tmp_path / "shelf_target.py").write_text(SHELF)
    (tmp_path / "needy_target.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("plugged")
def test_a_target_of_another_distribution_plans_and_acts(tmp_path: Path) -> None:
    package = open_package(tiny_models.linear(tmp_path / "linear"))
    target = find_target("shelf")
    plan = target.plan(package, {"file": "digest.txt"})
    assert plan.files == {"digest.txt": package.digest.encode()}
    assert target.apply(plan) == "digest.txt"


@pytest.mark.usefixtures("plugged")
def test_an_unknown_target_lists_the_installed_ones() -> None:
    message = "target `cellar`: expected one of needy, shelf"
    with pytest.raises(UnknownNameError, match=f"(?m)^{re.escape(message)}$"):
        find_target("cellar")


def test_without_any_target_installed_the_error_says_so() -> None:
    message = "target `aks`: expected an installed one, of which there is none"
    with pytest.raises(UnknownNameError, match=f"(?m)^{re.escape(message)}$"):
        find_target("aks")


@pytest.mark.usefixtures("plugged")
def test_a_target_whose_needs_are_missing_names_them() -> None:
    message = "target `needy`: expected no_such_library to be installed"
    with pytest.raises(MissingExtraError, match=f"(?m)^{re.escape(message)}$") as caught:
        find_target("needy")
    assert caught.value.hint == 'pip install "modelport[needy]"'


def test_a_configuration_may_name_an_installed_target(plugged: Path) -> None:
    assert known_types() == (*TYPES, "needy", "shelf")
    (plugged / "modelport.yaml").write_text("model: a:b\ntargets: [{name: here, type: shelf}]")
    assert load_config(plugged / "modelport.yaml").targets[0].type == "shelf"


def test_a_plan_is_named_by_its_target_and_files() -> None:
    plan = TargetPlan(target="local", files={"a": b"1", "b": b"2"})
    assert plan.digest == TargetPlan(target="local", files={"b": b"2", "a": b"1"}).digest
    assert plan.digest != TargetPlan(target="docker", files={"a": b"1", "b": b"2"}).digest
    assert plan.digest != TargetPlan(target="local", files={"a": b"12", "b": b""}).digest
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", plan.digest)
