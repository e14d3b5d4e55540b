"""Ray: the one file that imports it.

Every benchmark is put into the object store once; tasks get references and view the matrices there without a copy. A bounded
window of shards is under way at a time. A lost worker's shard is retried by Ray; a Python exception is not: it becomes a Failure.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microbench_ray.data import Benchmark
from microbench_ray.engine.base import Failure, Result
from microbench_ray.engine.serial import compute
from microbench_ray.errors import ConfigError, EngineError
from microbench_ray.plan import Shard

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would copy the folder and start its workers by another `uv run` there; ours are to be as the driver is.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""What Ray is to know; it reads this when it is imported."""
SHARDS_PER_CPU = 4
OBJECT_STORE_SLACK = 256 * 2**20


@dataclass(frozen=True)
class LocalRayEngine:
    """Starts Ray on this machine, for as long as the shards take; one that this process has started already is used as it is.

    Parameters
    ----------
    workers
        Shards computed at a time; None for one per core.
    max_retries
        How often a shard is tried again after its worker was lost.
    """

    workers: int | None = None
    max_retries: int = 3

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError("engine.workers must be at least 1.", got=str(self.workers), mend="leave it null for one per core")
        if self.max_retries < 0:  # which Ray takes for ever
            raise ConfigError("engine.max_retries must be at least 0.", got=str(self.max_retries), mend="engine.max_retries=3")

    @property
    def n_workers(self) -> int:
        """Workers that will be started."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def description(self) -> str:
        """Names the engine and its workers."""
        return f"local Ray, {self.n_workers} worker{'s' if self.n_workers > 1 else ''}"

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they are done."""
        ray = import_ray()
        running = ray.is_initialized()  # in a notebook or a test session
        if not running:
            self._start(ray, sum(benchmark.nbytes for benchmark in benchmarks.values()))
        try:
            task = ray.remote(num_cpus=1, max_retries=self.max_retries)(compute)
            references = {name: ray.put(benchmark) for name, benchmark in benchmarks.items()}
            yield from windowed(ray, task, references, shards, SHARDS_PER_CPU * self.n_workers)
        finally:
            if not running:
                ray.shutdown()

    def _start(self, ray: Any, input_bytes: int) -> None:
        try:
            ray.init(
                address="local",
                num_cpus=self.n_workers,
                object_store_memory=2 * input_bytes + OBJECT_STORE_SLACK,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            raise EngineError(
                "Ray did not start on this machine.",
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                mend="engine=serial computes without Ray; `ray stop` may help where an old one is in the way",
            ) from error


def import_ray() -> Any:
    """Ray, imported when it is needed: that is slow."""
    if "ray" not in sys.modules:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    import ray

    return ray


def windowed(
    ray: Any, task: Any, references: Mapping[str, Any], shards: Sequence[Shard], window: int
) -> Generator[tuple[Shard, Result], None, None]:
    """Keep at most `window` shards under way, and yield each as it is done."""
    waiting = iter(shards)
    under_way: dict[Any, Shard] = {}
    while True:
        while len(under_way) < window and (shard := next(waiting, None)) is not None:
            under_way[task.remote(shard, references[shard.benchmark])] = shard
        if not under_way:
            return
        done, _ = ray.wait(list(under_way), num_returns=1)
        for reference in done:
            shard = under_way.pop(reference)
            try:
                result: Result = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = Failure.of(error)
            yield shard, result
