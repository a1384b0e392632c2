"""The bar says how far the work went, at most ten times a second, and leaves no trace."""

from __future__ import annotations

import io

from modelport.runtime.cli.progress import Progress

ERASE = "\r\033[K"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_shows_part_rows_and_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream, visible=True, clock=clock) as bar:
        clock.now += 2
        bar.update(0.5, 3000)
        assert stream.getvalue() == f"{ERASE}[{'#' * 15}{' ' * 15}]  50%  3,000 rows, 1,500 a second"
    assert stream.getvalue().endswith(f"second{ERASE}")


def test_a_bar_is_not_drawn_more_often_than_people_read() -> None:
    stream, clock = io.StringIO(), Clock()
    bar = Progress(stream, visible=True, clock=clock)
    for _ in range(100):
        bar.update(None, 1)
    assert stream.getvalue() == f"{ERASE}1 rows, 10 a second"
    clock.now += 0.2
    bar.update(None, 2)
    assert stream.getvalue().count(ERASE) == 2


def test_a_line_stands_above_the_bar() -> None:
    stream = io.StringIO()
    Progress(stream, visible=True).say("skipped row 3")
    assert stream.getvalue() == f"{ERASE}skipped row 3\n"


def test_without_a_terminal_there_are_lines_only() -> None:
    stream = io.StringIO()
    with Progress(stream, visible=False) as bar:
        bar.update(0.5, 10)
        bar.say("skipped row 3")
    assert stream.getvalue() == "skipped row 3\n"
