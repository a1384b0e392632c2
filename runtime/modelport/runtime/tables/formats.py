"""The formats that tables come in, and what reads and writes each. What a format needs loads when it is used."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Final, Literal, cast, get_args

from modelport.runtime.errors import InvalidSettingError, MissingExtraError

from .places import STREAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelport.runtime.signature import Signature, TensorSpec

    from .batch import TableReader, TableWriter
    from .layout import ReadOptions
    from .places import Source

Format = Literal["json", "jsonl", "csv", "parquet", "npz"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
#: Formats whose files are read and written at more than one place; they cannot pass through a pipe as they come.
SEEKABLE: Final[frozenset[Format]] = frozenset({"parquet", "npz"})

_READERS: Final[dict[Format, tuple[str, str]]] = {
    "json": ("jsonreader", "JsonReader"),
    "jsonl": ("jsonreader", "JsonLinesReader"),
    "csv": ("csvreader", "CsvReader"),
    "parquet": ("parquetreader", "ParquetReader"),
    "npz": ("npzreader", "NpzReader"),
}
_WRITERS: Final[dict[Format, tuple[str, str]]] = {
    "json": ("jsonwriter", "JsonWriter"),
    "jsonl": ("jsonwriter", "JsonLinesWriter"),
    "csv": ("csvwriter", "CsvWriter"),
    "parquet": ("parquetwriter", "ParquetWriter"),
    "npz": ("npzwriter", "NpzWriter"),
}


def format_of(place: str, kind: str, default: Format | None = None) -> Format:
    """Return the format that the extension of `place` stands for; `default` for a standard stream.

    Raises `InvalidSettingError` naming `kind` (`input` or `output`) if it stands for none.
    """
    extension = PurePath(place).suffix.removeprefix(".").lower()
    if place == STREAM and default is not None:
        return default
    if extension in FORMATS:
        return extension
    raise InvalidSettingError(
        f"{kind} `{place}`: expected a name that ends in {', '.join(f'.{name}' for name in FORMATS)}",
        hint=f"`--{kind}-format` says what it is",
    )


def open_reader(source: Source, form: Format, signature: Signature, options: ReadOptions) -> TableReader:
    """Return what reads `source` as a table of rows for a model with `signature`.

    Raises `InvalidInputError` if it is none, `MissingExtraError` if what reads `form` is not installed.
    """
    return cast("TableReader", _load(_READERS[form])(source, signature, options))


@contextmanager
def open_writer(file: IO[bytes], form: Format, outputs: Sequence[TensorSpec]) -> Iterator[TableWriter]:
    """Give what writes `outputs` to `file`, which is a complete table when the block ends well.

    Raises `MissingExtraError` if what writes `form` is not installed.
    """
    writer = cast("TableWriter", _load(_WRITERS[form])(file, outputs))
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()


def _load(home: tuple[str, str]) -> Any:
    module, name = home
    try:
        return getattr(import_module(f"{__package__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingExtraError(
            "format `parquet`: expected pyarrow, which is not installed", hint='pip install "modelport[parquet]"'
        ) from error
