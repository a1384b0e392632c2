"""Turns trained models into ONNX: the protocol of converters, and the registry that finds one for a model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from modelport.runtime.errors import MissingExtraError, UnknownNameError
from modelport.runtime.extras import needed_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from modelport.packager.rows import Cell, Rows
    from modelport.packager.trees import TreeGroup
    from modelport.runtime.package import Contract, Producer, ProofKind
    from modelport.runtime.signature import Signature

    Arrays = dict[str, NDArray[Any]]

GROUP: Final = "modelport.converters"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a converted model is compared with.

    `answer` takes rows (see `packager.rows`) and returns every output by name. `behind`, where there are labels, takes
    such answers and other labels, and returns by how much each of these scores less than the original's best one.
    `most_rows` of a sample are compared, evenly spread; None for all, where the answers belong to them.
    """

    proof: ProofKind
    description: str
    answer: Callable[[Rows], Arrays]
    behind: Callable[[Arrays, NDArray[Any]], NDArray[np.float64]] | None = None
    most_rows: int | None = 20_000


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to convert a model, before parity has judged it.

    `sample` holds the rows that were given, or `drawn` from the signature; for a model without rows, whole calls
    stacked on a new first axis. With `only_sample` nothing else can be compared. `trees` are the model's tree
    ensembles, whose thresholds are probed, `looked_up` the columns whose values are categories of an encoder, `null`
    the text that stands for a missing one, `notes` what whoever uses the package should know.
    """

    model: bytes
    signature: Signature
    contract: Contract
    reference: Reference
    sample: Rows
    null: str = ""
    producer: Producer
    external_data: dict[str, bytes] = {}
    trees: tuple[TreeGroup, ...] = ()
    looked_up: frozenset[Cell] = frozenset()
    notes: tuple[str, ...] = ()
    only_sample: bool = False
    drawn: bool = False


#: Makes a candidate; raises `ConversionError` if this way does not lead to one.
Attempt = Callable[[], Candidate]


class Converter(Protocol):
    """Converts the models of one framework."""

    name: str

    def accepts(self, model: Any) -> bool:
        """Return whether `model` is one of this framework's, importing nothing to decide it."""

    def candidates(
        self, model: Any, sample: Any, contract: Contract | None, expected: Mapping[str, Any] | None
    ) -> Iterator[Attempt]:
        """Yield ways to convert `model`, the best first: functions that each make one candidate.

        `sample` is what the model was trained on or a part of it; `contract`, if given, is the only one to try.
        `expected` holds the outputs for the sample, where the original itself is not at hand.
        Both this and the functions raise `ConversionError` with the reason and the remedy when there is no way.
        """


def converter_for(model: Any) -> Converter:
    """Return the converter whose framework `model` belongs to.

    Raises `UnknownNameError` naming the known frameworks, `MissingExtraError` if the converter's extra is missing.
    """
    found: Mapping[str, Any] = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name, entry in sorted(found.items()):
        try:
            with needed_by(f"converter `{name}`"):
                converter = cast("Converter", entry.load()())
        except MissingExtraError:
            if name == framework_of(model):
                raise
            continue
        if converter.accepts(model):
            return converter
    known = ", ".join(sorted(found))
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise UnknownNameError(f"model of type `{kind}`: expected one of a framework with a converter ({known})")


def framework_of(model: Any) -> str:
    """Return the top-level module that the model's class comes from."""
    return type(model).__module__.partition(".")[0]
