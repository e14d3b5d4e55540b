"""Dispatch shards to a pool: a window of submitted shards that follows the pool's size, with deadlines and retries."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from microbench_ray.core.errors import EngineError
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.watchdog import GRACE_SECONDS
from microbench_ray.sweeps.shards import Shard

WINDOW_PER_SLOT = 4
"""Submitted shards per slot: enough that workers never wait for the driver, few enough that the driver stays small."""
MIN_WINDOW = 8
"""Minimum number of submitted shards, even without slots: pending tasks make an autoscaling cluster grow."""
START_SECONDS = 120.0
"""Seconds allowed for the start of a worker and for the detection of a lost node."""
CHECK_SECONDS = 1.0
MAX_NODES_LOST = 20
"""How often a shard may lose its node, which does not count as a retry, before it fails."""

Handle = TypeVar("Handle", bound=Hashable)


@dataclass(frozen=True)
class Lost:
    """An attempt without a result, because its worker or node was lost or it exceeded its deadline."""

    failure: Failure
    with_node: bool = False


class Pool(Protocol[Handle]):
    """A pool of slots; each slot computes one shard at a time."""

    def slots(self) -> int:
        """The current number of slots."""
        ...

    def submit(self, shard: Shard, deadline: float) -> Handle:
        """Start or queue a shard; return a handle to it."""
        ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> Iterable[Handle]:
        """Wait until a handle is done and return all that are; return none after `seconds`. Without handles, just wait."""
        ...

    def result(self, handle: Handle) -> Result | Lost:
        """The result of a handle that is done."""
        ...

    def cancel(self, handle: Handle) -> None:
        """Stop a shard by force."""
        ...


@dataclass(frozen=True)
class Limits:
    """Time limits and retries of shards.

    Attributes
    ----------
    deadline
        Seconds that a shard may take, in addition to `slack` times its planned seconds.
    slack
        Factor on the planned seconds.
    max_retries
        How often a shard is retried after its worker was lost or it exceeded its deadline.
    patience
        Seconds without any slot after which the sweep stops.
    """

    deadline: float = 600.0
    slack: float = 20.0
    max_retries: int = 3
    patience: float = 900.0

    def of(self, shard: Shard) -> float:
        """The deadline of a shard, in seconds."""
        return self.deadline + self.slack * shard.seconds


@dataclass
class Attempts:
    """The attempts at a shard: when the current one was submitted, how many were queued before it, and the lost ones."""

    shard: Shard
    deadline: float
    submitted_at: float = 0.0
    queued_before: int = 0
    lost: list[Lost] = field(default_factory=list)

    def exhausted(self, max_retries: int) -> bool:
        """Whether no attempts are left."""
        nodes_lost = sum(lost.with_node for lost in self.lost)
        return len(self.lost) - nodes_lost > max_retries or nodes_lost > MAX_NODES_LOST

    def failure(self) -> Failure:
        """The last attempt's failure, with the errors of all attempts in its traceback."""
        last = self.lost[-1].failure
        texts = [f"attempt {k}: {lost.failure.error}" for k, lost in enumerate(self.lost, 1)]
        return Failure(error=f"{last.error} ({len(texts)} attempts)", traceback="\n".join([*texts, last.traceback]))


