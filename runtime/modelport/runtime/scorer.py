"""An opened package, ready to score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .engines import DEFAULT, EngineRequest, open_engine
from .errors import InvalidInputError, ScoringError
from .frames import to_inputs
from .package import open_package

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .engines import Engine
    from .package import Execution, Manifest, Package, Samples
    from .signature import Signature

    Arrays = dict[str, NDArray[np.generic]]

#: Rows of one run of the engine: more are split, so that memory stays bounded, where rows are the same in any batch.
CHUNK_ROWS: Final = 1024


class GraphRunner:
    """A graph with its signature: checks inputs, runs the engine as `execution` says, checks what comes out."""

    def __init__(self, engine: Engine, signature: Signature, execution: Execution) -> None:
        self.engine = engine
        self.signature = signature
        self._pad = execution.pad
        self._names = tuple(spec.name for spec in signature.outputs)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Score arrays that already have each input's datatype.

        Raises `InvalidInputError` unless names, datatypes, shapes and values fit the signature, `ScoringError` when
        the engine fails.
        """
        rows = self._check(inputs)
        if not self.signature.has_rows:
            return self._named(self.engine.run(inputs))
        if rows == 0:
            return {spec.name: spec.no_rows() for spec in self.signature.outputs}
        if rows <= CHUNK_ROWS or not self.signature.rows_identical:
            return self._rows(inputs, rows)
        parts = [
            self._rows(
                {name: array[start : start + CHUNK_ROWS] for name, array in inputs.items()},
                min(CHUNK_ROWS, rows - start),
            )
            for start in range(0, rows, CHUNK_ROWS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _check(self, inputs: Mapping[str, NDArray[np.generic]]) -> int:
        """Check every input and return the number of rows."""
        rows, first = -1, ""
        for spec in self.signature.inputs:
            if (array := inputs.get(spec.name)) is None:
                raise InvalidInputError(f"input `{spec.name}`: expected a tensor, got none of that name")
            spec.check(array)
            if self.signature.has_rows:
                if rows >= 0 and len(array) != rows:
                    raise InvalidInputError(f"input `{spec.name}`: expected {rows} rows as `{first}`, got {len(array)}")
                rows, first = len(array), first or spec.name
        if len(inputs) > len(self.signature.inputs):
            for name in inputs:
                self.signature.input(name)
        return rows

    def _rows(self, inputs: Mapping[str, NDArray[np.generic]], rows: int) -> Arrays:
        if rows == 1 and self._pad:
            doubled = {name: np.concatenate([array, array]) for name, array in inputs.items()}
            return {name: array[:1] for name, array in self._named(self.engine.run(doubled), 2).items()}
        return self._named(self.engine.run(inputs), rows)

    def _named(self, outputs: Sequence[NDArray[np.generic]], rows: int | None = None) -> Arrays:
        for name, array in zip(self._names, outputs, strict=True):
            if rows is not None and (array.ndim == 0 or len(array) != rows):
                raise ScoringError(f"output `{name}`: expected {rows} rows, got shape {list(array.shape)}")
        return dict(zip(self._names, outputs, strict=True))


class Scorer:
    """An opened package: `score` takes what people hold and gives every output of the graph under its name."""

    def __init__(self, package: Package, *, engine: str = DEFAULT, providers: Sequence[str] = ()) -> None:
        self.digest = package.digest
        self.manifest: Manifest = package.manifest
        self.signature: Signature = package.manifest.signature
        self.samples: Samples = package.samples
        request = EngineRequest(
            model=package.model,
            inputs=tuple(spec.name for spec in self.signature.inputs),
            outputs=tuple(spec.name for spec in self.signature.outputs),
            requires=package.manifest.requires.onnxruntime,
            external_data=package.external_data,
            files=dict(package.files),
            threads=package.manifest.execution.threads,
            providers=tuple(providers),
        )
        self.engine: Engine = open_engine(request, engine)
        self.runner = GraphRunner(self.engine, self.signature, package.manifest.execution)

    def score(self, inputs: Any) -> Arrays:
        """Score an array, a dict of arrays, records, a pandas or Polars data frame, or an Arrow table.

        Returns a dict with every output of the graph under its own name, with its rank and dtype. Raises
        `InvalidInputError` naming the input, what was expected and what came.
        """
        return self.runner.run(to_inputs(self.signature, inputs))


def load(
    package: str | os.PathLike[str], *, digest: str | None = None, engine: str = DEFAULT, providers: Sequence[str] = ()
) -> Scorer:
    """Open the package at the path `package`, verified, ready to score.

    `digest` (`sha256:...`) pins which package it must be; `engine` and `providers` (`cpu`, `cuda`, ...) say what
    executes it. Raises `InvalidPackageError`, `UnknownNameError` or `MissingExtraError`.
    """
    return Scorer(open_package(package, digest=digest), engine=engine, providers=providers)
