"""Starts the peers, each in its own environment, on a free port of the loopback address."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STOP_SECONDS: Final = 30
_PORTION: Final = Path(__file__).parents[3]
SCRIPT: Final = Path(__file__).with_name("entry_script.py")


class Peer(NamedTuple):
    """A running server: its first process, and its port."""

    pid: int
    port: int


@contextmanager
def azureml_server(package: Path, log: Path) -> Iterator[Peer]:
    """Serve the entry script by Azure ML's own server, with the package as the model's directory."""
    port = _free_port()
    command = [str(_program("azureml", "azmlinfsrv")), "--entry_script", str(SCRIPT), "--port", str(port)]
    with _running(command, log, {"AZUREML_MODEL_DIR": str(package)}) as pid:
        yield Peer(pid, port)


@contextmanager
def mlserver(package: Path, folder: Path, *, workers: int | None) -> Iterator[Peer]:
    """Serve the package's model by MLServer; `workers` are its `parallel_workers`, None for its default."""
    port = _free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
    if workers is not None:
        settings["parallel_workers"] = workers
    model = {
        "name": "flights",
        "implementation": "modelport.benchmarks.peers.mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str((package / "model.onnx").absolute())},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"debug": False, **settings}), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    command = [str(_program("mlserver", "mlserver")), "start", str(folder)]
    with _running(command, folder / "mlserver.log", {"PYTHONPATH": str(_PORTION)}) as pid:
        yield Peer(pid, port)


@contextmanager
def _running(command: list[str], log: Path, variables: Mapping[str, str]) -> Iterator[int]:
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603  what our own environments hold
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=log.parent
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            finally:
                process.kill()


def _program(environment: str, name: str) -> Path:
    return Path(sys.prefix) / environment / "bin" / name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
