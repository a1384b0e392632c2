"""Azure ML's own inference server, from the virtual environment that `make test` gives it, to compare ours with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOME = Path(sys.prefix) / "azureml"
_PATIENCE = 60.0
#: What scripts import of it, and what that needs; no more, as the rest is not for our environment.
_LIBRARIES = ("inference_schema", "wrapt", "pytz", "dateutil", "six.py")


@contextmanager
def serving(script: Path) -> Iterator[servers.Address]:
    """Serve the entry script `script` with `azmlinfsrv` while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(_HOME / "bin" / "azmlinfsrv"), "--entry_script", script.name, "--port", str(port)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZUREML", "AML", "PYTHON"))}
    with (script.parent / "azmlinfsrv.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=script.parent, env=kept, stdout=log, stderr=log)
        try:
            address = servers.Address("127.0.0.1", port)
            _wait_for(address, process, Path(log.name))
            yield address
        finally:
            process.send_signal(signal.SIGQUIT)  # Gunicorn's quick way
            process.wait(_PATIENCE)


def _wait_for(address: servers.Address, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if address.ask("/").content == b"Healthy":
                return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"expected `azmlinfsrv` to serve, got:\n{log.read_text()}")
        time.sleep(0.05)


def give_libraries(directory: Path) -> Path:
    """Make `directory` one from which our own environment can import what scripts import there; return it."""
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(_HOME)}))
    for name in _LIBRARIES:
        if (theirs / name).exists():
            (directory / name).symlink_to(theirs / name)
    ours = directory / "azureml_inference_server_http"
    ours.mkdir()
    (ours / "__init__.py").touch()  # theirs starts what belongs to its server
    (ours / "api").symlink_to(theirs / ours.name / "api")
    return directory
