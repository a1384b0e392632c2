"""The log is text for people and a JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest

from modelport.runtime.server.logs import JsonFormatter

SCRIPT = """
import logging
from modelport.runtime.server import logs
logs.configure({form!r}, "info")
logging.getLogger("a.b").info("said %s", "so")
logging.getLogger("a.b").debug("not said")
"""


def test_a_record_is_one_line_with_its_trace_inside() -> None:
    error = ValueError("first\nsecond")
    trace = (ValueError, error, None)
    record = logging.getLogger("a").makeRecord("a.b", logging.ERROR, "f", 1, "said %d", (1,), trace)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    written = json.loads(line)
    assert (written["level"], written["logger"], written["message"]) == ("error", "a.b", "said 1")
    assert written["process"] == os.getpid()
    assert written["time"].endswith("+00:00")
    assert written["trace"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize("form", ["auto", "json"])
def test_where_no_terminal_is_the_log_is_json(form: str) -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT.format(form=form)], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    assert json.loads(ended.stderr)["message"] == "said so"


def test_text_is_the_message_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(form="text")], capture_output=True, text=True, check=True
    )
    assert ended.stderr == "said so\n"


def test_on_a_terminal_the_log_is_text() -> None:
    leader, follower = os.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT.format(form="auto")], stderr=follower, check=True)
    os.close(follower)
    assert os.read(leader, 100) == b"said so\r\n"
    os.close(leader)
