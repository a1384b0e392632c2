"""Lets several processes have the weights of one large model in memory once.

ONNX Runtime packs weights for its kernels, each process its own copy, and other bits come out where it is kept from
doing so. So a process of its own saves the model once, optimised and packed, and all others map that file: pages that
nobody writes are one in memory. Trees are no weights in this sense: they are parsed into each process.

https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html (offline mode), and the keys of
`onnxruntime_session_options_config_keys.h`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelport.runtime import cpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from . import EngineRequest

_MODEL: Final = "model.onnx"
_WEIGHTS: Final = "weights"
_HASHES: Final = "hashes.json"
#: Bytes of the smallest tensor that is kept outside of the model.
_LEAST: Final = 1 << 16

_log = logging.getLogger(__name__)


def key_of(request: EngineRequest, version: str) -> str:
    """Return the name of what is saved for a model: other bytes, another engine or another CPU save something else."""
    found = hashlib.sha256()
    for part in (version, cpu.fingerprint(), str(request.optimise), str(request.threads)):
        found.update(part.encode() + b"\0")
    for data in (request.model, *(request.external_data[name] for name in sorted(request.external_data))):
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()


def saved(request: EngineRequest, version: str) -> Path | None:
    """Return the directory with the saved form of the model, saving it if nobody has; None if it has none.

    It lies in the directory `request.share`, which must belong to this user alone. Every file is verified.
    """
    directory = Path(request.share) / key_of(request, version)
    try:
        if not (directory / _HASHES).exists():
            _save(request, directory)
        hashes = json.loads((directory / _HASHES).read_bytes())
        changed = [name for name, expected in hashes.items() if _hash(directory / name) != expected]
    except (OSError, ValueError) as error:
        _log.warning("weights are not shared: %s", error)
        return None
    if changed:
        _log.warning("weights are not shared: `%s`: expected the file that was saved, got a changed one", changed[0])
    return directory if hashes and not changed else None


def options_for(options: Any, directory: Path) -> Any:
    """Have a session with `options` take the weights of the model saved in `directory` from there."""
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(directory))
    return options


def model_in(directory: Path) -> bytes:
    """Return the model that was saved in `directory`, without its weights."""
    return (directory / _MODEL).read_bytes()


def _save(request: EngineRequest, directory: Path) -> None:
    """Save the model in a process of its own, whose memory goes with it, and put it in its place whole."""
    temporary = Path(tempfile.mkdtemp(prefix="saving-", dir=directory.parent))
    try:
        with _files({_MODEL: request.model, **request.external_data}) as descriptors:
            passed = tuple(descriptors.values())
            job = {
                "directory": str(temporary),
                "model": descriptors.pop(_MODEL),
                "external": descriptors,
                "optimise": request.optimise,
                "threads": request.threads,
            }
            command = [sys.executable, "-P", "-m", __name__, json.dumps(job)]
            done = subprocess.run(command, pass_fds=passed, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise ValueError(f"expected a saved model, got {last or f'status {done.returncode}'}")
        with contextlib.suppress(OSError):  # another process was first
            temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _files(contents: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
    """Give a descriptor for each of `contents`, in memory only."""
    descriptors: dict[str, int] = {}
    try:
        for name, data in contents.items():
            descriptors[name] = os.memfd_create("modelport")
            with open(descriptors[name], "wb", closefd=False) as file:
                file.write(data)
        yield dict(descriptors)
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(text: str) -> None:
    """Save the model that the job `text` tells of, and the hashes of what was saved."""
    job = json.loads(text)
    from . import EngineRequest  # noqa: PLC0415  in this process only
    from .ort import open_session, options_of  # noqa: PLC0415

    os.umask(0o077)
    directory = Path(job["directory"])
    external = {name: Path(f"/proc/self/fd/{number}").read_bytes() for name, number in job["external"].items()}
    request = EngineRequest(
        model=b"", outputs=(), external_data=external, threads=job["threads"], optimise=job["optimise"]
    )
    options = options_of(request)
    options.optimized_model_filepath = str(directory / _MODEL)
    options.add_session_config_entry("session.save_model_format", "ONNX")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", str(_LEAST))
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    open_session(f"/proc/self/fd/{job['model']}", options)
    whole = (directory / _WEIGHTS).exists()
    hashes = {name: _hash(directory / name) for name in (_MODEL, _WEIGHTS)} if whole else {}
    (directory / _HASHES).write_text(json.dumps(hashes), encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1])
