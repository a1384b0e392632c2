"""The page that describes the format names all that the format has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from modelport.runtime.package import FORMAT_VERSION, Execution, Manifest, ProofKind, Role, manifest
from modelport.runtime.signature import Signature, TensorSpec

PAGE = (Path(__file__).parents[3] / "docs" / "package-format.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("struct", [Manifest, Signature, TensorSpec, Execution])
def test_every_field_is_named(struct: type[msgspec.Struct]) -> None:
    named = set(re.findall(r"[a-z_][a-z0-9_]*", " ".join(re.findall(r"`[^`\n]+`", PAGE))))
    assert {field.name for field in msgspec.structs.fields(struct)} <= named


def test_every_role_and_kind_of_proof_is_named() -> None:
    for word in (*get_args(Role), *get_args(ProofKind)):
        assert f"`{word}`" in PAGE


def test_the_rules_for_names_are_those_of_the_code() -> None:
    assert f"version {FORMAT_VERSION}" in PAGE
    assert f"`{manifest.NAME.pattern}`" in PAGE
    assert f"`{manifest.PLAIN_NAME.pattern}`" in PAGE
