"""The resources that a shard reserves on a cluster, by its methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.sweeps.shards import Shard

DEFAULT = "default"


@dataclass(frozen=True)
class Request:
    """The resources that one shard reserves.

    Attributes
    ----------
    num_cpus
        Logical CPUs. A shard always computes with one thread; reserving more leaves more memory per shard.
    memory
        Bytes; 0 reserves no memory.
    custom
        Amounts of custom resources of the cluster's nodes, by name.
    """

    num_cpus: float = 1.0
    memory: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)

    def union(self, other: Request) -> Request:
        """The larger of the two requests for every resource."""
        names = {*self.custom, *other.custom}
        custom = {name: max(self.custom.get(name, 0.0), other.custom.get(name, 0.0)) for name in sorted(names)}
        return Request(max(self.num_cpus, other.num_cpus), max(self.memory, other.memory), custom)

    def fits(self, node: Mapping[str, float]) -> int:
        """Number of such shards that fit on a node with these resources (CPU, memory, …) at the same time."""
        amounts = {"CPU": self.num_cpus, "memory": self.memory, **self.custom}
        return min(int(node.get(name, 0.0) / amount) for name, amount in amounts.items() if amount)


@dataclass(frozen=True)
class Requests:
    """The requests of all shards, by method label; a shard with several methods takes the largest of their requests."""

    default: Request = field(default_factory=Request)
    of_method: Mapping[str, Request] = field(default_factory=dict)

    def of(self, shard: Shard) -> Request:
        """The request of a shard."""
        request, *others = (self.of_method.get(method.label, self.default) for method in shard.methods)
        for other in others:
            request = request.union(other)
        return request


def parse_requests(given: Mapping[str, Any]) -> Requests:
    """Parse `engine.resources`: `num_cpus`, `memory` and `custom` under `default` and under the labels of methods.

    Raises
    ------
    ConfigError
        A key is unknown or a number is out of range.
    """
    default = _request(DEFAULT, given.get(DEFAULT) or {}, Request())
    others = {str(label): _request(str(label), entry or {}, default) for label, entry in given.items() if label != DEFAULT}
    return Requests(default=default, of_method=others)


def _request(label: str, entry: Any, base: Request) -> Request:
    where = f"engine.resources.{label}"
    keys = tuple(Request.__dataclass_fields__)
    if not isinstance(entry, Mapping) or not set(entry) <= set(keys):
        raise ConfigError(
            "Resources must be a mapping of known keys.", where=where, got=repr(entry), hint=f"valid keys: {', '.join(keys)}"
        )
    custom = entry.get("custom", base.custom) or {}
    if not isinstance(custom, Mapping):
        raise ConfigError("Custom resources must be a mapping.", where=f"{where}.custom", got=repr(custom), hint="custom: {big: 1}")
    values = {"num_cpus": entry.get("num_cpus", base.num_cpus), "memory": entry.get("memory", base.memory) or 0.0, **custom}
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        if not number or (value == 0 and name != "memory"):
            raise ConfigError(f"{name} must be a number greater than 0.", where=where, got=repr(value), hint=f"{name}: 1")
    return Request(
        num_cpus=float(values["num_cpus"]),
        memory=float(values["memory"]),
        custom={str(key): float(value) for key, value in custom.items()},
    )
