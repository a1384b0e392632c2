"""The same inputs give the same bytes, whoever packs them, where and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

PACK = """
import locale, os, sys, time
os.umask(int(sys.argv[2], 8))
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass
time.tzset()
sys.path.insert(0, sys.argv[3])
import tiny_models
from modelport.runtime.package import open_package
made = tiny_models.table(__import__("pathlib").Path(sys.argv[1]))
print(open_package(made).digest)
for path in sorted([made, *made.rglob("*")]):
    print(path.relative_to(made).as_posix(), oct(path.stat().st_mode & 0o7777))
"""


def pack(output: Path | str, umask: str, cwd: Path, **environment: str) -> str:
    command = [sys.executable, "-c", PACK, str(output), umask, str(TESTS)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=cwd, env={**os.environ, **environment}
    )
    return done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("plain")
    return pack(place / "package", "022", place)


def test_files_are_open_to_read_and_directories_to_enter(plain: str) -> None:
    digest, *modes = plain.splitlines()
    assert digest.startswith("sha256:")
    assert modes == [
        ". 0o755",
        "manifest.json 0o644",
        "manifest.sha256 0o644",
        "model.onnx 0o644",
        "samples.npz 0o644",
    ]


@pytest.mark.parametrize("umask", ["000", "077", "777"])
def test_another_umask_gives_the_same_package(plain: str, tmp_path: Path, umask: str) -> None:
    assert pack(tmp_path / "package", umask, tmp_path) == plain


def test_another_place_user_host_locale_time_zone_and_hash_seed_give_the_same_package(
    plain: str, tmp_path: Path
) -> None:
    place = tmp_path / "ein anderer Ort" / "ü"
    place.mkdir(parents=True)
    got = pack(
        "relative/name",
        "027",
        place,
        TZ="Pacific/Kiritimati",
        LC_ALL="tr_TR.UTF-8",
        LANG="C",
        PYTHONHASHSEED="1234",
        HOME=str(place),
        USER="somebody",
        HOSTNAME="elsewhere",
        SOURCE_DATE_EPOCH="1",
        OMP_NUM_THREADS="2",
    )
    assert got == plain


def test_nothing_of_the_place_is_in_any_file(tmp_path: Path) -> None:
    place = tmp_path / "a-telling-name"
    place.mkdir()
    pack(place / "package", "022", place, USER="a-telling-user", HOSTNAME="a-telling-host")
    content = b"".join(path.read_bytes() for path in (place / "package").iterdir())
    assert b"a-telling" not in content
    assert str(TESTS.parent).encode() not in content
