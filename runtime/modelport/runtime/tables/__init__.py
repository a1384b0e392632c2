"""Tables of rows in files: JSON, CSV, Parquet and NumPy, read and written batch by batch, and scored."""

from .batch import RefusedRow
from .formats import FORMATS, SEEKABLE, Format, format_of, open_reader, open_writer
from .layout import ReadOptions
from .places import STREAM, open_input, open_output
from .scoring import Counts, score_table, score_whole

__all__ = [
    "FORMATS",
    "SEEKABLE",
    "STREAM",
    "Counts",
    "Format",
    "ReadOptions",
    "RefusedRow",
    "format_of",
    "open_input",
    "open_output",
    "open_reader",
    "open_writer",
    "score_table",
    "score_whole",
]
