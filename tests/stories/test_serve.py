"""The life of a server: how it starts, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import pytest
import servers
import tiny_models
from adding import adding

from modelport.runtime import load
from modelport.runtime.package import Spread

if TYPE_CHECKING:
    from servers import Server

INFER = "/v2/models/linear/infer"
GOOD = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2.5, 3, 4]}]}
BODY = json.dumps(GOOD).encode()
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: t\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
STOPPING = re.compile("modelport stopping")
HEAVY = ("typer", "rich", "pandas", "pyarrow", "onnx", "sklearn", "skl2onnx", "torch", "polars")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


def error_of(server: Server) -> str:
    """Return what a server that does not start says."""
    assert server.wait() == 1
    assert not any("Traceback" in line for line in server.lines)
    return "\n".join(server.lines)


def read_answer(connection: socket.socket) -> bytes:
    """Return one whole answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, content = received.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    assert found is not None
    while len(content) < int(found[1]):
        content += connection.recv(65536)
    return head + b"\r\n\r\n" + content


def begin(server: Server) -> socket.socket:
    """Return a connection on which a request has begun, its last byte not yet sent."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    connection.sendall(HEAD + BODY[:-1])
    return connection


def wait_until_draining(probe: socket.socket) -> None:
    """Wait until the server, asked over an open connection, says that it is not ready."""
    answer = b""
    while not answer.startswith(b"HTTP/1.1 503 "):
        probe.sendall(b"GET /v2/health/ready HTTP/1.1\r\nhost: t\r\n\r\n")
        answer = read_answer(probe)
    assert b"connection: close" in answer
    assert answer.endswith(b'{"error":"model `linear`: expected to be ready, got a server that is stopping"}')


def wait_until_closed(server: Server) -> None:
    """Wait until the address refuses connections; before that, newcomers are kept waiting."""
    try:
        while True:
            socket.create_connection((server.host, server.port), timeout=30).close()
    except ConnectionRefusedError:
        return


def insist(server: Server) -> int:
    """Send SIGTERM until the server has ended."""
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.2)
    return server.wait()


def test_it_says_what_it_serves_and_where_and_stops_cleanly(package: Path) -> None:
    with servers.serving(package, log_format="text") as server:
        line = f"modelport serving linear 1 {load(package).digest} at http://127.0.0.1:{server.port} (proof self)"
        assert server.lines == [line]
        assert server.ask(INFER, GOOD).status == 200
        assert server.stop(signal.SIGTERM) == 0
        assert server.lines[1:] == [
            "modelport stopping: at most 25 s",
            "drained: 1 requests begun, 1 answered",
            "modelport stopped",
        ]


def test_the_command_serves_as_the_module_does(package: Path) -> None:
    command = [str(Path(sys.executable).with_name("modelport")), "serve", str(package), "--port", "0"]
    server = servers.Server([*command, "--workers", "2", "--log-format", "json"], {"MODELPORT_WORKERS": "none"})
    try:
        server.wait_until_ready()
        assert all(json.loads(line)["logger"].startswith("modelport.") for line in server.lines)
        assert len(server.workers()) == 2
        assert server.ask(INFER, GOOD).status == 200
        assert server.stop(signal.SIGINT) == 0
    finally:
        server.kill()


def test_the_command_starts_workers_as_processes_of_their_own(package: Path) -> None:
    """So they hold nothing of the command's, such as Typer."""
    command = [str(Path(sys.executable).with_name("modelport")), "serve", str(package), "--port", "0"]
    server = servers.Server(command, {})
    try:
        server.wait_until_ready()
        (worker,) = server.workers()
        started = Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
        assert started[1:4] == [b"-P", b"-m", b"modelport.runtime.server.worker"]
    finally:
        server.kill()


def test_a_worker_loads_no_library_that_scoring_does_not_need(package: Path) -> None:
    script = f"""
import sys
from modelport.runtime.server import worker
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site
from modelport.runtime.settings import resolve
models = worker.load_models(resolve({{"package": {str(package)!r}}}, {{}}))
plane = worker.DataPlane(*map(worker.ModelSlot, models.scorers))
headers = type("Headers", (dict,), {{"get_all": lambda *_: []}})()
assert Site(plane).visit(Head("POST", {INFER!r}, "", headers)).answer({BODY!r}).status == 200
print(*sys.modules)
"""
    listed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in listed.stdout.split()}
    assert loaded >= {"numpy", "onnxruntime", "granian"}
    assert loaded.isdisjoint(HEAVY)


