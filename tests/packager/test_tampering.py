"""No byte of any file of a converted package can be changed: 200 places in each, every byte of manifest and digest."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelport.packager import convert
from modelport.packager.conversion.onnxfile.files import OWN_FILES
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

PLACES = 200


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = np.random.default_rng(1).normal(size=(100, 3)).round(2)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(x, x[:, 0] > 0)
    script = {"score.py": ("script", b"def init():\n    pass\n\n\ndef run(data):\n    return data\n")}
    return convert(model, x, output=tmp_path_factory.mktemp("packages") / "package", extra=script).path


@pytest.mark.parametrize("name", OWN_FILES)
def test_a_changed_byte_is_refused_wherever_it_is(package: Path, name: str) -> None:
    assert {path.name for path in package.iterdir()} == set(OWN_FILES)
    path = package / name
    whole = path.read_bytes()
    places = range(len(whole))
    if not name.startswith("manifest"):
        places = random.Random(7).sample(places, min(PLACES, len(whole)))  # noqa: S311  a seeded choice
    try:
        for place in places:
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            with pytest.raises(InvalidPackageError):
                open_package(package)
    finally:
        path.write_bytes(whole)
    open_package(package)
