"""What tells of a model needs a key; keys change without a restart, and without anybody being locked out meanwhile."""

from __future__ import annotations

import hmac
import json
import re
import socket
from typing import TYPE_CHECKING, Any, get_args

import pytest
import servers
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from repeating import Repeating

from modelport.runtime.errors import InvalidSettingError
from modelport.runtime.server import routes
from modelport.runtime.server.errors import UnauthorizedError
from modelport.runtime.server.keys import Keys
from modelport.runtime.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

OLD, NEW, NEXT = "old-key-1234567890", "new-key-1234567890", "next-key-123456789"
BEARER = {"authorization": f"Bearer {OLD}"}
RECORDS = [{"x": [1, 2, 3, 4]}]
TENSORS = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
PATHS: dict[str, tuple[str, Any]] = {
    "home": ("/", None),
    "server": ("/v2", None),
    "live": ("/v2/health/live", None),
    "ready": ("/v2/health/ready", None),
    "model": ("/v2/models/linear", None),
    "model ready": ("/v2/models/linear/ready", None),
    "infer": ("/v2/models/linear/infer", TENSORS),
    "score": ("/score", RECORDS),
    "swagger": ("/swagger.json", None),
    "docs": ("/docs", None),
    "console": ("/console", None),
    "metrics": ("/metrics", None),
}
CLOSED = {"server", "model", "infer", "score", "swagger"}
NONE = "header `Authorization`: expected `Bearer` and a key of this server, got none"
ANOTHER = "header `Authorization`: expected `Bearer` and a key of this server, got another"


def refused(message: str) -> Any:
    return pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}$")


