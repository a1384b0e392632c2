"""Entry scripts: a user's `score.py` with `init()` and `run(data)`, as Azure ML's inference server runs them.

The contract is that of azureml-inference-server-http 1.5 (`server/user_script.py`, `server/input_parsers.py`): `run`
takes the body as text, the arguments that inference-schema's decorators name, or with `@rawhttp` the whole request;
a parameter `request_headers` gets the headers. `AZUREML_MODEL_DIR` is the package's directory.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import shutil
import sys
import tempfile
import weakref
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from . import strictjson
from .errors import InvalidInputError, ModelportError, ScriptError, named, printable, shortened
from .package.manifest import DIGEST, MANIFEST, digest_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .package import Package

MODEL_DIR: Final = "AZUREML_MODEL_DIR"
_HEADERS: Final = "request_headers"
_RAW: Final = ("azureml_inference_server_http.api.aml_request", "azureml.contrib.services.aml_request")
_SCHEMA: Final = "inference_schema.schema_util"
_running: ContextVar[Any] = ContextVar("running", default=None)
_numbers = itertools.count(1)

T = TypeVar("T")


class Call(NamedTuple):
    """What a script is called with: the body, the headers, and for `@rawhttp` what makes the whole request."""

    text: str | bytes
    headers: Mapping[str, str] = {}
    request: Callable[[], Any] | None = None


def running() -> Any:
    """Return what the script that calls this was started with, None where no script is running."""
    return _running.get()


class Source(NamedTuple):
    """Where a script's code comes from: the name under which errors speak of it, the code, and its path for traces."""

    name: str
    code: bytes
    path: Path

    @classmethod
    def of(cls, path: Path) -> Source:
        """Read a script from a file that is in no package; raises `ScriptError` if that cannot be done."""
        try:
            return cls(path.name, path.read_bytes(), path.resolve())
        except OSError as error:
            raise ScriptError(f"script `{path}`: expected a file, got {error.strerror}") from error


class EntryScript:
    """The entry script of a package, its module executed and its `init` called."""

    def __init__(self, package: Package, context: Any, source: Source | None = None) -> None:
        """Load and start the package's script, or `source` in its place; raises `ScriptError`.

        `context` is what `running` gives to it.
        """
        self.name = package.manifest.name_of("script") if source is None else source.name
        self._context = context
        home = self._call("expected a directory with its package", lambda: self._home_of(package))
        os.environ[MODEL_DIR] = str(home)
        found = source or Source(self.name, package.files[self.name], home / self.name)
        module = self._call("expected it to load", lambda: _execute(found, package.digest))
        weakref.finalize(self, sys.modules.pop, module.__name__, None)
        init = self._function(module, "init")
        self._run = self._function(module, "run")
        self._arguments = self._call("expected a `run` that can be called", lambda: _arguments(self.name, self._run))
        self._call("expected `init()` to return", init)

    def run(self, call: Call) -> Any:
        """Return what the script's `run` gives for `call`.

        Raises `InvalidInputError` where the body is not what `run` takes, `ScriptError` with the script's own error as
        its cause where `run` fails, and the script's own `ModelportError`, which is one of scoring.
        """
        arguments = self._arguments(call)
        return self._call("expected `run()` to return", lambda: self._run(**arguments), ModelportError)

    def _function(self, module: ModuleType, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] | None = self._call("expected it to load", lambda: getattr(module, name, None))
        if not callable(function):
            raise ScriptError(f"script `{self.name}`: expected a function `{name}`, got none")
        return function

    def _call(self, expected: str, function: Callable[[], T], own: type[ModelportError] = ScriptError) -> T:
        """Call `function` as a part of this script; of what it raises, only an `own` error is left as it is."""
        token = _running.set(self._context)
        try:
            return function()
        except (own, KeyboardInterrupt):
            raise
        except BaseException as error:  # `SystemExit`, and the panic of a library in Rust, are no `Exception`
            raise ScriptError(f"script `{self.name}`: {expected}, got {_reason(error)}") from error
        finally:
            _running.reset(token)

    def _home_of(self, package: Package) -> Path:
        """Return the package's directory; of an archive it is a temporary one, which is removed with this script."""
        if package.path.is_dir():
            return package.path.resolve()
        home = Path(tempfile.mkdtemp(prefix="modelport-"))
        weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        manifest = package.manifest.encode()
        for name, data in {**package.files, MANIFEST: manifest, DIGEST: digest_line(manifest)}.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return home


