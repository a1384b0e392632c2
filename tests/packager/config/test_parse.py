"""YAML as it is accepted: what it means, what is refused, and that nothing is guessed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager.config.parse import MAX_BYTES, MAX_DEPTH, Mapping, Node, Scalar, Sequence, parse
from modelport.packager.errors import InvalidConfigError

FILE = Path("modelport.yaml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidConfigError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), FILE)
    return caught.value.message


def meaning(text: str) -> str:
    node = parse(f"key: {text}\n".encode(), FILE).items["key"]
    assert isinstance(node, Scalar)
    return node.meaning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("churn", "text"),
        ('"no"', "text"),
        ("'1.10'", "text"),
        ("|\n  1.5", "text"),
        ('""', "text"),
        ("train:model", "text"),
        ("1.2.3", "text"),
        ("v1_0", "text"),
        ("true", "true or false"),
        ("12", "a whole number"),
        ("-0", "a whole number"),
        ("1.10", "a number"),
        ("1e3", "a number"),
        ("-2.5E-3", "a number"),
        ("null", "nothing"),
        ("~", "nothing"),
        ("", "nothing"),
        ("2024-01-01", "a date"),
        ("2024-01-01 10:00:00", "a date"),
    ],
)
def test_a_scalar_means_what_every_version_of_yaml_says(text: str, expected: str) -> None:
    assert meaning(text) == expected


OPEN = (
    "no yes on off True FALSE Null 1_000 017 0o17 0x1F 0b11 1:30 190:20:30 1:30.5 +1 .5 1. 1_0.5 .inf -.inf .nan = 08"
)


@pytest.mark.parametrize("text", OPEN.split())
def test_what_versions_of_yaml_read_differently_is_left_open(text: str) -> None:
    assert meaning(text) == "several things"


@given(st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=8))
def test_what_passes_as_plain_is_what_pyyaml_reads(text: str) -> None:
    try:
        node = parse(f"key: {text}\n".encode(), FILE).items["key"]
        read = yaml.safe_load(f"key: {text}\n")["key"]
    except (InvalidConfigError, yaml.YAMLError, ValueError):
        return
    if isinstance(node, Scalar) and node.meaning == "text":
        assert node.text == read
    if isinstance(node, Scalar) and node.meaning == "a whole number":
        assert int(node.text) == read
    if isinstance(node, Scalar) and node.meaning == "a number":
        assert float(node.text) == float(read)


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!|>%@`\"'#\n\t ab01~?.", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_as_a_configuration(text: bytes) -> None:
    try:
        assert isinstance(parse(text, FILE), Mapping)
    except InvalidConfigError as error:
        assert re.match(r"modelport\.yaml:\d+: expected ", error.message)  # noqa: PT017  either is right


def test_every_node_knows_its_line() -> None:
    found = parse(b"a: 1\n\nb:\n  - x\n  - c: 2\n", FILE)
    assert lines(found) == [1, 1, 4, 4, 5, 5]
    assert found.lines == {"a": 1, "b": 3}


def lines(node: Node) -> list[int]:
    if isinstance(node, Scalar):
        return [node.line]
    inner = node.items if isinstance(node, Sequence) else node.items.values()
    return [node.line, *(line for each in inner for line in lines(each))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "modelport.yaml:1: expected a mapping, got an empty file"),
        ("# only a comment\n", "modelport.yaml:2: expected a mapping, got an empty file"),
        ("- a\n- b\n", "modelport.yaml:1: expected a mapping, got a list"),
        ("text", "modelport.yaml:1: expected a mapping, got `text`"),
        ("a: 1\nb: 2\na: 3\n", "modelport.yaml:3: expected each key once, got `a` again, first on line 1"),
        ("a: {b: 1, 'b': 2}", "modelport.yaml:1: expected each key once, got `b` again, first on line 1"),
        ("a: &x 1\n", "modelport.yaml:1: expected a value without an anchor, got `&x`"),
        ("a: 1\nb: *x\n", "modelport.yaml:2: expected the value itself, got the alias `*x`"),
        ("a: !!str 1\n", "modelport.yaml:1: expected a value without a tag, got `!!str`"),
        (
            "a: !!python/name:os.system\n",
            "modelport.yaml:1: expected a value without a tag, got `!!python/name:os.system`",
        ),
        ("a: ! x\n", "modelport.yaml:1: expected a value without a tag, got `!`"),
        ("%YAML 1.1\n---\na: 1\n", "modelport.yaml:1: expected YAML without directives, got a directive"),
        ("a: 1\n---\nb: 2\n", "modelport.yaml:2: expected one document, got a second one"),
        ("<<: {a: 1}\n", "modelport.yaml:1: expected a name as key, got `<<`"),
        ("? [a]\n: 1\n", "modelport.yaml:1: expected a name as key, got a list"),
        ("? {a: 1}\n: 1\n", "modelport.yaml:1: expected a name as key, got a mapping"),
        ("'': 1\n", "modelport.yaml:1: expected a name as key, got an empty text"),
        ("?\n: 1\n", "modelport.yaml:1: expected a name as key, got nothing"),
        ('a: "\\ud800"\n', "modelport.yaml:1: expected text, got the character '\\ud800'"),
        ('a: "\\0"\n', "modelport.yaml:1: expected text, got the character '\\x00'"),
        ("a: 1\nb: \x07\n", "modelport.yaml:2: expected characters that YAML allows, got the character '\\x07'"),
        (b"a: 1\nb: \xff\n", "modelport.yaml:2: expected UTF-8, got the byte 0xff"),
        (
            "a: [1\n",
            (
                "modelport.yaml:2: expected YAML, got while parsing a flow sequence expected ',' or ']', "
                "but got '<stream end>'"
            ),
        ),
        (
            "\ta: 1\n",
            (
                "modelport.yaml:1: expected YAML, got while scanning for the next token found character '\\t' "
                "that cannot start any token"
            ),
        ),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str | bytes, message: str) -> None:
    assert refusal(text) == message


def test_a_file_that_is_too_large_is_refused() -> None:
    message = f"modelport.yaml:1: expected at most 262,144 bytes, got {MAX_BYTES + 1:,}"
    assert refusal(b"#" * (MAX_BYTES + 1)) == message


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 100_000, "a: " + "{a: " * 50_000, "- " * 100_000], ids=["lists", "mappings", "dashes"]
)
def test_deep_nesting_is_refused_before_it_is_read(text: str) -> None:
    assert refusal(text) == f"modelport.yaml:1: expected at most {MAX_DEPTH} levels, got more"


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refusal(bomb) == "modelport.yaml:1: expected a value without an anchor, got `&a`"
