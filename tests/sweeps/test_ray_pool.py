"""The calls that the pool makes to Ray and its handling of Ray's results, with a fake Ray that records calls; addresses."""

from __future__ import annotations

import dataclasses
import socket
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import EngineError
from microbench_ray.data import Benchmark
from microbench_ray.methods import build_method
from microbench_ray.sweeps.engine import ray_engine
from microbench_ray.sweeps.engine.base import Failure
from microbench_ray.sweeps.engine.dispatch import Lost
from microbench_ray.sweeps.engine.ray_engine import ClusterRayEngine, RayPool, WorkerResult, cached
from microbench_ray.sweeps.engine.ray_start import check_reachable, within
from microbench_ray.sweeps.engine.resources import parse_requests
from microbench_ray.sweeps.shards import Shard
from tests.helpers.errors import refuses
from tests.sweeps.test_dispatch import shards


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class NodeDiedError(RayError):
    pass


class WorkerCrashedError(RayError):
    pass


class RecordingRay:
    """Records what is put and submitted; `get` returns or raises the values of `answers`."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, NodeDiedError=NodeDiedError)

    def __init__(self) -> None:
        self.puts: list[Any] = []
        self.options: list[dict[str, Any]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[Any, Any] = {}

    def put(self, value: Any) -> str:
        self.puts.append(value)
        return f"reference {len(self.puts)}"

    def remote(self, **options: Any) -> Any:
        self.options.append(options)

        def call(*arguments: Any) -> int:
            self.calls.append(arguments)
            return len(self.calls)

        def decorate(function: Any) -> Any:
            assert function is ray_engine.work
            return SimpleNamespace(remote=call)

        return decorate

    def get(self, handle: Any, timeout: float) -> Any:
        answer = self.answers[handle]
        if isinstance(answer, Exception):
            raise answer
        return answer


def benchmark(name: str = "b") -> Benchmark:
    return Benchmark.from_arrays(name, np.eye(3, 4), ["i0", "i1", "i2", "i3"], ["m0", "m1", "m2"])


def some_shards(n: int, *labels: str) -> list[Shard]:
    methods = tuple(build_method(label, {"name": "random"}, {"name": "mean"}) for label in labels)
    return [dataclasses.replace(shard, methods=methods) for shard in shards(n)]


def pool_of(ray: RecordingRay, resources: dict[str, Any] | None = None, machines: set[str] | None = None) -> RayPool:
    benchmarks = {"b": benchmark(), "c": benchmark("c")}
    return RayPool(ray, benchmarks, parse_requests(resources or {}), lambda: 1, set() if machines is None else machines)


def test_a_benchmark_is_put_once_and_only_if_a_shard_needs_it() -> None:
    ray = RecordingRay()
    pool = pool_of(ray)
    for shard in some_shards(20, "random"):
        pool.submit(shard, 5.0)
    assert [put.name for put in ray.puts] == ["b"]
    assert {call[1:] for call in ray.calls} == {("reference 1", 5.0)}, "a top-level reference, which a node fetches once"


def test_rays_retries_are_off_and_the_configured_resources_are_reserved() -> None:
    ray = RecordingRay()
    pool = pool_of(ray, {"default": {"num_cpus": 2}, "large": {"memory": 1e9, "custom": {"big": 1}}})
    for shard in [*some_shards(3, "random"), *some_shards(3, "random", "large")]:
        pool.submit(shard, 5.0)
    assert ray.options == [
        {"num_cpus": 2.0, "max_retries": 0},
        {"num_cpus": 2.0, "max_retries": 0, "memory": 1e9, "resources": {"big": 1.0}},
    ]


def test_results_failures_and_lost_attempts_are_told_apart() -> None:
    ray, machines = RecordingRay(), set[str]()
    pool = pool_of(ray, machines=machines)
    ray.answers = {
        1: WorkerResult({}, "here"),
        2: WorkerResult(Failure("ValueError: no", "…"), "there"),
        3: WorkerResult(Failure("DeadlineExceeded: late", "…"), "here", in_time=False),
        4: RayTaskError("ModuleNotFoundError: nothing of that name"),
        5: WorkerCrashedError("gone\nand more of it"),
        6: NodeDiedError("gone"),
    }
    results = {handle: pool.result(handle) for handle in ray.answers}
    assert results[1] == {}
    assert results[2] == Failure("ValueError: no", "…"), "an exception of the method is not a lost attempt"
    assert results[3] == Lost(Failure("DeadlineExceeded: late", "…"))
    assert isinstance(results[4], Failure)
    assert results[5] == Lost(Failure("WorkerCrashedError: gone", "WorkerCrashedError: gone\nand more of it"))
    assert isinstance(results[6], Lost)
    assert results[6].with_node
    assert machines == {"here", "there"}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_where_nothing_listens_is_rejected(address: str) -> None:
    with refuses(EngineError, "connect", where=address, hint="engine.address=HOST:PORT"):
        check_reachable(address, 5)


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:10001"])
def test_an_address_of_another_form_is_rejected(address: str) -> None:
    with refuses(EngineError, "HOST:PORT", where="engine.address", got=address, hint="microbench submit"):
        check_reachable(address, 5)


def test_an_address_where_something_listens_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reachable(f"127.0.0.1:{server.getsockname()[1]}", 5)
    check_reachable("auto", 5)


def test_a_cluster_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with refuses(EngineError, "address", where="engine.address", got="RAY_ADDRESS"):
        ClusterRayEngine().hosts()


def test_a_call_without_a_response_times_out() -> None:
    never = threading.Event()
    assert isinstance(within(0.1, lambda: never.wait(30)), TimeoutError)
    never.set()
    assert within(5, lambda: None) is None
    error = ValueError("no")

    def fail() -> None:
        raise error

    assert within(5, fail) is error


def test_a_worker_caches_few_benchmarks() -> None:
    ray_engine._benchmarks.clear()
    (shard,) = some_shards(1, "random")
    first = cached(shard, benchmark())
    assert cached(shard, benchmark()) is first, "the cached one, whose names are already decoded"
    for k in range(10):
        other = benchmark(f"b{k}")
        assert cached(dataclasses.replace(shard, benchmark=f"b{k}", digest=f"{k}"), other) is other
    assert len(ray_engine._benchmarks) == ray_engine.MAX_CACHED_BENCHMARKS
    assert cached(shard, again := benchmark()) is again
    ray_engine._benchmarks.clear()
