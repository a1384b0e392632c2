"""`make bench`: what the runtime adds to the engine, in process and over HTTP, on the main job's package.

The sides of a block run alternately in one run (`rounds`).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelport.benchmarks import bare, http_load
from modelport.benchmarks.flights import load_flights, package_of
from modelport.benchmarks.rounds import ROUNDS, Round, Rounds, alternate, called, loaded, show
from modelport.benchmarks.servers import serving
from modelport.runtime import cpu, load
from modelport.runtime.frames import to_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelport.runtime import Scorer

_REQUESTS: Final = 1_500
_CONNECTIONS: Final = 8
_THOUSAND: Final = 1_000


def main(output: Path = Path("out/bench")) -> int:
    """Measure, print a table, and write it as `overhead.json`."""
    output.mkdir(parents=True, exist_ok=True)
    flights = load_flights()
    package = package_of(flights, output)
    scorer = load(package)
    tables = {
        "in process, one row": _in_process(scorer, package, flights.held_out.iloc[:1], 2_000),
        "in process, 1,000 rows": _in_process(scorer, package, flights.held_out.iloc[:_THOUSAND], 20),
        **_over_http(scorer, package, flights.held_out.iloc[:1], output),
    }
    print(f"CPU {cpu.fingerprint()}, Python {platform.python_version()}, {scorer.engine.description}")
    print(f"best of {ROUNDS} alternated rounds; the ratio is that of the medians to the first line of each block")
    for title, rounds in tables.items():
        show(title, rounds)
    (output / "overhead.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    return 0


def _in_process(scorer: Scorer, package: Path, frame: Any, calls: int) -> Rounds:
    session = bare.open_session(str(package / "model.onnx"))
    arrays = to_inputs(scorer.signature, frame)
    records = frame.to_dict("records")
    return alternate(
        {
            "session.run on arrays": lambda: session.run(None, arrays),
            "scorer, checked arrays": lambda: scorer.runner.run(arrays),
            "scorer.score, dict of arrays": lambda: scorer.score(arrays),
            "scorer.score, records": lambda: scorer.score(records),
            "scorer.score, data frame": lambda: scorer.score(frame),
        },
        lambda call: called(call, calls),
    )


def _over_http(scorer: Scorer, package: Path, frame: Any, output: Path) -> dict[str, Rounds]:
    path = f"/v2/models/{scorer.manifest.name}/infer"
    request = http_load.request_bytes(path, _body(scorer, frame))
    with serving(package, output / "server.log") as server, _bare_server(package) as port:
        places = {"bare Granian handler": ("127.0.0.1", port), "modelport serve": (server.host, server.port)}

        def over(connections: int) -> Callable[[tuple[str, int]], Round]:
            def measure(place: tuple[str, int]) -> Round:
                return loaded(http_load.load(*place, request, connections=connections, requests=_REQUESTS))

            return measure

        return {
            "HTTP, one row, one connection": alternate(places, over(1)),
            f"HTTP, one row, {_CONNECTIONS} connections": alternate(places, over(_CONNECTIONS)),
        }


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


if __name__ == "__main__":
    sys.exit(main())
