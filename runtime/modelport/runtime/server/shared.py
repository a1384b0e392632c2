"""The directory in which the workers of a server keep the numbers that metrics are made of."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

#: The environment variable that prometheus-client reads when it is imported.
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger(__name__)


class SharedNumbers:
    """A temporary directory, there while the block runs. Without one, each worker tells its own numbers only."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._path = Path(tempfile.mkdtemp(prefix="modelport-metrics-"))
        except OSError as error:
            _log.warning(
                "metrics: expected a directory for temporary files, got %s; each worker tells its own only", error
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is told of it."""
        return {} if self._path is None else {DIRECTORY: str(self._path)}

    def bury(self, process: int) -> None:
        """Forget what a process that is gone said of its present: its gauges. What it has counted stays."""
        if self._path is not None:
            for file in self._path.glob(f"gauge_live*_{process}.db"):
                file.unlink(missing_ok=True)
