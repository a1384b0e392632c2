"""Answers requests for a served model. It knows no transport: tensors in, tensors out."""

from .counters import Counters, Counts, Observer, Served
from .pace import BUDGET, UNKNOWN, Pace
from .plane import DataPlane, ModelMetadata
from .slot import ModelSlot

__all__ = [
    "BUDGET",
    "UNKNOWN",
    "Counters",
    "Counts",
    "DataPlane",
    "ModelMetadata",
    "ModelSlot",
    "Observer",
    "Pace",
    "Served",
]
