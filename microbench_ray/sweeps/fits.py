"""The fits that methods need, the signal that each reads, and the methods that share one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

from microbench_ray.data import Benchmark
from microbench_ray.methods import Estimator, Method, Selector, Signal

FitName = tuple[str, str]
"""The key of a fit and the signal that it reads."""


@overload
def signal_used(benchmark: Benchmark, preferred: Signal) -> Signal: ...
@overload
def signal_used(benchmark: Benchmark, preferred: None) -> None: ...
@overload
def signal_used(benchmark: Benchmark, preferred: Signal | None) -> Signal | None: ...
def signal_used(benchmark: Benchmark, preferred: Signal | None) -> Signal | None:
    """The preferred signal, or the next simpler one that the benchmark has."""
    if preferred == "answers" and benchmark.answers is None:
        preferred = "confidence"
    return "correctness" if preferred in ("confidence", "both") and benchmark.confidence is None else preferred


def parts_by_fit(method: Method, benchmark: Benchmark) -> dict[FitName, Selector | Estimator]:
    """The fits that a method needs, each with the part of the method that computes it."""
    parts: list[tuple[Selector | Estimator, Signal | None]] = [
        (method.selector, method.selector.signal),
        (method.estimator, method.estimator.source_signal),
    ]
    return {(part.fit_key, str(signal_used(benchmark, signal))): part for part, signal in parts if part.fit_key}


def distinct_fits(methods: Iterable[Method], benchmark: Benchmark) -> list[Selector | Estimator]:
    """One part of a method for each distinct fit of the methods."""
    parts: dict[FitName, Selector | Estimator] = {}
    for method in methods:
        parts = parts_by_fit(method, benchmark) | parts
    return list(parts.values())


def group_by_fit(methods: Iterable[Method], benchmark: Benchmark) -> list[tuple[Method, ...]]:
    """Group methods that share a fit, directly or through others; methods without fits form one group. Keeps their order."""
    order = list(methods)
    groups: list[tuple[set[FitName], list[int]]] = []
    for position, method in enumerate(order):
        fits, members = set(parts_by_fit(method, benchmark)) or {("", "")}, [position]
        for group in [group for group in groups if group[0] & fits]:
            groups.remove(group)
            fits, members = fits | group[0], members + group[1]
        groups.append((fits, members))
    return [tuple(order[position] for position in positions) for positions in sorted(sorted(members) for _, members in groups)]
