"""The serial engine: a for-loop, for tests, notebooks and debugging."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from types import MappingProxyType

from microbench_ray.core.host import describe_host, free_memory
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.shards import Host, Shard


class SerialEngine:
    """Computes one shard after another in this process, without a time limit."""

    description = "serial, in this process"
    lost: Mapping[str, int] = MappingProxyType({})

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
            yield shard, compute(shard, benchmarks[shard.benchmark])


def compute(shard: Shard, benchmark: Benchmark) -> Result:
    """The tables of a shard, or its failure. Numerical libraries use one thread, because more would change last bits."""
    try:
        with one_thread():
            return evaluate_shard(shard, benchmark)
    except Exception as error:
        return Failure.of(error)
