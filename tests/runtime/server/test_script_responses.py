"""A response that a script makes is sent as it is, and one that HTTP cannot carry is the script's fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import scripted
import tiny_models
from rsgi import Headers

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """\
import json

class Response:
    direct_passthrough = False

    def __init__(self, status_code, headers):
        self.status_code, self.headers = status_code, headers

    def get_data(self):
        return b"data"

def init():
    pass

def run(data):
    return Response(*json.loads(data))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder: Path = tmp_path_factory.mktemp("packages")
    return Site(DataPlane(ModelSlot(load(scripted.put(tiny_models.linear(folder / "linear"), SCRIPT)))))


def answer(site: Site, status: int, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    found = site.visit(Head("POST", "/score", "", Headers())).answer(json.dumps([status, headers]).encode())
    return found.status, dict(found.headers), found.body


def test_status_headers_and_body_are_the_scripts(site: Site) -> None:
    status, headers, body = answer(site, 202, {"X-Mine": "ü 1", "Content-Type": "image/png"})
    assert (status, headers["x-mine"], headers["content-type"], body) == (202, "ü 1", "image/png", b"data")


@pytest.mark.parametrize(
    ("status", "headers"),
    [(99, {}), (600, {}), (200, {"x-a": "\r\nx-b: 1"}), (200, {"x-a": "日"}), (200, {"x a": "1"}), (200, {"": "1"})],
)
def test_what_http_cannot_carry_is_the_scripts_fault(site: Site, status: int, headers: dict[str, str]) -> None:
    got, said, body = answer(site, status, headers)
    assert (got, said["x-ms-run-function-failed"]) == (500, "True")
    assert json.loads(body)["message"].startswith("script: expected to answer, got an internal error; the log has it")
