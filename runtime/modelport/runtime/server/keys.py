"""The keys that a request must have one of: two, so that they can be changed without anybody being locked out."""

from __future__ import annotations

import hmac
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidSettingError

from .errors import UnauthorizedError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

_MOST: Final = 2
_LARGEST: Final = 4096
_KEY: Final = re.compile(r"[!-~]{8,512}")
_SCHEME: Final = "bearer "

_log = logging.getLogger(__name__)


class Keys:
    """The keys that are accepted now: the given ones, and those in a file that is read again when it changes."""

    def __init__(self, given: Sequence[str] = (), file: str | None = None) -> None:
        """Take `given` and those in `file`, one a line; raises `InvalidSettingError` unless they are one or two."""
        self._given = tuple(given)
        self._file = Path(file) if file else None
        self._stamp: tuple[int, ...] | None = None
        self._refused: tuple[int, ...] | None = ()  # the stamp of what was refused last, None where nothing was there
        self._keys = self._given
        if self._file is not None:
            self._stamp = _stamp_of(self._file)
            self._keys = self._read(self._file)
        _check(self._keys, "keys")

    def require(self, authorization: str | None) -> None:
        """Raise `UnauthorizedError` unless the header `Authorization` has one of the keys.

        Every key is compared, in a time that tells nothing of how much of it was right.
        """
        self._refresh()
        given = authorization or ""
        found = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""
        bare = found.encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(bare, key.encode()) for key in self._keys]
        if not any(matches):
            got = "another" if found else "none"
            raise UnauthorizedError(f"header `Authorization`: expected `Bearer` and a key of this server, got {got}")

    def _refresh(self) -> None:
        """Read the file again if it has changed. While it cannot be used the keys that were read last stay."""
        if self._file is None:
            return
        stamp: tuple[int, ...] | None = None
        try:
            stamp = _stamp_of(self._file)
            if stamp != self._stamp:
                self._take(self._file, stamp)
            self._refused = ()
        except InvalidSettingError as error:
            if stamp != self._refused:
                self._refused = stamp
                _log.error("keys: expected new ones, got: %s; those from before stay", error.message)

    def _take(self, file: Path, stamp: tuple[int, ...]) -> None:
        keys = self._read(file)
        _check(keys, f"keys file `{file}`")
        self._stamp, self._keys = stamp, keys
        _log.info("keys: read again, %d are accepted", len(keys))

    def _read(self, file: Path) -> tuple[str, ...]:
        try:
            with file.open("rb") as opened:
                text = opened.read(_LARGEST + 1)
        except OSError as error:
            raise InvalidSettingError(f"keys file `{file}`: expected a file, got {error.strerror}") from error
        if len(text) > _LARGEST:
            raise InvalidSettingError(f"keys file `{file}`: expected at most {_LARGEST} bytes, got more")
        if not text.isascii():
            raise InvalidSettingError(f"keys file `{file}`: expected ASCII, got other bytes")
        return (*self._given, *text.decode("ascii").split())


def _stamp_of(file: Path) -> tuple[int, ...]:
    try:
        status: os.stat_result = file.stat()
    except OSError as error:
        raise InvalidSettingError(f"keys file `{file}`: expected a file, got {error.strerror}") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


def _check(keys: Sequence[str], subject: str) -> None:
    if not 1 <= len(keys) <= _MOST:
        raise InvalidSettingError(f"{subject}: expected one or two keys, got {len(keys)}")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise InvalidSettingError(f"{subject}: expected 8 to 512 printable ASCII characters each, got another")
