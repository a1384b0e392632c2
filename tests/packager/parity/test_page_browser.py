"""The page of a parity report in a real browser: what is seen, no error, no request, no sideways scrolling."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import parity_reports
import pytest
from html_reader import Reader

from modelport.packager.parity.page import render, write_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelport.packager.parity.report import ParityReport

CHROMIUM: Final = Path("/usr/bin/chromium")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
#: What the network log calls the initiator of the browser's own requests.
BROWSER_ITSELF: Final = "not an origin"


class Visit(msgspec.Struct, frozen=True):
    """What a page became in the browser, what its console said and which addresses it asked for."""

    page: str
    console: list[str]
    requests: list[str]


@pytest.fixture
def visit(tmp_path: Path) -> Callable[[str], Visit]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM}: expected headless Chromium, got nothing there: `apt-get install -y chromium`")

    def open_page(page: str) -> Visit:
        path, log = tmp_path / "page.html", tmp_path / "net.json"
        path.write_text(page, "utf-8")
        own = (f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom", path.as_uri())
        done = subprocess.run([CHROMIUM, *FLAGS, *own], capture_output=True, check=True, timeout=60)
        return Visit(
            page=done.stdout.decode(),
            console=re.findall(r"CONSOLE\S*\] (.*)", done.stderr.decode()),
            requests=requests_of(json.loads(log.read_text())),
        )

    return open_page


def requests_of(log: dict) -> list[str]:
    found = [event.get("params", {}) for event in log["events"]]
    return [each["url"] for each in found if "url" in each and each.get("initiator", BROWSER_ITSELF) != BROWSER_ITSELF]


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (parity_reports.passed(), "Passed"),
        (parity_reports.failed(), "Failed"),
        (parity_reports.accepted(), "Accepted with differences"),
    ],
    ids=["passed", "failed", "accepted"],
)
def test_the_browser_shows_the_page_as_it_was_written(
    visit: Callable[[str], Visit], tmp_path: Path, report: ParityReport, verdict: str
) -> None:
    written = write_page(report, tmp_path / "report.html").read_text("utf-8")
    seen = visit(written)
    assert Reader(seen.page).text == Reader(written).text
    assert f"{report.name} {verdict}" in Reader(seen.page).text
    for witness in report.witnesses:
        assert witness.output in Reader(seen.page).text
    assert seen.console == []
    assert seen.requests == []


def test_hostile_names_do_not_run(visit: Callable[[str], Visit]) -> None:
    seen = Reader(visit(render(parity_reports.failed())).page)
    assert not seen.names & {"script", "img"}
    assert parity_reports.HOSTILE in seen.text


def test_errors_and_requests_of_a_page_would_be_seen(visit: Callable[[str], Visit]) -> None:
    seen = visit('<!doctype html><script>console.error("seen")</script><img src="http://192.0.2.1/outside.png">')
    assert len(seen.console) == 1
    assert "http://192.0.2.1/outside.png" in seen.requests


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_at_any_width(visit: Callable[[str], Visit], width: int) -> None:
    inner = html.escape(render(parity_reports.failed()))
    script = "document.title = document.querySelector('iframe').contentDocument.documentElement.scrollWidth"
    frame = f'<iframe srcdoc="{inner}" style="width:{width}px;height:600px;border:0" onload="{script}"></iframe>'
    seen = visit(f"<!doctype html><title>unread</title>{frame}").page
    title = re.search(r"<title>(.*?)</title>", seen)
    assert title is not None
    assert 0 < int(title[1]) <= width
