"""A deadline that is kept, whatever hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from microbench_ray.sweeps.engine.watchdog import DeadlineExceeded, deadline


def test_what_is_in_time_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline(5.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_python_that_hangs_is_told_where() -> None:
    def endless() -> None:
        while True:
            pass

    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"not done after 0\.2 s") as caught, deadline(0.2):
        endless()
    assert time.monotonic() - started < 5
    assert "endless" in [entry.name for entry in caught.traceback]


def test_outside_of_the_main_thread_nothing_is_raised() -> None:
    ended = []

    def body() -> None:
        with deadline(0.05):
            time.sleep(0.2)
        ended.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert ended == [True]


HANG = """
import sys
from microbench_ray.sweeps.engine import watchdog
watchdog.GRACE_SECONDS = 0.3

def swallows():
    while True:
        try:
            while True:
                pass
        except watchdog.DeadlineExceeded:
            pass

def holds_the_lock():
    sum(range(10**12))  # one call into compiled code, which lets neither signals nor other threads in

with watchdog.deadline(0.3):
    globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize("how", ["swallows", "holds_the_lock"])
def test_what_no_exception_reaches_is_ended(how: str) -> None:
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", HANG, how], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Timeout (0:00:00.6"), ended.stderr
    assert how in ended.stderr, "where it hung is said"
    assert time.monotonic() - started < 40
