"""An entry script is started once, runs as on Azure ML's own server, and whatever it does is told as its own doing."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import scripted
import tiny_models
from scripted import ECHO, PLAIN, refused

from modelport.runtime import golden, load, package_scorer, scorer
from modelport.runtime.errors import InvalidInputError, InvalidPackageError, ScriptError
from modelport.runtime.package import open_package
from modelport.runtime.scripts import MODEL_DIR, running

if TYPE_CHECKING:
    from collections.abc import Callable


WITNESS = """
import witness
witness.say("loaded")
def init(): witness.say("init")
def run(data): witness.say(data)
"""


def test_a_script_is_loaded_and_started_once_before_its_first_run(
    scripted_package: Callable[..., Path], seen: list[Any]
) -> None:
    opened = load(scripted_package(WITNESS))
    opened.run("first")
    opened.run("second")
    assert opened.start() is opened.start()
    assert seen == ["loaded", "init", "first", "second"]


def test_many_threads_start_a_script_once_and_none_runs_before_it_is(
    scripted_package: Callable[..., Path], seen: list[Any]
) -> None:
    script = """
import time, witness
def init():
    global ready
    time.sleep(0.05)
    witness.say("init")
    ready = True
def run(data): return ready and data
"""
    opened = load(scripted_package(script))
    together = threading.Barrier(8)

    def run(number: int) -> Any:
        together.wait()
        return opened.run(str(number))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(8))) == list("01234567")
    assert seen == ["init"]


def test_opening_scoring_and_checking_a_package_execute_nothing_of_its_script(
    scripted_package: Callable[..., Path], seen: list[Any]
) -> None:
    opened = load(scripted_package(WITNESS))
    opened.score([[1.0, 2.0, 3.0, 4.0]])
    assert golden.check(opened).verdict == "identical"
    assert seen == []
    assert MODEL_DIR not in os.environ


def test_a_package_without_a_script_has_none_to_start(tmp_path: Path) -> None:
    assert load(tiny_models.linear(tmp_path / "package")).start() is None


@pytest.mark.parametrize("text", ["Zürich", "", "no JSON", '{"a": 1}', "\ud800", "\ufeff[]"])
def test_a_script_gets_the_text_as_it_came(scripted_package: Callable[..., Path], text: str) -> None:
    assert load(scripted_package(ECHO)).run(text) == text


def test_bytes_reach_a_script_as_the_text_that_they_are(scripted_package: Callable[..., Path]) -> None:
    opened = load(scripted_package(ECHO))
    assert opened.run("Zürich".encode()) == "Zürich"
    with refused("body: expected UTF-8, got an invalid byte at 1", InvalidInputError):
        opened.run(b"Z\xfcrich")


def test_what_a_script_returns_is_returned_as_it_is(scripted_package: Callable[..., Path]) -> None:
    opened = load(scripted_package(f"{PLAIN}answer = object()\ndef run(data): return answer if data else None"))
    assert type(opened.run("x")) is object
    assert opened.run("x") is opened.run("x")
    assert opened.run("") is None


RAISED: dict[str, tuple[str, str]] = {
    "an error": ("raise ValueError('no such city')", "ValueError: no such city"),
    "an error without a word": ("raise ValueError", "ValueError"),
    "the end of the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "the end without a word": ("import sys; sys.exit()", "SystemExit"),
    "an error of many lines": ("raise ValueError('a\\nb\\ud800\\x1b[0m')", r"ValueError: a\nb\ud800\x1b[0m"),
    "a long error": ("raise ValueError('x' * 1000)", f"ValueError: {'x' * 285}..."),
    "an error that cannot be shown": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
        "Odd",
    ),
    "an error that is shown as no text": ("raise type('Odd', (Exception,), {'__str__': lambda self: 1})", "Odd"),
    "a stop of an iteration": ("raise StopIteration(1)", "StopIteration: 1"),
    "the end of a task": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "a panic of a library in Rust": (
        "raise type('PanicException', (BaseException,), {})('boom')",
        "PanicException: boom",
    ),
}


@pytest.mark.parametrize(("statement", "got"), RAISED.values(), ids=RAISED)
def test_whatever_a_script_raises_is_told_as_its_own_with_the_cause(
    scripted_package: Callable[..., Path], statement: str, got: str
) -> None:
    scripts = {
        f"{ECHO}\n{statement}": "expected it to load",
        f"def init(): {statement}\ndef run(data): pass": "expected `init()` to return",
        f"{PLAIN}def run(data): {statement}": "expected `run()` to return",
    }
    for script, expected in scripts.items():
        with refused(f"script `score.py`: {expected}, got {got}") as caught:
            load(scripted_package(script)).run("")
        assert type(caught.value.__cause__).__name__ == got.partition(":")[0]
        assert running() is None


def test_a_script_with_a_syntax_error_does_not_load(scripted_package: Callable[..., Path]) -> None:
    for script in ("def init(:", b"\xff", b"\0"):
        with pytest.raises(ScriptError, match=r"(?m)^script `score\.py`: expected it to load, got [A-Za-z]+Error: .+$"):
            load(scripted_package(script)).start()


@pytest.mark.parametrize("at", ["loaded", "init", "run"])
def test_an_interrupt_passes_through_and_the_next_call_goes_on(
    scripted_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    script = """
