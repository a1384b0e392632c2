"""The command curl."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from modelport.benchmarks.conformance import azureml, operations
from modelport.benchmarks.conformance.asking import PlainClient, Reply
from modelport.benchmarks.conformance.cases import Cases, read_cases
from modelport.benchmarks.conformance.checks import report

if TYPE_CHECKING:
    from collections.abc import Mapping


class Curl:
    """Asks with `curl`, the body on standard input."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the response, whatever its status."""
        command = ["curl", "--silent", "--show-error", "--include", "--request", method, f"{self._url}{path}"]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        if body is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run(command, input=body or b"", capture_output=True, check=True)  # noqa: S603  our own words
        return _reply(done.stdout)


def _reply(said: bytes) -> Reply:
    head, _, body = said.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):  # curl asked whether it may send a long body
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines if ": " in line)
    return Reply(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)


def main(cases: Cases) -> None:
    """Run both contracts."""
    ask = Curl(cases.url)
    report(operations.run("curl", PlainClient(ask, cases), cases))
    report(azureml.run("curl", ask, cases))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
