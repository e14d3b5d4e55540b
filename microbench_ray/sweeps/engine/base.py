"""What an engine is: the thing that computes shards, here or elsewhere, in any order."""

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
    """A shard that could not be computed."""

    error: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What was raised, and where."""
        text = f"{type(error).__name__}: {error}".strip()
        return cls(text, "".join(traceback.format_exception(error)))


Result = Mapping[str, pa.Table] | Failure


class Engine(Protocol):
    """Computes shards. Made cheaply; the work of starting is done by `hosts` and `run`."""

    @property
    def description(self) -> str:
        """For the manifest and the terminal, such as `local Ray, 2 workers`."""
        ...

    @property
    def machines(self) -> Collection[str]:
        """What has computed so far: see `microbench_ray.core.host`. More than one may mean more than one set of last bits."""
        ...

    @property
    def lost(self) -> Mapping[str, int]:
        """Attempts that brought nothing, since a worker or a node was lost or too slow, by the kind of error."""
        ...

    def hosts(self) -> Sequence[Host]:
        """The machines that compute, with the memory that is free there. EngineError where they cannot be reached."""
        ...

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield every shard once with its tables or its failure, in any order. Closing the iterator stops the work.

        Raises
        ------
        EngineError
            The engine could not be started, or no worker answers.
        """
        ...
