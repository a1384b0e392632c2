"""A server that is sent odd requests by the hundred thousand answers each as it should, and goes on answering.

What is sent follows from a seed, which FUZZ_SEED changes. A finding is told with the request's bytes, whole in a file:
they alone are enough to send it again.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import judging
import numpy as np
import odd_requests
import pytest
import scripted
import servers
import tiny_models
from broken_requests import broken
from odd_requests import MODELS, Odd
from pipelines import BrokenAnswerError, Pipeline

from modelport.runtime import load
from modelport.runtime.client import messages
from modelport.runtime.client.transport import Reply
from modelport.runtime.protocol import binary_tensors
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Answer, Server

_SEED = int(os.environ.get("FUZZ_SEED", "1"))
_THREADS = 16
_BATCH = 12
_GOOD = 0.02
_MOST_FINDINGS = 20
_DATATYPES = {"f": "FP32", "d": "FP64", "l": "INT64", "O": "BYTES"}
_GROWTH = 48 << 20
END = odd_requests.request("GET", "/v2/health/live", connection="close")


class Finding(NamedTuple):
    """What is wrong, and with which request of which batch."""

    batch: int
    kind: str
    what: str
    data: bytes


class Campaign:
    """Sends `batches` of requests to a server, over a connection each, and keeps what is wrong."""

    def __init__(self, server: Server, good: list[Odd], seed: int) -> None:
        self._server = server
        self._good = good
        self._seed = seed
        self._lock = threading.Lock()
        self.findings: list[Finding] = []
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.sent = 0

    def run(self, batches: range) -> None:
        """Send the batches of these numbers."""
        numbers = iter(batches)
        with ThreadPoolExecutor(_THREADS) as threads:
            for thread in [threads.submit(self._send, numbers) for _ in range(_THREADS)]:
                thread.result()

    def _send(self, numbers: Iterator[int]) -> None:
        while len(self.findings) < _MOST_FINDINGS:
            with self._lock:
                number = next(numbers, None)
            if number is None:
                return
            rng = random.Random(f"{self._seed}/{number}")  # noqa: S311  nothing secret
            odd = [self._next(rng) for _ in range(rng.randrange(2 * _BATCH + 1))]
            outcomes, findings = Batch(self._server, number, odd, broken(rng), rng).run()
            with self._lock:
                self.outcomes += outcomes
                self.findings += findings
                self.sent += len(odd) + 1

    def _next(self, rng: random.Random) -> Odd:
        return rng.choice(self._good) if rng.random() < _GOOD else rng.choice(odd_requests.FRAMED)(rng)


class Batch:
    """Requests that are sent over one connection, those that are broken at its end."""

    def __init__(self, server: Server, number: int, odd: list[Odd], broken: bytes, rng: random.Random) -> None:
        self._server = server
        self._number = number
        self._odd = odd
        self._broken = broken
        self._rng = rng
        self._outcomes: Counter[tuple[str, int]] = Counter()
        self._findings: list[Finding] = []

    def run(self) -> tuple[Counter[tuple[str, int]], list[Finding]]:
        """Send all; return how many answers of which status there were to each kind, and what was wrong."""
        left = self._odd
        while True:
            with Pipeline(self._server.host, self._server.port) as pipeline:
                left = self._send(pipeline, left)
                if not left:
                    self._send_broken(pipeline)
                    return self._outcomes, self._findings

    def _send(self, pipeline: Pipeline, odd: list[Odd]) -> list[Odd]:
        """Send requests at once, and read their answers; return those that are behind a closing answer."""
        pipeline.send(b"".join([each.data for each in odd]))
        for at, each in enumerate(odd, 1):
            try:
                answer = pipeline.answer(to_head=each.to_head)
            except (BrokenAnswerError, OSError) as error:
                self._found(each.kind, repr(error), each.data)
                return odd[at:]
            if answer is None:
                self._found(each.kind, "no answer", each.data)
                return odd[at:]
            self._outcomes[each.kind, answer.status] += 1
            if (what := judging.complaint(each, answer)) is not None:
                self._found(each.kind, f"{what}: {answer}", each.data)
            if answer.headers.get("connection") == "close":
                return odd[at:]
        return []

    def _send_broken(self, pipeline: Pipeline) -> None:
        data = self._broken + self._rng.choice((b"", END))
        pipeline.send(data)
        if self._rng.random() < 0.2:
            return  # a client that does not wait for its answers
        try:
            for answer in pipeline.rest():
                self._outcomes["broken", answer.status] += 1
                if (what := judging.complaint_of_broken(answer)) is not None:
                    self._found("broken", f"{what}: {answer}", data)
        except (BrokenAnswerError, OSError) as error:
            self._found("broken", repr(error), data)

    def _found(self, kind: str, what: str, data: bytes) -> None:
        self._findings.append(Finding(self._number, kind, what, data))


def good_requests(server: Server, packages: list[Path]) -> list[Odd]:
    """Return good requests with their answers, which have the bits that each package's scorer gives in this process."""
    rng = random.Random(0)  # noqa: S311  nothing secret
    good: list[Odd] = []
    for model, package in zip(MODELS, packages, strict=True):
        scorer = load(package)
        for rows in (1, 2, 3, 8):
            inputs = {name: _column(*each) for name, each in model.inputs(rng, rows).items()}
            right = _bits(scorer.score(inputs))
            for data in _asked(model.name, inputs):
                answer = _ask(server, data)
                got = messages.answers_of(Reply(answer.status, answer.headers, answer.content))
                assert _bits(got) == right, (data, answer)
                good.append(Odd("good", data, content=answer.content))
    document = b'[{"amount":0.5,"count":2,"city":"Bern"},{"amount":null,"count":-1,"city":null}]'
    answer = _ask(server, odd_requests.request("POST", "/models/table/score", document))
    assert answer.json == [{"total": 2.5, "town": "Bern"}, {"total": None, "town": ""}]
    return [*good, Odd("good", odd_requests.request("POST", "/models/table/score", document), content=answer.content)]


