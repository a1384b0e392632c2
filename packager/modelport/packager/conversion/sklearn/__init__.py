"""Fitted scikit-learn estimators and pipelines, through skl2onnx with repairs of ours."""

from .converter import SklearnConverter

__all__ = ["SklearnConverter"]
