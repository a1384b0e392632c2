"""`make bench`: what the runtime adds to the engine, in process and over HTTP, on the main job's package.

The sides of a block run alternately in one run, `_ROUNDS` times. A side's figures are the best of its rounds: the
median of its calls, and how many calls it answers a second; what counts is the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.benchmarks import bare, http_load
from modelport.benchmarks.flights import load_flights, train_model
from modelport.benchmarks.servers import serving
from modelport.packager import convert
from modelport.runtime import cpu, load
from modelport.runtime.errors import ModelportError
from modelport.runtime.frames import to_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelport.runtime import Scorer

_ROUNDS: Final = 7
_REQUESTS: Final = 1_500
_CONNECTIONS: Final = 8
_THOUSAND: Final = 1_000


class Round(NamedTuple):
    """One round of one side: the median microseconds of a call, and calls a second."""

    median: float
    per_second: float


Rounds = dict[str, list[Round]]


def main(output: Path = Path("out/bench")) -> int:
    """Measure, print a table, and write it as `overhead.json`."""
    output.mkdir(parents=True, exist_ok=True)
    flights = load_flights()
    package = _package(flights, output)
    scorer = load(package)
    tables = {
        "in process, one row": _in_process(scorer, package, flights.held_out.iloc[:1], 2_000),
        "in process, 1,000 rows": _in_process(scorer, package, flights.held_out.iloc[:_THOUSAND], 20),
        **_over_http(scorer, package, flights.held_out.iloc[:1], output),
    }
    print(f"CPU {cpu.fingerprint()}, Python {platform.python_version()}, {scorer.engine.description}")
    print(f"best of {_ROUNDS} alternated rounds; the ratio is that of the medians to the first line of each block")
    for title, rounds in tables.items():
        _show(title, rounds)
    (output / "overhead.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    return 0


def _package(flights: Any, output: Path) -> Path:
    """Return the main job's package, making it if it is not there or no longer opens."""
    package = Path("out/flights/package")
    try:
        load(package)
    except ModelportError:
        package = convert(
            train_model(flights), flights.train, output=output / f"flights-{time.time_ns()}", name="flights"
        ).path
    return package


def _in_process(scorer: Scorer, package: Path, frame: Any, calls: int) -> Rounds:
    session = bare.open_session(str(package / "model.onnx"))
    arrays = to_inputs(scorer.signature, frame)
    records = frame.to_dict("records")
    return _alternate(
        {
            "session.run on arrays": lambda: session.run(None, arrays),
            "scorer, checked arrays": lambda: scorer.runner.run(arrays),
            "scorer.score, dict of arrays": lambda: scorer.score(arrays),
            "scorer.score, records": lambda: scorer.score(records),
            "scorer.score, data frame": lambda: scorer.score(frame),
        },
        lambda call: _called(call, calls),
    )


def _over_http(scorer: Scorer, package: Path, frame: Any, output: Path) -> dict[str, Rounds]:
    path = f"/v2/models/{scorer.manifest.name}/infer"
    request = http_load.request_bytes(path, _body(scorer, frame))
    with serving(package, output / "server.log") as server, _bare_server(package) as port:
        places = {"bare Granian handler": ("127.0.0.1", port), "modelport serve": (server.host, server.port)}

        def over(connections: int) -> Callable[[tuple[str, int]], Round]:
            def measure(place: tuple[str, int]) -> Round:
                done = http_load.load(*place, request, connections=connections, requests=_REQUESTS)
                return Round(float(np.median(done.latencies)) * 1e6, done.per_second)

            return measure

        return {
            "HTTP, one row, one connection": _alternate(places, over(1)),
            f"HTTP, one row, {_CONNECTIONS} connections": _alternate(places, over(_CONNECTIONS)),
        }


def _alternate(sides: dict[str, Any], measure: Callable[[Any], Round]) -> Rounds:
    """Measure all sides in turn, round by round; the first round warms up."""
    rounds: Rounds = {name: [] for name in sides}
    for number in range(_ROUNDS + 1):
        for name, side in sides.items():
            value = measure(side)
            if number:
                rounds[name].append(value)
    return rounds


def _called(call: Callable[[], Any], times: int) -> Round:
    each = np.empty(times)
    began = time.perf_counter()
    for number in range(times):
        start = time.perf_counter()
        call()
        each[number] = time.perf_counter() - start
    return Round(float(np.median(each)) * 1e6, times / (time.perf_counter() - began))


def _body(scorer: Scorer, frame: Any) -> bytes:
    tensors = []
    for spec in scorer.signature.inputs:
        values = [None if value != value else value for value in frame[spec.name].tolist()]  # noqa: PLR0124  NaN
        tensors.append({"name": spec.name, "shape": [len(values), 1], "datatype": spec.datatype, "data": values})
    for tensor in tensors:  # the bare handler knows no missing values
        tensor["data"] = [1995.0 if value is None else value for value in tensor["data"]]
    return json.dumps({"inputs": tensors}).encode()


@contextmanager
def _bare_server(package: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", "modelport.benchmarks.bare", str(port)],
        env={**os.environ, "BARE_MODEL": str(package / "model.onnx")},
    )
    try:
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _show(title: str, rounds: Rounds) -> None:
    print(f"\n{title:<34}{'p50, us':>12}{'calls/s':>12}{'ratio':>9}")
    medians = {name: min(entry.median for entry in values) for name, values in rounds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        rate = max(entry.per_second for entry in rounds[name])
        print(f"  {name:<32}{median:>12,.1f}{rate:>12,.0f}{median / first:>8.2f}x")


if __name__ == "__main__":
    sys.exit(main())
