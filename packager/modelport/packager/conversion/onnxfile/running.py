"""Runs a ready model as it is being looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelport.runtime.engines import EngineRequest, open_engine

if TYPE_CHECKING:
    from modelport.runtime.engines import Engine
    from modelport.runtime.signature import Signature

    from .files import OnnxFile


def engine(file: OnnxFile, signature: Signature, *, optimise: bool = True) -> Engine:
    """Open the model; raises `InvalidPackageError` if the engine cannot."""
    outputs = tuple(spec.name for spec in signature.outputs)
    return open_engine(
        EngineRequest(model=file.data, outputs=outputs, external_data=file.external_data, optimise=optimise)
    )
