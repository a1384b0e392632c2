"""`make conformance`: serve six packages with keys on, have every client try everything, print who got what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelport.benchmarks.servers import serving

from .cases import write_cases
from .checks import Result
from .packages import KEYS, cases_of, prepare
from .table import notes, table, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS: Final = 300
#: The environment of each client, none for our own, and the module that runs it there.
_CLIENTS: Final = (
    ("", "curl"),
    ("", "triton"),
    ("kserve", "kserve_sdk"),
    ("mlserver", "mlserver_types"),
    ("mlserver", "mlserver_infer"),
    ("", "own"),
    ("azureml", "azureml_snippets"),
)


def main(output: Path = Path("out/conformance")) -> int:
    """Run all clients against one server; return 0 if every operation of every client went as it must."""
    prepared = prepare(output)
    packages = ",".join(str(path) for path in prepared.paths)
    with serving(packages, output / "server.log", keys=",".join(KEYS)) as server:
        cases = output / "cases.json"
        write_cases(cases_of(prepared, server.host, server.port), cases)
        results = [result for place in _CLIENTS for result in _run(*place, cases, output)]
    (output / "conformance.json").write_text(json.dumps([each._asdict() for each in results], indent=1) + "\n")
    return _show(results)


def _run(environment: str, client: str, cases: Path, output: Path) -> list[Result]:
    """Run a client in its environment; one that ends early is a result, too."""
    python = Path(sys.prefix, environment, "bin", "python") if environment else Path(sys.executable)
    command = [str(python), "-m", f"modelport.benchmarks.conformance.clients.{client}", str(cases)]
    print(f"{client} ({environment or 'our own environment'})", file=sys.stderr, flush=True)
    portion = str(Path(__file__).parents[3])
    with (output / f"{client}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(  # noqa: S603  our own module
            command,
            env={**os.environ, "PYTHONPATH": portion} if environment else None,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    results = [Result(*json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode:
        results.append(
            Result("Environments", client, "to run", "differs", f"exit status {done.returncode}, see {log.name}")
        )
    return results


def _show(results: Sequence[Result]) -> int:
    for contract in dict.fromkeys(result.contract for result in results):
        part = [result for result in results if result.contract == contract]
        print(f"\n{contract}\n\n{table(part)}\n\n{notes(part)}")
    well, tried = tally(results)
    print(f"\n{well} of {tried} operations as they must be; `-` is what a client does not have")
    return 0 if well == tried else 1


if __name__ == "__main__":
    sys.exit(main())
