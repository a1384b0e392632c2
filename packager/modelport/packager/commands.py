"""The commands of the packager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelport.packager.errors import ParityError
from modelport.runtime.cli.limited import SECONDS, LimitMemory, LimitSeconds, limited
from modelport.runtime.cli.wording import sized
from modelport.runtime.package import Contract  # noqa: TC001  Typer reads the annotations

if TYPE_CHECKING:
    from modelport.packager.parity.report import ParityReport


def convert(  # noqa: PLR0917  Typer's flags
    model: Annotated[
        str,
        typer.Argument(
            help="FILE.onnx, module:attribute, a modelport.yaml, or FILE.joblib / .pkl with --trust-pickle."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory that becomes the package.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the package; the stem of the model's file, or the output's name, if not given."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version of the package; 1 if not given.")] = None,
    sample: Annotated[
        Path | None, typer.Option(help="Rows as the model was trained on: .csv, .parquet, .json, .jsonl, .npy, .npz.")
    ] = None,
    expected: Annotated[
        Path | None, typer.Option(help="An .npz with the outputs for the sample, to prove a ready .onnx file.")
    ] = None,
    contract: Annotated[
        Contract | None, typer.Option(help="float32 or float64; chosen from model and sample if not given.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the comparison as one HTML page.")] = None,
    accept_parity: Annotated[
        bool, typer.Option("--accept-parity", help="Package a model that answers differently, and record it.")
    ] = False,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Read a pickle, which runs the code inside it.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads of the engine, 1 if not given; more may change bits.")
    ] = None,
    *,
    limit_seconds: LimitSeconds = SECONDS,
    limit_memory: LimitMemory = None,
) -> None:
    """Convert a trained model to a package, proven equal to what was trained.

    A ready .onnx file is taken for one of others: it is loaded and run in a process with limits.
    """
    from modelport.packager.build import convert as build  # noqa: PLC0415  heavy things load when the command runs
    from modelport.packager.config import PackageConfig, load_config, packaged_files  # noqa: PLC0415
    from modelport.packager.conversion.samplefile import read_expected, read_sample  # noqa: PLC0415
    from modelport.packager.conversion.sources import default_name, find_model  # noqa: PLC0415

    written = model.endswith((".yaml", ".yml"))
    config = load_config(model) if written else PackageConfig(model=model)
    if config.model.endswith(".onnx"):
        limited(limit_seconds, limit_memory)
    sample, expected = sample or config.sample, expected or config.expected
    try:
        made = build(
            find_model(
                config.model,
                trust_pickle=trust_pickle or config.trust_pickle,
                folder=Path(model).absolute().parent if written else None,
            ),
            read_sample(sample) if sample else None,
            output=output,
            name=name if name is not None else config.name or default_name(config.model, output),
            version=version if version is not None else config.version,
            contract=contract or config.contract,
            expected=read_expected(expected) if expected else None,
            accept_parity=accept_parity,
            report=report,
            threads=threads or config.execution.threads,
            extra=packaged_files(config),
        )
    except ParityError as error:
        _say([*described(error.report), *_written(report)])
        raise
    size = sized(made.plan.size)
    _say([*described(made.report), *_written(report), f"Wrote {made.path}: {made.digest}  ({size})"])


def init(
    model: Annotated[str, typer.Argument(help="What was trained: FILE.onnx, module:attribute, or FILE.joblib / .pkl.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The directory for the two files.")
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the package; the stem of the model's file, or the directory's name, if not given."),
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="Rows as the model was trained on: .csv, .parquet, .json, .jsonl, .npy, .npz.")
    ] = None,
) -> None:
    """Begin a project: write a commented modelport.yaml and score.py for a model, overwriting nothing."""
    from modelport.packager.scaffold import next_steps, plan_scaffold, write_scaffold  # noqa: PLC0415

    scaffold = plan_scaffold(model, output, name=name, sample=sample)
    _say([*(f"Wrote {path}" for path in write_scaffold(scaffold)), *next_steps(scaffold)])


def described(report: ParityReport) -> list[str]:
    """Return the comparison in a few lines of text."""
    lines = [
        f"Converted {report.model} to ONNX (contract {report.contract}, proof {report.proof}: {report.reference})",
        f"Compared {report.rows:,} rows on {report.engine}: {report.verdict}",
    ]
    for output in report.outputs:
        if output.kind == "label":
            lines.append(
                f"  {output.name}: {output.mismatches:,} of {output.rows:,} labels differ, {output.ties:,} ties"
            )
        else:
            lines.append(
                f"  {output.name}: off by at most {output.max_absolute:.2g} (99.9 %: {output.p999_absolute:.2g}), "
                f"{output.over_tolerance:,} rows over tolerance"
            )
    if (found := report.thresholds) is not None:
        lines.append(
            f"  tree thresholds: {found.probed:,} of {found.distinct:,} probed, "
            f"{found.reached:,} by a row that arrives there"
        )
    if (batches := report.batches) is not None and not batches.identical:
        how = "padded to two" if batches.identical_padded else f"changes bits, by at most {batches.max_absolute:.2g}"
        lines.append(f"  a row alone: {how}")
    return [*lines, *(f"  note: {note}" for note in report.notes), *(f"  failed: {text}" for text in report.failures)]


def _written(report: Path | None) -> list[str]:
    return [] if report is None else [f"Wrote {report}"]


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
