"""What is mounted in an application is loaded, proven and set up as on the server, and a mistake in it is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import tiny_models

from modelport.runtime.errors import FailedCheckError, InvalidPackageError, InvalidSettingError, ModelportError
from modelport.runtime.package import Spread
from modelport.runtime.server.embedding import embed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.mark.parametrize("name", ["key_file", "package", "max_body", ""])
def test_a_setting_that_is_none_is_refused_before_it_protects_nothing(package: Path, name: str) -> None:
    message = f"^setting `{name}`: expected one of digest, .+, keys, keys_file, .+$"
    with pytest.raises(InvalidSettingError, match=message):
        embed((package,), {name: "keys"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_body_bytes": 0}, "`--max-body-bytes`: expected an integer from 1 to 1099511627776, got `0`"),
        ({"keys": "short"}, "`keys`: expected one or two keys of 8 to 512 characters with a comma between, got others"),
        ({"keys_file": "/nowhere"}, "keys file `/nowhere`: expected a file, got No such file or directory"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(package: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}"):
        embed((package,), settings)


def test_settings_are_values_paths_or_texts(package: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("correct-horse")
    embedded = embed((package,), {"keys_file": tmp_path / "keys", "max_body_bytes": "17", "scoring_timeout": 2})
    settings = embedded.settings
    assert (settings.keys_file, settings.max_body_bytes) == (str(tmp_path / "keys"), 17)
    assert settings.scoring_timeout == 2.0


def test_the_environment_of_a_server_is_not_read(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELPORT_MAX_BODY_BYTES", "17")
    monkeypatch.setenv("MODELPORT_PACKAGE", "/nowhere")
    assert embed((str(package),), {}).settings.max_body_bytes == 64 << 20


def damaged(path: Path) -> Path:
    tiny_models.linear(path)
    (path / "model.onnx").write_bytes(b"another")
    return path


def unproven(path: Path) -> Path:
    return tiny_models.noisy(path, spread=Spread(lowest=5.0, highest=6.0, mean=5.5, deviation=0.1))


@pytest.mark.parametrize(("make", "error"), [(damaged, InvalidPackageError), (unproven, FailedCheckError)])
def test_a_package_that_is_changed_or_not_proven_is_not_served(
    tmp_path: Path, make: object, error: type[ModelportError]
) -> None:
    with pytest.raises(error):
        embed((make(tmp_path / "package"),), {})  # type: ignore[operator]


def test_without_a_package_there_is_nothing_to_serve() -> None:
    with pytest.raises(InvalidSettingError, match=r"(?m)^`PACKAGE`: expected a directory, got `\[\]`$"):
        embed((), {})
