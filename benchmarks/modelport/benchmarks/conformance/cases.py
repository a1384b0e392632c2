"""What is asked and what must be answered, as a file that every environment can read: scored offline beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class Tensor(NamedTuple):
    """A tensor; `data` is flat, in row-major order, None where a value is missing."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]

    def described(self) -> dict[str, Any]:
        """Return the tensor as the protocol's JSON has it."""
        return self._asdict()


class Call(NamedTuple):
    """Inputs for a model, and the outputs that offline scoring gives for them."""

    model: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Document(NamedTuple):
    """A body for `/score`, and the answer that scoring in process gives for it."""

    model: str
    body: Any
    answer: Any


class Cases(NamedTuple):
    """Where the server is, the keys that it takes, its models' metadata by name, calls and documents by name."""

    host: str
    port: int
    keys: list[str]
    version: str
    metadata: dict[str, dict[str, Any]]
    calls: dict[str, Call]
    documents: dict[str, Document]

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{self.host}:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that lets a request in."""
        return {"Authorization": f"Bearer {self.keys[0]}"}


def write_cases(cases: Cases, path: Path) -> None:
    """Write the cases as JSON; every number comes back as it was."""
    path.write_text(json.dumps(cases), encoding="utf-8")


def read_cases(path: str | Path) -> Cases:
    """Return what `write_cases` wrote."""
    host, port, keys, version, metadata, calls, documents = json.loads(Path(path).read_text(encoding="utf-8"))
    return Cases(
        host=host,
        port=port,
        keys=keys,
        version=version,
        metadata=metadata,
        calls={
            name: Call(model, _tensors(inputs), _tensors(outputs)) for name, (model, inputs, outputs) in calls.items()
        },
        documents={name: Document(*document) for name, document in documents.items()},
    )


def _tensors(described: list[list[Any]]) -> list[Tensor]:
    return [Tensor(*each) for each in described]
