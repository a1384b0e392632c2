"""The certificate of the server and its key: checked before they are used, and looked at again from time to time."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime.errors import InvalidSettingError

if TYPE_CHECKING:
    from modelport.runtime.settings import Settings

#: Seconds between two looks at the files.
LOOK: Final = 2.0


class Encryption(NamedTuple):
    """The files with the certificate (and its chain) and with its key."""

    certificate: Path
    key: Path

    @classmethod
    def of(cls, settings: Settings) -> Encryption | None:
        """Return what `settings` ask for, None for no encryption."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(Path(settings.tls_cert), Path(settings.tls_key))

    def check(self) -> None:
        """Raise `InvalidSettingError` unless the files are a certificate and the key that fits it."""
        for path in self:
            try:
                path.open("rb").close()
            except OSError as error:
                raise InvalidSettingError(f"`{path}`: expected a PEM file, got {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_none)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise InvalidSettingError(
                f"`{self.certificate}` and `{self.key}`: expected a certificate and its key, got {reason}"
            ) from error

    def stamp(self) -> tuple[object, ...]:
        """Return what changes when one of the files does."""
        return tuple(_stamp(path) for path in self)


def _none() -> str:
    raise ValueError("an encrypted key")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
