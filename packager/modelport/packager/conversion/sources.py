"""Finds the model that a user names: an object, an ONNX file, `module:attribute`, or a pickle that is trusted."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

from modelport.packager.errors import ConversionError, UntrustedPickleError
from modelport.runtime.errors import MissingExtraError

_PICKLES: Final = (".joblib", ".pkl", ".pickle")


def opened(model: Any) -> Any:
    """Return `model`, read first if it is the path of an `.onnx` file."""
    if isinstance(model, str | os.PathLike) and str(model).endswith(".onnx"):
        from .onnxfile import read_onnx  # noqa: PLC0415  onnx loads only for ONNX files

        return read_onnx(model)
    return model


def find_model(reference: str, *, trust_pickle: bool = False, folder: Path | None = None) -> Any:
    """Return the model that `reference` names on a command line.

    `FILE.onnx`, `module:attribute` (found from `folder`, the working directory if not given; a function is called),
    or, only with `trust_pickle`, `FILE.joblib` and `FILE.pkl`. Raises `ConversionError`, `UntrustedPickleError` or
    `MissingExtraError`.
    """
    if reference.endswith(".onnx"):
        return opened(reference)
    if reference.endswith(_PICKLES):
        return _unpickled(Path(reference), trusted=trust_pickle)
    module, colon, attribute = reference.partition(":")
    if colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return _attribute(module, attribute, folder or Path.cwd())
    raise ConversionError(
        f"model `{reference}`: expected FILE.onnx, module:attribute, FILE.joblib or FILE.pkl, got something else"
    )


def _unpickled(path: Path, *, trusted: bool) -> Any:
    if not trusted:
        raise UntrustedPickleError(
            f"model `{path}`: expected a file that only holds data, got a pickle, which runs code when it is read",
            hint="if you made it yourself, or trust who did: --trust-pickle",
        )
    try:
        import joblib  # noqa: PLC0415  comes with scikit-learn
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"model `{path}`: expected joblib to be installed", hint='pip install "modelport[sklearn]"'
        ) from error
    try:
        return joblib.load(path)
    except OSError as error:
        raise ConversionError(f"model `{path}`: expected a readable file, got {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises anything
        raise ConversionError(
            f"model `{path}`: expected a pickle that loads here, got {type(error).__name__}: {error}",
            hint="load it with the library versions that it was written with",
        ) from error


def _attribute(module: str, attribute: str, folder: Path) -> Any:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConversionError(f"model: expected a module `{module}`, got none of that name") from error
        raise MissingExtraError(
            f"module `{module}`: expected `{error.name}` to be installed", hint=f"pip install {error.name}"
        ) from error
    except Exception as error:  # whatever the user's own code raises
        raise ConversionError(
            f"module `{module}`: expected to be imported, got {type(error).__name__}: {error}"
        ) from error
    if not hasattr(found, attribute):
        raise ConversionError(f"module `{module}`: expected `{attribute}`, got a module without it")
    value = getattr(found, attribute)
    return value() if callable(value) and not hasattr(value, "predict") and not hasattr(value, "transform") else value
