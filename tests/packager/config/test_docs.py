"""docs/modelport-yaml.md says what the schema says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT, inspect

from modelport.packager.config import PackageConfig, load_config
from modelport.packager.config.validate import described

PAGE = (Path(__file__).parents[3] / "docs" / "modelport-yaml.md").read_text("utf-8")


def fields(kind: inspect.StructType, prefix: str = "") -> dict[str, tuple[str, Any]]:
    """Return what is expected and the default, by the path of each field."""
    found: dict[str, tuple[str, Any]] = {}
    for field in kind.fields:
        path, inner = f"{prefix}{field.name}", field.type
        if isinstance(inner, inspect.VarTupleType):
            inner, path = inner.item_type, f"{path}[]"
        if isinstance(inner, inspect.StructType):
            found |= fields(inner, f"{path}.")
        else:
            found[path] = described(inner), field.default
    return found


def test_the_table_has_every_field_with_its_type_and_default() -> None:
    kind = inspect.type_info(PackageConfig)
    assert isinstance(kind, inspect.StructType)
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| (.*?) \| (.*?) \| .+ \|$", PAGE, re.MULTILINE)
    schema = fields(kind)
    assert [path for path, _, _ in rows] == sorted(schema, key=[path for path, _, _ in rows].index)
    for path, expected, default in rows:
        words, value = schema[path]
        assert expected == words
        if value is NODEFAULT:
            assert default == ("empty" if path == "targets[].settings" else "required"), path
        elif value is not None:
            assert default == f"`{value if isinstance(value, str) else json.dumps(value)}`", path
        else:
            assert "`" not in default.removeprefix("true unless `num_replicas`"), path


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "modelport.yaml").write_text(example[1])
    (tmp_path / "rows.csv").write_text("x\n1\n")
    (tmp_path / "environment.lock").write_text(f"numpy==2.4.6 --hash=sha256:{'0' * 64}\n")
    config = load_config(tmp_path / "modelport.yaml")
    assert [target.name for target in config.targets] == ["staging", "line-3"]
