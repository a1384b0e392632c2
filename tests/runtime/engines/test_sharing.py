"""Processes have the weights of a large model in memory once, and its answers stay what they were, bit for bit."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import large_models
import numpy as np
import pytest
import servers
import tiny_models

from modelport.runtime import Scorer
from modelport.runtime.client import Model
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

WIDTH, LAYERS = 2048, 2  # 33.6 MB: just large enough to be shared


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_models.perceptron(tmp_path_factory.mktemp("packages") / "perceptron", WIDTH, LAYERS)


@pytest.fixture(scope="module")
def alone(large: Path) -> Scorer:
    return Scorer(open_package(large))


def same_answers(scorer: Scorer, other: Scorer) -> bool:
    rng = np.random.default_rng(1)
    for rows in (1, 2, 7, 64, 1024):
        x = rng.normal(size=(rows, WIDTH)).astype(np.float32)
        if scorer.score(x)["y"].tobytes() != other.score(x)["y"].tobytes():
            return False
    return True


def test_a_shared_model_gives_the_bits_of_one_that_is_not(large: Path, alone: Scorer, tmp_path: Path) -> None:
    first = Scorer(open_package(large), share=str(tmp_path))
    (saved,) = tmp_path.iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in saved.iterdir()}
    second = Scorer(open_package(large), share=str(tmp_path))
    assert {path.name: path.stat().st_mtime_ns for path in saved.iterdir()} == before
    assert (saved / "weights").stat().st_size > 4 * WIDTH**2 * LAYERS
    assert same_answers(alone, first)
    assert same_answers(alone, second)


def test_two_that_come_at_once_share_one_file(large: Path, alone: Scorer, tmp_path: Path) -> None:
    found: list[Scorer] = []
    threads = [
        threading.Thread(target=lambda: found.append(Scorer(open_package(large), share=str(tmp_path))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(list(tmp_path.iterdir())) == 1
    assert all(same_answers(alone, scorer) for scorer in found)
    assert len(found) == 2


def test_a_small_model_is_not_shared(tmp_path: Path) -> None:
    Scorer(open_package(tiny_models.linear(tmp_path / "linear")), share=str(tmp_path / "share"))
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("name", ["weights", "model.onnx"])
def test_what_was_changed_on_disk_is_not_used(
    large: Path, alone: Scorer, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Scorer(open_package(large), share=str(tmp_path))
    (saved,) = tmp_path.iterdir()
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).chmod(0o600)
    (saved / name).write_bytes(content)
    scorer = Scorer(open_package(large), share=str(tmp_path))
    message = f"weights are not shared: `{name}`: expected the file that was saved, got a changed one"
    assert caplog.messages == [message]
    assert same_answers(alone, scorer)


def test_without_a_place_for_it_each_has_its_own(
    large: Path, alone: Scorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Scorer(open_package(large), share=str(tmp_path / "nowhere"))
    assert re.fullmatch(r"weights are not shared: .*No such file or directory.*", caplog.messages[0])
    assert same_answers(alone, scorer)


def ask_all(server: Server) -> None:
    """Have every worker score more than one request."""
    x = np.random.default_rng(0).normal(size=(8, 4096)).astype(np.float32)

    def ask() -> None:
        with Model(f"http://{server.url}/v2/models/perceptron") as model:
            for _ in range(10):
                model.score({"x": x})

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)


def proportional_kilobytes(process: int) -> int:
    """Return the memory of a process, where what is shared by several counts in parts."""
    with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


@pytest.mark.slow
def test_four_workers_of_a_model_of_200_megabytes_take_at_most_half_more_memory_than_one(tmp_path: Path) -> None:
    package = large_models.perceptron(tmp_path / "perceptron", 4096, 3)
    assert (package / "model.onnx").stat().st_size > 200e6
    memory = {}
    for count in (1, 4):
        with servers.serving(package, workers=count) as server:
            ask_all(server)
            memory[count] = sum(map(proportional_kilobytes, server.workers()))
    assert memory[4] <= 1.5 * memory[1], memory
