"""The default engine: in this process where that is sooner done than Ray would have started, otherwise Ray on this machine."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Engine, Result
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.engine.ray_start import RayStartError
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.shards import Host, Shard

logger = logging.getLogger(__name__)

RAY_START_SECONDS = 7.0
"""Wall seconds from the start of Ray on this machine to its workers' first results, on two cores."""
RUNNING_RAY_SECONDS = 1.0
"""The same where this process has started Ray already: the imports of a worker."""


@dataclass
class AutoEngine:
    """Computes in this process or by Ray on this machine, whichever is expected to finish first. The tables are the same.

    Where Ray cannot be started, the work is done in this process, with a warning.

    Parameters
    ----------
    by_ray
        The engine for larger jobs.
    in_process
        The engine for smaller ones.
    """

    by_ray: LocalRayEngine
    in_process: SerialEngine
    _chosen: Engine | None = field(default=None, init=False)

    @property
    def description(self) -> str:
        """`auto`; after the choice, the description of the engine chosen last."""
        return "auto" if self._chosen is None else self._chosen.description

    @property
    def machines(self) -> Collection[str]:
        """This machine, once a worker has computed."""
        return {machine for engine in self._used for machine in engine.machines}

    @property
    def lost(self) -> Mapping[str, int]:
        """Numbers of attempts without a result, by kind of error."""
        return sum((Counter(engine.lost) for engine in self._used), Counter())

    @property
    def _used(self) -> Sequence[Engine]:
        return [self.by_ray, *([self.in_process] if self._chosen is self.in_process else [])]

    def hosts(self) -> Sequence[Host]:
        """This machine, with as many workers as Ray would start."""
        return self.by_ray.hosts()

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they finish."""
        self._chosen = self._choose(sum(shard.seconds for shard in shards))
        try:
            yield from self._chosen.run(benchmarks, shards)
        except RayStartError as error:
            logger.warning("%s Computing in this process instead; engine=serial does so at once. (%s)", error.what, error.got)
            self._chosen = self.in_process
            yield from self._chosen.run(benchmarks, shards)

    def _choose(self, seconds: float) -> Engine:
        """The engine that is expected to finish work of so many CPU seconds first."""
        start = RUNNING_RAY_SECONDS if ray_is_running() else RAY_START_SECONDS
        workers = self.by_ray.n_workers
        if seconds <= start + seconds / workers:
            reason = "one worker" if workers == 1 else f"about {seconds:.1f} s of work; Ray takes {start:.0f} s to start"
            logger.info("engine=auto: in this process (%s)", reason)
            return self.in_process
        logger.info("engine=auto: %s (about %.0f CPU seconds of work)", self.by_ray.description, seconds)
        return self.by_ray


def ray_is_running() -> bool:
    """Whether this process has started or joined a Ray, as in a notebook."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
