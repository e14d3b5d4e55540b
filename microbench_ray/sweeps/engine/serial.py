"""The serial engine: a for-loop in this process."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from microbench_ray.core.host import describe_host, free_memory
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.dispatch import Limits
from microbench_ray.sweeps.engine.watchdog import DeadlineExceeded, deadline
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.shards import Host, Shard


@dataclass(frozen=True)
class SerialEngine:
    """Computes one shard after another in this process.

    Parameters
    ----------
    limits
        Where given, a shard that exceeds its deadline fails as soon as it returns to Python. It is not retried.
    """

    limits: Limits | None = None
    description: ClassVar[str] = "serial, in this process"
    lost: ClassVar[Mapping[str, int]] = MappingProxyType({})

    @property
    def machines(self) -> Collection[str]:
        """This machine."""
        return {describe_host()}

    def hosts(self) -> Sequence[Host]:
        """This process."""
        return [Host("this machine", 1, free_memory())]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield the shards in the given order."""
        for shard in shards:
            yield shard, self._compute(shard, benchmarks[shard.benchmark])

    def _compute(self, shard: Shard, benchmark: Benchmark) -> Result:
        if self.limits is None:
            return compute(shard, benchmark)
        try:
            with deadline(self.limits.of(shard), end_process=False):
                return compute(shard, benchmark)
        except DeadlineExceeded as error:
            return Failure.of(error)


def compute(shard: Shard, benchmark: Benchmark) -> Result:
    """The tables of a shard, or its failure. Numerical libraries use one thread, because more would change last bits."""
    try:
        with one_thread():
            return evaluate_shard(shard, benchmark)
    except Exception as error:
        return Failure.of(error)
