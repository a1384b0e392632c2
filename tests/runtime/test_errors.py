"""Errors carry their remedy, and say what others wrote in words that no terminal trips over."""

from __future__ import annotations

import inspect

from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime import errors
from modelport.runtime.errors import ModelportError, named, printable, shortened


def test_an_error_has_a_message_and_perhaps_a_hint() -> None:
    error = ModelportError("x: expected 1, got 2", hint="try 1")
    assert str(error) == error.message == "x: expected 1, got 2"
    assert error.hint == "try 1"
    assert ModelportError("x").hint is None


def test_every_error_is_one_of_ours_and_says_what_it_means() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(classes) > 5
    assert all(issubclass(error, ModelportError) and error.__doc__ for error in classes)


@given(st.text(st.characters()))
def test_any_name_is_shown_short_and_printable(name: str) -> None:
    shown = named(name)
    assert shown.isprintable()
    assert shown.encode()
    assert shown.startswith("`")
    assert shown.endswith("`")
    assert len(shortened(name, 80)) <= 80


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("Zürich, 東京 😀") == "Zürich, 東京 😀"
    assert printable("a\x1b[31m\n\ud800\u202e") == "a\\x1b[31m\\n\\ud800\\u202e"
    assert named("a" * 100) == "`" + "a" * 77 + "...`"
