"""Starts every server, asks all of them in turn, prints what each answers a second and what that costs."""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import sys
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from modelport.benchmarks import http_load, processes
from modelport.benchmarks.flights import load_flights, package_of, train_model
from modelport.benchmarks.rounds import ROUNDS, Round, alternate, loaded
from modelport.benchmarks.servers import serving
from modelport.packager import convert
from modelport.runtime import cpu, load
from modelport.runtime.errors import ModelportError

from . import starting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelport.benchmarks.flights import Flights
    from modelport.runtime import Scorer
    from modelport.runtime.package import Role

_REQUESTS: Final = 1_000
_CONNECTIONS: Final = 8
_START_SECONDS: Final = 60


class Side(NamedTuple):
    """A server that runs, and what it is asked: V2's `/infer` with tensors, or `/score` with a document."""

    protocol: str
    pid: int
    port: int
    request: bytes


class Turn(NamedTuple):
    """One round of one side: with one connection, with several, and the processor seconds of a request of these."""

    one: Round
    several: Round
    cpu_seconds: float


def main(output: Path = Path("out/bench")) -> int:
    """Measure, print a table, and write it as `peers.json`."""
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    flights = load_flights()
    package = package_of(flights, output).absolute()
    scorer = load(package)
    row = flights.held_out[flights.held_out.notna().all(axis=1)].iloc[:1]
    with ExitStack() as stack:
        sides = _start(stack, output, package, _scripted(flights, output), _requests(scorer, row))
        for name, side in sides.items():
            _check(name, side, scorer.score(row))
        turns = alternate(sides, _measure)
        memory = {name: processes.pss_bytes(side.pid) for name, side in sides.items()}
    print(f"CPU {cpu.fingerprint()}, Python {platform.python_version()}, {scorer.engine.description}")
    print(f"best of {ROUNDS} alternated rounds; in brackets the ratio to the first line of each block, best and median")
    for protocol in dict.fromkeys(side.protocol for side in sides.values()):
        _show(protocol, {name: turns[name] for name, side in sides.items() if side.protocol == protocol}, memory)
    found = {name: {"pss_bytes": memory[name], "rounds": [turn._asdict() for turn in turns[name]]} for name in sides}
    (output / "peers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _scripted(flights: Flights, output: Path) -> Path:
    """Return the main job's package again, with the entry script that Azure ML's server runs, made once."""
    script, package = starting.SCRIPT.read_bytes(), output / "scripted"
    try:
        load(package)
        made = (package / "score.py").read_bytes() == script
    except (ModelportError, OSError):
        made = False
    if not made:
        shutil.rmtree(package, ignore_errors=True)
        extra: dict[str, tuple[Role, bytes]] = {"score.py": ("script", script)}
        convert(train_model(flights), flights.train, output=package, name="flights", extra=extra)
    return package


def _requests(scorer: Scorer, row: Any) -> dict[str, bytes]:
    tensors = [
        {"name": spec.name, "shape": [1, 1], "datatype": spec.datatype, "data": row[spec.name].tolist()}
        for spec in scorer.signature.inputs
    ]
    body = json.dumps({"inputs": tensors}).encode()
    document = json.dumps(json.loads(row.to_json(orient="records"))).encode()
    infer = f"/v2/models/{scorer.manifest.name}/infer"
    return {"infer": http_load.request_bytes(infer, body), "score": http_load.request_bytes("/score", document)}


def _start(
    stack: ExitStack, output: Path, package: Path, scripted: Path, requests: Mapping[str, bytes]
) -> dict[str, Side]:
    infer, score = requests["infer"], requests["score"]
    ours = stack.enter_context(serving(package, output / "server.log"))
    script = stack.enter_context(serving(scripted, output / "scripted.log"))
    azure = stack.enter_context(starting.azureml_server(package, output / "azmlinfsrv.log"))
    alone = stack.enter_context(starting.mlserver(package, output / "mlserver-0", workers=0))
    default = stack.enter_context(starting.mlserver(package, output / "mlserver", workers=None))
    v2, document = "V2, JSON, one row", "/score, JSON, one row"
    return {
        "modelport serve": Side(v2, ours.process.pid, ours.port, infer),
        "MLServer, parallel_workers 0": Side(v2, *alone, infer),
        "MLServer, as it comes": Side(v2, *default, infer),
        "modelport serve, the graph": Side(document, ours.process.pid, ours.port, score),
        "modelport serve, the script": Side(document, script.process.pid, script.port, score),
        "azmlinfsrv, the same script": Side(document, *azure, score),
    }


def _check(name: str, side: Side, expected: Mapping[str, Any]) -> None:
    """Wait until a server is ready; raise `RuntimeError` unless it answers then as offline scoring does."""
    known = [value for array in expected.values() for value in array.ravel().tolist()]
    deadline = time.monotonic() + _START_SECONDS
    while True:
        reply = http_load.ask("127.0.0.1", side.port, side.request)
        if reply.status == HTTPStatus.OK and _values(json.loads(reply.body)) == known:
            return
        if reply.status == HTTPStatus.OK or time.monotonic() > deadline:
            raise RuntimeError(f"{name}: expected {known}, got {reply.status} and {reply.body[:500]!r}")
        time.sleep(0.1)


def _values(said: Any) -> list[Any]:
    """Return all values of an answer, in order."""
    if isinstance(said, dict):
        found = [output["data"] for output in said["outputs"]] if "outputs" in said else list(said.values())
        return [value for each in found for value in _values(each)]
    return [value for each in said for value in _values(each)] if isinstance(said, list) else [said]


def _measure(side: Side) -> Turn:
    place = "127.0.0.1", side.port, side.request
    one = loaded(http_load.load(*place, connections=1, requests=_REQUESTS))
    before = processes.cpu_seconds(side.pid)
    several = loaded(http_load.load(*place, connections=_CONNECTIONS, requests=_REQUESTS))
    return Turn(one, several, (processes.cpu_seconds(side.pid) - before) / _REQUESTS)


def _show(title: str, turns: Mapping[str, list[Turn]], memory: Mapping[str, int]) -> None:
    print(
        f"\n{title:<32}{'p50 us, 1 connection':>26}{f'calls/s, {_CONNECTIONS} of them':>27}{'CPU us':>9}{'PSS MB':>9}"
    )
    first = next(iter(turns.values()))
    known = _figures(first)
    for name, found in turns.items():
        figures = _figures(found)
        latency, rate = (_with_ratio(figures[place], known[place]) for place in (0, 1))
        spent = statistics.median(turn.cpu_seconds for turn in found) * 1e6
        print(f"  {name:<30}{latency:>26}{rate:>27}{spent:>9,.0f}{memory[name] / 1e6:>9,.0f}")


def _figures(turns: list[Turn]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return best and median over the rounds, of the median with one connection and of the rate with several."""
    medians, rates = [turn.one.median for turn in turns], [turn.several.per_second for turn in turns]
    return (min(medians), statistics.median(medians)), (max(rates), statistics.median(rates))


def _with_ratio(figures: tuple[float, float], known: tuple[float, float]) -> str:
    return f"{figures[0]:,.0f} ({figures[0] / known[0]:.2f}x {figures[1] / known[1]:.2f}x)"


if __name__ == "__main__":
    sys.exit(main())