def dispatch(
    pool: Pool[Handle],
    shards: Iterable[Shard],
    limits: Limits,
    lost: Counter[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[tuple[Shard, Result], None, None]:
    """Yield every shard once, with its result or the failure of its last attempt.

    Parameters
    ----------
    pool
        Computes the shards.
    shards
        The shards, in the order of their submission.
    limits
        Time limits and retries.
    lost
        Counts the lost attempts by kind of error.
    clock
        Returns monotonic seconds.

    Raises
    ------
    EngineError
        There was no slot for `limits.patience` seconds, or no worker responded.
    """
    yield from _Dispatcher(pool, limits, Counter() if lost is None else lost, clock).run(shards)


class _Dispatcher(Generic[Handle]):
    def __init__(self, pool: Pool[Handle], limits: Limits, lost: Counter[str], clock: Callable[[], float]) -> None:
        self.pool, self.limits, self.lost, self.clock = pool, limits, lost, clock
        self.submitted: dict[Handle, Attempts] = {}
        self.waiting: deque[Attempts] = deque()
        self.slots = pool.slots()
        self.last_check = self.last_slot = self.last_result = clock()

    def run(self, shards: Iterable[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        self.waiting = deque(Attempts(shard=shard, deadline=self.limits.of(shard)) for shard in shards)
        try:
            while self.waiting or self.submitted:
                self.fill()
                for handle in self.pool.wait(list(self.submitted), CHECK_SECONDS):
                    attempts = self.submitted.pop(handle)
                    result = self.pool.result(handle)
                    self.last_result = self.clock()
                    if not isinstance(result, Lost):
                        yield attempts.shard, result
                    elif (failure := self.retry(attempts, result)) is not None:
                        yield attempts.shard, failure
                if self.clock() - self.last_check >= CHECK_SECONDS:
                    for attempts, lost in self.check():
                        if (failure := self.retry(attempts, lost)) is not None:
                            yield attempts.shard, failure
        finally:
            for handle in self.submitted:
                self.pool.cancel(handle)

    def fill(self) -> None:
        """Submit waiting shards until the window is full."""
        window = max(MIN_WINDOW, WINDOW_PER_SLOT * self.slots)
        while self.waiting and len(self.submitted) < window:
            attempts = self.waiting.popleft()
            attempts.submitted_at, attempts.queued_before = self.clock(), len(self.submitted)
            self.submitted[self.pool.submit(attempts.shard, attempts.deadline)] = attempts

    def retry(self, attempts: Attempts, lost: Lost) -> Failure | None:
        """Count a lost attempt and queue the shard again; return its failure instead if no attempts are left."""
        attempts.lost.append(lost)
        self.lost[lost.failure.error.partition(":")[0]] += 1
        if attempts.exhausted(self.limits.max_retries):
            return attempts.failure()
        self.waiting.append(attempts)
        return None

    def check(self) -> list[tuple[Attempts, Lost]]:
        """Update the pool's size and cancel attempts without a result for too long.

        Workers enforce the deadlines themselves. This catches workers that cannot: stopped, never started, or disconnected. The
        driver does not know when an attempt starts, but the attempts queued before it end by their deadlines too.
        """
        now = self.last_check = self.clock()
        self.slots = self.pool.slots()
        if not self.slots:
            for attempts in self.submitted.values():  # their time starts with the first slot
                attempts.submitted_at, attempts.queued_before = now, 0
            self.last_result = now
            if now - self.last_slot > self.limits.patience:
                raise EngineError(
                    "No node of the cluster can compute a shard.",
                    where="engine.resources",
                    got=f"no free slot for {self.limits.patience:g} s",
                    hint="add nodes or request less in engine.resources, then rerun the command to resume",
                )
            return []
        self.last_slot = now
        longest = GRACE_SECONDS + max((attempts.deadline for attempts in self.submitted.values()), default=0.0)
        if now - self.last_result > 2 * (START_SECONDS + longest) and len(self.submitted) >= self.slots:
            raise EngineError(
                "The workers do not respond.",
                got=f"no result for {now - self.last_result:.0f} s from {self.slots} slots; a shard may take {longest:.0f} s",
                hint="see the workers' logs in Ray's session folder; engine=serial shows whether a shard can be computed at all",
            )
        overdue = [
            (handle, attempts)
            for handle, attempts in self.submitted.items()
            if now - attempts.submitted_at > START_SECONDS + longest * (1 + attempts.queued_before // self.slots)
        ]
        cancelled = []
        for handle, attempts in overdue:
            del self.submitted[handle]
            self.pool.cancel(handle)
            text = f"DeadlineExceeded: no result after {now - attempts.submitted_at:.0f} s; cancelled by force"
            cancelled.append((attempts, Lost(failure=Failure(error=text, traceback=text))))
        return cancelled
