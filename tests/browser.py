"""Drives headless Chromium by the DevTools protocol over a pipe, for tests: `import browser`.

Protocol: https://chromedevtools.github.io/devtools-protocol/. Nothing here waits for a fixed time: what is awaited is
an event of the browser or a condition of the page, until a deadline that only a broken page reaches.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Event = dict[str, Any]

CHROMIUM: Final = Path("/usr/bin/chromium")
PATIENCE: Final = 60.0
_PAUSE: Final = 0.02
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
# Chromium reads file descriptor 3 and writes file descriptor 4, whatever numbers the pipes have here.
_SHIM: Final = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_FREE: Final = 10  # the lowest number of a descriptor that the shim cannot overwrite
_KEYS: Final = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Space": (" ", 32, " "),
    "Escape": ("Escape", 27, ""),
}
_SHIFT: Final = 8
_MIDDLE: Final = """(element) => {
  element.scrollIntoView({ block: 'center' });
  const { x, y, width, height } = element.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}"""


class Browser:
    """One headless Chromium."""

    def __init__(self, profile: Path) -> None:
        if not CHROMIUM.exists():
            raise AssertionError(f"{CHROMIUM}: expected headless Chromium, got nothing there: `.ci/need test`")
        (to_browser, ours), (theirs, from_browser) = _pipe(), _pipe()
        inside, outside = to_browser, from_browser
        shim = [sys.executable, "-c", _SHIM, str(inside), str(outside), str(CHROMIUM)]
        self._process = subprocess.Popen(
            [*shim, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(inside, outside),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(inside)
        os.close(outside)
        self._into, self._out = open(ours, "wb", 0), open(theirs, "rb")  # noqa: PTH123, SIM115  descriptors
        self._numbers = itertools.count(1)
        self._answers: dict[int, Event] = {}
        self._pages: dict[str, Page] = {}
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def page(self) -> Page:
        """Return an empty page that shares nothing with the others."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            page.ask(f"{domain}.enable")
        return page

    def ask(self, method: str, *, session: str | None = None, **parameters: Any) -> Event:
        """Send a command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._into.write(json.dumps(message).encode() + b"\0")
        self.wait(lambda: number in self._answers, f"an answer to {method}")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: Event = answer["result"]
        return result

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for news from the browser until `condition` holds."""
        with self._news:
            self._news.wait_for(lambda: condition() or self._ended, PATIENCE)
            if not condition():
                raise AssertionError(f"expected {what}, got {'the end of the browser' if self._ended else 'none'}")

    def close(self) -> None:
        """End the browser."""
        self._into.close()  # it ends when nobody can command it any more
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._out.close()

    def _read(self) -> None:
        rest = b""
        while piece := self._out.read1(1 << 16):
            *messages, rest = (rest + piece).split(b"\0")
            with self._news:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                        page.events.append(message)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Page:
    """One page. `events` is all that the browser has said of it."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self.events: list[Event] = []
        self._browser = browser
        self._session = session
        self._context = context

    def ask(self, method: str, **parameters: Any) -> Event:
        """Send a command for this page and return its result."""
        return self._browser.ask(method, session=self._session, **parameters)

    def before_load(self, script: str) -> None:
        """Run `script` in every document before the document's own."""
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is loaded."""
        after = len(self.events)
        went = self.ask("Page.navigate", url=url)
        assert not went.get("errorText"), went
        self.wait_until(
            lambda: any(event["method"] == "Page.loadEventFired" for event in self.events[after:]), f"{url} to load"
        )

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, (script, found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"expected {condition}, got another at:\n{self.text()}"
            time.sleep(_PAUSE)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for events until `condition` holds."""
        self._browser.wait(condition, what)

    def text(self, selector: str = "body") -> str:
        """Return the text that is seen in the first element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_for_text(self, text: str, selector: str = "body") -> None:
        """Wait until the first element shows `text`."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")

    def click(self, selector: str) -> None:
        """Click into the middle of the first element with the mouse."""
        x, y = self.evaluate(f"({_MIDDLE})(document.querySelector({json.dumps(selector)}))")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type `text` in place of all that the focused field holds."""
        self.evaluate("document.activeElement.select?.()")
        self.ask("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key: `Tab`, `Enter`, `Space`, `Escape`."""
        name, code, text = _KEYS[key]
        common = {"key": name, "code": key, "windowsVirtualKeyCode": code, "modifiers": _SHIFT if shift else 0}
        self.ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the page a screen of that size in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, **features: str) -> None:
        """Have the user prefer something: `prefer(color_scheme="dark", reduced_motion="reduce")`."""
        given = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=given)

    def accessible(self) -> list[tuple[str, str]]:
        """Return role and name of everything that a screen reader meets, in its order."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        told = [node for node in nodes if not node["ignored"] and "role" in node]
        return [(str(node["role"]["value"]), str(node.get("name", {}).get("value", ""))) for node in told]

    def picture(self, path: Path) -> None:
        """Write what the whole page looks like as a PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for, but not those whose content they are themselves (`data:`)."""
        asked = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """What went wrong in the page: uncaught errors, its console's errors, what its policy has blocked.

        That a server answers with an error, or not at all, is not the page's fault.
        """
        found = []
        for event in self.events:
            said = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(said["exceptionDetails"].get("exception", said["exceptionDetails"])))
            if event["method"] == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                found.append(str([each.get("value", each.get("description")) for each in said["args"]]))
            if event["method"] == "Log.entryAdded" and said["entry"]["source"] != "network":
                found.append(f"{said['entry']['text']} {said['entry'].get('url', '')}".strip())
        return found

    def close(self) -> None:
        """Close the page and forget what it stored."""
        self._browser.ask("Target.disposeBrowserContext", browserContextId=self._context)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser while the block runs."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        try:
            yield browser
        finally:
            browser.close()


def _pipe() -> tuple[int, int]:
    """Return the two ends of a pipe, reading first, with numbers that the shim does not need."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
