"""A package goes by mail or bucket as one file, and every command takes that file as it is."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import table_models
from command_line import modelport

if TYPE_CHECKING:
    from pathlib import Path

PACKED = ["churn.tar", "churn.tar.gz", "churn.zip"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the package `churn`, three archives of it, and rows to score."""
    table_models.classifier(tmp_path / "churn")
    subprocess.run(["tar", "cf", "churn.tar", "churn/"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "czf", "churn.tar.gz", "-C", "churn", "."], cwd=tmp_path, check=True)
    shutil.make_archive(str(tmp_path / "churn"), "zip", tmp_path, "churn")
    (tmp_path / "rows.csv").write_text("age,income\n0.1,2\n,1\n")
    return tmp_path


@pytest.mark.parametrize("packed", PACKED)
def test_an_archive_is_checked_inspected_and_scored_as_the_directory_is(folder: Path, packed: str) -> None:
    for command, *rows in (["inspect"], ["check"], ["check", "--json"], ["score", "rows.csv"]):
        expected = modelport(command, "churn", *rows, folder=folder)
        assert expected.code == 0
        assert modelport(command, packed, *rows, folder=folder) == expected
    assert {path.name for path in folder.iterdir()} == {"churn", "rows.csv", *PACKED}


@pytest.mark.parametrize("packed", PACKED)
def test_an_archive_that_was_cut_off_is_said_in_one_line(folder: Path, packed: str) -> None:
    whole = (folder / packed).read_bytes()
    (folder / packed).write_bytes(whole[: len(whole) // 2])
    done = modelport("check", packed, folder=folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_an_archive_with_a_name_that_leads_out_of_it_is_refused(folder: Path) -> None:
    subprocess.run(["tar", "rPf", "churn.tar", "--transform=s,^,../,", "rows.csv"], cwd=folder, check=True)
    assert modelport("score", "churn.tar", "rows.csv", folder=folder) == (
        1,
        "",
        "error: `../rows.csv`: expected a name inside the package, got one that leads out of it\n",
    )


def test_an_archive_of_something_else_is_no_package(folder: Path) -> None:
    subprocess.run(["tar", "cf", "other.tar", "rows.csv"], cwd=folder, check=True)
    assert modelport("inspect", "other.tar", folder=folder) == (
        1,
        "",
        "error: package `other.tar`: expected `manifest.json`, got an archive without it\n",
    )
    assert modelport("inspect", "rows.csv", folder=folder) == (
        1,
        "",
        (
            "error: package `rows.csv`: expected a directory, a .tar or a .zip, got another file\n\n"
            "hint: `modelport convert MODEL -o DIR` makes a package\n"
        ),
    )
