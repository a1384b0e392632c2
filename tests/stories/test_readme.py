"""README's own example, run as it stands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import servers
from command_line import modelport

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's blocks of code in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(start: str) -> list[str]:
    """Return the README's commands that begin with `start`, continued lines among them."""
    found = [entry for block in blocks("console") for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [entry for entry in found if entry.startswith(start)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    (made / "train.py").write_text(blocks("python")[0], encoding="utf-8")
    for command in commands("modelport "):
        line = command.splitlines()[0]
        if not line.startswith("modelport serve"):
            done = modelport(*line.split()[1:], folder=made)
            assert done.code == 0, done.err
            assert masked(done.out + done.err) == masked(command.partition("\n")[2].strip() + "\n"), line
    return made


def masked(text: str) -> str:
    """Return `text` with what another machine may show otherwise left out: digests and numbers."""
    return re.sub(r"[0-9][0-9,.e-]*(?<=[0-9])", "N", re.sub(r"sha256:[0-9a-f]+", "sha256:X", text))


def test_the_readmes_commands_leave_the_files_that_it_names(folder: Path) -> None:
    made = {path.name for path in folder.iterdir()}
    assert {"rows.npz", "rows.csv", "parity.html", "wine", "answers.csv"} <= made


def test_the_readmes_curl_lines_give_the_bits_of_modelport_score_and_its_words(folder: Path) -> None:
    done = modelport("score", "wine", "rows.csv", "-o", "answers.npz", folder=folder)
    assert done.code == 0, done.err
    with servers.serving(folder / "wine") as server:
        good, bad, document = (curl(command, server.url, folder) for command in commands("curl "))
    with np.load(folder / "answers.npz") as answers:
        label, probabilities = answers["label"], answers["probabilities"]
    outputs = {output["name"]: output for output in good["outputs"]}
    assert outputs["label"]["data"] == [label[0]]
    assert np.array_equal(np.array(outputs["probabilities"]["data"], np.float32), probabilities[0])
    assert document == {"data": [[label[0], outputs["probabilities"]["data"]]]}
    assert bad == {"error": "input `X`: expected shape [-1, 13], got [1, 12] (a dimension of -1 accepts any length)"}


def curl(command: str, url: str, folder: Path) -> dict:
    """Run a curl line of the README against `url`; what follows it there is its answer, and left out."""
    line = command[: command.index("}'") + 2].replace("localhost:8080", url)
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    answer: dict = json.loads(done.stdout)
    return answer
