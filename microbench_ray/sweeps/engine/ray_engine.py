"""The Ray engines; the only module that imports ray, apart from the job client.

A benchmark is put into the object store once. Tasks receive references and view the matrices there without a copy; every node
fetches them once. `dispatch` decides which shards are submitted, their deadlines and their retries. Ray's own retries are off,
because Ray would retry a task that runs out of memory for ever.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.core.host import describe_host, free_memory, usable_cores
from microbench_ray.core.memory import keep_memory
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.dispatch import Limits, Lost, dispatch
from microbench_ray.sweeps.engine.resources import Request, Requests
from microbench_ray.sweeps.engine.serial import compute
from microbench_ray.sweeps.engine.watchdog import DeadlineExceeded, deadline
from microbench_ray.sweeps.shards import Host, Shard

logger = logging.getLogger(__name__)

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would copy the folder and start its workers by `uv run` there; ours must match the driver.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables for Ray, which reads them on import."""
OWN_ENVIRONMENT = {"RAY_AUTH_MODE": "token"}
"""Further variables for a Ray that we start; on a cluster its operator decides."""
START_ATTEMPTS = 3
"""Attempts to start Ray on this machine: on a busy one, its node takes longer than the 30 s that Ray allows."""
OBJECT_STORE_SLACK = 256 * 2**20
FETCH_SECONDS = 60.0
MAX_CACHED_BENCHMARKS = 4


class WorkerResult(NamedTuple):
    """A worker's result: that of the shard, the worker's machine, and whether the deadline was met."""

    result: Result
    machine: str
    in_time: bool = True


def work(shard: Shard, benchmark: Benchmark, seconds: float) -> WorkerResult:
    """Compute a shard in a worker within `seconds`."""
    keep_memory()
    try:
        with deadline(seconds):
            result = compute(shard, cached(shard, benchmark))
            return WorkerResult(result=result, machine=describe_host())
    except DeadlineExceeded as error:
        return WorkerResult(result=Failure.of(error), machine=describe_host(), in_time=False)


_benchmarks: OrderedDict[str, Benchmark] = OrderedDict()


def cached(shard: Shard, benchmark: Benchmark) -> Benchmark:
    """The worker's cached copy of a benchmark, whose names and sums are already decoded; cache it if it is new."""
    benchmark = _benchmarks.setdefault(shard.digest + shard.benchmark, benchmark)
    _benchmarks.move_to_end(shard.digest + shard.benchmark)
    while len(_benchmarks) > MAX_CACHED_BENCHMARKS:
        _benchmarks.popitem(last=False)
    return benchmark


class RayPool:
    """Computes shards as Ray tasks, see `dispatch.Pool`."""

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
        """Wait for a task to finish and return all finished ones."""
        if not handles:
            time.sleep(seconds)
            return []
        done: list[Any]
        done, pending = self._ray.wait(list(handles), num_returns=1, timeout=seconds)
        if done and pending:
            also_done, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
            done += also_done
        return done

    def result(self, handle: Any) -> Result | Lost:
        """The result of a finished task."""
        errors = self._ray.exceptions
        try:
            returned: WorkerResult = self._ray.get(handle, timeout=FETCH_SECONDS)
        except errors.RayTaskError as error:  # raised outside `compute`, such as an import error on the node
            return Failure.of(error)
        except errors.RayError as error:
            text = f"{type(error).__name__}: {str(error).strip()}"
            logger.debug("An attempt at a shard was lost: %s", text)
            failure = Failure(error=text.splitlines()[0], traceback=text)
            return Lost(failure=failure, with_node=isinstance(error, errors.NodeDiedError))
        self._machines.add(returned.machine)
        if not returned.in_time:
            assert isinstance(returned.result, Failure)
            return Lost(failure=returned.result)
        return returned.result

    def cancel(self, handle: Any) -> None:
        """Stop a task by force."""
        try:
            self._ray.cancel(handle, force=True)
        except (self._ray.exceptions.RayError, ValueError) as error:
            logger.debug("A task could not be cancelled: %s", error)


