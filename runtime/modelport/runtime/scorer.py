"""An opened package, ready to score."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import documents
from .engines import DEFAULT, EngineRequest, open_engine
from .errors import InvalidInputError, ScoringError, ScriptError
from .frames import to_inputs
from .package import open_package
from .scripts import MODEL_DIR, Call, EntryScript, Source, running

if TYPE_CHECKING:
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

    def __init__(
        self, package: Package, *, engine: str = DEFAULT, providers: Sequence[str] = (), share: str = ""
    ) -> None:
        """Open a package; `share` is a directory as `EngineRequest` has it. Raises what `load` raises."""
        self.path = package.path
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
            share=share,
        )
        self.engine: Engine = open_engine(request, engine)
        self.runner = GraphRunner(self.engine, self.signature, package.manifest.execution)
        self._starting = threading.Lock()
        self._script: EntryScript | None = None
        self._unstarted = package if package.manifest.names("script") else None

    @property
    def has_script(self) -> bool:
        """Whether an entry script answers documents, and not the graph."""
        return self._script is not None or bool(self.manifest.names("script"))

    def score(self, inputs: Any) -> Arrays:
        """Score an array, a dict of arrays, records, a pandas or Polars data frame, or an Arrow table.

        Returns a dict with every output of the graph under its own name, with its rank and dtype. Raises
        `InvalidInputError` naming the input, what was expected and what came.
        """
        return self.runner.run(to_inputs(self.signature, inputs))

    def run(self, text: str | bytes, *, call: Call | None = None) -> Any:
        """Answer a document as `POST /score` does: by the entry script if the package has one, else by the graph.

        The script gets the text (`call` holds what else it may ask for) and what it returns is returned, whatever it
        is. To the script itself the graph answers. Raises `InvalidInputError`, `ScoringError` or `ScriptError`.
        """
        if running() is not self and (script := self.start()) is not None:
            return script.run(call or Call(text))
        return self.answer(text)

    def answer(self, text: str | bytes) -> Any:
        """Answer a document by the graph, whether or not there is an entry script; the script may call this.

        Takes the kinds of JSON that `documents` names and gives a value in kind, which JSON can hold once NaN is null.
        Raises `InvalidInputError` or `ScoringError`.
        """
        document = self.read(text)
        return document.answer(self.runner.run(document.inputs))

    def read(self, text: str | bytes) -> documents.Document:
        """Return a document's inputs for the graph, and what makes its answer; raises `InvalidInputError`."""
        model = documents.Model(self.signature, self.manifest.name, self.manifest.version)
        return documents.read(model, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)

    def start(self) -> EntryScript | None:
        """Load the entry script and call its `init`, the first time; return the script, None without one.

        `run` does so too. Opening a package runs nothing of it. Raises `ScriptError`.
        """
        if self._unstarted is not None and running() is not self:  # the script itself waits for nobody
            with self._starting:
                if self._unstarted is not None:
                    self._script = EntryScript(self._unstarted, self)
                    self._unstarted = None
        return self._script

    def use_script(self, path: str | os.PathLike[str]) -> None:
        """Answer documents by the entry script in the file `path` from now on, in place of the package's own.

        It is loaded and its `init` called; if that fails, what was used before stays. Raises `ScriptError`,
        `InvalidPackageError` if the package is no longer what it was.
        """
        package = open_package(self.path, digest=self.digest)
        self._script = EntryScript(package, self, Source.of(Path(path)))
        self._unstarted = None


def package_scorer() -> Scorer:
    """Return the scorer of the package whose entry script calls this, already open.

    Under another server than this one, such as Azure ML's own, that is the package at `AZUREML_MODEL_DIR`. Raises
    `ScriptError` where there is neither.
    """
    scorer: Scorer | None = running()
    if scorer is not None:
        return scorer
    if not (directory := os.environ.get(MODEL_DIR)):
        raise ScriptError(f"package: expected an entry script that is run, or `{MODEL_DIR}`, got neither")
    return load(directory)


def load(
    package: str | os.PathLike[str], *, digest: str | None = None, engine: str = DEFAULT, providers: Sequence[str] = ()
) -> Scorer:
    """Open the package at the path `package`, verified, ready to score.

    `digest` (`sha256:...`) pins which package it must be; `engine` and `providers` (`cpu`, `cuda`, ...) say what
    executes it. Raises `InvalidPackageError`, `UnknownNameError` or `MissingExtraError`.
    """
    return Scorer(open_package(package, digest=digest), engine=engine, providers=providers)
