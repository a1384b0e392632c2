"""The blueprint answers as the server does, in whatever application and below whatever prefix."""

from __future__ import annotations

import importlib
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import flask
import pytest
import scripted
import slow_models
import tiny_models
import transports
from adding import adding
from werkzeug.exceptions import ClientDisconnected

from modelport.runtime.errors import MissingExtraError
from modelport.runtime.server.flask import blueprint

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

INFER = "/v2/models/linear/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2.5, 3, 4]}]}).encode()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


def client(*packages: Path, prefix: str | None = None, **settings: object) -> FlaskClient:
    """Return a client of an application that has the blueprint and nothing else."""
    app = flask.Flask("application")
    app.register_blueprint(blueprint(*packages, **settings), url_prefix=prefix)
    return app.test_client()


def sent(asking: FlaskClient, stream: io.RawIOBase | io.BytesIO, **variables: object) -> TestResponse:
    """Send a body as a WSGI server hands it on: a stream, and what the variables say of it."""
    return asking.post(INFER, environ_overrides={"wsgi.input": stream, **variables})


def in_chunks(asking: FlaskClient, stream: io.RawIOBase | io.BytesIO) -> TestResponse:
    """Send a body in chunks, to a server that knows where they end."""
    return sent(asking, stream, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})


def failures(asking: FlaskClient) -> str:
    """Return what metrics say of failed requests."""
    text = asking.get("/metrics").text
    return "".join(line for line in text.splitlines() if line.startswith("modelport_request_failure_total"))


def test_it_stands_beside_the_routes_of_its_application(package: Path) -> None:
    app = flask.Flask("application")
    app.add_url_rule("/", view_func=lambda: "home")
    app.register_blueprint(blueprint(package), url_prefix="/models")
    app.add_url_rule("/models/mine", view_func=lambda: "mine", endpoint="mine")
    asking = app.test_client()
    assert asking.get("/").text == "home"
    assert asking.get("/models/mine").text == "mine"
    assert asking.get("/models/").text == "Healthy"
    assert asking.get("/models", follow_redirects=True).text == "Healthy"
    assert asking.post(f"/models{INFER}", data=BODY).json["outputs"][0]["shape"] == [1, 3]
    assert asking.post(INFER, data=BODY).status_code == 404


def test_two_of_them_have_a_name_each(tmp_path: Path) -> None:
    app = flask.Flask("application")
    for number, name in enumerate(("wine", "beer")):
        app.register_blueprint(blueprint(adding(tmp_path / name, number, name), name=name), url_prefix=f"/{name}")
    with pytest.raises(ValueError, match="The name 'wine' is already registered"):
        app.register_blueprint(blueprint(tmp_path / "wine", name="wine"), url_prefix="/other")
    asking = app.test_client()
    assert asking.post("/wine/score", json=[{"x": 1}]).json == [{"y": 1.0}]
    assert asking.post("/beer/score", json=[{"x": 1}]).json == [{"y": 2.0}]
    refused = asking.get("/beer/v2/models/wine")
    assert (refused.status_code, refused.json) == (404, {"error": "model: expected `beer`, got `wine`"})
    assert 'model="wine"' not in asking.get("/beer/metrics").text


def test_one_of_several_packages_is_chosen_as_on_the_server(tmp_path: Path) -> None:
    packages = [adding(tmp_path / name, number, name) for number, name in enumerate(("wine", "beer"))]
    asking = client(*packages)
    assert asking.post("/models/beer/score", json=[{"x": 1}]).json == [{"y": 2.0}]
    assert asking.post("/score", json=[{"x": 1}], headers={"azureml-model-deployment": "wine:1"}).json == [{"y": 1.0}]
    assert asking.post("/score", json=[{"x": 1}]).status_code == 400


def test_without_flask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "modelport.runtime.server.flask")
    with pytest.raises(
        MissingExtraError, match=r"(?m)^the Flask blueprint: expected `flask` to be installed$"
    ) as missing:
        importlib.import_module("modelport.runtime.server.flask")
    assert missing.value.hint == 'pip install "modelport[flask]"'


def test_with_keys_one_is_needed(package: Path) -> None:
    asking = client(package, keys="correct-horse,battery-staple")
    refused = asking.post(INFER, data=BODY)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="modelport"')
    assert asking.post(INFER, data=BODY, headers={"authorization": "Bearer battery-staple"}).status_code == 200
    assert asking.get("/v2/health/ready").status_code == 200


def test_pages_of_other_origins_may_ask_where_that_is_allowed(package: Path) -> None:
    asking = client(package, cors_origins="https://a.example")
    origin = {"origin": "https://a.example"}
    preflight = asking.options(INFER, headers={**origin, "access-control-request-method": "POST"})
    assert (preflight.status_code, preflight.data) == (204, b"")
    answer = asking.post(INFER, data=BODY, headers=origin)
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in asking.post(INFER, data=BODY, headers={"origin": "null"}).headers


def test_a_body_of_the_limit_is_scored_and_a_larger_one_refused(package: Path) -> None:
    asking, wider = client(package, max_body_bytes=len(BODY)), client(package, max_body_bytes=1 << 40)
    answer = asking.post(INFER, data=BODY)
    assert answer.status_code == 200
    assert in_chunks(asking, io.BytesIO(BODY)).data == answer.data
    assert wider.post(INFER, data=BODY).data == in_chunks(wider, io.BytesIO(BODY)).data == answer.data
    for refused, got in (
        (asking.post(INFER, data=BODY + b" "), len(BODY) + 1),
        (in_chunks(asking, io.BytesIO(BODY + b" ")), "more"),
    ):
        assert refused.status_code == 413
        assert refused.json == {"error": f"body: expected at most {len(BODY)} bytes, got {got}"}