def swap(file: Path, *keys: str) -> None:
    """Put a file with `keys` in the place of `file`, all at once."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f"{key}\n" for key in keys), "ascii")
    fresh.replace(file)


def accepts(keys: Keys, key: str) -> bool:
    try:
        keys.require(f"Bearer {key}")
    except UnauthorizedError:
        return False
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    swap(file, OLD)
    return file


@pytest.mark.parametrize("given", [f"Bearer {OLD}", f"bearer {OLD}", f"BEARER  {OLD} "])
def test_a_key_opens(given: str) -> None:
    Keys([OLD]).require(given)


def test_each_of_two_keys_opens_and_no_third() -> None:
    keys = Keys([OLD, NEW])
    assert [accepts(keys, key) for key in (OLD, NEW, NEXT)] == [True, True, False]


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", OLD, f"Basic {OLD}", f"Bearer{OLD}", f"Token {OLD}"])
def test_what_has_no_key_is_told_so(given: str | None) -> None:
    with pytest.raises(UnauthorizedError, match=f"^{re.escape(NONE)}$"):
        Keys([OLD]).require(given)


@pytest.mark.parametrize(
    "key", [NEW, OLD[:-1], OLD + "1", OLD.upper(), f"{OLD},{OLD}", f"{OLD} {OLD}", "ключ", "\ud800"]
)
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(UnauthorizedError, match=f"^{re.escape(ANOTHER)}$"):
        Keys([OLD]).require(f"Bearer {key}")


@given(st.text())
def test_no_header_is_more_than_refused(text: str) -> None:
    for header in (text, f"Bearer {text}"):
        with pytest.raises(UnauthorizedError):
            Keys([OLD]).require(header)


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def note(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return compare(given, key)

    monkeypatch.setattr(hmac, "compare_digest", note)
    keys = Keys([OLD, NEW])
    for key in (OLD, NEW, NEXT):
        accepts(keys, key)
    assert compared == [OLD.encode(), NEW.encode()] * 3


def test_given_keys_and_those_of_a_file_count_together(file: Path) -> None:
    keys = Keys([NEW], str(file))
    assert accepts(keys, OLD)
    assert accepts(keys, NEW)


@pytest.mark.parametrize("keys", [(), (OLD, NEW, NEXT)])
def test_keys_are_one_or_two(keys: tuple[str, ...], tmp_path: Path) -> None:
    with refused(f"keys: expected one or two keys, got {len(keys)}"):
        Keys(keys)
    file = tmp_path / "keys"
    swap(file, *keys)
    with refused(f"keys: expected one or two keys, got {len(keys)}"):
        Keys(file=str(file))


@pytest.mark.parametrize("key", ["1234567", "k" * 513])
def test_keys_that_are_too_short_or_too_long_are_refused(key: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    swap(file, key)
    with refused("keys: expected 8 to 512 printable ASCII characters each, got another"):
        Keys(file=str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{OLD}\n{'ä' * 8}\n".encode(), "expected ASCII, got other bytes"),
        (b"k" * 5000, "expected at most 4096 bytes, got more"),
        (None, "expected a file, got No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_is_named_and_not_shown(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with refused(f"keys file `{file}`: {message}"):
        Keys(file=str(file))


def test_a_directory_is_no_file_of_keys(tmp_path: Path) -> None:
    with refused(f"keys file `{tmp_path}`: expected a file, got Is a directory"):
        Keys(file=str(tmp_path))


def test_a_key_that_cannot_be_is_not_repeated_by_the_error() -> None:
    message = "`MODELPORT_KEYS`: expected one or two keys of 8 to 512 characters with a comma between, got others\n"
    with pytest.raises(InvalidSettingError) as caught:
        resolve({}, {"MODELPORT_PACKAGE": "p", "MODELPORT_KEYS": "short,prettygood"})
    assert caught.value.message == message.rstrip("\n")


def test_a_changed_file_counts_from_the_next_request_on(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(file=str(file))
    with caplog.at_level("INFO"):
        swap(file, OLD, NEW)
        assert [accepts(keys, key) for key in (OLD, NEW)] == [True, True]
        swap(file, NEW)
        assert [accepts(keys, key) for key in (OLD, NEW)] == [False, True]
    assert caplog.messages == ["keys: read again, 2 are accepted", "keys: read again, 1 are accepted"]


def test_while_a_file_cannot_be_used_the_old_keys_stay_and_each_reason_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(file=str(file))

    def look() -> None:
        for _ in range(3):
            assert accepts(keys, OLD)
            assert not accepts(keys, NEW)

    swap(file)
    look()
    swap(file, "short")
    look()
    file.unlink()
    look()
    swap(file, OLD)
    look()
    file.unlink()
    look()
    reasons = [
        f"keys file `{file}`: expected one or two keys, got 0",
        f"keys file `{file}`: expected 8 to 512 printable ASCII characters each, got another",
        f"keys file `{file}`: expected a file, got No such file or directory",
        f"keys file `{file}`: expected a file, got No such file or directory",
    ]
    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert logged == [f"keys: expected new ones, got: {reason}; those from before stay" for reason in reasons]


def publish(volume: Path, version: str, *keys: str) -> None:
    """Publish keys as Kubernetes does secrets: `keys` -> `..data/keys`, `..data` -> a directory that is swapped."""
    (volume / version).mkdir()
    swap(volume / version / "keys", *keys)
    fresh = volume / "..data_tmp"
    fresh.symlink_to(version)
    fresh.replace(volume / "..data")


def test_keys_that_are_published_as_a_secret_of_kubernetes_are_followed(tmp_path: Path) -> None:
    publish(tmp_path, "..1", OLD)
    (tmp_path / "keys").symlink_to("..data/keys")
    keys = Keys(file=str(tmp_path / "keys"))
    publish(tmp_path, "..2", OLD, NEW)
    assert [accepts(keys, key) for key in (OLD, NEW)] == [True, True]
    publish(tmp_path, "..3", NEW, NEXT)
    assert [accepts(keys, key) for key in (OLD, NEW, NEXT)] == [False, True, True]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture(scope="module")
def server(package: Path) -> Iterator[Server]:
    with servers.serving(package, keys=f"{OLD},{NEW}", log_level="debug", access_log="true") as server:
        yield server
    assert not any(key in line for line in server.lines for key in (OLD, NEW))


def test_every_endpoint_is_open_or_closed() -> None:
    assert PATHS.keys() == set(get_args(routes.Endpoint))
    assert PATHS.keys() - CLOSED == routes.OPEN


@pytest.mark.parametrize("endpoint", PATHS)
def test_what_tells_of_a_model_needs_a_key_and_nothing_else_does(server: Server, endpoint: str) -> None:
    path, body = PATHS[endpoint]
    allowed = {key: server.ask(path, body, headers={"authorization": f"Bearer {key}"}).status for key in (OLD, NEW)}
    assert allowed == {OLD: 200, NEW: 200}
    for headers, message in (({}, NONE), ({"authorization": f"Bearer {NEXT}"}, ANOTHER), ({"x": OLD}, NONE)):
        answer = server.ask(path, body, headers=headers)
        if endpoint in routes.OPEN:
            assert answer.status == 200
            continue
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="modelport"'
        assert answer.json == {"message" if endpoint in ("score", "swagger") else "error": message}


@pytest.mark.parametrize(
    "path",
    ["/models/linear/score", "/models/linear/versions/1/score", "/v2/models/linear/versions/1/infer", "/score?x=1"],
)
def test_no_other_way_to_a_model_is_open(server: Server, path: str) -> None:
    for method in ("POST", "GET"):
        if "infer" not in path or method == "POST":
            assert server.ask(path, RECORDS, method=method).status == 401
    assert server.ask("/models/linear/swagger.json?version=3").status == 401
    assert server.ask("/models/other/score", RECORDS).status == 401


@pytest.mark.parametrize(
    "given", [b"Bearer \xff\xfe", b"Bearer " + "ключ".encode(), b"\xff", b"Bearer", b"", b"Bearer " + b"k" * 60_000]
)
def test_whatever_the_header_is_the_answer_is_that_a_key_is_needed(server: Server, given: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: t\r\nconnection: close\r\nauthorization: " + given + b"\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] in (NONE, ANOTHER)


def test_a_preflight_and_options_need_no_key_as_browsers_send_none(package: Path) -> None:
    with servers.serving(package, keys=OLD, cors_origins="https://a.example") as server:
        asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
        assert server.ask("/score", method="OPTIONS", headers=asked).status == 204
        answer = server.ask("/score", method="OPTIONS")
        assert (answer.status, answer.content) == (200, b"")
        refusal = server.ask("/score", RECORDS, headers={"origin": "https://a.example"})
        assert (refusal.status, refusal.headers["access-control-allow-origin"]) == (401, "https://a.example")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keys": f"{OLD},{NEW},{NEXT}"}, "error: keys: expected one or two keys, got 3"),
        (
            {"keys_file": "/nowhere"},
            "error: keys file `/nowhere`: expected a file, got No such file or directory",
        ),
    ],
)
def test_a_server_does_not_start_with_keys_that_cannot_be(
    package: Path, settings: dict[str, object], message: str
) -> None:
    server = servers.launch(package, **settings)
    try:
        assert server.wait() == 1
        assert server.lines == [message]
    finally:
        server.kill()


def test_keys_are_changed_under_load_and_who_has_the_one_that_stays_is_never_refused(package: Path, file: Path) -> None:
    def status(key: str) -> int:
        return server.ask("/v2", headers={"authorization": f"Bearer {key}"}).status

    with servers.serving(package, keys_file=file, workers=2) as server:
        clients = Repeating(lambda: server.ask("/score", RECORDS, headers=BEARER).status, 3)
        with clients.running():
            for number in range(30):
                before, fresh = "fresh-key" + "-" * number, "fresh-key" + "-" * (number + 1)
                swap(file, fresh, OLD)
                assert [status(key) for key in (before, fresh, OLD)] == [401, 200, 200]
        swap(file, NEW)
        assert [status(key) for key in (OLD, NEW)] == [401, 200]
        assert set(clients.answers) == {200}
        assert len(clients.answers) > 30
        assert not any(key in line for line in server.lines for key in (OLD, NEW, "fresh-key"))


def test_a_broken_file_is_logged_once_and_changes_nothing_until_it_is_whole_again(package: Path, file: Path) -> None:
    with servers.serving(package, keys_file=file) as server:
        file.write_text("ключ")
        for _ in range(5):
            assert server.ask("/score", RECORDS, headers=BEARER).status == 200
            assert server.ask("/score", RECORDS).status == 401
        swap(file, NEW)
        assert server.ask("/score", RECORDS, headers={"authorization": f"Bearer {NEW}"}).status == 200
        assert server.ask("/score", RECORDS, headers=BEARER).status == 401
        server.wait_for(re.compile("keys: read again, 1 are accepted"))
        reason = f"keys file `{file}`: expected ASCII, got other bytes"
        messages = [json.loads(line)["message"] for line in server.lines]
        assert messages[1:] == [
            f"keys: expected new ones, got: {reason}; those from before stay",
            "keys: read again, 1 are accepted",
        ]
