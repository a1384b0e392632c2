"""Answers the documents that are sent to the package: `init` runs once, before the first of them, `run` for each.

As it stands it answers what the package answers without it. Nothing here is about one server: Azure ML's own
(azureml-inference-server-http) runs it too.
"""

from __future__ import annotations

from typing import Any

from modelport.runtime import Scorer, package_scorer

scorer: Scorer


def init() -> None:
    """Get the package's scorer, verified and open, and whatever else `run` needs: tables, clients, settings."""
    global scorer
    scorer = package_scorer()


def run(data: str) -> Any:
    """Answer the document `data`, the JSON text that was sent, with a value that JSON can hold.

    `answer` parses it, checks it against the signature, scores it and answers in kind. For documents of your own,
    make of them what `scorer.score` takes: records, columns, arrays, data frames. It gives every output as an array:

        outputs = scorer.score(json.loads(data)["customers"])
        return {name: array.tolist() for name, array in outputs.items()}
    """
    return scorer.answer(data)
