"""What an engine is: the thing that computes shards, here or elsewhere, in any order."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from microbench_ray.data import Benchmark
from microbench_ray.plan import Shard


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
    """Computes shards. Made cheaply; the work of starting is done by `run`."""

    @property
    def description(self) -> str:
        """For the manifest and the terminal, such as `local Ray, 2 workers`."""
        ...

    @property
    def n_workers(self) -> int:
        """Shards computed at a time."""
        ...

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield every shard once with its tables or its failure, in any order. Closing the iterator stops the work."""
        ...
