"""A browser, and servers whose pages it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import browser
import hostile_models
import pytest
import scripted
import servers
import table_models
import tiny_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from browser import Browser, Page
    from servers import Server

_ECHO = "import json\ndef init(): pass\ndef run(data): return json.loads(data)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page. Whatever a test does in it, nothing goes wrong in it, and it asks the one server that it came from."""
    page = chromium.page()
    page.resize(1280, 900)
    yield page
    assert page.complaints == []
    assert len({urlsplit(url).netloc for url in page.requests} - {""}) == 1, page.requests
    page.close()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what makes a package, once; `linear` has a script that answers with what it is given."""
    folder = tmp_path_factory.mktemp("packages")
    makers = {
        "table": tiny_models.table,
        "state": tiny_models.state,
        "classifier": table_models.classifier,
        "pair": table_models.pair,
        "hostile": hostile_models.hostile,
        "linear": lambda path: scripted.put(tiny_models.linear(path), _ECHO),
    }

    def package(name: str) -> Path:
        path = folder / name
        return path if path.exists() else makers[name](path)

    return package


@pytest.fixture(scope="module")
def table(packages: Callable[[str], Path]) -> Iterator[Server]:
    with servers.serving(packages("table")) as server:
        yield server


@pytest.fixture(scope="module")
def several(packages: Callable[[str], Path]) -> Iterator[Server]:
    names = ("table", "classifier", "pair", "state", "linear")
    with servers.serving(",".join(str(packages(name)) for name in names)) as server:
        yield server


@pytest.fixture(scope="module")
def wide(packages: Callable[[str], Path]) -> Iterator[Server]:
    with servers.serving(packages("hostile")) as server:
        yield server