import keyboard
keyboard.press("loaded")
def init(): keyboard.press("init")
def run(data):
    keyboard.press("run")
    return data
"""
    pressed = [at]

    def press(where: str) -> None:
        if pressed == [where]:
            pressed.clear()
            raise KeyboardInterrupt

    keyboard = ModuleType("keyboard")
    vars(keyboard)["press"] = press
    monkeypatch.setitem(sys.modules, "keyboard", keyboard)
    opened = load(scripted_package(script))
    with pytest.raises(KeyboardInterrupt):
        opened.run("x")
    assert running() is None
    assert opened.run("x") == "x"


def test_a_start_that_failed_is_tried_again_from_the_beginning(
    scripted_package: Callable[..., Path], seen: list[Any]
) -> None:
    script = """
import witness
def init():
    if witness.say(__name__) or len(witness.say.__self__) < 3: raise OSError("not yet")
def run(data): return data
"""
    opened = load(scripted_package(script))
    for _ in range(2):
        with refused("script `score.py`: expected `init()` to return, got OSError: not yet"):
            opened.run("x")
    assert opened.run("x") == "x"
    assert len(set(seen)) == 3, "what registers functions by their module's name sees a new one each time"


def test_a_script_that_did_not_load_leaves_no_module_behind(scripted_package: Callable[..., Path]) -> None:
    before = set(sys.modules)
    with refused("script `score.py`: expected it to load, got ZeroDivisionError: division by zero"):
        load(scripted_package("1 / 0")).start()
    assert set(sys.modules) <= before


def test_an_error_of_modelport_passes_through_run(scripted_package: Callable[..., Path]) -> None:
    script = f"""{PLAIN}
from modelport.runtime import package_scorer
def run(data): return package_scorer().score(data)
"""
    with refused("input `x`: expected FP32, got BYTES", InvalidInputError):
        load(scripted_package(script)).run("text")


@pytest.mark.parametrize("error", ["InvalidInputError", "ScoringError", "NotReadyError"])
def test_an_error_of_modelport_while_a_script_starts_is_not_one_of_the_request(
    scripted_package: Callable[..., Path], error: str
) -> None:
    raising = f"from modelport.runtime.errors import {error}; raise {error}('input `x`: expected another')"
    scripts = {
        f"{ECHO}\n{raising}": "expected it to load",
        f"def init(): {raising}\ndef run(data): pass": "expected `init()` to return",
    }
    for script, expected in scripts.items():
        with refused(f"script `score.py`: {expected}, got {error}: input `x`: expected another") as caught:
            load(scripted_package(script)).run("")
        assert type(caught.value.__cause__).__name__ == error


def test_a_traceback_shows_the_scripts_file_and_line(scripted_package: Callable[..., Path]) -> None:
    package = scripted_package(f"{PLAIN}\ndef run(data):\n    return 1 / 0  # here\n")
    with pytest.raises(ScriptError) as caught:
        load(package).run("")
    shown = "".join(traceback.format_exception(caught.value))
    assert f'File "{package / "score.py"}", line 4, in run\n    return 1 / 0  # here\n' in shown


OPEN = """
from modelport.runtime import package_scorer
def init():
    global mine
    mine = package_scorer()
def run(data): return mine, package_scorer()
"""


def test_a_script_gets_the_very_scorer_that_runs_it(
    scripted_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = load(scripted_package(OPEN))
    monkeypatch.setattr(scorer, "load", pytest.fail)
    assert opened.run("") == (opened, opened)


def test_every_thread_gets_the_scorer_of_the_script_that_it_runs(scripted_package: Callable[..., Path]) -> None:
    scorers = [load(scripted_package(f"{OPEN}# {number}")) for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda each: each.run(""), scorers * 50)) == [(each, each) for each in scorers * 50]


def test_a_script_that_runs_another_packages_script_stays_its_own(
    scripted_package: Callable[..., Path], seen: list[Any]
) -> None:
    inner = load(scripted_package(OPEN))
    script = """
import witness
from modelport.runtime import package_scorer
def init(): pass
def run(data): return package_scorer(), witness.inner.run(data), package_scorer()
"""
    vars(sys.modules["witness"])["inner"] = inner
    outer = load(scripted_package(script))
    assert outer.run("") == (outer, (inner, inner), outer)
    assert seen == []


def test_outside_a_script_there_is_no_package() -> None:
    with refused("package: expected an entry script that is run, or `AZUREML_MODEL_DIR`, got neither"):
        package_scorer()


def test_under_another_server_the_package_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tiny_models.linear(tmp_path / "package")
    monkeypatch.setenv(MODEL_DIR, str(package))
    assert package_scorer().digest == open_package(package).digest
    monkeypatch.setenv(MODEL_DIR, str(tmp_path / "none"))
    with pytest.raises(InvalidPackageError):
        package_scorer()


WHERE = """
import os
home = os.environ["AZUREML_MODEL_DIR"]
def init():
    assert os.environ["AZUREML_MODEL_DIR"] == home
