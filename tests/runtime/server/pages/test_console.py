"""The console: a form that scores, what comes of it, and what it tells of the models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
import servers
from hostile_models import HOSTILE
from served_pages import fields, open_page, put, score

from modelport import runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser import Page
    from servers import Server

CLASSES: Final = """[...document.querySelectorAll('.classes tbody tr')].map((row) => [
  row.querySelector('bdi').innerText,
  Number(row.querySelector('td').innerText),
  parseFloat(row.querySelector('.gauge span').style.width),
])"""
OUTPUTS: Final = "[...document.querySelectorAll('.output')].map((each) => each.innerText.split(/\\s*\\n\\s*/))"


def values(page: Page) -> dict[str, str]:
    """Return what the fields hold."""
    return {name: page.evaluate(f"document.querySelector('{at}').value") for name, at in fields(page).items()}


def test_the_sample_is_scored_as_the_scorer_does(page: Page, packages: Callable[[str], Path], several: Server) -> None:
    open_page(page, several, "console", "classifier")
    assert values(page) == {"age": "1.0", "income": "2.0"}
    expected = runtime.load(packages("classifier")).score([{"age": 1.0, "income": 2.0}])
    chances = expected["probabilities"][0].tolist()
    assert score(page) == [{"label": expected["label"][0], "probabilities": chances}]
    told = page.evaluate(CLASSES)
    assert [(label, value) for label, value, _ in told] == [("no", chances[0]), ("yes", chances[1])]
    assert [width for *_, width in told] == pytest.approx([100 * chance for chance in chances], rel=1e-3)
    assert page.text(".output .value") == "no"
    assert re.fullmatch(r"Scored in [\d.,]+ ms: label no", page.text("#said"))


def test_a_row_is_typed_and_what_is_missing_is_left_empty(page: Page, table: Server) -> None:
    open_page(page, table, "console")
    put(page, "amount", ".25")
    put(page, "count", "+9007199254740993")
    put(page, "city", "Straße 👩‍👩‍👧")
    assert score(page) == [{"total": 0.25 + 9007199254740993, "town": "Straße 👩‍👩‍👧"}]
    assert '"count": 9007199254740993' in page.evaluate("document.querySelector('[aria-label=Request]').textContent")
    put(page, "amount", "")
    page.click(f"{fields(page)['city']}-none")
    assert score(page) == [{"total": None, "town": ""}]
    assert page.evaluate(OUTPUTS) == [["total", "no value"], ["town", '""']]
    page.click("#sample")
    assert score(page) == [{"total": None, "town": "Zürich"}]


def test_an_error_stands_beside_the_field_that_it_names(page: Page, table: Server) -> None:
    open_page(page, table, "console")
    put(page, "count", "many")
    page.press("Enter")
    page.wait_for("document.querySelector('[aria-invalid]')")
    control = fields(page)["count"]
    message = table.ask("/score", [{"amount": 0.1, "count": "many", "city": "Bern"}]).json["message"]
    assert page.text(f"{control}-problem") == message.replace("`", "")
    assert page.evaluate(f"document.activeElement.matches('{control}[aria-invalid=true]')")
    assert page.text("#said") == "Not scored: see the field"
    page.type("3")
    assert page.text(f"{control}-problem") == ""
    page.press("Enter")
    page.wait_for_text("Scored in", "#said")
    assert not page.evaluate("document.querySelector('[aria-invalid]')")


def test_an_error_finds_the_field_of_a_hostile_name(page: Page, wide: Server) -> None:
    open_page(page, wide, "console")
    for index in range(len(HOSTILE)):
        page.click(f"#field-{index}")
        page.type("no number")
        page.press("Enter")
        page.wait_for(f"document.activeElement.matches('#field-{index}[aria-invalid]')")
        page.type("1")


def test_matrices_and_states_are_typed_as_json(page: Page, several: Server) -> None:
    open_page(page, several, "console", "pair")
    put(page, "a", "[1.5, 2")
    page.click("#score")
    page.wait_for_text("expected JSON", "#fields")
    put(page, "a", "[1.5, -2]")
    page.click(fields(page)["b"])
    assert score(page) == [{"both": [[1.5, -2.0], [1.5, -2.0]], "not_b": True}]
    open_page(page, several, "console", "state")
    put(page, "state", "100")
    assert score(page) == {"sum": 106.0, "last": 3.0}


def test_a_script_is_given_what_is_typed(page: Page, several: Server) -> None:
    open_page(page, several, "console", "linear")
    put(page, "Document", '{"anything": [1, null]}')
    assert score(page) == {"anything": [1, None]}


def test_another_model_is_picked_with_its_own_form_and_path(page: Page, several: Server) -> None:
    open_page(page, several, "console")
    assert page.text("#title") == "table 1"
    page.evaluate("find('model').value = 'classifier/1', void find('model').dispatchEvent(new Event('change'))")
    page.wait_for_text("classifier 1", "#title")
    assert list(fields(page)) == ["age", "income"]
    score(page)
    assert f"http://{several.url}/models/classifier/versions/1/score" in page.requests
    page.evaluate("history.back()")
    page.wait_for_text("table 1", "#title")


def test_every_model_is_told_of(page: Page, several: Server) -> None:
    open_page(page, several, "console")
    cards = page.evaluate("[...document.querySelectorAll('.served article')].map((each) => each.innerText)")
    for name, text in zip(("table", "classifier", "pair", "state", "linear"), cards, strict=True):
        properties = several.ask(f"/v2/models/{name}/versions/1").json["properties"]
        assert text.startswith(name)
        assert all(f"{title}\n{value}" in text for title, value in properties.items())


def test_a_server_that_is_gone_is_told(page: Page, packages: Callable[[str], Path]) -> None:
    with servers.serving(packages("table")) as server:
        open_page(page, server, "console")
    page.click("#score")
    page.wait_for_text("No answer", "#said")
    page.wait_for_text("no answer", "#state")


def test_a_row_is_scored_by_keyboard_alone(page: Page, table: Server) -> None:
    open_page(page, table, "console")
    page.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the model"
    page.press("Enter")
    stops = ["#sample", *fields(page).values(), "#score"]
    for stop in stops:
        while not page.evaluate(f"document.activeElement.matches('{stop}, footer *')"):
            page.press("Tab")
        if stop == fields(page)["count"]:
            page.type("41")
    page.press("Enter")
    page.wait_for_text("Scored in", "#said")
    assert page.text(".output .value") == "41.1"
    page.press("Tab")
    assert page.evaluate("document.activeElement.matches('.answer')")


def test_the_answer_is_a_step_away_on_a_phone(page: Page, wide: Server) -> None:
    page.resize(360, 640, mobile=True)
    open_page(page, wide, "console")
    score(page)
    page.click("#see")
    page.wait_for("document.activeElement.matches('.answer')")
    assert page.evaluate("document.querySelector('.answer').getBoundingClientRect().top") < 640
