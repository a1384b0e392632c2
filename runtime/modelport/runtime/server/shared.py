"""The directory that the processes of one server share: numbers of metrics, weights of models, temporary files."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

#: The environment variable that prometheus-client reads when it is imported.
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger(__name__)


class SharedDirectory:
    """A temporary directory of this user alone, there while the block runs.

    Without one, each worker tells its own numbers only and has weights of its own.
    """

    def __init__(self) -> None:
        self._path: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._path = Path(tempfile.mkdtemp(prefix="modelport-"))
            self._numbers.mkdir()
            Path(self.weights).mkdir()
            Path(self.files).mkdir()
        except OSError as error:
            self._path = None
            _log.warning("expected a temporary directory, got %s; workers tell their own metrics only", error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    @property
    def weights(self) -> str:
        """Where workers have the weights of large models together, empty for nowhere."""
        return "" if self._path is None else str(self._path / "weights")

    @property
    def files(self) -> str:
        """Where each process has a directory for temporary files, empty for nowhere."""
        return "" if self._path is None else str(self._path / "files")

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is told of where the numbers are."""
        return {} if self._path is None else {DIRECTORY: str(self._numbers)}

    def bury(self, process: int) -> None:
        """Forget what a process that is gone said of its present, its gauges, and its temporary files.

        What it has counted stays.
        """
        if self._path is not None:
            shutil.rmtree(Path(self.files) / str(process), ignore_errors=True)
            for file in self._numbers.glob(f"gauge_live*_{process}.db"):
                file.unlink(missing_ok=True)

    @property
    def _numbers(self) -> Path:
        return (self._path or Path()) / "metrics"