def run(data): return home, __file__
"""


def test_the_model_directory_is_the_packages_own(
    scripted_package: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = scripted_package(WHERE)
    assert load(package).run("") == (str(package), str(package / "score.py"))
    monkeypatch.chdir(tmp_path)
    assert load(package.name).run("") == (str(package), str(package / "score.py"))
    (tmp_path / "link").symlink_to(package)
    assert load("link").run("") == (str(package), str(package / "score.py"))


def test_a_package_that_is_no_directory_is_laid_out_in_one_until_its_script_is_gone(
    scripted_package: Callable[..., Path],
) -> None:
    package = scripted_package(WHERE)
    contents = {path.name: path.read_bytes() for path in package.iterdir()}
    opened = load(package)
    shutil.rmtree(package)
    home = Path(opened.run("")[0])
    assert opened.run("") == (str(home), str(home / "score.py"))
    assert {path.name: path.read_bytes() for path in home.iterdir()} == contents
    assert load(home).digest == opened.digest
    del opened
    gc.collect()
    assert not home.exists()


def test_a_package_that_cannot_be_laid_out_is_an_error_of_the_script(
    scripted_package: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = scripted_package(WHERE)
    opened = load(package)
    shutil.rmtree(package)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    message = r"script `score\.py`: expected a directory with its package, got FileNotFoundError: .+"
    with pytest.raises(ScriptError, match=f"(?m)^{message}$"):
        opened.start()


def test_a_script_runs_as_it_was_verified_whatever_lies_there_later(scripted_package: Callable[..., Path]) -> None:
    package = scripted_package(ECHO)
    opened = load(package)
    (package / "score.py").write_text("raise SystemExit")
    assert opened.run("text") == "text"


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_script_may_have_dataclasses_and_pickle_them(scripted_package: Callable[..., Path], future: str) -> None:
    script = f"""{future}
from dataclasses import dataclass, field
from typing import ClassVar
@dataclass
class Point:
    count: ClassVar[int] = 7
    x: int
    y: list[int] = field(default_factory=list)
{PLAIN}
def run(data): return Point(1, [2])
"""
    package = scripted_package(script)
    for opened in (load(package), load(package)):
        point = opened.run("")
        assert pickle.loads(pickle.dumps(point)) == point
        assert (point.x, point.y, point.count) == (1, [2], 7)


def test_a_scripts_annotations_are_evaluated_as_python_does(scripted_package: Callable[..., Path]) -> None:
    """A statement `from __future__` of the module that compiles is not the script's."""
    script = f"{PLAIN}def run(data: int): return run.__annotations__"
    assert load(scripted_package(script)).run("") == {"data": int}


@pytest.mark.parametrize("name", ["score.py", "my-script.v2.py", "src/score.py", "class.py", "numpy.py", "run"])
def test_a_script_may_have_any_name_that_a_file_may(scripted_package: Callable[..., Path], name: str) -> None:
    (package := scripted_package(ECHO)).joinpath("score.py").unlink()
    (package / name).parent.mkdir(exist_ok=True)
    scripted.put(package, f"{PLAIN}def run(data): return __file__, __name__", name)
    file, module = load(package).run("")
    assert file == str(package / name)
    assert module.startswith(f"{Path(name).stem}_")


def test_scripts_of_one_name_do_not_disturb_each_other(scripted_package: Callable[..., Path]) -> None:
    script = """
import sys
count = 0
def init():
    global count
    count = {start}
def run(data):
    global count
    count += 1
    return sys.modules[__name__].count
"""
    one = scripted_package(script.format(start=10))
    scorers = [load(one), load(scripted_package(script.format(start=20))), load(one)]
    assert [scorer.run("") for scorer in scorers] == [11, 21, 11]
    assert [scorer.run("") for scorer in scorers] == [12, 22, 12]


def test_the_module_of_a_script_goes_with_it(scripted_package: Callable[..., Path]) -> None:
    """Or else every reload of a server would leave one behind, with all that it holds."""
    gc.collect()
    before = set(sys.modules)
    opened = load(scripted_package(ECHO))
    opened.run("")
    assert len(set(sys.modules) - before) == 1
    del opened
    gc.collect()
    assert set(sys.modules) == before


def test_the_package_has_one_script_or_none(scripted_package: Callable[..., Path]) -> None:
    package = scripted.put(scripted_package(ECHO), ECHO, "other.py")
    opened = load(package)
    with refused("manifest: expected one file of role `script`, got 2", InvalidPackageError):
        opened.start()