def _column(datatype: str, width: int, values: list[Any]) -> np.ndarray:
    dtype = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BYTES": object}[datatype]
    other = "Bern" if datatype == "BYTES" else 2.5
    plain = [other if value is None or (isinstance(value, float) and abs(value) > 1e30) else value for value in values]
    return np.array(plain, dtype).reshape(-1, width)


def _asked(model: str, inputs: dict[str, np.ndarray]) -> Iterator[bytes]:
    """Yield requests of every form for the same rows."""
    path = f"/v2/models/{model}/infer"
    tensors = [
        {"name": name, "shape": list(column.shape), "datatype": _DATATYPES[column.dtype.char], "data": column.tolist()}
        for name, column in inputs.items()
    ]
    body = json.dumps({"inputs": tensors}).encode()
    yield odd_requests.request("POST", path, body)
    yield odd_requests.request("POST", path, gzip.compress(body), content_encoding="gzip")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    yield odd_requests.request("POST", path, chunks, transfer_encoding="chunked")
    signature = Signature(
        inputs=tuple(
            TensorSpec(name=name, datatype=_DATATYPES[column.dtype.char], shape=column.shape)
            for name, column in inputs.items()
        ),
        outputs=(),
        batch="none",
    )
    body, headers = messages.request_of(inputs, signature)
    yield odd_requests.request("POST", path, body, **headers)


def _bits(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: binary_tensors.encode(array) for name, array in arrays.items()}


def _ask(server: Server, data: bytes) -> Answer:
    with Pipeline(server.host, server.port) as pipeline:
        pipeline.send(data)
        answer = pipeline.answer()
    assert answer is not None
    assert answer.status == 200, (data, answer)
    return answer


def _memory(process: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _told(findings: list[Finding], folder: Path) -> str:
    """Write the requests of findings into files, and return what is to be said of them."""
    lines = [f"FUZZ_SEED={_SEED}"]
    for number, finding in enumerate(findings, 1):
        file = folder / f"{number}.http"
        file.write_bytes(finding.data)
        lines.append(f"batch {finding.batch}, {finding.kind}: {finding.what[:1000]}\n  {file}: {finding.data[:1000]!r}")
    return "\n".join(lines)


def _fuzz(folder: Path, *, requests: int, access_log: bool = False) -> None:
    """Send so many odd requests to a server of one worker; asserts that each is answered as it should be."""
    packages = odd_requests.packages(folder)
    limits = {"header_timeout": 5, "body_timeout": 5, "max_body_bytes": 1 << 20, "max_queue_wait": 60}
    access = {"keys": odd_requests.KEY, "cors_origins": odd_requests.ORIGIN, "access_log": access_log}
    with servers.serving(",".join(map(str, packages)), **limits, **access) as server:
        good = good_requests(server, packages)
        workers, said = server.workers(), len(server.lines)
        campaign = Campaign(server, good, _SEED)
        batches = requests // (_BATCH + 1) + 1
        campaign.run(range(batches // 10))
        before = _memory(workers[0])
        campaign.run(range(batches // 10, batches))
        grown = _memory(workers[0]) - before
        print(f"FUZZ_SEED={_SEED}: {campaign.sent} requests, grown by {grown >> 20} MiB, {campaign.outcomes}")  # noqa: T201
        assert not campaign.findings, _told(campaign.findings, folder)
        assert all(_ask(server, each.data).content == each.content for each in good)
        assert server.workers() == workers
        assert {_said(line) for line in server.lines[said:]} <= ({"modelport.access"} if access_log else set())
        assert grown < _GROWTH
        assert server.stop() == 0
        begun, answered = server.counts()
        assert begun == answered > requests * 0.9


def _said(line: str) -> str:
    """Return who has written a line of the log."""
    return str(json.loads(line)["logger"])


def test_a_few_thousand_odd_requests_are_each_answered_as_they_should(tmp_path: Path) -> None:
    _fuzz(tmp_path, requests=3_000, access_log=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hundreds_of_thousands_of_odd_requests_are_each_answered_as_they_should(tmp_path: Path) -> None:
    _fuzz(tmp_path, requests=300_000)


def test_a_server_that_fails_is_found_out(tmp_path: Path) -> None:
    package = scripted.put(tiny_models.linear(tmp_path / "linear"), "def init(): ...\ndef run(data): return 1 / 0\n")
    good = Odd("good", odd_requests.request("POST", "/score", b"[]"), content=b"[]")
    with servers.serving(package) as server:
        campaign = Campaign(server, [good], _SEED)
        campaign.run(range(20))
    assert {(finding.kind, finding.what[:27]) for finding in campaign.findings} <= {
        ("document", "expected another status: An"),
        ("good", "expected the answer from be"),
        ("head", "expected another status: An"),
    }
    told = _told(campaign.findings, tmp_path)
    assert told.startswith(f"FUZZ_SEED={_SEED}\nbatch ")
    assert (tmp_path / "1.http").read_bytes() == campaign.findings[0].data
