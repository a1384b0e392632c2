"""The packages that are served to the clients, and the cases: all that they are to answer, scored offline."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from modelport.benchmarks.flights import load_flights, package_of
from modelport.packager import convert
from modelport.runtime import load

from .cases import Call, Cases, Document, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelport.runtime import Scorer

    Arrays = Mapping[str, NDArray[Any]]

KEYS: Final = ["conformance-key-1", "conformance-key-2"]
_VERSION: Final = "1"
_MANY: Final = 10_000
_STRINGS: Final = ["Bern", "Zürich", "東京", "a b", '"quoted"\\n', "\U0001f600", "Ελλάδα", "0"]
_SCRIPT: Final = b"""
import json
from modelport.runtime import package_scorer

def init():
    global scorer
    scorer = package_scorer()

def run(data):
    asked = json.loads(data)
    if "fail" in asked:
        raise ValueError("secret")
    if "rows" in asked:
        return {"labels": scorer.score(asked["rows"])["label"].tolist()}
    return asked
"""


class Prepared(NamedTuple):
    """Packages by name, open, with where they are; and rows for them."""

    paths: list[Path]
    scorers: dict[str, Scorer]
    iris: NDArray[np.float32]
    flights: Any


def prepare(folder: Path) -> Prepared:
    """Make the packages in `folder`: a table, a matrix, one with a script, one of every datatype, FP16, and strings."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    flights = load_flights()
    data, kinds = load_iris(return_X_y=True)
    iris = data.astype(np.float32)
    regression = LogisticRegression(max_iter=1_000).fit(iris, kinds)
    paths = [
        package_of(flights, folder),
        convert(regression, iris, output=folder / "iris").path,
        convert(regression, iris, output=folder / "scripted", extra={"score.py": ("script", _SCRIPT)}).path,
        *(
            convert(_identity(arrays), arrays, output=folder / name, name=name).path
            for name, arrays in _typed().items()
        ),
    ]
    opened = [load(path) for path in paths]
    return Prepared(paths, {scorer.manifest.name: scorer for scorer in opened}, iris, flights.held_out)


def cases_of(prepared: Prepared, host: str, port: int) -> Cases:
    """Return the cases for a server of the packages."""
    scorers, iris, flights = prepared.scorers, prepared.iris, prepared.flights
    complete = flights[flights.notna().all(axis=1)]
    gaps = flights[flights.isna().any(axis=1)]
    many = np.random.default_rng(0).uniform(0.1, 8, (_MANY, iris.shape[1])).astype(np.float32)
    calls = {
        "matrix": _call(scorers["iris"], {"X": iris[::10]}),
        "table": _call(scorers["flights"], _columns(scorers["flights"], complete[:20])),
        "missing": _call(scorers["flights"], _columns(scorers["flights"], gaps[:20])),
        "scripted": _call(scorers["scripted"], {"X": iris[:5]}),
        "no rows": _call(scorers["iris"], {"X": iris[:0]}),
        "many rows": _call(scorers["iris"], {"X": many}),
        **{name: _call(scorers[name], arrays) for name, arrays in _typed().items()},
    }
    rows = iris[::30].tolist()
    records = json.loads(complete[:3].to_json(orient="records"))
    split = json.loads(complete[:3].to_json(orient="split"))
    labels = scorers["scripted"].score(iris[::30])["label"].tolist()
    documents = {
        "rows": _document(scorers["iris"], {"data": rows}),
        "records": _document(scorers["flights"], records),
        "split": _document(scorers["flights"], {"input_data": split}),
        "scripted": Document("scripted", {"rows": rows}, {"labels": labels}),
    }
    metadata = {name: _metadata(scorer) for name, scorer in scorers.items()}
    return Cases(host, port, KEYS, _VERSION, metadata, calls, documents)


def _typed() -> dict[str, Arrays]:
    """Return columns of every datatype, at both ends of what it holds."""
    whole = {
        f"{kind}{bits}": np.array(
            [[np.iinfo(f"{kind}{bits}").min], [0], [np.iinfo(f"{kind}{bits}").max]], f"{kind}{bits}"
        )
        for kind in ("uint", "int")
        for bits in (8, 16, 32, 64)
    }
    real = {
        name: np.array([[np.finfo(name).max], [-0.0], [np.finfo(name).smallest_subnormal]], name)
        for name in ("float32", "float64")
    }
    half = {"float16": np.array([[0.1], [-65504.0], [6e-8]], np.float16)}
    strings = {"text": np.array(_STRINGS, object).reshape(-1, 1)}
    return {"types": {"bool": np.array([[True], [False], [True]]), **whole, **real}, "half": half, "strings": strings}


def _identity(arrays: Arrays) -> Any:
    """Return a model that gives every input as the output `same_...`."""
    kinds = {
        name: TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
        for name, array in arrays.items()
    }
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"same_{name}"]) for name in kinds],
        "identity",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(f"same_{name}", kind, [None, 1]) for name, kind in kinds.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _columns(scorer: Scorer, frame: Any) -> Arrays:
    return {spec.name: frame[spec.name].to_numpy(spec.dtype).reshape(-1, 1) for spec in scorer.signature.inputs}


def _call(scorer: Scorer, inputs: Arrays) -> Call:
    signature, outputs = scorer.signature, scorer.score(dict(inputs))
    return Call(
        scorer.manifest.name,
        [_tensor(spec.name, spec.datatype, inputs[spec.name]) for spec in signature.inputs],
        [_tensor(spec.name, spec.datatype, outputs[spec.name]) for spec in signature.outputs],
    )


def _tensor(name: str, datatype: str, array: NDArray[Any]) -> Tensor:
    data = [None if value != value else value for value in array.ravel().tolist()]  # noqa: PLR0124  NaN
    return Tensor(name, datatype, list(array.shape), data)


def _document(scorer: Scorer, body: Any) -> Document:
    answer = json.loads(msgspec.json.encode(scorer.run(json.dumps(body))))
    return Document(scorer.manifest.name, body, answer)


def _metadata(scorer: Scorer) -> dict[str, Any]:
    signature = scorer.signature
    return {
        "name": scorer.manifest.name,
        "versions": [scorer.manifest.version],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": each.name, "datatype": each.datatype, "shape": [*each.shape]} for each in signature.inputs],
        "outputs": [
            {"name": each.name, "datatype": each.datatype, "shape": [*each.shape]} for each in signature.outputs
        ],
    }
