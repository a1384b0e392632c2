"""Plans and writes the two files that a project begins with, and says what comes next."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
from importlib.machinery import PathFinder
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.packager.config import SCRIPT
from modelport.packager.config.parse import Scalar, parse
from modelport.packager.conversion.samplefile import check_sample
from modelport.packager.conversion.sources import check_there, default_name
from modelport.packager.errors import ConversionError, InvalidConfigError, OutputExistsError, WriteError
from modelport.packager.package.write import directories_to
from modelport.runtime.errors import named
from modelport.runtime.package import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.packager.conversion.sources import Form

CONFIG: Final = "modelport.yaml"
#: Where the explanations begin in the template.
_COLUMN: Final = 40
#: What the configuration takes in no text.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Scaffold(NamedTuple):
    """What a project begins with: the folder, the text of each file by its name, and what it was made for."""

    folder: Path
    files: dict[str, str]
    package: str
    form: Form
    sampled: bool


def plan_scaffold(model: str, folder: Path, *, name: str | None = None, sample: Path | None = None) -> Scaffold:
    """Return the files for `model`, as `modelport convert` takes it, in `folder`; paths are given as seen from here.

    The package's name is by default the stem of the model's file, or else the folder's name. Nothing is imported: of a
    module only the name is read. Raises `ConversionError` or `InvalidInputError`.
    """
    form = check_there(model)
    if form == "attribute":
        _check_module(model, folder)
    if sample is not None:
        check_sample(sample)
    if name is not None:
        check_name("name", name)
    package = default_name(model, folder) if name is None else name
    source = model if form == "attribute" else _seen_from(folder, Path(model))
    rows = None if sample is None else _written("sample", _seen_from(folder, sample))
    fields = {
        "name": f"name: {_written('name', package)}",
        "model": f"model: {_written('model', source)}",
        "sample": "#sample: rows.csv" if rows is None else f"sample: {rows}",
    }
    template = Template(_template(CONFIG))
    config = template.substitute({field: line.ljust(_COLUMN) for field, line in fields.items()})
    texts = {CONFIG: config, SCRIPT: _template(SCRIPT)}
    return Scaffold(folder, texts, package, form, sample is not None)


def write_scaffold(scaffold: Scaffold) -> list[Path]:
    """Write the files of `scaffold`, replacing none, and return their paths.

    Raises `OutputExistsError` naming what stands there already, or `WriteError`; then nothing is written.
    """
    texts = {scaffold.folder / name: text for name, text in scaffold.files.items()}
    if standing := [path for path in texts if os.path.lexists(path)]:
        raise _standing(standing)
    try:
        with directories_to(scaffold.folder), _undone_if_failed() as written:
            for path, text in texts.items():
                _create(path, text, written)
    except FileExistsError as error:  # it came in between
        raise _standing([Path(error.filename)]) from error
    except OSError as error:
        raise WriteError(
            f"output `{scaffold.folder}`: expected a directory that can be written to, got {error.strerror}"
        ) from error
    return written


def next_steps(scaffold: Scaffold) -> list[str]:
    """Return what is left to do, in lines: the commands that make the package and serve it, as they work here now."""
    free = (scaffold.package, *(f"{scaffold.package}-{number}" for number in range(2, 1000)))
    output = next((path for path in free if not os.path.lexists(path)), scaffold.package)
    config = scaffold.folder / CONFIG
    convert = ["modelport", "convert", str(config), "-o", output]
    if scaffold.form == "pickle":
        convert.append("--trust-pickle")
    asks = scaffold.form != "onnx" and not scaffold.sampled
    first = [f"Next: set `sample` in {config} to rows as the model was trained on, then"] if asks else ["Next:"]
    return [*first, f"  {shlex.join(convert)}", f"  {shlex.join(['modelport', 'serve', output])}"]


def _template(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _check_module(reference: str, folder: Path) -> None:
    """Raise `ConversionError` if the module is here but not where `convert` will look: beside the configuration."""
    top = reference.partition(":")[0].partition(".")[0]
    if PathFinder.find_spec(top, [str(folder), *sys.path]) is None and PathFinder.find_spec(top, [str(Path.cwd())]):
        raise ConversionError(
            f"model `{reference}`: expected the module `{top}` in `{folder}`, got it in the working directory",
            hint=f"it is looked for beside {CONFIG}: leave out --output",
        )


def _seen_from(folder: Path, path: Path) -> str:
    """Return `path` as a file in `folder` must name it; links to directories are followed first, as `..` would not."""
    base = os.path.realpath(folder)
    if path.is_absolute() or base == str(Path.cwd()):
        return str(path)
    return os.path.relpath(Path(os.path.realpath(path.parent), path.name), base)


def _written(subject: str, text: str) -> str:
    """Return `text` as YAML that reads as it, quoted only if it must be. Raises `ConversionError` if there is none."""
    for form in (text, json.dumps(text, ensure_ascii=False)):
        if _read(form) == text and not _CONTROL.search(text):
            return form
    raise ConversionError(f"{subject} {named(text)}: expected one line of UTF-8 text, got other characters")


def _read(form: str) -> str | None:
    """Return the text that `form` is as the value of a field, or None if it is none."""
    try:
        value = parse(f"field: {form}\n".encode(), Path(CONFIG)).items["field"]
    except (InvalidConfigError, UnicodeEncodeError):
        return None
    return value.text if isinstance(value, Scalar) and value.meaning == "text" else None


@contextlib.contextmanager
def _undone_if_failed() -> Iterator[list[Path]]:
    """Give a list for the files that are created, which are removed again if what is done inside fails."""
    created: list[Path] = []
    try:
        yield created
    except BaseException:
        for path in created:
            path.unlink(missing_ok=True)
        raise


def _create(path: Path, text: str, created: list[Path]) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        created.append(path)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _standing(paths: list[Path]) -> OutputExistsError:
    return OutputExistsError(
        "\n".join(f"file `{path}`: expected none there, got one" for path in paths),
        hint="nothing is overwritten: remove it, or name another directory with --output",
    )
