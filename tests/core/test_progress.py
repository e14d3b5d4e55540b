"""Progress is shown as a line every ten seconds in a log, and as a bar in a terminal."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from microbench_ray.core.progress import WorkProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def file_console() -> Console:
    return Console(file=io.StringIO(), width=200)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(clock: Clock) -> None:
    console = file_console()
    with WorkProgress(1000, visible=True, console=console, clock=clock) as progress:
        for _ in range(5):
            clock.now += 4
            progress.advance(100)
        assert lines(console) == ["300/1,000 cells, 25 cells/s, 28 s left"]
        clock.now += 4
        progress.advance(500)
        assert lines(console)[1:] == ["1,000/1,000 cells, 42 cells/s"]
    assert len(lines(console)) == 2, "the last line is not repeated"


def test_a_slow_sweep_has_a_rate_and_a_time_that_can_be_read(clock: Clock) -> None:
    console = file_console()
    with WorkProgress(1000, visible=True, console=console, clock=clock) as progress:
        clock.now += 100
        progress.advance(10)
        clock.now += 100_000
        progress.advance(10)
    shown = lines(console)
    assert "0.10 cells/s" in shown[0]
    assert "165 min" in shown[0]  # 990 cells at 0.1 a second are 9,900 s
    assert "1,362 h" in shown[1]  # 980 cells at 20 in 100,100 s


def test_the_first_few_cells_of_a_sweep_do_not_tell_how_long_it_takes(clock: Clock) -> None:
    console = file_console()
    with WorkProgress(1000, visible=True, console=console, clock=clock) as progress:
        for _ in range(2):
            clock.now += 10
            progress.advance(3)
        clock.now += 10
        progress.advance(594)
    assert lines(console) == [
        "3/1,000 cells, 0.30 cells/s",
        "6/1,000 cells, 0.30 cells/s",
        "600/1,000 cells, 20 cells/s, 20 s left",
    ]


def test_failed_cells_are_counted(clock: Clock) -> None:
    console = file_console()
    with WorkProgress(20, visible=True, console=console, clock=clock) as progress:
        clock.now += 1
        progress.advance(10)
        progress.advance(10, failed=True)
    assert lines(console) == ["20/20 cells, 20 cells/s, 10 failed"]
    assert (progress.done, progress.failed) == (20, 10)


def test_an_interrupted_loop_shows_how_far_it_came(clock: Clock) -> None:
    console = file_console()
    progress = WorkProgress(20, visible=True, console=console, clock=clock).__enter__()
    clock.now += 2
    progress.advance(10)
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert lines(console) == ["10/20 cells, 5 cells/s, 2 s left"]


def test_no_time_left_is_shown_before_anything_is_done(clock: Clock) -> None:
    console = file_console()
    with WorkProgress(20, visible=True, console=console, clock=clock):
        clock.now += 2
    assert lines(console) == ["0/20 cells, 0 cells/s"]


def test_a_terminal_gets_a_bar_with_rate_and_failures(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    with WorkProgress(20, visible=True, console=console, clock=clock) as progress:
        clock.now += 1
        progress.advance(5)
        progress.advance(5, failed=True)
        progress.advance(10)
    shown = "\n".join(lines(console))
    for fact in ("20/20", "100%", "20 cells/s, 5 failed"):
        assert fact in shown
    assert len(lines(console)) < 6


@pytest.mark.parametrize("total", [0, 0.02])
def test_less_than_one_unit_of_work_shows_no_line(total: float, clock: Clock) -> None:
    console = file_console()
    with WorkProgress(total, visible=True, console=console, clock=clock, unit="MB") as progress:
        clock.now += 1
        progress.advance(total)
    assert lines(console) == []


@pytest.mark.parametrize("force_terminal", [False, True])
def test_invisible_progress_shows_nothing_but_counts(force_terminal: bool, clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=force_terminal)
    with WorkProgress(20, visible=False, console=console, clock=clock) as progress:
        clock.now += 60
        progress.advance(20)
    assert lines(console) == []
    assert progress.done == 20


@pytest.mark.parametrize(("level", "shows"), [(logging.INFO, True), (logging.WARNING, False)])
def test_progress_is_shown_by_default_if_info_messages_are(
    level: int, shows: bool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, logger="microbench_ray")
    console = file_console()
    with WorkProgress(20, console=console, clock=clock) as progress:
        clock.now += 1
        progress.advance(20)
    assert bool(lines(console)) == shows