def test_the_supervisor_loads_neither_numpy_nor_an_engine() -> None:
    script = "import sys, modelport.runtime.server.__main__; print(*sys.modules)"
    listed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in listed.stdout.split()}.isdisjoint({"numpy", "onnxruntime", *HEAVY})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"package": ""}, "error: `PACKAGE` or `MODELPORT_PACKAGE`: expected a directory, got nothing"),
        ({"port": "http", "workers": 0}, "error: `MODELPORT_PORT`: expected an integer from 0 to 65535, got `http`\n"),
        ({"host": "256.0.0.1"}, "error: address `256.0.0.1`: expected one of this machine, got "),
        ({"engine": "abacus"}, "error: engine `abacus`: expected one of "),
        ({"providers": "abacus"}, "error: execution provider `abacus`: expected one of "),
        ({"package": "/nowhere"}, "error: package `/nowhere`: expected a directory, got nothing there"),
    ],
)
def test_settings_that_cannot_be_end_it_with_an_error(package: Path, settings: dict[str, object], message: str) -> None:
    server = servers.launch(**{"package": package, **settings})
    try:
        assert message in error_of(server)
    finally:
        server.kill()


def test_a_changed_package_is_not_served(package: Path, tmp_path: Path) -> None:
    changed = copytree(package, tmp_path / "linear")
    model = changed / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    server = servers.launch(changed)
    try:
        assert re.fullmatch(r"error: `model\.onnx`: expected sha256 .*: the file was changed", error_of(server))
    finally:
        server.kill()


def test_another_package_than_the_pinned_one_is_not_served(package: Path) -> None:
    wanted = f"sha256:{'0' * 64}"
    server = servers.launch(package, digest=wanted)
    try:
        assert f"expected digest `{wanted}`, got sha256:" in error_of(server)
    finally:
        server.kill()


def test_a_package_that_fails_its_golden_samples_is_not_served(tmp_path: Path) -> None:
    spread = Spread(lowest=5.0, highest=6.0, mean=5.5, deviation=0.1)
    server = servers.launch(tiny_models.noisy(tmp_path / "noisy", spread=spread))
    try:
        assert "output `y` does not reproduce the golden samples" in error_of(server)
    finally:
        server.kill()


def test_an_address_in_use_is_an_error(package: Path) -> None:
    with servers.serving(package) as first:
        second = servers.launch(package, port=first.port)
        try:
            assert f"error: address `127.0.0.1:{first.port}`: expected a free one, got " in error_of(second)
        finally:
            second.kill()
        assert first.ask("/v2/health/ready").status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_has_begun_is_answered_after_sigterm(package: Path, workers: int) -> None:
    with servers.serving(package, workers=workers) as server:
        expected = server.ask(INFER, GOOD).content
        with begin(server) as connection:
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(STOPPING)
            wait_until_closed(server)
            connection.sendall(BODY[-1:])
            answer = read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        assert answer.endswith(expected)
        assert server.wait() == 0
        begun, answered = server.counts()
        assert begun == answered


def test_while_it_drains_it_is_alive_but_not_ready_and_still_answers(package: Path) -> None:
    with servers.serving(package, drain_delay=600) as server:
        with begin(server) as connection, socket.create_connection((server.host, server.port), timeout=30) as probe:
            server.process.send_signal(signal.SIGTERM)
            wait_until_draining(probe)
            assert server.ask("/v2/health/live").status == 200
            assert server.ask("/v2/models/linear/ready").status == 503
            late = server.ask(INFER, GOOD)
            assert (late.status, late.headers["connection"]) == (200, "close")
            connection.sendall(BODY[-1:])
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        assert insist(server) == 2


def test_a_signal_that_comes_twice_at_once_means_one(package: Path) -> None:
    with servers.serving(package) as server, begin(server) as connection:
        for _ in range(3):
            server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        server.wait_for(STOPPING)
        connection.sendall(BODY[-1:])
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        assert server.wait() == 0


