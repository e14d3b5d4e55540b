"""Ray: the one file that imports it.

A benchmark is put into the object store once; tasks get references and view the matrices there without a copy, and a node fetches
them once. Which shards are under way, for how long and how often is said in `dispatch`: Ray itself retries nothing, since it would
retry for ever what runs out of memory.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.core.host import free_memory, this_machine
from microbench_ray.core.memory import keep_memory
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.dispatch import Limits, Lost, dispatch
from microbench_ray.sweeps.engine.resources import Request, Requests
from microbench_ray.sweeps.engine.serial import compute
from microbench_ray.sweeps.engine.watchdog import DeadlineExceeded, deadline
from microbench_ray.sweeps.shards import Host, Shard

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would copy the folder and start its workers by another `uv run` there; ours are to be as the driver is.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""What Ray is to know; it reads this when it is imported."""
OWN_ENVIRONMENT = {"RAY_AUTH_MODE": "token"}
"""The same, for a Ray that we start; a cluster's is as its operator chose."""
OBJECT_STORE_SLACK = 256 * 2**20
FETCH_SECONDS = 60.0
BENCHMARKS_KEPT = 4


class Answer(NamedTuple):
    """What a worker sends back."""

    result: Result
    machine: str
    in_time: bool = True


def work(shard: Shard, benchmark: Benchmark, seconds: float) -> Answer:
    """Compute a shard in a worker, within so many seconds."""
    keep_memory()
    try:
        with deadline(seconds):
            return Answer(compute(shard, kept(shard, benchmark)), this_machine())
    except DeadlineExceeded as error:
        return Answer(Failure.of(error), this_machine(), in_time=False)


_benchmarks: OrderedDict[str, Benchmark] = OrderedDict()


def kept(shard: Shard, benchmark: Benchmark) -> Benchmark:
    """The same benchmark, as this worker has seen it before: with the names and sums already worked out."""
    benchmark = _benchmarks.setdefault(shard.digest + shard.benchmark, benchmark)
    _benchmarks.move_to_end(shard.digest + shard.benchmark)
    while len(_benchmarks) > BENCHMARKS_KEPT:
        _benchmarks.popitem(last=False)
    return benchmark


class RayPool:
    """Shards as Ray tasks. See `dispatch.Pool`."""

    def __init__(
        self, ray: Any, benchmarks: Mapping[str, Benchmark], requests: Requests, slots: Callable[[], int], machines: set[str]
    ) -> None:
        self._ray, self._benchmarks, self._requests, self._machines = ray, benchmarks, requests, machines
        self.slots = slots
        self._references: dict[str, Any] = {}
        self._tasks: dict[str, Any] = {}

    def submit(self, shard: Shard, deadline: float) -> Any:
        """Start or queue a task."""
        if shard.benchmark not in self._references:
            self._references[shard.benchmark] = self._ray.put(self._benchmarks[shard.benchmark])
        return self._task(self._requests.of(shard)).remote(shard, self._references[shard.benchmark], deadline)

    def _task(self, request: Request) -> Any:
        key = repr(request)
        if key not in self._tasks:
            options: dict[str, Any] = {"num_cpus": request.num_cpus, "max_retries": 0}
            if request.memory:
                options["memory"] = request.memory
            if request.custom:
                options["resources"] = dict(request.custom)
            self._tasks[key] = self._ray.remote(**options)(work)
        return self._tasks[key]

    def wait(self, handles: Sequence[Any], seconds: float) -> list[Any]:
        """All that are done, once there is one."""
        if not handles:
            time.sleep(seconds)
            return []
        done: list[Any]
        done, others = self._ray.wait(list(handles), num_returns=1, timeout=seconds)
        if done and others:
            more, _ = self._ray.wait(others, num_returns=len(others), timeout=0)
            done += more
        return done

    def result(self, handle: Any) -> Result | Lost:
        """What came of a task."""
        errors = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(handle, timeout=FETCH_SECONDS)
        except errors.RayTaskError as error:  # raised before `compute`, such as what a node cannot import
            return Failure.of(error)
        except errors.RayError as error:
            text = f"{type(error).__name__}: {str(error).strip()}"
            return Lost(Failure(text.splitlines()[0], text), with_node=isinstance(error, errors.NodeDiedError))
        self._machines.add(answer.machine)
        if not answer.in_time:
            assert isinstance(answer.result, Failure)
            return Lost(answer.result)
        return answer.result

    def cancel(self, handle: Any) -> None:
        """Stop a task, by force."""
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.cancel(handle, force=True)


