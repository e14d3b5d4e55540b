"""The start of Ray on this machine: without the processes that a sweep does not use, and again where a node does not come up."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from microbench_ray.sweeps.engine import ray_start
from microbench_ray.sweeps.engine.ray_start import DASHBOARD_IMPORTS, UNUSED_PROCESSES, RayStartError, start_ray
from tests.helpers.errors import refuses


class Node:
    """Stands for Ray's class of a node, of a release without one of the methods."""

    started: list[str]

    def start_api_server(self, *, include_dashboard: bool) -> None:
        self.started.append("dashboard")

    def start_monitor(self) -> None:
        self.started.append("monitor")

    def start_raylet(self) -> None:
        self.started.append("raylet")


class SlowRay:
    """Stands for the module `ray` on a busy machine: some starts fail."""

    def __init__(self, n_failures: int) -> None:
        self.n_failures = n_failures
        self.calls: list[str] = []
        self._private = SimpleNamespace(node=SimpleNamespace(Node=Node), services=SimpleNamespace(get_node=self.get_node))

    def get_node(self, address: str, node_id: str) -> str:
        self.calls.append("get_node")
        if self.calls.count("get_node") <= self.n_failures:
            raise RuntimeError("not registered")
        return node_id

    def init(self, **options: object) -> None:
        self.calls.append("init")
        self.node = Node()
        self.node.started = []
        self.node.start_api_server(include_dashboard=False)
        self.node.start_monitor()
        self.node.start_raylet()
        self.dashboard_can_be_imported = sys.modules.get(DASHBOARD_IMPORTS, "yes") is not None
        assert self._private.services.get_node("address", "node") == "node"

    def shutdown(self) -> None:
        self.calls.append("shutdown")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_start, "START_WAITS", (0.05, 0.25))
    monkeypatch.setattr(ray_start, "POLL_SECONDS", 0.1)


def test_a_node_that_comes_up_is_waited_for() -> None:
    ray = SlowRay(0)
    start_ray(ray, workers=1, input_bytes=0)
    assert ray.calls == ["init", "get_node"]


def test_the_second_start_has_more_time(caplog: pytest.LogCaptureFixture) -> None:
    ray = SlowRay(3)
    start_ray(ray, workers=1, input_bytes=0)
    first, second = (part.split() for part in " ".join(ray.calls).split("shutdown"))
    assert (first[0], second[0]) == ("init", "init")
    assert len(first) + len(second) == 6
    (record,) = caplog.records
    assert (record.levelname, "attempt 1 of 2" in record.getMessage()) == ("WARNING", True)


def test_ray_that_never_starts_is_one_message() -> None:
    with refuses(RayStartError, "started", got="did not come up within 0.25 s", hint="engine=serial"):
        start_ray(SlowRay(99), workers=1, input_bytes=0)


@pytest.mark.parametrize("n_failures", [0, 3, 99])
def test_only_the_processes_of_a_sweep_are_started_and_ray_is_left_as_it_was(n_failures: int) -> None:
    methods = dict(vars(Node))
    ray = SlowRay(n_failures)
    try:
        start_ray(ray, workers=1, input_bytes=0)
    except RayStartError:
        assert n_failures == 99
    assert ray.node.started == ["raylet"]
    assert not ray.dashboard_can_be_imported
    assert dict(vars(Node)) == methods
    assert ray._private.services.get_node == ray.get_node
    assert sys.modules.get(DASHBOARD_IMPORTS, "not imported") is not None


@pytest.mark.ray
def test_the_real_node_has_these_methods(ray: Any) -> None:
    node = ray._private.node.Node
    assert [name for name in UNUSED_PROCESSES if not callable(getattr(node, name, None))] == []