def test_a_later_request_of_which_a_few_bytes_have_come_is_answered_after_sigterm(package: Path) -> None:
    with servers.serving(package) as server:
        with socket.create_connection((server.host, server.port), timeout=30) as connection:
            connection.sendall(HEAD + BODY)
            expected = read_answer(connection)
            connection.sendall(HEAD[:30])
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(STOPPING)
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(0.4)  # four times as long as the server listens for newcomers
            connection.sendall(HEAD[30:] + BODY)
            answer = read_answer(connection)
        assert answer.partition(b"\r\n\r\n")[2] == expected.partition(b"\r\n\r\n")[2]
        assert server.wait() == 0
        assert server.counts() == (2, 2)


def test_a_later_request_that_never_ends_is_given_up_in_time(package: Path) -> None:
    with servers.serving(package, drain_timeout=0.5) as server:
        with socket.create_connection((server.host, server.port), timeout=30) as connection:
            connection.sendall(HEAD + BODY)
            read_answer(connection)
            connection.sendall(HEAD[:30])
            assert server.stop(signal.SIGTERM) == 2
        assert any("1 requests begun, 1 answered, 1 more about to begin" in line for line in server.lines)


def test_a_request_that_never_ends_is_given_up_in_time(package: Path) -> None:
    with servers.serving(package, drain_timeout=0.5) as server:
        with begin(server):
            assert server.stop(signal.SIGTERM) == 2
        assert any("gave up after 0.5 s: 1 requests begun, 0 answered" in line for line in server.lines)
        assert "modelport stopped: requests were left unanswered" in server.lines[-1]


def test_a_killed_worker_is_replaced_while_the_other_answers(package: Path) -> None:
    with servers.serving(package, workers=2) as server:
        expected = server.ask(INFER, GOOD).content
        first = server.workers()
        os.kill(first[0], signal.SIGKILL)
        server.wait_for(re.compile("expected to serve, got killed by SIGKILL; starting it again in 0 s"))
        server.wait_for_workers(2)
        assert first[1] in server.workers()
        for _ in range(20):
            assert server.ask(INFER, GOOD).content == expected
        assert server.stop(signal.SIGTERM) == 0


def test_the_only_worker_is_replaced_too_and_what_arrives_meanwhile_waits(package: Path) -> None:
    with servers.serving(package) as server:
        expected = server.ask(INFER, GOOD).content
        for _ in range(2):
            os.kill(server.workers()[0], signal.SIGKILL)
            assert server.ask(INFER, GOOD).content == expected
        assert server.stop(signal.SIGTERM) == 0


