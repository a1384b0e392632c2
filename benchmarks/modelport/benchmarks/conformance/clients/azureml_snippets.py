"""Azure ML's clients as they are documented: `requests` for version 1, `urllib` in the studio; first as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from ast import literal_eval
from typing import TYPE_CHECKING, Any, Final

import requests

from modelport.benchmarks.conformance import azureml
from modelport.benchmarks.conformance.asking import Reply
from modelport.benchmarks.conformance.cases import Cases, read_cases
from modelport.benchmarks.conformance.checks import report, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelport.benchmarks.conformance.asking import Ask

_SECONDS: Final = 60
#: https://learn.microsoft.com/azure/machine-learning/v1/how-to-consume-web-service (Python)
VERSION_1: Final = """
import requests
import json

scoring_uri = '<your web service URI>'
key = '<your key or token>'

data = <your data>
input_data = json.dumps(data)

headers = {'Content-Type': 'application/json'}
headers['Authorization'] = f'Bearer {key}'

resp = requests.post(scoring_uri, input_data, headers=headers)
print(resp.text)
"""
#: What the studio shows under "Consume" of an endpoint (Python), without its comments.
STUDIO: Final = """
import urllib.request
import json
import os
import ssl

def allowSelfSignedHttps(allowed):
    if allowed and not os.environ.get('PYTHONHTTPSVERIFY', '') and getattr(ssl, '_create_unverified_context', None):
        ssl._create_default_https_context = ssl._create_unverified_context

allowSelfSignedHttps(True)

data = <your data>

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


def filled(snippet: str, *, address: str, key: str, data: Any, deployment: str = "blue") -> str:
    """Return a snippet with its blanks filled in, as its reader is told to."""
    blanks = {
        "<your web service URI>": address,
        "<your key or token>": key,
        "blue": deployment,
        "<your data>": repr(data),
    }
    for blank, value in blanks.items():
        snippet = snippet.replace(blank, value)
    return snippet


def _as_it_stands(snippet: str, path: str, document: str, read: Callable[[str], Any]) -> Callable[[Ask, Cases], None]:
    """Return the operation that fills address, key and data into a snippet and runs it."""

    def operation(_ask: Ask, cases: Cases) -> None:
        asked = cases.documents[document]
        address = f"{cases.url}{path}"
        text = filled(snippet, address=address, key=cases.keys[0], data=asked.body, deployment=asked.model)
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)  # noqa: S603
        same("answer", json.loads(read(done.stdout)), asked.answer)

    return operation


def with_requests(url: str) -> Ask:
    """Return what asks by `requests`, over connections that stay open."""
    session = requests.Session()

    def ask(method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        response = session.request(method, f"{url}{path}", data=body, headers=headers, timeout=_SECONDS)
        return Reply(response.status_code, _lower(response.headers.items()), response.content)

    return ask


def with_urllib(url: str) -> Ask:
    """Return what asks by the standard library."""

    def ask(method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        request = urllib.request.Request(f"{url}{path}", body, dict(headers or {}), method=method)  # noqa: S310  ours
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310  ours
                return Reply(response.status, _lower(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, _lower(error.headers.items()), error.read())

    return ask


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


_WHOLE: Final = {
    "requests": _as_it_stands(VERSION_1, "/models/iris/score", "rows", str),
    "urllib": _as_it_stands(STUDIO, "/score", "split", literal_eval),
}


def main(cases: Cases) -> None:
    """Run the contract with either library."""
    for name, ask in (("requests", with_requests(cases.url)), ("urllib", with_urllib(cases.url))):
        whole = {"the documented client as it stands": _WHOLE[name]}
        report(azureml.run(f"Azure {name}", ask, cases, whole))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