def _reason(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the script's own class
        text = ""
    name = type(error).__name__
    return printable(shortened(f"{name}: {text}" if text else name, 300))


def _execute(source: Source, digest: str) -> ModuleType:
    """Execute the code, not what the file holds by now, as a module of a name of its own, each time another."""
    for raw in filter(None, map(sys.modules.get, _RAW)):
        vars(raw)["_rawHttpRequested"] = False  # what another script wished for
    module = ModuleType(f"{Path(source.name).stem}_{digest.removeprefix('sha256:')[:12]}_{next(_numbers)}")
    module.__file__ = str(source.path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    try:
        code = compile(source.code, module.__file__, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102  the user's own code
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    return module


def _arguments(script: str, run: Callable[..., Any]) -> Callable[[Call], dict[str, Any]]:
    """Return what makes of a call the arguments that `run` takes; raises `ScriptError` if it takes none that fit."""
    parameters = list(inspect.signature(run).parameters.values())
    if any(each.kind not in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters):
        raise ScriptError(f"script `{script}`: expected `run` to take arguments by name, got one that cannot be")
    with_headers = any(each.name == _HEADERS for each in parameters)
    inputs = [each for each in parameters if each.name != _HEADERS]
    if not inputs:
        raise ScriptError(f"script `{script}`: expected `run` to take an argument for the data, got none")
    make = _maker(script, run, inputs)
    if not with_headers:
        return make
    return lambda call: {**make(call), _HEADERS: dict(call.headers)}


def _maker(script: str, run: Callable[..., Any], inputs: list[inspect.Parameter]) -> Callable[[Call], dict[str, Any]]:
    raw = any(getattr(sys.modules.get(name), "_rawHttpRequested", False) for name in _RAW)
    schema = getattr(sys.modules.get(_SCHEMA), "is_schema_decorated", None)
    decorated = schema is not None and schema(run)
    if raw and decorated:
        raise ScriptError(f"script `{script}`: expected `run` with `@rawhttp` or a schema, got both")
    if raw:
        return lambda call: {inputs[0].name: _request(script, call)}
    if decorated:
        return lambda call: _named_arguments(inputs, _text(call))
    return lambda call: {inputs[0].name: _text(call)}


def _text(call: Call) -> str:
    return call.text if isinstance(call.text, str) else decoded(call.text)


def _request(script: str, call: Call) -> Any:
    if call.request is None:
        raise ScriptError(f"script `{script}`: expected an HTTP request, as `@rawhttp` wants, got text alone")
    return call.request()


def _named_arguments(parameters: list[inspect.Parameter], text: str) -> dict[str, Any]:
    value: Any = strictjson.decode(text.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise InvalidInputError("body: expected a JSON object with the arguments of the script, got another value")
    found: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name not in value and parameter.default is parameter.empty:
            raise InvalidInputError(f"argument {named(parameter.name)}: expected in the JSON object, got none")
        found[parameter.name] = value.get(parameter.name, parameter.default)
    return found


def decoded(text: bytes) -> str:
    """Return a body as text; raises `InvalidInputError` if it is none."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"body: expected UTF-8, got an invalid byte at {error.start}") from error


def as_text(parameters: Mapping[str, list[str]]) -> str:
    """Return the parameters of a URL as the JSON text that a script gets for a GET, as Azure ML's server makes it.

    A value that is JSON counts as that, a parameter that comes several times as a list.
    """
    values = {name: [_value(text) for text in texts] for name, texts in parameters.items()}
    return json.dumps({name: found[0] if len(found) == 1 else found for name, found in values.items()})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
