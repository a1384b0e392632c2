"""The main job, `make run`: real data, a trained model, a proven package, served requests, and the same bits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tritonclient import http as triton

from modelport.benchmarks import http_load
from modelport.benchmarks.flights import load_flights, train_model
from modelport.benchmarks.servers import serving
from modelport.packager import convert
from modelport.packager.commands import described
from modelport.runtime import load
from modelport.runtime.cli.wording import sized
from modelport.runtime.golden import check, same_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelport.benchmarks.flights import Flights
    from modelport.benchmarks.servers import Server
    from modelport.runtime import Scorer

_BATCH: Final = 1_000
_JSON_ROWS: Final = 10_000


def main(output: Path = Path("out/flights")) -> int:
    """Run every step and say what happened; return 0 if every answer was the same, bit for bit."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    started = time.perf_counter()
    _say("1. Data and model")
    flights = load_flights()
    print(f"   {len(flights.train):,} flights to train on, {len(flights.held_out):,} held out; {_missing(flights)}")
    pipeline = train_model(flights)
    accuracy = (pipeline.predict(flights.held_out) == flights.held_out_late).mean()
    print(f"   trained: was a flight more than 15 minutes late? right for {accuracy:.1%} of the held out")

    _say("2. Convert and prove")
    package = output / "package"
    made = convert(pipeline, flights.train, output=package, name="flights", report=output / "parity.html")
    print("\n".join(f"   {line}" for line in described(made.report)))
    print(f"   package {package}: {made.digest} ({sized(made.plan.size)}); the comparison: {output / 'parity.html'}")

    _say("3. Open, check, score offline")
    scorer = load(package, digest=made.digest)
    result = check(scorer)
    print(f"   {result.samples} golden samples on {result.engine}: {result.verdict}")
    offline = _score_offline(package, flights, output)

    _say("4. Serve, and score every held-out flight over HTTP")
    with serving(package, output / "server.log") as server:
        print(f"   listening on http://{server.host}:{server.port}")
        same = _score_online(server, flights, scorer, offline)
        latencies = _latencies(server, flights, scorer, pipeline)
        code = server.stop()
    print(f"   SIGTERM: the server drained and left with exit code {code}")

    _say("5. One flight at a time (median)")
    for name, seconds in latencies.items():
        print(f"   {name:<36}{seconds * 1e6:>10,.0f} us   {latencies['pipeline.predict'] / seconds:>6,.1f}x")
    print(
        f"\nDone in {time.perf_counter() - started:.0f} s: {'the same bits everywhere' if same else 'ANSWERS DIFFER'}"
    )
    return 0 if same and code == 0 and result.verdict == "identical" else 1


def _say(title: str) -> None:
    print(f"\n{title}", flush=True)


def _missing(flights: Flights) -> str:
    share = flights.train.isna().mean()
    return ", ".join(f"{name} missing in {share[name]:.0%}" for name in ("wind_gust", "plane_year", "pressure"))


def _score_offline(package: Path, flights: Flights, output: Path) -> dict[str, Any]:
    """Score the held-out flights with the command, from CSV to arrays."""
    rows, answers = output / "held_out.csv", output / "offline.npz"
    flights.held_out.to_csv(rows, index=False)
    command = [str(Path(sys.executable).with_name("modelport")), "score", str(package), str(rows), "-o", str(answers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own command
    print(f"   $ modelport score {package} {rows} -o {answers}\n   {done.stderr.strip()}")
    with np.load(answers, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _score_online(server: Server, flights: Flights, scorer: Scorer, offline: dict[str, Any]) -> bool:
    client = triton.InferenceServerClient(f"{server.host}:{server.port}")
    same = True
    complete = np.flatnonzero(flights.held_out.notna().all(axis=1))[
        :_JSON_ROWS
    ]  # the client's JSON has no word for missing
    for name, index, binary in (
        ("binary", np.arange(len(flights.held_out)), True),
        ("JSON", complete, False),
    ):
        began = time.perf_counter()
        wrong = _wrong_rows(client, flights, scorer, offline, index, binary=binary)
        seconds = time.perf_counter() - began
        same = same and wrong == 0
        print(
            f"   tritonclient, {name}: {len(index):,} rows in {seconds:.1f} s ({len(index) / seconds:,.0f} rows/s), "
            f"{wrong} differ from `modelport score` in any bit"
        )
    client.close()
    return same


def _wrong_rows(
    client: Any, flights: Flights, scorer: Scorer, offline: dict[str, Any], index: Any, *, binary: bool
) -> int:
    wrong = 0
    for start in range(0, len(index), _BATCH):
        part = index[start : start + _BATCH]
        answer = client.infer(
            "flights",
            _inputs(flights.held_out.iloc[part], scorer, binary=binary),
            outputs=_outputs(scorer, binary=binary),
        )
        for spec in scorer.signature.outputs:
            got, expected = answer.as_numpy(spec.name), offline[spec.name][part]
            if not same_bits(got, expected):
                wrong += int((got != expected).reshape(len(part), -1).any(axis=1).sum()) or len(part)
    return wrong


def _inputs(frame: Any, scorer: Scorer, *, binary: bool) -> list[Any]:
    inputs = []
    for spec in scorer.signature.inputs:
        values = frame[spec.name].to_numpy().reshape(-1, 1)
        tensor = triton.InferInput(spec.name, list(values.shape), spec.datatype)
        tensor.set_data_from_numpy(values.astype(spec.dtype), binary_data=binary)
        inputs.append(tensor)
    return inputs


def _outputs(scorer: Scorer, *, binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput(spec.name, binary_data=binary) for spec in scorer.signature.outputs]


def _latencies(server: Server, flights: Flights, scorer: Scorer, pipeline: Any) -> dict[str, float]:
    """Return the median seconds of one row: the original, the package in process, the package over HTTP.

    The package answers label and probabilities together.
    """
    frame = flights.held_out.iloc[:1]
    record = {name: None if value != value else value for name, value in frame.to_dict("records")[0].items()}  # noqa: PLR0124  NaN
    tensors = [
        {"name": spec.name, "shape": [1, 1], "datatype": spec.datatype, "data": [record[spec.name]]}
        for spec in scorer.signature.inputs
    ]
    request = http_load.request_bytes("/v2/models/flights/infer", json.dumps({"inputs": tensors}).encode())
    over_http = http_load.load(server.host, server.port, request, connections=1, requests=500)
    return {
        "pipeline.predict": _median(lambda: pipeline.predict(frame), 50),
        "pipeline.predict_proba": _median(lambda: pipeline.predict_proba(frame), 50),
        "modelport.runtime, a record": _median(lambda: scorer.score([record]), 500),
        "HTTP, JSON, one connection": float(np.median(over_http.latencies)),
    }


def _median(call: Callable[[], Any], times: int) -> float:
    call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


if __name__ == "__main__":
    sys.exit(main())
