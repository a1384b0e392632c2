"""What no linter holds: where files lie, how long they are, and that public modules say what they are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPONENTS = ("runtime", "packager", "edge_module", "fpga", "benchmarks")
SOURCES = sorted(path for component in COMPONENTS for path in (ROOT / component).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES = 600
README_LINES = 60


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_portion_of_the_namespace_hides_the_others() -> None:
    assert [name_of(path) for path in ROOT.glob("*/modelport/__init__.py")] == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_says_in_a_page_what_it_is(component: str) -> None:
    assert 0 < len((ROOT / component / "README.md").read_text().splitlines()) <= README_LINES


def test_a_components_code_is_the_portion_of_its_name() -> None:
    portions = [path.relative_to(ROOT).parts for path in ROOT.glob("*/modelport/*") if any(path.rglob("*.py"))]
    assert [parts for parts in portions if parts[0] != parts[2]] == []
    assert {parts[0] for parts in portions} <= set(COMPONENTS)


def test_every_portion_is_typed() -> None:
    portions = sorted(path.parent for path in ROOT.glob("*/modelport/*/__init__.py"))
    assert [name_of(portion) for portion in portions if not (portion / "py.typed").is_file()] == []


def test_no_python_file_is_longer_than_people_read() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES + TESTS}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_every_public_module_says_what_it_is() -> None:
    silent = []
    for path in SOURCES:
        module = ast.parse(path.read_text())
        if module.body and not path.stem.removeprefix("__").startswith("_") and not ast.get_docstring(module):
            silent.append(name_of(path))
    assert silent == []


def test_the_tests_of_a_component_lie_in_its_folder() -> None:
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in TESTS if path.parent != ROOT / "tests"}
    assert folders <= {*COMPONENTS, "stories"}
