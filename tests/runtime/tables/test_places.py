"""An output is complete or absent, whatever happens while it is written."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from modelport.runtime.errors import InvalidInputError, OutputError
from modelport.runtime.tables import open_input, open_output

if TYPE_CHECKING:
    from pathlib import Path


def write_half(target: Path, error: BaseException) -> None:
    """Start to write a file and fail with `error`."""
    with open_output(str(target)) as file:
        file.write(b"half")
        raise error


class StandardStream:
    """A standard stream as programs are given: text over bytes."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)


def test_a_file_stands_there_when_it_is_complete_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    with open_output(str(target)) as file:
        file.write(b"[]")
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"[]"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_stood_there_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("before")
    with pytest.raises(ZeroDivisionError):
        write_half(target, ZeroDivisionError())
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
    with open_output(str(target)) as file:
        file.write(b"after")
    assert target.read_text() == "after"


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "out.json", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    message = f"output `{target}`: expected to be written, got No space left on device"
    with pytest.raises(OutputError, match=f"(?m)^{re.escape(message)}$"):
        write_half(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "got"), [("missing/out.json", "No such file or directory"), ("folder", "a directory there")]
)
def test_a_place_that_cannot_be_written_is_said_first(tmp_path: Path, name: str, got: str) -> None:
    (tmp_path / "folder").mkdir()
    message = f"output `{tmp_path / name}`: expected to be written, got {got}"
    with pytest.raises(OutputError, match=f"(?m)^{re.escape(message)}$"), open_output(str(tmp_path / name)):
        pytest.fail("opened")


def test_the_umask_says_who_may_read_an_output(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with open_output(str(tmp_path / "out.csv")):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640


def test_an_output_goes_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("real.csv")
    with open_output(str(tmp_path / "link.csv")) as file:
        file.write(b"a")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"a"


@pytest.mark.parametrize("seekable", [False, True])
def test_a_pipe_is_written_not_replaced(tmp_path: Path, seekable: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with open_output(str(pipe), seekable=seekable) as file:
        assert file.seekable() == seekable
        file.write(b"rows")
    reader.join()
    assert got == [b"rows"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("seekable", [False, True])
def test_standard_output_is_a_place(monkeypatch: pytest.MonkeyPatch, seekable: bool) -> None:
    stream = StandardStream()
    monkeypatch.setattr(sys, "stdout", stream)
    with open_output("-", seekable=seekable) as file:
        file.write(b"rows")
    assert stream.buffer.getvalue() == b"rows"


@pytest.mark.parametrize("seekable", [False, True])
def test_standard_input_is_a_place(monkeypatch: pytest.MonkeyPatch, seekable: bool) -> None:
    monkeypatch.setattr(sys, "stdin", StandardStream(b"rows"))
    with open_input("-", seekable=seekable) as source:
        assert source.fraction() is None
        assert source.file.read() == b"rows"


def test_standard_input_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.RawIOBase):
        def readinto(self, _: object) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def readable(self) -> bool:
            return True

    stream = StandardStream()
    stream.buffer = Broken()  # type: ignore[assignment]
    monkeypatch.setattr(sys, "stdin", stream)
    message = "standard input: expected to be read whole, got Input/output error"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"), open_input("-", seekable=True):
        pytest.fail("opened")


def test_a_closed_pipe_is_no_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError):
        write_half(tmp_path / "out.json", BrokenPipeError())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.csv", "expected a file, got nothing there"),
        (".", "expected a readable file, got Is a directory"),
    ],
)
def test_an_input_that_cannot_be_opened_is_named(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    message = f"(?m)^input `{re.escape(str(path))}`: {message}$"
    with pytest.raises(InvalidInputError, match=message), open_input(str(path)):
        pytest.fail("opened")


def test_how_far_a_file_was_read_is_known(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(bytes(100_000))
    with open_input(str(path)) as source:
        assert source.fraction() == 0.0
        os.read(source.file.fileno(), 50_000)
        assert source.fraction() == 0.5
        os.read(source.file.fileno(), 50_000)
        assert source.fraction() == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="a file that cannot be read at its beginning is Linux's")
def test_what_cannot_be_read_is_the_inputs_fault_also_while_something_is_written(tmp_path: Path) -> None:
    message = r"^input `/proc/self/mem`: expected a readable file, got Input/output error$"
    with (
        pytest.raises(InvalidInputError, match=message),
        open_output(str(tmp_path / "out")),
        open_input("/proc/self/mem") as source,
    ):
        source.file.read(1)
    assert list(tmp_path.iterdir()) == []


def test_standard_streams_that_are_closed_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InvalidInputError, match=r"^standard input: expected rows, got it closed$"), open_input("-"):
        pass
    with (
        pytest.raises(OutputError, match=r"^standard output: expected to be written, got it closed$"),
        open_output("-"),
    ):
        pass
