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
        if hint is not None:
            self.add_note(f"hint: {hint}")  # a traceback shows it, in a notebook say


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


class DeadlineExceededError(ScoringError):
    """The answer would come, or came, later than whoever asked wants it."""


class UnscorableInputError(ScoringError):
    """The engine says that the input is at fault, though it fits the signature: an index or category out of range."""


class ScriptError(ModelportError):
    """An entry script cannot be run or fails: its author's fault, or the server's, but not the client's."""


class OutputError(ModelportError):
    """What was to be written cannot be, or not in this form; nothing of it is left behind."""


class FailedCheckError(ModelportError):
    """A package does not reproduce its golden samples here."""


def named(name: object) -> str:
    """Return a name that somebody else chose as a message shows it: in backticks, printable, at most 80 characters."""
    return f"`{printable(shortened(str(name), 80))}`"


def shortened(text: str, limit: int) -> str:
    """Return `text`, cut to `limit` characters if it is longer."""
    return f"{text[: limit - 3]}..." if len(text) > limit else text


def printable(text: str) -> str:
    """Return `text` with all that would garble a terminal or fit no UTF-8 escaped: control characters, surrogates."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
