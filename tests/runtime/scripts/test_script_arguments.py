"""A script's `run` gets what it asks for: text, headers, arguments of its schema, the whole request."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ECHO, PLAIN, refused

from modelport.runtime import load
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.scripts import Call, as_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RAW = "azureml_inference_server_http.api.aml_request"
LEGACY_RAW = "azureml.contrib.services.aml_request"
SCHEMA = "inference_schema.schema_util"


@pytest.mark.parametrize("parameters", ["data, request_headers", "request_headers, data", "data, *, request_headers"])
def test_a_script_that_asks_for_the_headers_gets_a_dict_of_its_own(
    scripted_package: Callable[..., Path], parameters: str
) -> None:
    body = "    request_headers['seen'] = data\n    return request_headers"
    opened = load(scripted_package(f"{PLAIN}def run({parameters}):\n{body}"))
    headers = {"Content-Type": "text/plain"}
    assert opened.run("", call=Call("x", headers)) == {"Content-Type": "text/plain", "seen": "x"}
    assert opened.run("y") == {"seen": "y"}
    assert headers == {"Content-Type": "text/plain"}
    assert Call("").headers == {}


@pytest.mark.parametrize(
    "run",
    ["def run(*, data): return data", "run = lambda data='': data", "class run:\n  __new__ = lambda cls, data: data"],
)
def test_anything_that_takes_the_data_by_name_will_do_as_run(scripted_package: Callable[..., Path], run: str) -> None:
    assert load(scripted_package(f"{PLAIN}{run}")).run("text") == "text"


def test_only_the_first_argument_of_a_plain_run_is_given(scripted_package: Callable[..., Path]) -> None:
    opened = load(scripted_package(f"{PLAIN}def run(data, more='default'): return data, more"))
    assert opened.run("x") == ("x", "default")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"{PLAIN}def run(data, /): pass", "expected `run` to take arguments by name, got one that cannot be"),
        (f"{PLAIN}def run(*data): pass", "expected `run` to take arguments by name, got one that cannot be"),
        (f"{PLAIN}def run(**data): pass", "expected `run` to take arguments by name, got one that cannot be"),
        (f"{PLAIN}def run(data, *more): pass", "expected `run` to take arguments by name, got one that cannot be"),
        (f"{PLAIN}def run(): pass", "expected `run` to take an argument for the data, got none"),
        (f"{PLAIN}def run(request_headers): pass", "expected `run` to take an argument for the data, got none"),
        (
            f"{ECHO}\nrun.__signature__ = 1",
            "expected a `run` that can be called, got TypeError: unexpected object 1 in __signature__ attribute",
        ),
        (PLAIN, "expected a function `run`, got none"),
        ("def run(data): pass", "expected a function `init`, got none"),
        ("", "expected a function `init`, got none"),
        (f"{PLAIN}run = 'text'", "expected a function `run`, got none"),
        ("def __getattr__(name): return 1 / 0", "expected it to load, got ZeroDivisionError: division by zero"),
    ],
)
def test_a_script_of_another_form_is_refused_before_it_is_started(
    scripted_package: Callable[..., Path], seen: list[Any], script: str, message: str
) -> None:
    script = script.replace("pass", "import witness; witness.say('ran')", 1) if script.startswith(PLAIN) else script
    with refused(f"script `score.py`: {message}"):
        load(scripted_package(script)).start()
    assert seen == []


@pytest.fixture
def _schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put up a stand-in for inference-schema, whose decorator makes functions known by their names."""
    known: set[str] = set()
    module = ModuleType(SCHEMA)

    def decorate(function: Any) -> Any:
        known.add(f"{function.__module__}.{function.__name__}")
        return function

    vars(module)["decorate"] = decorate
    vars(module)["is_schema_decorated"] = lambda function: f"{function.__module__}.{function.__name__}" in known
    monkeypatch.setitem(sys.modules, SCHEMA.partition(".")[0], ModuleType(SCHEMA.partition(".")[0]))
    monkeypatch.setitem(sys.modules, SCHEMA, module)


DECORATED = f"""{PLAIN}
from inference_schema.schema_util import decorate
@decorate
def run(data, limit=5, *, request_headers): return data, limit, request_headers
"""


@pytest.mark.usefixtures("_schema")
def test_a_run_with_a_schema_gets_the_arguments_that_it_names(scripted_package: Callable[..., Path]) -> None:
    opened = load(scripted_package(DECORATED))
    assert opened.run('{"data": [1, {"a": null}]}') == ([1, {"a": None}], 5, {})
    assert opened.run('{"limit": null, "data": "x", "more": 1}') == ("x", None, {})
    assert opened.run("", call=Call('{"data": 1}', {"A": "b"})) == (1, 5, {"A": "b"})
    assert opened.run('{"data": 1, "request_headers": 2}') == (1, 5, {})


