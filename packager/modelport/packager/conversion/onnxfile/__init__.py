"""Ready ONNX models: their names stay, and what can be proven of them is what is at hand."""

from .converter import OnnxFileConverter
from .files import OnnxFile, read_onnx

__all__ = ["OnnxFile", "OnnxFileConverter", "read_onnx"]
