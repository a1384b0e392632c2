"""Opens the pages of a server in a browser and uses them, for tests: `import served_pages`."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser import Page
    from servers import Server

_HOP = ("content-length", "connection", "server", "date")


@contextmanager
def behind(server: Server, prefix: str = "", metrics: Callable[[], str | None] = lambda: None) -> Iterator[str]:
    """Put `server` behind another, under a prefix, with other metrics; yields the address of its pages."""

    class Front(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = self._answer()
            self.send_response(status)
            for name, value in headers.items():
                if name not in _HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  http.server wants that name

        def _answer(self) -> tuple[int, dict[str, str], bytes]:
            body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
            if not self.path.startswith(prefix):
                return 404, {}, b""
            path = self.path.removeprefix(prefix)
            if path == "/metrics" and (text := metrics()) is not None:
                return 200, {"content-type": "text/plain"}, text.encode()
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = server.ask(path, body, method=self.command, headers=headers)
            return answer.status, dict(answer.headers), answer.content

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    thread = threading.Thread(target=front.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{front.server_port}{prefix}"
    finally:
        front.shutdown()
        thread.join()
        front.server_close()


def open_page(page: Page, server: Server | str, name: str, model: str = "") -> None:
    """Open `docs` or `console`, of a server or below an address, and wait for what is made by its script."""
    page.open("about:blank")  # the same page with another model would not be loaded again
    base = server if isinstance(server, str) else f"http://{server.url}"
    page.open(f"{base}/{name}{model and f'#{model}%2F1'}")
    page.wait_for("document.querySelector('.field, .operation .inside')")


def fields(page: Page) -> dict[str, str]:
    """Return the selectors of the fields of the console's form by their labels."""
    labels = "[...document.querySelectorAll('.field label[id]')]"
    found = page.evaluate(f"{labels}.map((label) => [label.querySelector('bdi')?.innerText, '#' + label.htmlFor])")
    return dict(found)


def put(page: Page, label: str, text: str) -> None:
    """Type `text` into the field that is called `label`."""
    page.click(fields(page)[label])
    page.type(text)


def score(page: Page) -> Any:
    """Click on Score and return the answer that the page then has, as JSON."""
    page.evaluate("find('raw')?.remove()")
    page.click("#score")
    page.wait_for("find('raw')")
    return json.loads(page.evaluate("find('raw').textContent"))


def answered(page: Page) -> Any:
    """Send what a page suggests, and wait for the answer."""
    page.click("#score, .try .primary")
    page.wait_for("document.querySelector('#raw, .outcome .body')")
    return json.loads(page.evaluate("document.querySelector('#raw, .outcome .body').textContent"))
