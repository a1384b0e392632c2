"""Clients of Azure ML work as they are documented when the address is ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from ast import literal_eval
from typing import TYPE_CHECKING

import pytest
import servers
import table_models

from modelport.benchmarks.conformance.clients.azureml_snippets import STUDIO, VERSION_1, filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Server

KEY = "key-1234567890"

ROWS = [[0.5, 1.5], [3, -4]]
SPLIT = {"input_data": {"columns": ["age", "income"], "index": [7, 8], "data": ROWS}}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a classifier that needs a key."""
    package = table_models.classifier(tmp_path_factory.mktemp("packages") / "classifier")
    with servers.serving(package, keys=KEY) as server:
        yield server


def _run(snippet: str, data: object, server: Server, key: str = KEY) -> str:
    """Run a snippet as it is written, with its blanks filled in, and return what it prints."""
    text = filled(snippet, address=f"http://{server.url}/score", key=key, data=data)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_client_of_version_1_works_as_it_is_documented(endpoint: Server) -> None:
    answer = json.loads(_run(VERSION_1, {"data": ROWS}, endpoint))
    assert [row[0] for row in answer["data"]] == ["no", "yes"]


def test_the_client_that_the_studio_shows_works_as_it_is(endpoint: Server) -> None:
    """Its header names a deployment, of which a server that runs by itself has only one."""
    answer = json.loads(literal_eval(_run(STUDIO, SPLIT, endpoint)))["input_data"]
    assert answer["index"] == [7, 8]
    assert answer["columns"][0] == "label"
    assert [row[0] for row in answer["data"]] == ["no", "yes"]


def test_the_client_that_the_studio_shows_says_what_was_wrong(endpoint: Server) -> None:
    printed = _run(STUDIO, SPLIT, endpoint, "another-key")
    assert printed.startswith("The request failed with status code: 401\n")
    assert re.search("(?m)^x-request-id: [0-9a-f]{32}$", printed)
    assert printed.endswith(
        '{"message":"header `Authorization`: expected `Bearer` and a key of this server, got another"}\n'
    )


def test_a_malformed_body_is_the_clients_fault_where_the_graph_answers(endpoint: Server) -> None:
    """Theirs says 500, since to it the script failed."""
    answer = endpoint.ask("/score", b"{", headers={"authorization": f"Bearer {KEY}"})
    assert (answer.status, answer.headers["x-ms-run-function-failed"]) == (400, "False")
    assert answer.json == {"message": "JSON: unexpected end (byte 1)"}