def test_a_worker_that_cannot_start_again_is_tried_until_it_can_while_another_serves(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    with servers.serving(package, workers=2) as server:
        package.rename(tmp_path / "away")
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for(re.compile(r"worker \d: expected to start again, got: package .* got nothing there"))
        server.wait_for(re.compile(r"worker \d: expected to serve, got exit status 1; starting it again in 1 s"))
        assert server.ask(INFER, GOOD).status == 200
        (tmp_path / "away").rename(package)
        server.wait_for_workers(2)
        assert server.stop(signal.SIGTERM) == 0


def test_a_replacement_must_find_the_same_package(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    with servers.serving(package) as server:
        package.rename(tmp_path / "old")
        tiny_models.linear(tmp_path / "linear", nullable=True)
        os.kill(server.workers()[0], signal.SIGKILL)
        assert server.wait() == 1
        assert f"expected digest `{server.digest}`, got sha256:" in server.lines[-1]


def test_workers_do_not_outlive_their_supervisor(package: Path) -> None:
    with servers.serving(package, workers=2) as server:
        server.process.kill()
        server.wait()  # the log ends when the last process that writes to it does
        assert len(re.findall("drained: 0 requests begun, 0 answered", "\n".join(server.lines))) == 2


def test_a_signal_while_it_starts_ends_it_at_once(package: Path) -> None:
    server = servers.launch(package)
    try:
        server.wait_for_workers(1)
        assert server.stop(signal.SIGTERM) == 0
    finally:
        server.kill()


def test_an_input_at_which_the_graph_fails_is_the_clients_and_the_log_has_the_engines_words(tmp_path: Path) -> None:
    with servers.serving(tiny_models.fragile(tmp_path / "fragile")) as server:
        body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [7]}]}
        answer = server.ask("/v2/models/fragile/infer", body)
        assert answer.status == 422
        found = re.fullmatch(
            r"model: expected an input that it can score, got one that it cannot; the log has it as ([0-9a-f]{32})",
            answer.json["error"],
        )
        assert found is not None
        logged = json.loads(server.wait_for(re.compile(f".*request {found[1]}: .*"))[0])
        assert logged["level"] == "warning"
        assert "indices element out of data bounds, idx=7" in logged["message"]
        assert "trace" not in logged
        body["inputs"][0]["data"] = [1]
        assert server.ask("/v2/models/fragile/infer", body).status == 200


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Packages of two versions of `wine` and of `linear`."""
    home = tmp_path_factory.mktemp("packages")
    wines = [adding(home / f"wine{number}", number, "wine", str(number)) for number in (2, 1)]
    return [*wines, tiny_models.linear(home / "linear")]


def test_several_packages_are_served_side_by_side_and_said_line_by_line(several: list[Path]) -> None:
    with servers.serving(",".join(map(str, several)), log_format="text") as server:
        server.wait_for(re.compile("modelport serving linear"))
        assert server.lines == [
            f"modelport serving {name} {load(path).digest} at http://{server.url} (proof self)"
            for name, path in zip(("wine 2", "wine 1", "linear 1"), several, strict=True)
        ]
        assert server.ask(INFER, GOOD).status == 200
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [0.5]}]}
        for path, version in (("", "2"), ("/versions/2", "2"), ("/versions/1", "1")):
            answer = server.ask(f"/v2/models/wine{path}/infer", body).json
            assert (answer["model_version"], answer["outputs"][0]["data"]) == (version, [0.5 + int(version)])
        assert server.ask("/v2/models/wine").json["versions"] == ["2", "1"]
        digests = {server.ask(f"/v2/models/{name}").json["properties"]["digest"] for name in ("wine", "linear")}
        assert digests == {load(several[0]).digest, load(several[2]).digest}
        assert server.stop(signal.SIGTERM) == 0


def test_of_several_packages_one_is_chosen_by_header_or_path(several: list[Path]) -> None:
    with servers.serving(",".join(map(str, several))) as server:
        for path, header, answer in (
            ("/score", "wine", [{"y": 2.5}]),
            ("/score", "wine:1", [{"y": 1.5}]),
            ("/models/wine/score", "linear", [{"y": 2.5}]),
            ("/models/wine/versions/1/score", "linear", [{"y": 1.5}]),
        ):
            got = server.ask(path, [{"x": 0.5}], headers={"azureml-model-deployment": header})
            assert (got.status, got.json) == (200, answer)
        refused = server.ask("/score", [{"x": 0.5}])
        hint = "by the header `azureml-model-deployment` or the path `/models/NAME/score`"
        assert (refused.status, refused.json) == (
            400,
            {"message": f"model: expected one of `wine`, `linear` to be named, got none ({hint})"},
        )


def test_two_packages_of_one_name_and_version_are_not_served(several: list[Path], tmp_path: Path) -> None:
    same = adding(tmp_path / "same", 3, "wine", "1")
    server = servers.launch(",".join(map(str, [*several, same])))
    try:
        assert error_of(server) == "error: packages: expected each name and version once, got `wine 1` twice"
    finally:
        server.kill()


def test_of_several_packages_each_is_pinned_by_its_own_digest(several: list[Path]) -> None:
    digests = [load(path).digest for path in several]
    with servers.serving(",".join(map(str, several)), digest=",".join(digests)) as server:
        assert server.ask("/v2/health/ready").status == 200
    for wrong, message in (
        (digests[:2], "error: `--digest`: expected one for each of 3 packages, got 2"),
        (digests[::-1], f"expected digest `{digests[2]}`, got {digests[0]}"),
    ):
        server = servers.launch(",".join(map(str, several)), digest=",".join(wrong))
        try:
            assert message in error_of(server)
        finally:
            server.kill()
