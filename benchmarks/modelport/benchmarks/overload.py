"""`make overload`: what is answered, and how late, when half of what the server can do comes, all of it, and thrice it.

The server refuses with 429 what would wait longer than `max_queue_wait`. It passes if at three times its capacity it
still answers nearly as many requests a second as at its best, and none of them much later than that wait.
"""

from __future__ import annotations

import json
import shutil
import sys
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from modelport.benchmarks import http_load, open_loop
from modelport.benchmarks.servers import serving
from modelport.packager import convert

if TYPE_CHECKING:
    from modelport.benchmarks.open_loop import Sent
    from modelport.benchmarks.servers import Server

LOADS: Final = (0.5, 1.0, 3.0)
_ROUNDS: Final = 5
_WAIT: Final = 0.1
#: What may come on top of the wait: the request's own turn, and what the estimate of those before it was short of.
_MARGIN: Final = 0.05
_GOODPUT: Final = 0.9
#: Above this the generator was too late for its schedule, and the figures are those of a busy machine.
_LATE: Final = 0.005
_SECONDS: Final = 5.0
_WARM_SECONDS: Final = 1.0
_REQUESTS: Final = 2_000
#: Enough that one always waits while another is scored, and too few to be refused.
_CLOSED: Final = 3
_CONNECTIONS: Final = 512
_WIDTH: Final = 512
_LAYERS: Final = 128


class Figures(NamedTuple):
    """What came of a load: rates in requests a second, latencies in seconds, `late` what the generator itself was.

    All percentiles but `p50` are the 99th.
    """

    load: float
    offered: float
    goodput: float
    refused: float
    p50: float
    p99: float
    refused_p99: float
    lost: int
    late: float


class Round(NamedTuple):
    """The rate at which few connections got their answers, each waiting for its own, and what came of the loads."""

    capacity: float
    loads: list[Figures]

    @property
    def peak(self) -> float:
        """The highest rate of answers."""
        return max(self.capacity, *(figures.goodput for figures in self.loads))

    @property
    def share(self) -> float:
        """The rate of answers at the highest load, as a share of the peak."""
        return self.loads[-1].goodput / self.peak


def main(output: Path = Path("out/overload")) -> int:
    """Measure, print a table, write it as `overload.json`; return 0 if the server holds what it should."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    package = convert(_network(), {"x": rows}, output=output / "network", name="network").path
    tensor = {"name": "x", "shape": [1, 8], "datatype": "FP32", "data": rows[0].tolist()}
    request = http_load.request_bytes("/v2/models/network/infer", json.dumps({"inputs": [tensor]}).encode())
    with serving(package, output / "server.log", max_queue_wait=_WAIT) as server:
        rounds = [_round(server, request, seed) for seed in range(_ROUNDS)]
    (output / "overload.json").write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
    return _show(rounds)


def figures_of(sent: Sent, load: float, *, warm: float = _WARM_SECONDS) -> Figures:
    """Return what a run comes to, the requests of its first `warm` seconds left out."""
    kept = sent.scheduled >= warm
    statuses, latencies = sent.statuses[kept], sent.latencies[kept]
    seconds = float(sent.scheduled[-1]) - warm
    answered, refused = statuses == HTTPStatus.OK, statuses == HTTPStatus.TOO_MANY_REQUESTS
    return Figures(
        load=load,
        offered=len(statuses) / seconds,
        goodput=float(answered.sum()) / seconds,
        refused=float(refused.mean()),
        p50=_percentile(latencies[answered], 50),
        p99=_percentile(latencies[answered], 99),
        refused_p99=_percentile(latencies[refused], 99),
        lost=int((~answered & ~refused).sum()),
        late=_percentile(sent.late[kept], 99),
    )


def verdict(rounds: list[Round]) -> list[str]:
    """Return what the server does not hold by the medians of the rounds; a lost request counts whatever the round."""
    share = median(round_.share for round_ in rounds)
    p99 = median(round_.loads[-1].p99 for round_ in rounds)
    failed = []
    if share < _GOODPUT:
        failed.append(f"goodput at {LOADS[-1]:g}x: expected at least {_GOODPUT:.0%} of the peak, got {share:.1%}")
    if p99 > _WAIT + _MARGIN:
        expected = f"at most {(_WAIT + _MARGIN) * 1e3:.0f} ms"
        failed.append(f"p99 of what was accepted: expected {expected}, got {p99 * 1e3:.1f}")
    if lost := sum(figures.lost for round_ in rounds for figures in round_.loads):
        failed.append(f"requests: expected each to be answered with 200 or 429, got {lost} that were not")
    return failed


def _percentile(values: Any, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else 0.0


def _network() -> Any:
    """Return a deep network that takes about two milliseconds a row, all its layers of the same weights."""
    rng = np.random.default_rng(0)
    weights = {
        "first": rng.normal(size=(8, _WIDTH)) / 8**0.5,
        "inner": rng.normal(size=(_WIDTH, _WIDTH)) * (2 / _WIDTH) ** 0.5,
        "last": rng.normal(size=(_WIDTH, 1)) / _WIDTH**0.5,
    }
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h0"])]
    for layer in range(_LAYERS):
        nodes.append(helper.make_node("MatMul", [f"h{layer}", "inner"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"h{layer + 1}"]))
    nodes.append(helper.make_node("MatMul", [f"h{_LAYERS}", "last"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _round(server: Server, request: bytes, seed: int) -> Round:
    http_load.load(server.host, server.port, request, connections=1, requests=_REQUESTS // 10)  # it learns its pace
    closed = http_load.load(server.host, server.port, request, connections=_CLOSED, requests=_REQUESTS)
    loads = []
    for load in LOADS:
        plan = open_loop.Plan(
            server.host, server.port, request, closed.per_second * load, _SECONDS + _WARM_SECONDS, _CONNECTIONS, seed
        )
        loads.append(figures_of(open_loop.send_beside(plan), load))
    return Round(closed.per_second, loads)


def _show(rounds: list[Round]) -> int:
    print(
        f"max_queue_wait {_WAIT * 1e3:g} ms; {_SECONDS:g} s a load after {_WARM_SECONDS:g} s to warm up; latencies from"
    )
    print(f"the schedule; {_CONNECTIONS} connections; {_ROUNDS} rounds")
    for number, round_ in enumerate(rounds, 1):
        print(f"\nround {number}: capacity {round_.capacity:,.0f} answers/s over {_CLOSED} connections")
        print("   load  offered/s   200/s  of peak   p50 ms   p99 ms     429   p99 ms  late ms")
        for each in round_.loads:
            late = " too late for the schedule" if each.late > _LATE else ""
            print(
                f"  {each.load:>4g}x{each.offered:>11,.0f}{each.goodput:>8,.0f}{each.goodput / round_.peak:>9.1%}"
                f"{each.p50 * 1e3:>9.1f}{each.p99 * 1e3:>9.1f}{each.refused:>8.1%}{each.refused_p99 * 1e3:>9.1f}"
                f"{each.late * 1e3:>9.2f}{late}"
            )
    failed = verdict(rounds)
    shares = sorted(round_.share for round_ in rounds)
    waits = sorted(round_.loads[-1].p99 for round_ in rounds)
    print(f"\nat {LOADS[-1]:g}x, best and median of the rounds: ", end="")
    print(f"goodput {shares[-1]:.1%} and {shares[len(shares) // 2]:.1%} of the peak, ", end="")
    print(f"p99 of what was accepted {waits[0] * 1e3:.0f} and {waits[len(waits) // 2] * 1e3:.0f} ms")
    print("\n".join(failed) or "the server holds its goodput and its wait")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
