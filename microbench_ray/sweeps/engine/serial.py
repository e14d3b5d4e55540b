"""A for-loop: for tests, notebooks and the debugger."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from types import MappingProxyType

from microbench_ray.core.host import free_memory, this_machine
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.shards import Host, Shard


class SerialEngine:
    """Computes one shard after the other, in this process. A shard may take as long as it does."""

    description = "serial, in this process"
    lost: Mapping[str, int] = MappingProxyType({})

    @property
    def machines(self) -> Collection[str]:
        """This one."""
        return {this_machine()}

    def hosts(self) -> Sequence[Host]:
        """This process."""
        return [Host("this machine", 1, free_memory())]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield the shards in their order."""
        for shard in shards:
            yield shard, compute(shard, benchmarks[shard.benchmark])


def compute(shard: Shard, benchmark: Benchmark) -> Result:
    """The shard's tables, or what went wrong. Numerical libraries are held to one thread: more would change bits."""
    try:
        with one_thread():
            return evaluate_shard(shard, benchmark)
    except Exception as error:
        return Failure.of(error)