@dataclass(frozen=True)
class LocalRayEngine:
    """Starts Ray on this machine, for as long as the shards take; one that this process has started already is used as it is.

    Parameters
    ----------
    workers
        Shards computed at a time; None for one per core.
    limits
        How long a shard may take, and how often it is tried.
    """

    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    machines: set[str] = field(default_factory=set, compare=False)
    lost: Counter[str] = field(default_factory=Counter, compare=False)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError("engine.workers must be at least 1.", got=str(self.workers), hint="leave it null for one per core")

    @property
    def n_workers(self) -> int:
        """Workers that will be started."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def description(self) -> str:
        """Names the engine and its workers."""
        return f"local Ray, {self.n_workers} worker{'s' if self.n_workers > 1 else ''}"

    def hosts(self) -> Sequence[Host]:
        """This machine."""
        return [Host("this machine", self.n_workers, free_memory())]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they are done."""
        ray = import_ray(OWN_ENVIRONMENT)
        running = ray.is_initialized()  # in a notebook or a test session
        if not running:
            self._start(ray, sum(benchmark.nbytes for benchmark in benchmarks.values()))
        try:
            pool = RayPool(ray, benchmarks, Requests(), lambda: self.n_workers, self.machines)
            yield from dispatch(pool, shards, self.limits, self.lost)
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
                **QUIET,
            )
        except Exception as error:  # a node that is slow to start is one without a class of its own
            raise EngineError(
                "Ray did not start on this machine.",
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                hint="engine=serial computes without Ray; `ray stop` may help where an old one is in the way",
            ) from error


@dataclass(frozen=True)
class ClusterRayEngine:
    """Joins a Ray cluster that is there, and asks of it what shards need, nothing else.

    Parameters
    ----------
    address
        `HOST:PORT` of the head, or `auto` for the cluster on this machine; None for what RAY_ADDRESS says.
    timeout
        Seconds in which the cluster must answer.
    limits
        How long a shard may take, and how often it is tried.
    requests
        What shards reserve.
    """

    address: str | None = None
    timeout: float = 60.0
    limits: Limits = field(default_factory=Limits)
    requests: Requests = field(default_factory=Requests)
    machines: set[str] = field(default_factory=set, compare=False)
    lost: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def description(self) -> str:
        """Names the cluster."""
        return f"Ray cluster at {self.address or os.environ.get('RAY_ADDRESS') or 'no address'}"

    def hosts(self) -> Sequence[Host]:
        """The cluster's nodes; those that come later are not known yet."""
        request = self.requests.default
        nodes = [(node, request.fits(node["Resources"])) for node in self._nodes()]
        return [Host(f"node {node['NodeName']}", n, int(node["Resources"].get("memory", 0))) for node, n in nodes if n]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they are done. The cluster is left as it was."""
        ray = self._join()
        pool = RayPool(ray, benchmarks, self.requests, self._slots, self.machines)
        yield from dispatch(pool, shards, self.limits, self.lost)

    def _slots(self) -> int:
        return sum(self.requests.default.fits(node["Resources"]) for node in self._nodes())

    def _nodes(self) -> list[Any]:
        return [node for node in self._join().nodes() if node["Alive"]]

    def _join(self) -> Any:
        address = self.address or os.environ.get("RAY_ADDRESS")
        if not address:
            raise EngineError(
                "There is no cluster to join.",
                where="engine.address",
                got="no address, and RAY_ADDRESS is not set",
                hint="engine.address=HOST:PORT, engine.address=auto for the cluster on this machine, or engine=local",
            )
        ray = import_ray()
        if ray.is_initialized():
            joined = ray.get_runtime_context().gcs_address
            if address not in ("auto", joined):
                raise EngineError(
                    "This process has joined another cluster.",
                    where="engine.address",
                    got=f"{joined} joined, {address} asked for",
                    hint="ray.shutdown() first, or engine.address=auto for the cluster that is joined",
                )
        else:
            check_answers(address, self.timeout)
            error = within(self.timeout, lambda: ray.init(address=address, **QUIET))
            if error is not None:
                raise EngineError(
                    "The cluster cannot be joined.",
                    where=address,
                    got=f"{type(error).__name__}: {error}".splitlines()[0],
                    hint="see that it runs this version of Ray and that RAY_AUTH_TOKEN is the cluster's; engine.timeout=SECONDS",
                ) from error
        return ray


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}


def import_ray(environment: Mapping[str, str] | None = None) -> Any:
    """Ray, imported when it is needed: that is slow."""
    if "ray" not in sys.modules:
        for name, value in {**ENVIRONMENT, **(environment or {})}.items():
            os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def check_answers(address: str, timeout: float) -> None:
    """Raise EngineError where nobody listens at `HOST:PORT`: Ray itself would try for many minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        raise EngineError(
            "The cluster's address is of another form.",
            where="engine.address",
            got=address,
            hint="engine.address=HOST:PORT; from outside of the cluster: microbench submit",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            "Nobody answers at the cluster's address.",
            where=address,
            got=str(error),
            hint="start the cluster, or engine.address=HOST:PORT (or RAY_ADDRESS) of its head; engine.timeout=SECONDS waits longer",
        ) from None


def within(seconds: float, call: Callable[[], object]) -> BaseException | None:
    """Call, and wait so long: None, or what it raised. A call that goes on is left behind."""
    raised: list[BaseException] = [TimeoutError(f"no answer in {seconds:g} s")]

    def target() -> None:
        try:
            call()
        except BaseException as error:  # whatever it is, it is told
            raised[0] = error
        else:
            raised.clear()

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    return raised[0] if raised else None
