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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Server

KEY = "key-1234567890"

# https://learn.microsoft.com/azure/machine-learning/v1/how-to-consume-web-service (Python)
V1_CLIENT = """
import requests
import json

scoring_uri = '<your web service URI>'
key = '<your key or token>'

data = {"data": [[0.5, 1.5], [3, -4]]}
input_data = json.dumps(data)

headers = {'Content-Type': 'application/json'}
headers['Authorization'] = f'Bearer {key}'

resp = requests.post(scoring_uri, input_data, headers=headers)
print(resp.text)
"""

# What the studio shows under "Consume" of an endpoint (Python), without its comments.
CONSUME_CLIENT = """
import urllib.request
import json
import os
import ssl

def allowSelfSignedHttps(allowed):
    if allowed and not os.environ.get('PYTHONHTTPSVERIFY', '') and getattr(ssl, '_create_unverified_context', None):
        ssl._create_default_https_context = ssl._create_unverified_context

allowSelfSignedHttps(True)

data = {"input_data": {"columns": ["age", "income"], "index": [7, 8], "data": [[0.5, 1.5], [3, -4]]}}

body = str.encode(json.dumps(data))

url = '<your web service URI>'
api_key = '<your key or token>'
if not api_key:
    raise Exception("A key should be provided to invoke the endpoint")

headers = {'Content-Type':'application/json', 'Authorization':('Bearer '+ api_key), 'azureml-model-deployment': 'blue' }

req = urllib.request.Request(url, body, headers)

try:
    response = urllib.request.urlopen(req)

    result = response.read()
    print(result)
except urllib.error.HTTPError as error:
    print("The request failed with status code: " + str(error.code))

    print(error.info())
    print(error.read().decode("utf8", 'ignore'))
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a classifier that needs a key."""
    package = table_models.classifier(tmp_path_factory.mktemp("packages") / "classifier")
    with servers.serving(package, keys=KEY) as server:
        yield server


def _run(client: str, server: Server, key: str = KEY) -> str:
    """Run a client as it is written, with address and key filled in, and return what it prints."""
    text = client.replace("<your web service URI>", f"http://{server.url}/score").replace("<your key or token>", key)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_client_of_version_1_works_as_it_is_documented(endpoint: Server) -> None:
    answer = json.loads(_run(V1_CLIENT, endpoint))
    assert [row[0] for row in answer["data"]] == ["no", "yes"]


def test_the_client_that_the_studio_shows_works_as_it_is(endpoint: Server) -> None:
    """Its header names a deployment, of which a server that runs by itself has only one."""
    answer = json.loads(literal_eval(_run(CONSUME_CLIENT, endpoint)))["input_data"]
    assert answer["index"] == [7, 8]
    assert answer["columns"][0] == "label"
    assert [row[0] for row in answer["data"]] == ["no", "yes"]


def test_the_client_that_the_studio_shows_says_what_was_wrong(endpoint: Server) -> None:
    printed = _run(CONSUME_CLIENT, endpoint, "another-key")
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
