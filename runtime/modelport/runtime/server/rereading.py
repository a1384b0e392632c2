"""Reads an entry script again when it changes, while one is being developed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import ModelportError

if TYPE_CHECKING:
    from modelport.runtime.dataplane import ModelSlot

_SECONDS: Final = 0.3

_log = logging.getLogger(__name__)


async def reread(slot: ModelSlot, path: str) -> None:
    """Use the script at `path` anew whenever it changes, for ever; one that does not start changes nothing."""
    seen = _stamp(path)
    while True:
        await asyncio.sleep(_SECONDS)
        if (stamp := _stamp(path)) == seen:
            continue
        seen = stamp
        try:
            await asyncio.to_thread(slot.get().use_script, path)
        except ModelportError as error:
            _log.error("%s; what was used before stays", error.message, exc_info=error.__cause__ or False)
        else:
            _log.info("script `%s`: read again", path)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
