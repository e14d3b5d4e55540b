"""Which shards are under way: a window of them that follows the pool's size, each with a deadline and so many attempts."""

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
"""Shards under way per slot: enough that a worker never waits for the driver, and few enough that the driver stays small."""
MIN_WINDOW = 8
"""Under way even where no slot is there yet: what waits is what makes a cluster grow."""
START_SECONDS = 120.0
"""A worker's start, and the time in which a lost node is noticed."""
CHECK_SECONDS = 1.0
MAX_NODES_LOST = 20
"""How often a shard may lose its node, which is not its fault, before it counts as failed."""

Handle = TypeVar("Handle", bound=Hashable)


@dataclass(frozen=True)
class Lost:
    """An attempt that brought nothing: its worker or its node is gone, or it took too long."""

    failure: Failure
    with_node: bool = False


class Pool(Protocol[Handle]):
    """What computes; a slot computes one shard at a time."""

    def slots(self) -> int:
        """Slots that are there now."""
        ...

    def submit(self, shard: Shard, deadline: float) -> Handle:
        """Start a shard, or queue it."""
        ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> Iterable[Handle]:
        """Those that are done, as soon as there is one; none after so many seconds. Without handles it just waits."""
        ...

    def result(self, handle: Handle) -> Result | Lost:
        """Of one that is done."""
        ...

    def cancel(self, handle: Handle) -> None:
        """Stop one, by force."""
        ...


@dataclass(frozen=True)
class Limits:
    """How long and how often.

    Attributes
    ----------
    deadline
        Seconds that a shard may take, beside those in `slack`.
    slack
        Times the seconds that the plan expects of it.
    max_retries
        How often a shard is tried again after its worker was lost or its deadline was over.
    patience
        Seconds without any slot after which there is no point in waiting.
    """

    deadline: float = 600.0
    slack: float = 20.0
    max_retries: int = 3
    patience: float = 900.0

    def of(self, shard: Shard) -> float:
        """The shard's own deadline, in seconds."""
        return self.deadline + self.slack * shard.seconds


@dataclass
class Attempts:
    """A shard's attempts so far, and where the current one stands."""

    shard: Shard
    deadline: float
    since: float = 0.0
    ahead: int = 0
    lost: list[Lost] = field(default_factory=list)

    def exhausted(self, max_retries: int) -> bool:
        """Whether there is to be no other."""
        with_node = sum(lost.with_node for lost in self.lost)
        return len(self.lost) - with_node > max_retries or with_node > MAX_NODES_LOST

    def failure(self) -> Failure:
        """What became of each."""
        last = self.lost[-1].failure
        texts = [f"attempt {k}: {lost.failure.error}" for k, lost in enumerate(self.lost, 1)]
        return Failure(f"{last.error} ({len(texts)} attempts)", "\n".join([*texts, last.traceback]))


def dispatch(
    pool: Pool[Handle],
    shards: Iterable[Shard],
    limits: Limits,
    lost: Counter[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[tuple[Shard, Result], None, None]:
    """Yield every shard once, with its result or the failure of its last attempt; `lost` counts what each lost attempt died of.

    Raises
    ------
    EngineError
        There was no slot for `limits.patience`, or no worker answered at all.
    """
    yield from _Dispatch(pool, limits, Counter() if lost is None else lost, clock).run(shards)


class _Dispatch(Generic[Handle]):
    def __init__(self, pool: Pool[Handle], limits: Limits, lost: Counter[str], clock: Callable[[], float]) -> None:
        self.pool, self.limits, self.lost, self.clock = pool, limits, lost, clock
        self.under_way: dict[Handle, Attempts] = {}
        self.waiting: deque[Attempts] = deque()
        self.slots = pool.slots()
        self.last_check = self.last_slot = self.last_answer = clock()

    def run(self, shards: Iterable[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        self.waiting = deque(Attempts(shard, self.limits.of(shard)) for shard in shards)
        try:
            while self.waiting or self.under_way:
                self.fill()
                for handle in self.pool.wait(list(self.under_way), CHECK_SECONDS):
                    attempts = self.under_way.pop(handle)
                    result = self.pool.result(handle)
                    self.last_answer = self.clock()
                    if not isinstance(result, Lost):
                        yield attempts.shard, result
                    elif (failure := self.after(attempts, result)) is not None:
                        yield attempts.shard, failure
                if self.clock() - self.last_check >= CHECK_SECONDS:
                    for attempts, lost in self.check():
                        if (failure := self.after(attempts, lost)) is not None:
                            yield attempts.shard, failure
        finally:
            for handle in self.under_way:
                self.pool.cancel(handle)

    def fill(self) -> None:
        """Submit what there is room for."""
        window = max(MIN_WINDOW, WINDOW_PER_SLOT * self.slots)
        while self.waiting and len(self.under_way) < window:
            attempts = self.waiting.popleft()
            attempts.since, attempts.ahead = self.clock(), len(self.under_way)
            self.under_way[self.pool.submit(attempts.shard, attempts.deadline)] = attempts

    def after(self, attempts: Attempts, lost: Lost) -> Failure | None:
        """Count a lost attempt; the failure if it was the last, else the shard waits for its turn again."""
        attempts.lost.append(lost)
        self.lost[lost.failure.error.partition(":")[0]] += 1
        if attempts.exhausted(self.limits.max_retries):
            return attempts.failure()
        self.waiting.append(attempts)
        return None

    def check(self) -> list[tuple[Attempts, Lost]]:
        """Look at the pool's size, and give up attempts from which nothing has come for too long.

        A worker keeps a shard's deadline itself. This is for those that cannot: stopped, never started, or cut off. When an attempt
        begins is not known here, but those ahead of it end by their deadlines too.
        """
        now = self.last_check = self.clock()
        self.slots = self.pool.slots()
        if not self.slots:
            for attempts in self.under_way.values():  # their time begins when there is somebody to work
                attempts.since, attempts.ahead = now, 0
            self.last_answer = now
            if now - self.last_slot > self.limits.patience:
                raise EngineError(
                    "No worker is there to compute a shard.",
                    got=f"none in {self.limits.patience:g} s",
                    hint="add nodes, or ask for less (engine.resources); then run the same command again: it goes on from here",
                )
            return []
        self.last_slot = now
        longest = GRACE_SECONDS + max((attempts.deadline for attempts in self.under_way.values()), default=0.0)
        if now - self.last_answer > 2 * (START_SECONDS + longest) and len(self.under_way) >= self.slots:
            raise EngineError(
                "The workers do not answer.",
                got=f"nothing in {now - self.last_answer:.0f} s from {self.slots} of them; a shard may take {longest:.0f} s",
                hint="look at the workers' logs in Ray's session folder; engine=serial shows whether a shard can be computed",
            )
        overdue = [
            (handle, attempts)
            for handle, attempts in self.under_way.items()
            if now - attempts.since > START_SECONDS + longest * (1 + attempts.ahead // self.slots)
        ]
        given_up = []
        for handle, attempts in overdue:
            del self.under_way[handle]
            self.pool.cancel(handle)
            text = f"DeadlineExceeded: no answer in {now - attempts.since:.0f} s; cancelled by force"
            given_up.append((attempts, Lost(Failure(text, text))))
        return given_up
