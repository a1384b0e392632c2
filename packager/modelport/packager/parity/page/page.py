"""Renders a parity report as one self-contained page and writes it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from modelport.packager.errors import WriteError

from .markup import escaped, joined
from .sections import in_order
from .words import VERDICTS

if TYPE_CHECKING:
    from modelport.packager.parity.report import ParityReport


def render(report: ParityReport) -> str:
    """Return `report` as an HTML page that needs nothing else: no script, no other file, no address.

    The same report gives the same text; it holds no time, and every name and value in it is escaped.
    """
    template = Template(files(__package__).joinpath("page.html").read_text("utf-8"))
    title = escaped(f"{report.name}: parity {VERDICTS[report.verdict].lower()}")
    return template.substitute(title=title, body=joined(in_order(report)))


def write_page(report: ParityReport, path: str | os.PathLike[str]) -> Path:
    """Write the page of `report` to `path`, replacing what is there, and return the path.

    The page is there whole or, with `WriteError`, not at all.
    """
    target = Path(path)
    text = render(report).encode()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  opened by descriptor
                os.fchmod(descriptor, 0o644)  # mkstemp's own is for secrets
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise WriteError(f"report `{target}`: expected a file that can be written, got {error.strerror}") from error
    return target
