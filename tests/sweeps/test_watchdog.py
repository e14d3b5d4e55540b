"""The deadline of a shard ends whatever hangs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from microbench_ray.sweeps.engine import watchdog
from microbench_ray.sweeps.engine.watchdog import DeadlineExceeded, deadline
from tests.helpers.processes import run_function


def test_code_that_ends_in_time_is_not_affected() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline(5.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_python_code_that_hangs_raises_where_it_hangs() -> None:
    def endless() -> None:
        while True:
            pass

    with pytest.raises(DeadlineExceeded, match=r"0\.2 s") as caught, deadline(0.2):
        endless()
    assert "endless" in [entry.name for entry in caught.traceback]


def test_outside_the_main_thread_nothing_is_raised() -> None:
    ended = []

    def body() -> None:
        with deadline(0.05):
            time.sleep(0.2)
        ended.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert ended == [True]


def swallows() -> None:
    while True:
        try:
            while True:
                pass
        except DeadlineExceeded:
            pass


def holds_the_lock() -> None:
    sum(range(10**12))  # one call into compiled code: neither signal handlers nor other threads run


def hang(how: Callable[[], None]) -> None:
    watchdog.GRACE_SECONDS = 0.3
    with deadline(0.3):
        how()


@pytest.mark.parametrize("how", [swallows, holds_the_lock])
def test_a_process_that_ignores_the_exception_is_ended(how: Callable[[], None]) -> None:
    ended = run_function(hang, how, seconds=50)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Timeout (0:00:00.6"), ended.stderr
    assert how.__name__ in ended.stderr, "the traceback shows where it hung"
