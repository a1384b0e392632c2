"""What is not installed is named, with the extra that brings it where one does."""

from __future__ import annotations

import pytest

from modelport.runtime.errors import MissingExtraError
from modelport.runtime.extras import extra_of, needed_by

REQUIREMENTS = [
    "numpy<3,>=1.26",
    'typer<1,>=0.15; extra == "cli"',
    'modelport[cli]; extra == "parquet"',
    'pyarrow>=17; extra == "parquet"',
    "PyYAML>=6; python_version > '3' and extra == 'packager'",
    'protobuf>=6; extra == "packager"',
    'scikit_learn>=1.5; extra == "sklearn"',
]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("pyarrow.parquet", "parquet"),
        ("typer", "cli"),
        ("yaml", "packager"),
        ("google.protobuf", "packager"),
        ("sklearn.pipeline", "sklearn"),
        ("joblib", "sklearn"),
        ("numpy", None),
        ("unheard", None),
    ],
)
def test_the_extra_that_brings_a_module_is_found_in_the_metadata(module: str, extra: str | None) -> None:
    assert extra_of(module, REQUIREMENTS) == extra


@pytest.mark.parametrize(("module", "hint"), [("skl2onnx.proto", 'pip install "modelport[sklearn]"'), ("odd", None)])
def test_a_module_of_others_is_named_with_no_guess_of_where_it_comes_from(module: str, hint: str | None) -> None:
    message = f"(?m)^thing: expected `{module}` to be installed$"
    with pytest.raises(MissingExtraError, match=message) as caught, needed_by("thing"):
        raise ModuleNotFoundError(name=module)
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["modelport", "modelport.nowhere", None])
def test_what_is_ours_or_has_no_name_stays_what_it_is(name: str | None) -> None:
    with pytest.raises(ModuleNotFoundError), needed_by("thing"):
        raise ModuleNotFoundError(name=name)
