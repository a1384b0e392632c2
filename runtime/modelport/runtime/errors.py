"""What can go wrong, one class per question that a caller asks."""

from __future__ import annotations


class ModelportError(Exception):
    """The root of every error that modelport raises on purpose.

    `message` says subject, expected and got; `hint` says what to do about it, when there is something to do.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidPackageError(ModelportError):
    """The package is changed, incomplete, unsafe or of a format that this reader does not know."""


class InvalidInputError(ModelportError):
    """What was given for scoring does not fit the signature, or cannot be read."""


class InvalidSettingError(ModelportError):
    """A setting (flag, environment variable, file) has a value that cannot be."""


class MissingExtraError(ModelportError):
    """An optional dependency is needed and not installed; the hint says which extra to install."""


class UnknownNameError(ModelportError):
    """A name was asked for that is not there: a model, a version, an engine, a converter, a provider."""


class NotReadyError(ModelportError):
    """The model is not loaded yet, or the server is draining."""


class ScoringError(ModelportError):
    """The engine failed on an input that fits the signature."""


class FailedCheckError(ModelportError):
    """A package does not reproduce its golden samples here."""
