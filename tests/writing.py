"""Plans to write, and programs that write them in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from modelport.packager.package import PackagePlan
from modelport.runtime.package import open_package

TESTS = Path(__file__).parent

# What every program below starts with: the tests' directory, a place, and a package's kind by name.
PREPARED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tiny_models
from modelport.packager.errors import OutputExistsError, WriteError
from modelport.packager.package import PackagePlan, write, write_package
from modelport.runtime.package import open_package
root = Path(sys.argv[2])
made = getattr(tiny_models, sys.argv[3])(root / f"made{os.getpid()}")
package = open_package(made)
files = {path.name: path.read_bytes() for path in made.iterdir()}
plan = PackagePlan(manifest=package.manifest, digest=package.digest, files=files)
"""


def run(program: str, root: Path) -> str:
    command = [sys.executable, "-c", PREPARED + program, TESTS, root, "external"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def plan_of(path: Path) -> PackagePlan:
    package = open_package(path)
    files = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return PackagePlan(manifest=package.manifest, digest=package.digest, files=files)


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
