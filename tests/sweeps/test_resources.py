"""The resources that shards reserve on a cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import build_method
from microbench_ray.sweeps.engine.resources import Request, Requests, parse_requests
from microbench_ray.sweeps.shards import Shard
from tests.helpers.errors import refuses
from tests.sweeps.test_dispatch import shards


def shard_of(*labels: str) -> Shard:
    methods = tuple(build_method(label, {"name": "random"}, {"name": "mean"}) for label in labels)
    return dataclasses.replace(shards(1)[0], methods=methods)


def test_the_default_is_one_cpu() -> None:
    assert parse_requests({}) == Requests()
    assert Requests().of(shard_of("a", "b")) == Request(num_cpus=1.0)


def test_a_shard_reserves_the_largest_of_its_methods_requests() -> None:
    requests = parse_requests({"default": {"num_cpus": 2}, "a": {"memory": 1e9, "custom": {"big": 1}}, "b": {"num_cpus": 3}})
    assert requests.of(shard_of("other")) == Request(2.0)
    assert requests.of(shard_of("a")) == Request(2.0, 1e9, {"big": 1.0})
    assert requests.of(shard_of("b", "a", "other")) == Request(3.0, 1e9, {"big": 1.0})


def test_the_number_of_shards_that_fit_on_a_node() -> None:
    node = {"CPU": 7.0, "memory": 5e9, "big": 2.0}
    assert Request().fits(node) == 7
    assert Request(2.0).fits(node) == 3
    assert Request(0.5).fits(node) == 14
    assert Request(1.0, 2e9).fits(node) == 2
    assert Request(1.0, 0.0, {"big": 1.0}).fits(node) == 2
    assert Request(1.0, 0.0, {"other": 1.0}).fits(node) == 0
    assert Request().fits({"memory": 1e9}) == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"default": {"cpus": 1}}, "keys: num_cpus, memory, custom"),
    ({"default": 3}, "keys: num_cpus, memory, custom"),
    ({"a": {"num_cpus": 0}}, "num_cpus: 1"),
    ({"a": {"num_cpus": -1}}, "num_cpus: 1"),
    ({"a": {"num_cpus": True}}, "num_cpus: 1"),
    ({"a": {"memory": "2GB"}}, "memory: 1"),
    ({"a": {"custom": {"big": 0}}}, "big: 1"),
    ({"a": {"custom": ["big"]}}, "custom: {big: 1}"),
]


@pytest.mark.parametrize(("configured", "hint"), WRONG)
def test_invalid_resources_are_rejected_with_an_example(configured: dict[str, Any], hint: str) -> None:
    with refuses(ConfigError, "must be", where="engine.resources.", hint=hint):
        parse_requests(configured)
