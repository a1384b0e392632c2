"""The command that scores a table of rows."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path  # noqa: TC003  Typer reads the annotations
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import msgspec
import typer

from modelport.runtime.errors import InvalidInputError, InvalidSettingError

from .options import Digest, EngineName, PackagePath, Providers, names_of
from .progress import Progress
from .wording import counted

if TYPE_CHECKING:
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.tables import Counts, Format, ReadOptions, RefusedRow

_NAMED: Final = 20
_TERMINATED: Final = 128 + signal.SIGTERM
_FORMATS: Final = "json, jsonl, csv, parquet or npz"

FormatName = Literal["json", "jsonl", "csv", "parquet", "npz"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and written, and in which formats; `stop` at the first row that cannot be scored."""

    table: str
    input_format: Format
    output: str
    output_format: Format
    errors: str | None
    stop: bool
    options: ReadOptions


def score(  # noqa: PLR0917  Typer's flags
    package: PackagePath,
    table: Annotated[str, typer.Argument(metavar="INPUT", help=f"Rows: {_FORMATS}; - is standard input.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUTPUT", help=f"Results: {_FORMATS}; - is standard output.")
    ] = "-",
    input_format: Annotated[
        FormatName | None, typer.Option(metavar="FORMAT", help="The format of INPUT; by its extension if not given.")
    ] = None,
    output_format: Annotated[
        FormatName | None, typer.Option(metavar="FORMAT", help="The format of OUTPUT; by its extension if not given.")
    ] = None,
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="At a row that cannot be scored: stop and write nothing, or leave that row out and go on."),
    ] = "stop",
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --on-error skip: write each row left out as a JSON line.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Copy this column to the output, such as an id.")
    ] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Leave out columns that the model does not have.")
    ] = False,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The CSV file has no names: its columns are the model's, in order.")
    ] = False,
    digest: Digest = None,
    engine: EngineName = "onnxruntime",
    providers: Providers = "",
) -> None:
    """Score the rows of a table.

    A row goes to the model's inputs by the names of its columns, and comes out with every output under its name.
    Rows count from 1, a line of names not among them. An output file is complete or absent.
    """
    from modelport.runtime.scorer import load  # noqa: PLC0415  heavy things load when the command runs
    from modelport.runtime.tables import ReadOptions, format_of  # noqa: PLC0415

    if errors is not None and on_error == "stop":
        raise InvalidSettingError("`--errors`: expected `--on-error skip` with it, got `--on-error stop`")
    if errors is not None and output != "-" and os.path.realpath(errors) == os.path.realpath(output):
        raise InvalidSettingError("`--errors`: expected another file than the output, got the same")
    form = input_format or format_of(table, "input")
    job = Job(
        table=table,
        input_format=form,
        output=output,
        output_format=output_format or format_of(output, "output", "jsonl" if form in ("parquet", "npz") else form),
        errors=None if errors is None else str(errors),
        stop=on_error == "stop",
        options=ReadOptions(keep=tuple(keep or ()), ignore_extra=ignore_extra, header=not no_header),
    )
    signal.signal(signal.SIGTERM, _leave)
    scorer = load(package, digest=digest, engine=engine, providers=names_of(providers))
    done = _score_rows(scorer, job) if scorer.signature.has_rows else _score_whole(scorer, job)
    target = "standard output" if output == "-" else output
    manifest = scorer.manifest
    model = f"{manifest.name} {manifest.version} {scorer.digest[:19]}... (proof {manifest.proof.summary})"
    typer.echo(f"Scored {done} with {model} -> {target}", err=True)


def _score_rows(scorer: Scorer, job: Job) -> str:
    """Score a table and say how many rows it had."""
    from modelport.runtime.tables import (  # noqa: PLC0415
        SEEKABLE,
        open_input,
        open_output,
        open_reader,
        open_writer,
        score_table,
    )

    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_input(job.table, seekable=job.input_format in SEEKABLE))
        file = stack.enter_context(open_output(job.output, seekable=job.output_format in SEEKABLE))
        log = stack.enter_context(open_output(job.errors)) if job.errors else None
        bar = stack.enter_context(Progress(sys.stderr, visible=_on_terminal(job)))
        reader = open_reader(source, job.input_format, scorer.signature, job.options)
        counts = score_table(
            scorer,
            reader,
            stack.enter_context(open_writer(file, job.output_format, scorer.signature.outputs)),
            keep=job.options.keep,
            refuse=_Refusals(bar, log, stop=job.stop),
            advance=lambda counts: bar.update(reader.fraction(), counts.scored + counts.refused),
        )
    if not scorer.signature.rows_identical:
        typer.echo("note: the last bits of this model's answers depend on the rows scored together", err=True)
    return _told(counts)


def _score_whole(scorer: Scorer, job: Job) -> str:
    """Score arrays that are no rows, all at once, and say that it was one call."""
    from modelport.runtime.tables import open_input, open_output, score_whole  # noqa: PLC0415

    for kind, form in (("input", job.input_format), ("output", job.output_format)):
        if form != "npz":
            raise InvalidSettingError(
                f"{kind}: expected npz for a model without rows (batch {scorer.signature.batch}), got {form}"
            )
    with open_input(job.table, seekable=True) as source, open_output(job.output, seekable=True) as file:
        score_whole(scorer, source, file)
    return "one call"


class _Refusals:
    """Takes the rows that cannot be scored: stops at the first, or names the first ones and logs all."""

    def __init__(self, bar: Progress, log: IO[bytes] | None, *, stop: bool) -> None:
        self._bar = bar
        self._log = log
        self._stop = stop
        self._count = 0

    def __call__(self, row: RefusedRow) -> None:
        if self._stop:
            raise InvalidInputError(str(row), hint="`--on-error skip` leaves out the rows that cannot be scored")
        self._count += 1
        if self._count <= _NAMED:
            self._bar.say(f"skipped {row}")
        if self._log is not None:
            self._log.write(msgspec.json.encode(row._asdict()) + b"\n")


def _told(counts: Counts) -> str:
    skipped = f" ({counts.refused:,} skipped)" if counts.refused else ""
    return f"{counted(counts.scored, 'row')}{skipped}"


def _on_terminal(job: Job) -> bool:
    return sys.stderr.isatty() and not (job.output == "-" and sys.stdout.isatty())


def _leave(number: int, frame: object) -> NoReturn:  # noqa: ARG001  what a signal's handler is given
    """End by an exception, so that a file half written is removed."""
    sys.exit(_TERMINATED)