def test_chunks_beyond_the_limit_are_not_read_to_their_end(package: Path) -> None:
    stream = io.BytesIO(b" " * (8 << 20))
    assert in_chunks(client(package, max_body_bytes=100), stream).status_code == 413
    assert stream.tell() == 101


@pytest.mark.parametrize("chunked", [False, True])
def test_the_limit_of_the_application_counts_too(package: Path, *, chunked: bool) -> None:
    asking = client(package)
    asking.application.config["MAX_CONTENT_LENGTH"] = 100
    content = BODY + b" " * 100
    refused = in_chunks(asking, io.BytesIO(content)) if chunked else asking.post(INFER, data=content)
    assert (refused.status_code, refused.json) == (413, {"error": "body: expected at most 100 bytes, got more"})


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_the_application_has_read_before_is_scored(package: Path, *, chunked: bool) -> None:
    asking = client(package)
    asking.application.before_request(lambda: flask.request.get_data() and None)
    answer = in_chunks(asking, io.BytesIO(BODY)) if chunked else asking.post(INFER, data=BODY)
    assert answer.status_code == 200


class Broken(io.RawIOBase):
    """A body that gives what it has, then fails, or ends if there is nothing to raise."""

    def __init__(self, content: bytes, error: Exception | None) -> None:
        self._content, self._error = io.BytesIO(content), error

    def read(self, size: int = -1) -> bytes:
        content = self._content.read(size)
        if not content and self._error is not None:
            raise self._error
        return content


@pytest.mark.parametrize("error", [None, OSError("reset"), ClientDisconnected(), ValueError("/srv/secret")])
@pytest.mark.parametrize("server", [{}, {"wsgi.input_terminated": True}], ids=["plain", "knows the end"])
def test_a_client_that_leaves_half_way_is_counted_as_its_own_fault(
    package: Path, caplog: pytest.LogCaptureFixture, error: Exception | None, server: dict[str, object]
) -> None:
    asking = client(package)
    answer = sent(asking, Broken(BODY, error), CONTENT_LENGTH="200", **server)
    assert (answer.status_code, answer.json) == (400, {"error": "body: expected 200 bytes, got fewer"})
    assert failures(asking) == (
        'modelport_request_failure_total{model="linear",reason="InvalidInputError",version="1"} 1.0'
    )
    assert caplog.records == []


def test_chunks_that_break_off_are_the_clients_fault(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = in_chunks(client(package), Broken(BODY, ValueError("/srv/secret")))
    message = "body: expected chunks up to the last one, got broken or missing ones"
    assert (answer.status_code, answer.json) == (400, {"error": message})
    assert caplog.records == []


@pytest.mark.parametrize("testing", [False, True])
def test_an_error_of_ours_is_an_id_to_the_client_and_a_trace_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, testing: bool
) -> None:
    script = "def init(): pass\ndef run(data): raise RuntimeError('/srv/secret')"
    asking = client(scripted.put(tiny_models.linear(tmp_path / "linear"), script))
    asking.application.testing = testing
    answer = asking.post("/score", data=b"a", headers={"x-request-id": "7"})
    assert answer.status_code == 500
    assert answer.json == {"message": "script: expected to answer, got an internal error; the log has it as 7"}
    assert "/srv/secret" in caplog.text


@pytest.mark.parametrize("page", ["docs", "console"])
def test_pages_refer_to_nothing_but_their_neighbours(package: Path, page: str) -> None:
    answer = client(package, prefix="/deep/models").get(f"/deep/models/{page}")
    assert answer.content_type == "text/html; charset=utf-8"
    assert 'href="/' not in answer.text
    assert 'src="/' not in answer.text


def test_every_method_is_answered_as_by_the_server(package: Path) -> None:
    asking = client(package)
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "GET"):
        refused = asking.open(INFER, method=method)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert refused.json == {"error": f"path `{INFER}`: expected POST, got `{method}`"}
    answer: Any = asking.head("/v2/health/ready")
    assert (answer.status_code, answer.data) == (200, b"")


def test_requests_are_counted_in_and_out_whatever_becomes_of_them(package: Path) -> None:
    asking = client(package)
    for content in (BODY, BODY, b"{"):
        asking.post(INFER, data=content)
    lines = asking.get("/metrics").text.splitlines()
    assert 'modelport_request_success_total{model="linear",version="1"} 2.0' in lines
    assert 'modelport_request_duration_seconds_count{model="linear",version="1"} 3.0' in lines
    assert 'modelport_pending_requests{model="linear",version="1"} 0.0' in lines


PRELOADED = """
import flask
from modelport.runtime.server.flask import blueprint

app = flask.Flask(__name__)
app.register_blueprint(blueprint({package!r}, scoring_timeout=0.5))
"""


def test_a_model_that_never_ends_is_answered_with_504_though_its_process_was_forked(tmp_path: Path) -> None:
    package = slow_models.counting(tmp_path / "counting")
    with transports.flask(PRELOADED.format(package=str(package)), "--preload") as server:
        assert server.ask(slow_models.INFER, slow_models.request(slow_models.FOREVER)).status == 504
        assert server.ask(slow_models.INFER, slow_models.request(3)).status == 200
