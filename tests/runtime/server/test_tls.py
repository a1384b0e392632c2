"""The server speaks TLS, with the certificate that is in its file now."""

from __future__ import annotations

import http.client
import json
import re
import resource
import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import servers
import tiny_models

from modelport.runtime.errors import InvalidSettingError
from modelport.runtime.server.encryption import Encryption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}


def make(folder: Path, name: str, *, password: str = "") -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    command += ["-passout", f"pass:{password}"] if password else ["-noenc"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextmanager
def connected(
    server: servers.Server, certificate: Path, version: ssl.TLSVersion | None = None
) -> Iterator[ssl.SSLSocket]:
    """Give a connection to a server that must have the certificate, closed whatever happens."""
    context = ssl.create_default_context(cafile=str(certificate))
    if version is not None:
        context.maximum_version = version
    raw = socket.create_connection((server.host, server.port), timeout=60)
    with context.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False) as connection:
        connection.do_handshake()
        yield connection


def ask(server: servers.Server, certificate: Path, version: ssl.TLSVersion | None = None) -> int:
    """Return the status of a request to a server that must have the certificate."""
    with connected(server, certificate, version) as socket_:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.sock = socket_
        connection.request("POST", "/v2/models/linear/infer", json.dumps(BODY))
        response = connection.getresponse()
        response.read()
        return response.status


def trusted(server: servers.Server, certificate: Path) -> bool:
    """Return whether the server has the certificate."""
    while True:
        try:
            with connected(server, certificate):
                return True
        except ssl.SSLCertVerificationError:
            return False
        except ssl.SSLEOFError:
            continue  # in the moment in which one certificate follows the other: such a client connects again


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


def test_requests_are_answered_over_tls_1_2_and_1_3_and_not_without(package: Path, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "one")
    with servers.serving(package, tls_cert=certificate, tls_key=key, workers=2) as server:
        assert ask(server, certificate) == 200
        assert ask(server, certificate, ssl.TLSVersion.TLSv1_2) == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            server.ask("/v2/health/live")
        assert server.stop() == 0


def test_a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not(package: Path, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "one")
    other, other_key = make(tmp_path, "other")
    old = tmp_path / "old.crt"
    old.write_bytes(certificate.read_bytes())
    with (
        servers.serving(package, tls_cert=certificate, tls_key=key, log_format="text") as server,
        connected(server, old) as kept,
    ):
        kept.sendall(b"POST /v2/models/linear/infer HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\n{")
        certificate.write_bytes(other.read_bytes())
        server.wait_for(re.compile("expected a certificate and its key, got .*; what was used before stays"))
        assert ask(server, old) == 200
        key.write_bytes(other_key.read_bytes())
        server.wait_for(re.compile(f"certificate `{certificate}`: read again"))
        servers.wait_until(lambda: not trusted(server, old), "the old certificate to be used no more")
        assert trusted(server, other)
        assert ask(server, other) == 200
        kept.close()
        assert server.stop() == 0


def test_a_worker_to_which_silent_clients_leave_no_file_is_replaced(package: Path, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "one")
    with servers.serving(package, tls_cert=certificate, tls_key=key) as server, ExitStack() as silent:
        assert ask(server, certificate) == 200
        resource.prlimit(server.workers()[0], resource.RLIMIT_NOFILE, (64, 64))
        for _ in range(64):
            silent.enter_context(socket.create_connection((server.host, server.port)))
        server.wait_for(re.compile("open files: expected some to be left of 64, got none"))
        server.wait_for(re.compile("worker 1: expected to serve, got exit status 4; starting it again"))
        assert ask(server, certificate) == 200


def test_what_is_no_certificate_is_said(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "one")
    _, other = make(tmp_path, "other")
    _, locked = make(tmp_path, "locked", password="secret")  # noqa: S106  of a key that is thrown away
    cases = [
        (tmp_path / "none", key, f"`{tmp_path / 'none'}`: expected a PEM file, got No such file or directory"),
        (key, key, f"`{key}` and `{key}`: expected a certificate and its key, got "),
        (
            certificate,
            other,
            f"`{certificate}` and `{other}`: expected a certificate and its key, got KEY_VALUES_MISMATCH",
        ),
        (
            certificate,
            locked,
            f"`{certificate}` and `{locked}`: expected a certificate and its key, got an encrypted key",
        ),
    ]
    for first, second, message in cases:
        with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}"):
            Encryption(first, second).check()
