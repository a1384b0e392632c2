"""The kind of CPU is named by what changes the bits of results, and by nothing that tells one machine from another."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from modelport.runtime import cpu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cpu.fingerprint.cache_clear()
    yield
    cpu.fingerprint.cache_clear()


def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, text: str | None) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", path)
    monkeypatch.setattr(platform, "machine", lambda: machine)


def test_this_cpu_has_a_fingerprint() -> None:
    machine, _, flags = cpu.fingerprint().partition(":")
    assert machine == platform.machine()
    assert set(flags.split(",")) <= {"", *cpu._X86, *cpu._ARM}


def test_only_the_instruction_sets_that_matter_are_named_in_one_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "processor : 0\nmodel name : Secret 3000\nflags\t\t: fpu fma avx2 avx sse4_1 hypervisor\n\nflags : other\n"
    put(monkeypatch, tmp_path, "x86_64", text)
    assert cpu.fingerprint() == "x86_64:sse4_1,avx,fma,avx2"


def test_arm_names_its_features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, tmp_path, "aarch64", "Features\t: fp asimd asimddp bf16\n")
    assert cpu.fingerprint() == "aarch64:asimd,asimddp,bf16"


def test_a_machine_that_names_none_is_known_by_its_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, tmp_path, "riscv64", "isa : rv64\n")
    assert cpu.fingerprint() == "riscv64:"


def test_a_machine_without_the_file_is_known_by_its_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, tmp_path, "", None)
    assert cpu.fingerprint() == "unknown"