@dataclass(frozen=True)
class LocalRayEngine:
    """Starts Ray on this machine for the duration of the work. A Ray already started by this process is used and left running.

    Parameters
    ----------
    workers
        Number of shards computed at a time; None for one per core.
    limits
        Time limits and retries.
    """

    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    machines: set[str] = field(default_factory=set, compare=False)
    lost: Counter[str] = field(default_factory=Counter, compare=False)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(
                "engine.workers must be at least 1.",
                where="engine.workers",
                got=str(self.workers),
                hint="engine.workers=null uses one worker per core",
            )

    @property
    def n_workers(self) -> int:
        """Number of workers."""
        return self.workers or usable_cores()

    @property
    def description(self) -> str:
        """The engine and its number of workers."""
        return f"local Ray, {self.n_workers} worker{'s' if self.n_workers > 1 else ''}"

    def hosts(self) -> Sequence[Host]:
        """This machine."""
        return [Host("this machine", self.n_workers, free_memory())]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they finish."""
        ray = import_ray(OWN_ENVIRONMENT)
        already_running = ray.is_initialized()  # in a notebook or a test session
        if not already_running:
            self._start(ray, sum(benchmark.nbytes for benchmark in benchmarks.values()))
        try:
            pool = RayPool(ray, benchmarks, Requests(), lambda: self.n_workers, self.machines)
            yield from dispatch(pool, shards, self.limits, self.lost)
        finally:
            if not already_running:
                ray.shutdown()

    def _start(self, ray: Any, input_bytes: int) -> None:
        provide_token()
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                ray.init(
                    address="local",
                    num_cpus=self.n_workers,
                    object_store_memory=2 * input_bytes + OBJECT_STORE_SLACK,
                    include_dashboard=False,
                    **QUIET,
                )
                return
            except Exception as error:  # Ray has no specific class for a node that starts too slowly
                got = f"{type(error).__name__}: {error}".splitlines()[0]
                ray.shutdown()
                if attempt == START_ATTEMPTS:
                    raise EngineError(
                        "Ray could not be started on this machine.",
                        got=got,
                        hint="engine=serial computes without Ray; `ray stop` ends a previous Ray that may be in the way",
                    ) from error
                logger.warning("Ray did not start (attempt %d of %d): %s", attempt, START_ATTEMPTS, got)


@dataclass(frozen=True)
class ClusterRayEngine:
    """Joins a running Ray cluster and leaves it running.

    Parameters
    ----------
    address
        `HOST:PORT` of the head, or `auto` for the cluster on this machine; None for the value of RAY_ADDRESS.
    timeout
        Seconds in which the cluster must respond.
    limits
        Time limits and retries.
    requests
        The resources that shards reserve.
    """

    address: str | None = None
    timeout: float = 60.0
    limits: Limits = field(default_factory=Limits)
    requests: Requests = field(default_factory=Requests)
    machines: set[str] = field(default_factory=set, compare=False)
    lost: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def description(self) -> str:
        """The engine and the cluster's address."""
        return f"Ray cluster at {self.address or os.environ.get('RAY_ADDRESS') or 'no address'}"

    def hosts(self) -> Sequence[Host]:
        """The current nodes of the cluster that can compute a shard."""
        request = self.requests.default
        nodes = [(node, request.fits(node["Resources"])) for node in self._nodes()]
        return [Host(f"node {node['NodeName']}", n, int(node["Resources"].get("memory", 0))) for node, n in nodes if n]

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        """Yield shards as they finish."""
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
                "engine=cluster needs the address of a cluster.",
                where="engine.address",
                got="null, and RAY_ADDRESS is not set",
                hint="engine.address=HOST:PORT, engine.address=auto for the cluster on this machine, or engine=local",
            )
        ray = import_ray()
        if ray.is_initialized():
            current = ray.get_runtime_context().gcs_address
            if address not in ("auto", current):
                raise EngineError(
                    "This process is already connected to another cluster.",
                    where="engine.address",
                    got=f"connected to {current}, {address} requested",
                    hint="call ray.shutdown() first, or use engine.address=auto for the current cluster",
                )
        else:
            check_reachable(address, self.timeout)
            error = within(self.timeout, lambda: ray.init(address=address, **QUIET))
            if error is not None:
                raise EngineError(
                    "Could not join the cluster.",
                    where=address,
                    got=f"{type(error).__name__}: {error}".splitlines()[0],
                    hint="check that the cluster runs the same version of Ray and that RAY_AUTH_TOKEN is its token; "
                    "engine.timeout=SECONDS waits longer",
                ) from error
        return ray


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}


def import_ray(environment: Mapping[str, str] | None = None) -> Any:
    """Import Ray, which is slow, with these environment variables besides `ENVIRONMENT`; return the module."""
    if "ray" not in sys.modules:
        for name, value in {**ENVIRONMENT, **(environment or {})}.items():
            os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def provide_token() -> None:
    """Set a token for a Ray that we start where there is none and Ray, which keeps its own in `~/.ray`, could not write one."""
    folder = Path("~/.ray").expanduser()
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or (folder / "auth_token").exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
    except OSError as error:
        logger.debug("Ray cannot keep a token in the home folder: %s", error)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def check_reachable(address: str, timeout: float) -> None:
    """Raise EngineError if nothing listens at `HOST:PORT`; Ray itself would retry for many minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        raise EngineError(
            "The address of the cluster must be HOST:PORT.",
            where="engine.address",
            got=address,
            hint="engine.address=HOST:PORT; from outside the cluster use microbench submit",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            "Could not connect to the cluster.",
            where=address,
            got=str(error),
            hint="start the cluster, or set engine.address=HOST:PORT (or RAY_ADDRESS) to its head node; "
            "engine.timeout=SECONDS waits longer",
        ) from None


def within(seconds: float, call: Callable[[], object]) -> BaseException | None:
    """Run a call in a thread for at most `seconds` and return what it raised, or None. A call that takes longer is abandoned."""
    raised: list[BaseException] = [TimeoutError(f"no response within {seconds:g} s")]

    def target() -> None:
        try:
            call()
        except BaseException as error:  # returned to the caller
            raised[0] = error
        else:
            raised.clear()

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    return raised[0] if raised else None
