"""Windows, deadlines and retries, on a fake pool with a simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from microbench_ray.core.errors import EngineError
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.dispatch import (
    MAX_NODES_LOST,
    MIN_WINDOW,
    START_SECONDS,
    WINDOW_PER_SLOT,
    Limits,
    Lost,
    dispatch,
)
from microbench_ray.sweeps.engine.watchdog import GRACE_SECONDS
from microbench_ray.sweeps.shards import Shard
from tests.helpers.errors import refuses

LIMITS = Limits(deadline=10.0, slack=2.0, max_retries=2, patience=300.0)
WORKER = Lost(Failure("WorkerCrashedError: gone", "where it was"))
NODE = Lost(Failure("NodeDiedError: gone", "where it was"), with_node=True)


def shards(n: int, seconds: float = 0.0) -> list[Shard]:
    common: dict[str, Any] = {
        "benchmark": "b",
        "digest": "d",
        "subtask": None,
        "targets": "random",
        "n_target": 2,
        "group": None,
        "unseen": "half",
    }
    return [Shard(**common, n_source=1, runs=(run,), sizes=((5, None),), methods=(), seed=0, seconds=seconds) for run in range(n)]


@dataclass
class FakePool:
    """Every shard takes `takes` simulated seconds in one of `n_slots`; `outcome` gives an attempt's result, None for no answer."""

    n_slots: Callable[[float], int] = lambda now: 2
    takes: float = 1.0
    outcome: Callable[[int, int], Result | Lost | None] = lambda run, attempt: {}
    now: float = 0.0
    order: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    running: dict[int, float] = field(default_factory=dict)
    runs: dict[int, tuple[int, int]] = field(default_factory=dict)
    cancelled: list[int] = field(default_factory=list)
    max_submitted: int = 0
    deadlines: set[float] = field(default_factory=set)

    def clock(self) -> float:
        return self.now

    def slots(self) -> int:
        return self.n_slots(self.now)

    def submit(self, shard: Shard, deadline: float) -> int:
        handle = len(self.runs)
        attempt = sum(run == shard.runs[0] for run, _ in self.runs.values()) + 1
        self.runs[handle] = shard.runs[0], attempt
        self.queue.append(handle)
        self.max_submitted = max(self.max_submitted, len(self.queue) + len(self.running))
        self.deadlines.add(deadline)
        return handle

    def wait(self, handles: Sequence[int], seconds: float) -> Iterable[int]:
        until = self.now + seconds
        while True:
            while self.queue and len(self.running) < self.slots():
                handle = self.queue.pop(0)
                answers = self.outcome(*self.runs[handle]) is not None
                self.running[handle] = self.now + self.takes if answers else float("inf")
            done = [handle for handle, end in self.running.items() if end <= self.now]
            for handle in done:
                del self.running[handle]
            if done or self.now >= until:
                assert set(done) <= set(handles)
                return done
            self.now = min([until, *self.running.values()])

    def result(self, handle: int) -> Result | Lost:
        outcome = self.outcome(*self.runs[handle])
        assert outcome is not None
        return outcome

    def cancel(self, handle: int) -> None:
        self.cancelled.append(handle)
        self.running.pop(handle, None)
        if handle in self.queue:
            self.queue.remove(handle)


def run(pool: FakePool, some: list[Shard], limits: Limits = LIMITS) -> dict[int, Result]:
    results = [(shard.runs[0], result) for shard, result in dispatch(pool, some, limits, clock=pool.clock)]
    assert len(results) == len({run for run, _ in results}), "a shard was yielded twice"
    return dict(results)


def test_every_shard_is_yielded_once_and_slots_are_never_idle() -> None:
    pool = FakePool()
    assert sorted(run(pool, shards(100))) == list(range(100))
    assert pool.now == 50.0
    assert pool.cancelled == []


@pytest.mark.parametrize("slots", [1, 2, 10])
def test_the_window_follows_the_pool(slots: int) -> None:
    pool = FakePool(n_slots=lambda now: slots)
    run(pool, shards(300))
    assert pool.max_submitted == max(MIN_WINDOW, WINDOW_PER_SLOT * slots)


def test_new_slots_are_used_at_once() -> None:
    pool = FakePool(n_slots=lambda now: 1 if now < 10 else 20)
    run(pool, shards(500))
    assert pool.max_submitted == 20 * WINDOW_PER_SLOT
    assert pool.now < 10 + 490 / 20 + 3


