"""A line now and then for a log, a bar for a person."""

from __future__ import annotations

import io

import pytest

from microbench_ray.core.progress import WorkProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(clock: Clock) -> None:
    stream = io.StringIO()
    with WorkProgress(1000, stream, clock=clock) as progress:
        for _ in range(5):
            clock.now += 4
            progress.advance(100)
        assert stream.getvalue() == "300/1,000 cells, 25 cells/s, 28 s left\n"
        clock.now += 4
        progress.advance(500)
        assert stream.getvalue().splitlines()[1:] == ["1,000/1,000 cells, 42 cells/s"]
    assert stream.getvalue().count("1,000/1,000") == 1, "the end is told once"


def test_failed_cells_are_counted(clock: Clock) -> None:
    stream = io.StringIO()
    with WorkProgress(20, stream, clock=clock) as progress:
        clock.now += 1
        progress.advance(10)
        progress.advance(10, failed=True)
    assert stream.getvalue() == "20/20 cells, 20 cells/s, 10 failed\n"
    assert (progress.done, progress.failed) == (20, 10)


def test_a_sweep_that_stops_early_says_how_far_it_came(clock: Clock) -> None:
    stream = io.StringIO()
    progress = WorkProgress(20, stream, clock=clock).__enter__()
    clock.now += 2
    progress.advance(10)
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert stream.getvalue() == "10/20 cells, 5 cells/s, 2 s left\n"


def test_nothing_done_yet_has_no_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    with WorkProgress(20, stream, clock=clock):
        clock.now += 2
    assert stream.getvalue() == "0/20 cells, 0 cells/s\n"


def test_a_terminal_gets_a_bar_with_rate_and_failures(clock: Clock) -> None:
    stream = Terminal()
    with WorkProgress(20, stream, clock=clock) as progress:
        clock.now += 1
        progress.advance(5)
        progress.advance(5, failed=True)
        progress.advance(10)
    shown = stream.getvalue()
    assert "20/20" in shown
    assert "100%" in shown
    assert "20 cells/s, 5 failed" in shown
    assert shown.count("\n") < 5


def test_no_work_shows_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    with WorkProgress(0, stream, clock=clock):
        pass
    assert stream.getvalue() == ""


def test_less_than_one_is_not_worth_a_line(clock: Clock) -> None:
    stream = io.StringIO()
    with WorkProgress(0.02, stream, clock=clock, unit="MB") as progress:
        clock.now += 1
        progress.advance(0.02)
    assert stream.getvalue() == ""
