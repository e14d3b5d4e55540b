"""A time limit for calls that have none of their own, or only one between two bytes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def within(seconds: float, call: Callable[[], Value]) -> Value:
    """The value of a call; TimeoutError if it takes more than `seconds`.

    The call goes on in a thread that does not keep the process alive.
    """
    outcome: queue.Queue[tuple[Value | None, BaseException | None]] = queue.Queue(1)

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # raised again in the caller's thread
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
