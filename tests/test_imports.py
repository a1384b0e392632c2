"""Scoring imports what it needs and nothing heavier."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import tiny_models

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"sklearn", "pandas", "pyarrow", "onnx", "torch", "typer", "rich"}


def modules_after(code: str) -> set[str]:
    """Return the names of all modules that are loaded after `code` ran in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_runtime_loads_neither_numpy_nor_onnxruntime() -> None:
    loaded = modules_after("import modelport.runtime")
    assert loaded.isdisjoint(HEAVY | {"numpy", "onnxruntime", "msgspec", "granian"})


def test_opening_and_scoring_a_package_loads_nothing_heavy(tmp_path: Path) -> None:
    package = tiny_models.table(tmp_path / "table")
    loaded = modules_after(
        f"from modelport.runtime import load\nscorer = load({str(package)!r})\n"
        "out = scorer.score([{'amount': 1.5, 'count': 2, 'city': 'Bern'}])\n"
        "assert out['total'].tolist() == [[3.5]]"
    )
    assert {"numpy", "onnxruntime", "modelport.runtime.scorer"} <= loaded
    assert loaded.isdisjoint(HEAVY | {"granian", "modelport.packager", "modelport.runtime.cli"})


def test_the_client_loads_neither_an_engine_nor_a_server() -> None:
    loaded = modules_after("import modelport.runtime.client")
    assert loaded.isdisjoint(HEAVY | {"granian", "onnxruntime", "modelport.runtime.scorer"})


def test_checking_a_package_loads_nothing_heavy(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    loaded = modules_after(
        "from modelport.runtime import golden, load\n"
        f"assert golden.check(load({str(package)!r})).verdict == 'identical'"
    )
    assert loaded.isdisjoint(HEAVY)


def test_scoring_a_table_loads_pyarrow_for_parquet_alone(tmp_path: Path) -> None:
    package = tiny_models.table(tmp_path / "table")
    (tmp_path / "rows.csv").write_text("amount,count,city\n1,2,a\n")
    code = "from modelport.runtime.cli.app import run\nassert run({!r}) == 0"
    arguments = ["score", str(package), str(tmp_path / "rows.csv"), "-o"]
    assert modules_after(code.format([*arguments, str(tmp_path / "out.csv")])).isdisjoint(HEAVY - {"typer"})
    assert "pyarrow" in modules_after(code.format([*arguments, str(tmp_path / "out.parquet")]))