@pytest.mark.usefixtures("_schema")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"limit": 1}', "argument `data`: expected in the JSON object, got none"),
        ("[1]", "body: expected a JSON object with the arguments of the script, got another value"),
        ("null", "body: expected a JSON object with the arguments of the script, got another value"),
        ("", "JSON: unexpected end (byte 0)"),
        ('{"data": 1, "data": 2}', "JSON: expected each key once, got `data` twice at byte 12"),
        ('{"data": "\ud800"}', "JSON: expected UTF-8, got an invalid byte at 10"),
        ('{"data": ' + "[" * 100 + "]" * 100 + "}", "JSON: expected at most 64 levels, got more at byte 72"),
    ],
)
def test_a_body_that_names_no_such_arguments_is_the_clients_fault(
    scripted_package: Callable[..., Path], text: str, message: str
) -> None:
    with refused(message, InvalidInputError):
        load(scripted_package(DECORATED)).run(text)


@pytest.mark.usefixtures("_schema")
def test_a_script_without_a_schema_gets_text_beside_one_with_it(scripted_package: Callable[..., Path]) -> None:
    decorated, plain = load(scripted_package(DECORATED)), load(scripted_package(ECHO))
    assert decorated.run('{"data": 1}') == (1, 5, {})
    assert plain.run('{"data": 1}') == '{"data": 1}'


@pytest.fixture(params=[RAW, LEGACY_RAW])
def raw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put up a stand-in for the module with `@rawhttp`; return its name."""
    parts = request.param.split(".")
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    module = ModuleType(request.param)
    source = """
_rawHttpRequested = False
def rawhttp(function):
    global _rawHttpRequested
    _rawHttpRequested = True
    return function
"""
    exec(source, vars(module))  # noqa: S102  a stand-in's few lines
    monkeypatch.setitem(sys.modules, request.param, module)
    return str(request.param)


def test_a_raw_run_gets_the_whole_request(scripted_package: Callable[..., Path], raw: str) -> None:
    opened = load(scripted_package(f"{PLAIN}from {raw} import rawhttp\n@rawhttp\ndef run(request): return request"))
    whole = object()
    assert opened.run("", call=Call("text", request=lambda: whole)) is whole
    with refused("script `score.py`: expected an HTTP request, as `@rawhttp` wants, got text alone"):
        opened.run("text")


def test_a_script_that_wants_no_request_gets_text_beside_one_that_does(
    scripted_package: Callable[..., Path], raw: str
) -> None:
    wanting = load(scripted_package(f"{PLAIN}from {raw} import rawhttp\n@rawhttp\ndef run(request): return request"))
    wanting.start()
    assert load(scripted_package(ECHO)).run("", call=Call("text", request=object)) == "text"
    assert type(wanting.run("", call=Call("text", request=object))) is object


@pytest.mark.usefixtures("_schema")
def test_a_run_is_raw_or_has_a_schema_but_not_both(scripted_package: Callable[..., Path], raw: str) -> None:
    script = f"""{PLAIN}
from {raw} import rawhttp
from inference_schema.schema_util import decorate
@rawhttp
@decorate
def run(request): pass
"""
    with refused("script `score.py`: expected `run` with `@rawhttp` or a schema, got both"):
        load(scripted_package(script)).start()


def test_what_looks_at_a_schema_may_fail_as_the_script_may(
    scripted_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(SCHEMA)
    vars(module)["is_schema_decorated"] = lambda _: dict[str, Any]()["schemas"]
    monkeypatch.setitem(sys.modules, SCHEMA, module)
    with refused("script `score.py`: expected a `run` that can be called, got KeyError: 'schemas'"):
        load(scripted_package(ECHO)).start()


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, "{}"),
        ({"a": ["1"], "b": ["[1,2]"], "c": ["a"], "d": ["null"]}, '{"a": 1, "b": [1, 2], "c": "a", "d": null}'),
        ({"foo": ["bar1", "bar2"], "x": ["y"]}, '{"foo": ["bar1", "bar2"], "x": "y"}'),
        ({"a": ["1", "x", "true", '"1"']}, '{"a": [1, "x", true, "1"]}'),
        ({"a": ["", " 1 ", "01", "1e2", "-"]}, '{"a": ["", 1, "01", 100.0, "-"]}'),
        ({"ü": ["é\ud800"]}, '{"\\u00fc": "\\u00e9\\ud800"}'),
        ({"": ["{"]}, '{"": "{"}'),
    ],
)
def test_parameters_of_a_url_are_told_as_azure_tells_them(parameters: dict[str, list[str]], text: str) -> None:
    assert as_text(parameters) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), st.lists(VALUES, min_size=1)))
def test_values_that_are_written_as_json_come_through_parameters(parameters: dict[str, list[Any]]) -> None:
    got = json.loads(as_text({name: list(map(json.dumps, values)) for name, values in parameters.items()}))
    assert got == {name: values if len(values) > 1 else values[0] for name, values in parameters.items()}


@given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1)))
def test_any_parameters_are_some_text(parameters: dict[str, list[str]]) -> None:
    assert json.loads(as_text(parameters)).keys() == parameters.keys()


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5000])
def test_a_parameter_that_no_decoder_takes_is_text(value: str) -> None:
    assert as_text({"a": [value]}) == json.dumps({"a": value})
