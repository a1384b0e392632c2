"""Pages of the origins that are named may ask and read the answers, errors too; no other page may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import scripted
import servers
import tiny_models
from rsgi import Headers

from modelport.runtime.server.cors import Cors
from modelport.runtime.server.request import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Answer, Server

ONE, TWO, OTHER = "https://one.example", "http://two.example:8000", "https://other.example"
RECORDS = [{"x": [1, 2, 3, 4]}]
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
ALLOWED = "access-control-allow-origin"
READABLE = {
    *("inference-header-content-length", "retry-after", "traceparent", "x-request-id", "x-ms-request-id"),
    *("x-ms-client-request-id", "x-ms-run-fn-exec-ms", "x-ms-run-function-failed", "x-ms-server-version"),
}
SCRIPT = """
from flask import Response
def init(): pass
def run(data): return Response("hello", headers={"access-control-allow-origin": "*", "vary": "accept"})
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture(scope="module")
def some(package: Path) -> Iterator[Server]:
    with servers.serving(package, cors_origins=f"{ONE}, {TWO}") as server:
        yield server


@pytest.fixture(scope="module")
def every(package: Path) -> Iterator[Server]:
    with servers.serving(package, cors_origins="*") as server:
        yield server


@pytest.fixture(scope="module")
def none(package: Path) -> Iterator[Server]:
    with servers.serving(package) as server:
        yield server


def preflight(server: Server, path: str, **headers: str) -> Answer:
    return server.ask(path, method="OPTIONS", headers={name.replace("_", "-"): each for name, each in headers.items()})


def cors_of(answer: Answer) -> dict[str, str]:
    """Return what an answer says to browsers."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [ONE, TWO])
@pytest.mark.parametrize("path", ["/score", "/v2/models/linear/infer", "/v2", "/swagger.json", "/nothing"])
def test_a_page_of_a_named_origin_may_ask(some: Server, path: str, origin: str) -> None:
    answer = preflight(some, path, origin=origin, **ASKS)
    assert (answer.status, answer.content) == (204, b"")
    said = cors_of(answer)
    assert set(said.pop("access-control-expose-headers").split(", ")) == READABLE
    assert said == {
        ALLOWED: origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "600",
    }
    assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize("origin", [OTHER, "null", ONE.upper(), ONE + "/", ONE + ".evil.example", f"{ONE}, {TWO}"])
def test_a_page_of_another_origin_may_not_ask(some: Server, origin: str) -> None:
    answer = preflight(some, "/score", origin=origin, **ASKS)
    assert (answer.status, cors_of(answer), answer.headers["vary"]) == (204, {}, "origin")
    answer = some.ask("/score", RECORDS, headers={"origin": origin})
    assert (answer.status, cors_of(answer), answer.headers["vary"]) == (200, {}, "origin")


def test_a_page_that_asks_for_no_headers_is_allowed_none(some: Server) -> None:
    answer = preflight(some, "/score", origin=ONE, access_control_request_method="POST")
    assert "access-control-allow-headers" not in answer.headers
    assert answer.headers[ALLOWED] == ONE


def test_who_is_no_browser_gets_an_answer_that_caches_keep_apart(some: Server) -> None:
    answer = some.ask("/score", RECORDS)
    assert (answer.status, cors_of(answer), answer.headers["vary"]) == (200, {}, "origin")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (("/score", RECORDS, {}), 200),
        (("/v2/models/linear", None, {}), 200),
        (("/score", b"{", {}), 400),
        (("/score", RECORDS, {"x-request-id": "a" * 101}), 431),
        (("/nothing", None, {}), 404),
        (("/v2", RECORDS, {}), 405),
        (("/score", RECORDS, {"content-encoding": "br"}), 415),
    ],
)
def test_every_answer_can_be_read_by_the_page_that_asked(
    some: Server, every: Server, asked: tuple[str, object, dict[str, str]], status: int
) -> None:
    path, body, headers = asked
    for server, allowed in ((some, ONE), (every, "*")):
        answer = server.ask(path, body, headers={"origin": ONE, **headers})
        assert (answer.status, answer.headers[ALLOWED]) == (status, allowed)
        assert set(answer.headers["access-control-expose-headers"].split(", ")) == READABLE


def test_with_a_star_every_page_may_ask_and_none_with_cookies(every: Server) -> None:
    for origin in (ONE, OTHER, "null"):
        answer = preflight(every, "/score", origin=origin, **ASKS)
        assert (answer.status, answer.headers[ALLOWED]) == (204, "*")
        assert "access-control-allow-credentials" not in answer.headers
        assert "vary" not in answer.headers
    assert cors_of(every.ask("/score", RECORDS)) == {}


def test_without_the_setting_nothing_is_allowed(none: Server) -> None:
    for answer in (preflight(none, "/score", origin=ONE, **ASKS), none.ask("/score", RECORDS, headers={"origin": ONE})):
        assert (answer.status, cors_of(answer)) == (200, {})
        assert "vary" not in answer.headers
    assert preflight(none, "/v2", origin=ONE, **ASKS).status == 405


def test_options_that_are_no_preflight_are_as_ever(some: Server) -> None:
    assert preflight(some, "/score", origin=ONE).status == 200
    assert preflight(some, "/v2", origin=ONE).json == {"error": "path `/v2`: expected GET or HEAD, got `OPTIONS`"}


def test_what_a_script_says_itself_is_not_said_twice(tmp_path: Path) -> None:
    package = scripted.put(tiny_models.linear(tmp_path / "linear"), SCRIPT)
    with servers.serving(package, cors_origins=ONE) as server:
        answer = server.ask("/score", RECORDS, headers={"origin": ONE})
        assert (answer.status, answer.content) == (200, b"hello")
        assert answer.headers[ALLOWED] == ONE
        assert (
            server.ask("/score", RECORDS).headers[ALLOWED] == "*"
        )  # what the script says is left where we say nothing


def test_an_answer_depends_on_nothing_but_the_origin() -> None:
    cors = Cors([ONE])
    heads = [Head(method, path, "", Headers({"origin": ONE})) for method in ("GET", "POST") for path in ("/", "/score")]
    assert len({tuple(cors.headers(head)) for head in heads}) == 1
    assert all(cors.preflight(head) is None for head in heads)
