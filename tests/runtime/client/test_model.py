"""A model on a server gives what it gives in process, bit for bit, and raises the same errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import servers
import table_models
import tiny_models

from modelport.runtime import load
from modelport.runtime.client import Model, score
from modelport.runtime.errors import InvalidInputError, InvalidSettingError, UnknownNameError
from modelport.runtime.golden import same_bits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

    from modelport.runtime import Scorer

FRAME = pd.DataFrame({"amount": [1.5, np.nan, -2.25], "count": [1, 2, 3], "city": ["Zürich", None, "Bern\0"]})


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.table(tmp_path_factory.mktemp("packages") / "table")


@pytest.fixture(scope="module")
def server(package: Path) -> Iterator[Server]:
    with servers.serving(package) as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    return f"http://{server.url}/v2/models/table"


def same(got: dict[str, np.ndarray], scorer: Scorer, data: object) -> bool:
    wanted = scorer.score(data)
    return list(got) == list(wanted) and all(same_bits(got[name], array) for name, array in wanted.items())


@pytest.mark.parametrize(
    "data",
    [
        FRAME,
        pl.from_pandas(FRAME),
        pa.Table.from_pandas(FRAME),
        FRAME.to_dict("records"),
        {"amount": [1.5], "count": [2], "city": ["Bern"]},
        [],
    ],
    ids=["pandas", "Polars", "Arrow", "records", "columns", "nothing"],
)
def test_whatever_a_scorer_takes_is_scored_to_the_same_values(package: Path, url: str, data: object) -> None:
    assert same(score(url, data), load(package), data)


@pytest.mark.parametrize("version", ["", "/versions/1", "/"])
def test_the_address_may_have_a_version(package: Path, url: str, version: str) -> None:
    assert same(score(url + version, FRAME), load(package), FRAME)


def test_a_large_table_goes_in_several_requests_over_one_connection(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    rows = np.random.default_rng(1).normal(size=(10_001, 4)).astype(np.float32)
    with servers.serving(package) as server:
        with Model(f"http://{server.url}/v2/models/linear", batch_bytes=16 * 1000) as model:
            got = model.score(rows)
        assert server.stop() == 0
        assert server.counts() == (12, 12)  # the metadata, and eleven thousands of rows
    assert got["y"].tobytes() == load(package).score(rows)["y"].tobytes()


def test_the_columns_of_a_matrix_are_found_by_their_names(tmp_path: Path) -> None:
    package = table_models.classifier(tmp_path / "classifier")
    frame = pd.DataFrame({"income": [1.0, 2.0], "age": [30.0, np.nan]})
    with servers.serving(package) as server:
        got = score(f"http://{server.url}/v2/models/classifier", frame)
    assert same(got, load(package), frame)


def test_a_model_without_rows_is_scored_as_it_is(tmp_path: Path) -> None:
    package = tiny_models.state(tmp_path / "state")
    call = {"x": np.array([1, 2, 3], np.float32), "state": np.array(0.5)}
    with servers.serving(package) as server:
        got = score(f"http://{server.url}/v2/models/state", call)
    assert same(got, load(package), call)


def test_what_does_not_fit_is_refused_as_in_process(url: str) -> None:
    message = "^input `count`: expected INT64, got FP64$"
    with pytest.raises(InvalidInputError, match=message):
        score(url, {"amount": [1.5], "count": np.array([1.5]), "city": ["Bern"]})
    with pytest.raises(InvalidInputError, match=r"^input `amount`: expected FP64, got Infinity at \[0, 0\]"):
        score(url, {"amount": [np.inf], "count": [1], "city": ["Bern"]})


def test_a_model_that_is_not_there_is_named(server: Server) -> None:
    with pytest.raises(UnknownNameError, match=r"^model: expected `table`, got `other`$"):
        score(f"http://{server.url}/v2/models/other", FRAME)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://localhost:8080", "url `http://localhost:8080`: expected the address of a model, got another"),
        (
            "http://localhost/v2/models/",
            "url `http://localhost/v2/models/`: expected the address of a model, got another",
        ),
        ("ftp://h/v2/models/m", "url `ftp://h/v2/models/m`: expected http://HOST or https://HOST, got another kind"),
        ("localhost:8080", "url `localhost:8080`: expected http://HOST or https://HOST, got another kind"),
    ],
)
def test_an_address_that_is_none_of_a_model_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}$"):
        Model(url)
