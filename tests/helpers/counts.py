"""The counts that the nightly set prints: what each test has done, in a line at the end of the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

PROPERTY = "counted"


class Counted(Protocol):
    """Adds a line of counts about the test; see the fixture `counted`."""

    def __call__(self, **counts: int) -> None:
        """Counts by what was counted, such as `kills=200, differences=0`."""
        ...


def line(counts: dict[str, int]) -> str:
    """Counts as text: `200 kills, 0 differences`."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def lines(properties: Iterable[tuple[str, Iterable[tuple[str, object]]]]) -> list[str]:
    """The lines of a run from each test's id and user properties, which pytest-xdist hands on from its workers."""
    return [f"{test}: {text}" for test, about in properties for name, text in about if name == PROPERTY]
