"""Finds the model that a user names: an object, an ONNX file, `module:attribute`, or a pickle that is trusted."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final, Literal

from modelport.packager.errors import ConversionError, UntrustedPickleError
from modelport.runtime.errors import InvalidInputError, MissingExtraError
from modelport.runtime.extras import missing_extra, needed_by
from modelport.runtime.package import check_name

_PICKLES: Final = (".joblib", ".pkl", ".pickle")
#: How the names of files that hold a model end.
MODEL_FILES: Final = (".onnx", *_PICKLES)

Form = Literal["onnx", "pickle", "attribute"]


def opened(model: Any) -> Any:
    """Return `model`, read first if it is the path of an `.onnx` file."""
    if not isinstance(model, str | os.PathLike):
        return model
    if not str(model).endswith(".onnx"):
        raise ConversionError(
            f"model `{model}`: expected a model, or the path of an .onnx file, got another path",
            hint="load it first: `joblib.load(path)`",
        )
    from .onnxfile import read_onnx  # noqa: PLC0415  onnx loads only for ONNX files

    return read_onnx(model)


def find_model(reference: str, *, trust_pickle: bool = False, folder: Path | None = None) -> Any:
    """Return the model that `reference` names on a command line.

    `FILE.onnx`, `module:attribute` (found from `folder`, the working directory if not given; a function is called),
    or, only with `trust_pickle`, `FILE.joblib` and `FILE.pkl`. Raises `ConversionError`, `UntrustedPickleError` or
    `MissingExtraError`.
    """
    form = form_of(reference)
    if form == "onnx":
        return opened(reference)
    if form == "pickle":
        return _unpickled(Path(reference), trusted=trust_pickle)
    module, _, attribute = reference.partition(":")
    return _attribute(module, attribute, folder or Path.cwd())


def form_of(reference: str) -> Form:
    """Return what `reference` names a model by, read from its letters alone; raises `ConversionError` if by nothing."""
    if reference.endswith(".onnx"):
        return "onnx"
    if reference.endswith(_PICKLES):
        return "pickle"
    module, colon, attribute = reference.partition(":")
    if colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return "attribute"
    raise ConversionError(
        f"model `{reference}`: expected FILE.onnx, module:attribute, FILE.joblib or FILE.pkl, got something else"
    )


def check_there(reference: str) -> Form:
    """Return the form of `reference`, whose file must be there and readable; no code of the user's runs.

    Raises `ConversionError`, in the words of `find_model`.
    """
    form = form_of(reference)
    try:
        if form != "attribute":
            Path(reference).open("rb").close()
    except OSError as error:
        subject, what = (f"`{reference}`", "ONNX model") if form == "onnx" else (f"model `{reference}`", "file")
        raise ConversionError(f"{subject}: expected a readable {what}, got {error.strerror}") from error
    return form


def default_name(model: Any, output: str | os.PathLike[str]) -> str:
    """Return the name of a package that nobody named: the stem of the model's file, or else the output's name.

    `model` may be what a command line names: a path, or `module:attribute`. Raises `InvalidInputError` if that is no
    name.
    """
    named = isinstance(model, str | os.PathLike) and Path(model).suffix in MODEL_FILES
    name = Path(model).stem if named else Path(os.path.realpath(output)).name
    try:
        check_name("name", name)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, hint="give the package a name: --name") from error
    return name


def _unpickled(path: Path, *, trusted: bool) -> Any:
    if not trusted:
        raise UntrustedPickleError(
            f"model `{path}`: expected a file that only holds data, got a pickle, which runs code when it is read",
            hint="if you made it yourself, or trust who did: --trust-pickle",
        )
    try:
        with needed_by(f"model `{path}`"):
            import joblib  # noqa: PLC0415  comes with scikit-learn

            return joblib.load(path)
    except MissingExtraError:
        raise
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
        raise (missing_extra(f"module `{module}`", error) or _not_imported(module, error)) from error
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise _not_imported(module, error) from error
    if not hasattr(found, attribute):
        raise ConversionError(f"module `{module}`: expected `{attribute}`, got a module without it")
    value = getattr(found, attribute)
    if not callable(value) or hasattr(value, "predict") or hasattr(value, "transform"):
        return value
    try:
        return value()
    except (Exception, SystemExit) as error:  # likewise
        raise ConversionError(
            f"`{module}:{attribute}`: expected a function that returns a model, got {type(error).__name__}: {error}"
        ) from error


def _not_imported(module: str, error: BaseException) -> ConversionError:
    return ConversionError(f"module `{module}`: expected to be imported, got {type(error).__name__}: {error}")
