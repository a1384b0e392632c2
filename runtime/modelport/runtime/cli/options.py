"""The arguments that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PackagePath = Annotated[
    Path,
    typer.Argument(
        metavar="PACKAGE", help="The package: a directory that `modelport convert` wrote, or a .tar or .zip of it."
    ),
]
Digest = Annotated[
    str | None, typer.Option(metavar="SHA256", help="Refuse the package unless this is its digest (sha256:...).")
]
EngineName = Annotated[str, typer.Option(metavar="NAME", envvar="MODELPORT_ENGINE", help="What executes the model.")]
Providers = Annotated[
    str,
    typer.Option(
        metavar="NAMES", envvar="MODELPORT_PROVIDERS", help="Execution providers, the preferred first: `cuda,cpu`."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")]


def names_of(text: str) -> tuple[str, ...]:
    """Return the names in a text that has commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
