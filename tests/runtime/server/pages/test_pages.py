"""What both pages do: nothing but their own, with keys, behind a prefix, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import servers
from hostile_models import HOSTILE
from served_pages import answered, behind, open_page, put, score

from modelport.runtime.server import pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser import Browser, Page
    from servers import Server

KEY: Final = "a-key-of-this-server"
LINES: Final = 700
FILES: Final = sorted(path for path in Path(pages.__file__).parent.iterdir() if path.is_file())

each_page = pytest.mark.parametrize("name", ["docs", "console"])


@each_page
def test_a_page_is_whole_and_may_do_nothing_but_what_it_does(name: str) -> None:
    response = pages.page(name)
    text, policy = response.body.decode(), dict(response.headers)["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert set(re.findall(r"(?:src|href)=\"(.*?)\"", text)) <= {
        "data:,",
        "#main",
        "docs",
        "console",
        "swagger.json?version=3",
    }
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text)


def test_the_files_are_no_longer_than_people_read() -> None:
    assert {path.name: lines for path in FILES if (lines := len(path.read_text("utf-8").splitlines())) >= LINES} == {}


def test_what_a_page_does_wrong_would_be_seen(chromium: Browser, table: Server) -> None:
    page = chromium.page()
    open_page(page, table, "docs")
    page.evaluate("setTimeout(() => { document.body.innerHTML = '<b>' })")
    page.evaluate("setTimeout(() => console.error('said'))")
    page.evaluate("void fetch('http://192.0.2.1/outside').catch(() => {})")
    page.evaluate("document.body.append(make('img', { src: 'http://192.0.2.1/outside.png' }))")
    expected = ("TrustedHTML", "said", "connect-src", "img-src")
    page.wait_until(lambda: all(word in " ".join(page.complaints) for word in expected), "complaints")
    page.close()


@each_page
def test_a_server_with_keys_is_asked_with_one(page: Page, packages: Callable[[str], Path], name: str) -> None:
    with servers.serving(packages("table"), keys=KEY) as server:
        page.open(f"http://{server.url}/{name}")
        page.wait_for("document.activeElement.id === 'key'")
        assert page.text("label[for=key]").startswith("Key")
        for wrong, reason in (("wrong-key", "does not accept this key"), ("schlüssel", "Expected ASCII")):
            page.type(wrong)
            page.press("Enter")
            page.wait_for_text(reason, "form.key")
        page.type(KEY)
        page.press("Enter")
        page.wait_for("document.querySelector('.try .primary, .field')")
        assert "Your key is sent" in page.text("form.key")
        assert answered(page)[0] == {"total": 1.1, "town": "Bern"}
        assert KEY not in page.text()
        assert page.evaluate("[Object.values(sessionStorage), localStorage.length, document.cookie]") == [[KEY], 0, ""]
        if name == "docs":
            assert '-H "Authorization: Bearer $MODELPORT_KEY"' in page.text(".curl pre")
        page.click("form.key button:nth-child(2)")
        page.wait_for_text("needs a key", "form.key")
        assert page.evaluate("Object.values(sessionStorage)") == [""]


@pytest.mark.parametrize("ending", ["", "/"])
def test_the_pages_work_behind_a_prefix(page: Page, table: Server, ending: str) -> None:
    with behind(table, "/team%20a/models") as url:
        open_page(page, url, f"docs{ending}")
        assert f"'{url}/score'" in page.text(".curl pre")
        expected = answered(page)
        page.click("nav a[data-page=console]")
        page.wait_for("document.querySelector('.field')")
        assert score(page) == expected[:1]
        assert all(asked.startswith(url) for asked in page.requests if asked != "about:blank")


#: Numbers what the tab key should stop at, and returns how much that is.
STOPS: Final = """(() => {
  const stops = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
    .filter((each) => each.checkVisibility());
  stops.forEach((each, index) => { each.dataset.stop = index; });
  return stops.length;
})()"""
#: Returns the number of what has the focus, how that is seen, whether it has a name, and a piece of it.
STOP: Final = """(() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const name = element.labels?.length || element.ariaLabel || element.getAttribute('aria-labelledby');
  const named = Boolean(name || element.innerText);
  return [element.dataset.stop ?? null, outlineStyle, outlineWidth, named, element.outerHTML.slice(0, 80)];
})()"""


@each_page
def test_every_stop_of_the_tab_key_is_named_and_seen_and_none_is_a_trap(page: Page, several: Server, name: str) -> None:
    open_page(page, several, name)
    answered(page)
    count = page.evaluate(STOPS)
    for shift in (False, True):
        met = {}
        for _ in range(count + 2):
            page.press("Tab", shift=shift)
            stop, *seen = page.evaluate(STOP)
            met[stop] = seen
        met.pop(None, None)  # the page itself, between its last stop and its first
        assert set(met) == set(map(str, range(count)))
        assert [seen for seen in met.values() if seen[:3] != ["solid", "2px", True]] == []


UNFOLD: Final = "for (const each of document.querySelectorAll('details')) each.open = true"
SHOW_ALL: Final = """for (const each of document.querySelectorAll('main button.slight'))
  if (each.innerText.startsWith('Show')) each.click()"""
SEND_ALL: Final = "for (const each of document.querySelectorAll('#score, .try .primary')) each.click()"
ALL_ANSWERED: Final = """document.querySelectorAll('#raw, .outcome .body').length
  === document.querySelectorAll('#score, .try').length"""


@pytest.mark.parametrize("width", [320, 360, 768])
@each_page
def test_nothing_sticks_out_at_any_width(page: Page, wide: Server, name: str, width: int) -> None:
    page.resize(width, 640, mobile=True)
    open_page(page, wide, name)
    page.evaluate(UNFOLD)
    page.wait_for("[...document.querySelectorAll('.operation')].every((each) => each.querySelector('.inside'))")
    page.evaluate(SEND_ALL)
    page.wait_for(ALL_ANSWERED)
    page.evaluate(UNFOLD)
    page.evaluate(SHOW_ALL)
    assert page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]") == [width, width]


@each_page
def test_hostile_names_are_shown_and_do_nothing(page: Page, wide: Server, name: str) -> None:
    open_page(page, wide, name)
    answered(page)
    page.evaluate(SHOW_ALL)
    text = page.evaluate("document.querySelector('main').textContent")
    assert all(each in text for each in HOSTILE[:3])
    assert "\\u202egnirts\\u202c" in text
    assert "\u202e" not in text
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert page.evaluate("document.title") != "ran"


#: Returns every text whose contrast with its background is below that of WCAG's level AA.
POOR: Final = r"""(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = (color) => parts(color).slice(0, 3)
    .reduce((sum, part, index) => sum + linear(part / 255) * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const color = element ? getComputedStyle(element).backgroundColor : 'rgb(0, 0, 0)';
    return parts(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push([walker.currentNode.data, ratio]);
  }
  return poor;
})()"""
MOVING: Final = (
    "[...document.querySelectorAll('*')].filter((each) => getComputedStyle(each).transitionDuration !== '0s')"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@each_page
def test_text_stands_out_and_nothing_moves_for_those_who_want_that(
    page: Page, several: Server, name: str, scheme: str
) -> None:
    page.prefer(color_scheme=scheme, reduced_motion="reduce")
    open_page(page, several, name)
    answered(page)
    assert page.evaluate(POOR) == []
    if name == "console":
        put(page, "count", "many")
        page.press("Enter")
        page.wait_for("document.querySelector('[aria-invalid]')")
    page.evaluate("void askForKey(true)")
    assert page.evaluate(POOR) == []
    assert page.evaluate(f"{MOVING}.length") == 0
