"""The API page: what it tells of the server, and what is tried with it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_pages import answered, open_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser import Browser, Page
    from servers import Server

ROW: Final = {"amount": 0.5, "count": 2, "city": "Zürich"}
OPERATIONS: Final = """[...document.querySelectorAll('section')].map((group) => [
  group.querySelector('h2').innerText,
  [...group.querySelectorAll('.operation > summary')].map((each) =>
    ['.verb', '.path', '.says'].map((part) => each.querySelector(part).innerText)),
])"""
UNAVAILABLE: Final = """
const real = fetch;
fetch = async () => new Response('{"error": "model: expected one, got `none` yet"}', { status: 503 });
"""


def test_every_operation_is_listed_in_its_group(page: Page, several: Server) -> None:
    open_page(page, several, "docs")
    groups = dict(page.evaluate(OPERATIONS))
    described = several.ask("/swagger.json?version=3").json["paths"]
    expected = {(verb, path): each["summary"] for path, verbs in described.items() for verb, each in verbs.items()}
    told = {(verb.lower(), path): says for operations in groups.values() for verb, path, says in operations}
    assert told == {operation: summary.replace("`", "") for operation, summary in expected.items()}
    paths = {name: [path for _, path, _ in operations] for name, operations in groups.items()}
    assert list(paths) == ["Score", "Open Inference Protocol V2", "Health"]
    assert all(path.endswith("/score") for path in paths["Score"])
    assert all(path.startswith("/v2") for path in paths["Open Inference Protocol V2"])
    assert paths["Health"] == ["/", "/v2/health/live", "/v2/health/ready"]


def test_a_row_is_told_in_words(page: Page, table: Server) -> None:
    open_page(page, table, "docs")
    words = page.text(".takes").replace("\N{MINUS SIGN}", "-")
    assert "list of object table-1.Row" in words
    assert re.search(r"amount\s*number \(double\)\s*may be null", words)
    assert re.search(r"count\s*integer \(int64\)\s*-9223372036854775808 … 9223372036854775807\s*required", words)
    assert re.search(r"city\s*string\s*may be null", words)


def test_closed_categories_are_told(page: Page, wide: Server) -> None:
    open_page(page, wide, "docs")
    page.click(".takes button")
    page.wait_for_text("city", ".takes")
    assert re.search(r"city\s*string\s*only .*__proto__.*constructor", page.text(".takes"))


def test_what_is_tried_is_answered_as_the_server_answers(page: Page, table: Server) -> None:
    open_page(page, table, "docs")
    page.click(".try textarea")
    assert json.loads(page.evaluate("document.activeElement.value"))[0] == {"amount": 0.1, "count": 1, "city": "Bern"}
    page.type(json.dumps([ROW]))
    assert answered(page) == table.ask("/score", [ROW]).json == [{"total": 2.5, "town": "Zürich"}]
    assert re.match(r"200 OK in [\d.,]+ ms", page.text(".try form > [role=status]"))
    page.click(".outcome summary")
    assert re.search(r"x-request-id\s+[0-9a-f]{32}", page.text(".outcome"))


def test_what_does_not_fit_is_refused_in_the_servers_words(page: Page, table: Server) -> None:
    open_page(page, table, "docs")
    page.click(".try textarea")
    page.type("[{")
    assert "No JSON yet" in page.text(".try form")
    page.press("Tab")
    page.press("Enter")
    page.wait_for_text("400", ".try form > [role=status]")
    assert json.loads(page.text(".outcome .body")) == table.ask("/score", b"[{").json


def test_a_description_that_is_not_there_yet_can_be_asked_for_again(page: Page, table: Server) -> None:
    page.before_load(UNAVAILABLE)
    page.open(f"http://{table.url}/docs")
    page.wait_for_text("model: expected one, got none yet", ".notice.error")
    page.evaluate("void (fetch = real)")
    page.click(".notice.error button")
    page.wait_for("document.querySelector('.operation .inside')")


def test_the_command_does_what_the_page_does(page: Page, table: Server) -> None:
    open_page(page, table, "docs")
    line = page.text(".curl pre")
    assert "Authorization" not in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == answered(page)
    page.click(".curl button")
    page.wait_for_text("Cop", ".curl [role=status]")


@pytest.fixture(scope="module")
def scripts(chromium: Browser, table: Server) -> Iterator[Page]:
    """A page whose functions are called."""
    page = chromium.page()
    open_page(page, table, "docs")
    yield page
    page.close()


numerals = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
strings = st.text().map(json.dumps)
documents = st.recursive(
    numerals | strings | st.sampled_from(["null", "true", "false"]),
    lambda inner: (
        st.lists(inner, max_size=30).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(strings, inner, max_size=5).map(lambda pairs: f"{{{','.join(map(':'.join, pairs.items()))}}}")
    ),
    max_leaves=40,
)


@settings(max_examples=60)
@given(documents)
def test_json_is_set_out_and_no_digit_of_it_changes(scripts: Page, text: str) -> None:
    assert exactly(scripts.evaluate(f"shown({json.dumps(text)})")) == exactly(text)


def exactly(text: str) -> Any:
    """Return the value of a JSON text, with the digits of its numbers as they stand there."""
    return json.loads(text, parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits))


CURL: Final = 'curl() { printf "%s\\0" "$@"; case "$*" in *@-) cat;; esac; }; '
HEAD: Final = b"-sS\0-X\0POST\0http://127.0.0.1:1/it%27s\0-H\0Content-Type: application/json\0"


@settings(max_examples=80)
@given(st.text() | st.text("'\"\\$`!%\n\t\r\x1b\x7f\x85\0 ab@-", max_size=30))
def test_the_command_gives_curl_the_very_body(scripts: Page, body: str) -> None:
    request = {"address": "http://127.0.0.1:1/it%27s", "method": "POST", "type": "application/json", "body": body}
    line = scripts.evaluate(f"curlOf({json.dumps(request)})")
    assert not re.search(r"[\0-\x09\x0b-\x1f\x7f-\x9f]", line), "a terminal would take this for a key"
    said = subprocess.run(["sh", "-c", CURL + line], capture_output=True, check=True).stdout
    assert said in (HEAD + b"--data-raw\0" + body.encode() + b"\0", HEAD + b"--data-binary\0@-\0" + body.encode())
