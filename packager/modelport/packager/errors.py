"""What can go wrong while a package is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelport.runtime.errors import ModelportError

if TYPE_CHECKING:
    from modelport.packager.parity.report import ParityReport


class ConversionError(ModelportError):
    """The model cannot be converted so that it answers the same; the hint says what to do instead."""


class OutputExistsError(ModelportError):
    """Something else stands where the package should go."""


class WriteError(ModelportError):
    """The package could not be written; nothing of it is left behind."""


class UntrustedPickleError(ModelportError):
    """A pickle was given and not trusted explicitly."""


class InvalidConfigError(ModelportError):
    """The configuration (`modelport.yaml`) does not say what it should; its message has one line a problem."""


class ParityError(ModelportError):
    """The converted model answers differently; `report` says where."""

    def __init__(self, message: str, *, report: ParityReport, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report
