"""The protocol of engines, which compute shards locally or elsewhere, in any order."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from microbench_ray.data import Benchmark
from microbench_ray.sweeps.shards import Host, Shard


@dataclass(frozen=True)
class Failure:
    """Why a shard could not be computed: the error in one line, and its traceback."""

    error: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure of a shard that raised `error`."""
        text = f"{type(error).__name__}: {error}".strip()
        return cls(error=text, traceback="".join(traceback.format_exception(error)))


Result = Mapping[str, pa.Table] | Failure


class Engine(Protocol):
    """Computes shards. Creating an engine is cheap; `hosts` and `run` start or reach what computes."""

    @property
    def description(self) -> str:
        """A short description for the manifest and the terminal, such as `local Ray, 2 workers`."""
        ...

    @property
    def machines(self) -> Collection[str]:
        """The kinds of machines that have computed so far, see `microbench_ray.core.host`; they may differ in last bits."""
        ...

    @property
    def lost(self) -> Mapping[str, int]:
        """Numbers of attempts without a result, because a worker or node was lost or too slow, by kind of error."""
        ...

    def hosts(self) -> Sequence[Host]:
        """The machines that compute and their free memory; EngineError if they cannot be reached."""
        ...

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield every shard once with its tables or its failure, in any order. Closing the iterator stops the work.

        Raises
        ------
        EngineError
            The engine could not be started, or no worker responds.
        """
        ...
