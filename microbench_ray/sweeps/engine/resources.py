"""What a shard asks of a cluster, by the methods that are in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.sweeps.shards import Shard

DEFAULT = "default"


@dataclass(frozen=True)
class Request:
    """What one shard reserves.

    Attributes
    ----------
    num_cpus
        Logical CPUs. A shard computes with one thread however many it reserves; more leave room in memory.
    memory
        Bytes; 0 reserves none.
    custom
        Custom resources of the cluster's nodes, by name.
    """

    num_cpus: float = 1.0
    memory: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)

    def joined(self, other: Request) -> Request:
        """The larger of each."""
        names = {*self.custom, *other.custom}
        custom = {name: max(self.custom.get(name, 0.0), other.custom.get(name, 0.0)) for name in sorted(names)}
        return Request(max(self.num_cpus, other.num_cpus), max(self.memory, other.memory), custom)

    def fits(self, node: Mapping[str, float]) -> int:
        """How many such shards a node of these resources (CPU, memory, …) computes at a time."""
        wanted = {"CPU": self.num_cpus, "memory": self.memory, **self.custom}
        return min(int(node.get(name, 0.0) / amount) for name, amount in wanted.items() if amount)


@dataclass(frozen=True)
class Requests:
    """What shards reserve, by method: a shard of several takes the largest of theirs."""

    default: Request = field(default_factory=Request)
    of_method: Mapping[str, Request] = field(default_factory=dict)

    def of(self, shard: Shard) -> Request:
        """What this shard reserves."""
        first, *others = (self.of_method.get(method.label, self.default) for method in shard.methods)
        for other in others:
            first = first.joined(other)
        return first


def parse_requests(given: Mapping[str, Any]) -> Requests:
    """Requests from `engine.resources`: by `default` and by the label of a method, num_cpus, memory and custom.

    Raises
    ------
    ConfigError
        A key that is not known, or a number that cannot be.
    """
    default = _request(DEFAULT, given.get(DEFAULT) or {}, Request())
    others = {str(label): _request(str(label), entry or {}, default) for label, entry in given.items() if label != DEFAULT}
    return Requests(default, others)


def _request(label: str, entry: Any, base: Request) -> Request:
    where = f"engine.resources.{label}"
    known = tuple(Request.__dataclass_fields__)
    if not isinstance(entry, Mapping) or not set(entry) <= set(known):
        raise ConfigError("Resources are a mapping.", where=where, got=repr(entry), hint=f"keys: {', '.join(known)}")
    custom = entry.get("custom", base.custom) or {}
    if not isinstance(custom, Mapping):
        raise ConfigError("Custom resources are a mapping.", where=f"{where}.custom", got=repr(custom), hint="custom: {big: 1}")
    values = {"num_cpus": entry.get("num_cpus", base.num_cpus), "memory": entry.get("memory", base.memory) or 0.0, **custom}
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        if not number or (value == 0 and name != "memory"):
            raise ConfigError(f"{name} must be a number over 0.", where=where, got=repr(value), hint=f"{name}: 1")
    return Request(float(values["num_cpus"]), float(values["memory"]), {str(k): float(v) for k, v in custom.items()})