def test_without_shards_nothing_is_submitted() -> None:
    assert run(FakePool(), []) == {}


@pytest.mark.parametrize("lost", [WORKER, NODE])
def test_a_lost_attempt_is_retried(lost: Lost) -> None:
    pool = FakePool(outcome=lambda run, attempt: lost if run == 3 and attempt < 3 else {})
    assert run(pool, shards(10)) == {k: {} for k in range(10)}


def test_a_shard_that_loses_every_worker_fails_with_the_errors_of_all_attempts() -> None:
    pool = FakePool(outcome=lambda run, attempt: WORKER if run == 3 else {})
    results = run(pool, shards(10))
    failure = results.pop(3)
    assert isinstance(failure, Failure)
    assert failure.error == "WorkerCrashedError: gone (3 attempts)"
    assert failure.traceback.splitlines() == [
        "attempt 1: WorkerCrashedError: gone",
        "attempt 2: WorkerCrashedError: gone",
        "attempt 3: WorkerCrashedError: gone",
        "where it was",
    ]
    assert list(results.values()) == [{}] * 9
    assert sum(run == 3 for run, _ in pool.runs.values()) == 3


def test_lost_nodes_do_not_count_as_retries_up_to_a_limit() -> None:
    pool = FakePool(outcome=lambda run, attempt: NODE if attempt <= MAX_NODES_LOST else {})
    assert run(pool, shards(3)) == {0: {}, 1: {}, 2: {}}
    pool = FakePool(outcome=lambda run, attempt: NODE)
    results = run(pool, shards(3)).values()
    errors = [result.error for result in results if isinstance(result, Failure)]
    assert errors == [f"NodeDiedError: gone ({MAX_NODES_LOST + 1} attempts)"] * 3


def test_a_failure_of_the_shard_itself_is_not_retried() -> None:
    broken = Failure("ValueError: no", "…")
    pool = FakePool(outcome=lambda run, attempt: broken)
    assert run(pool, shards(3)) == {0: broken, 1: broken, 2: broken}
    assert len(pool.runs) == 3


def test_a_shards_deadline_grows_with_its_planned_seconds() -> None:
    pool = FakePool()
    run(pool, shards(2))
    run(pool, shards(2, seconds=7.0))
    assert pool.deadlines == {10.0, 24.0}


def test_a_worker_that_never_answers_is_cancelled_and_the_others_continue() -> None:
    pool = FakePool(outcome=lambda run, attempt: None if run == 0 else {})
    results = run(pool, shards(40))
    failure = results.pop(0)
    assert isinstance(failure, Failure)
    assert failure.error.startswith("DeadlineExceeded: ")
    assert failure.error.endswith("(3 attempts)")
    assert len(pool.cancelled) == 3
    assert len(results) == 39
    assert pool.now < 3 * (START_SECONDS + LIMITS.deadline + GRACE_SECONDS) + 100


def test_a_queued_shard_is_not_cancelled() -> None:
    # Every shard takes as long as its deadline allows: the last of a window of eight starts after seven of them.
    pool = FakePool(n_slots=lambda now: 1, takes=LIMITS.deadline + GRACE_SECONDS - 1)
    assert len(run(pool, shards(12))) == 12
    assert pool.cancelled == []


def test_a_pool_without_any_result_ends_the_sweep() -> None:
    pool = FakePool(outcome=lambda run, attempt: None)
    with refuses(EngineError, "workers", got="2 slots"):
        run(pool, shards(1000))
    assert pool.now < 2 * (START_SECONDS + LIMITS.deadline + GRACE_SECONDS) + 5
    assert not pool.queue
    assert not pool.running


def test_the_wait_for_a_pool_without_slots_is_bounded() -> None:
    pool = FakePool(n_slots=lambda now: 0 if now < 250 else 1)
    assert len(run(pool, shards(20))) == 20
    assert pool.cancelled == []
    pool = FakePool(n_slots=lambda now: 1 if now < 5 else 0)
    with refuses(EngineError, "node", where="engine.resources", got="300 s", hint="resume"):
        run(pool, shards(20))
    assert 300 < pool.now < 310


def test_closing_cancels_submitted_shards() -> None:
    pool = FakePool()
    results = dispatch(pool, shards(50), LIMITS, clock=pool.clock)
    next(results)
    results.close()
    assert not pool.queue
    assert not pool.running
