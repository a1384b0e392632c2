"""Plans that were made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tiny_models
from writing import plan_of

if TYPE_CHECKING:
    from modelport.packager.package import PackagePlan


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> PackagePlan:
    return plan_of(tiny_models.external(tmp_path_factory.mktemp("made") / "package"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> PackagePlan:
    return plan_of(tiny_models.linear(tmp_path_factory.mktemp("made") / "package"))
