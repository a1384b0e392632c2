"""The Open Inference Protocol V2 without a transport: tensors, and what they are as JSON and as bytes."""

from .tensors import InferRequest, InferResponse, Tensor

__all__ = ["InferRequest", "InferResponse", "Tensor"]
