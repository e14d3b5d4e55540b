"""What methods fit, from which signal, and which of them share a fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

from microbench_ray.data import Benchmark
from microbench_ray.methods import Estimator, Method, Selector, Signal


@overload
def signal_used(benchmark: Benchmark, wanted: Signal) -> Signal: ...
@overload
def signal_used(benchmark: Benchmark, wanted: None) -> None: ...
@overload
def signal_used(benchmark: Benchmark, wanted: Signal | None) -> Signal | None: ...
def signal_used(benchmark: Benchmark, wanted: Signal | None) -> Signal | None:
    """The wanted signal, or the next simpler one that the benchmark has."""
    if wanted == "answers" and benchmark.answers is None:
        wanted = "confidence"
    return "correctness" if wanted in ("confidence", "both") and benchmark.confidence is None else wanted


def fit_names(method: Method, benchmark: Benchmark) -> dict[tuple[str, str], Selector | Estimator]:
    """The fits that a method needs, by key and signal, with the part that would compute each."""
    parts: list[tuple[Selector | Estimator, Signal | None]] = [
        (method.selector, method.selector.signal),
        (method.estimator, method.estimator.source_signal),
    ]
    return {(part.fit_key, str(signal_used(benchmark, signal))): part for part, signal in parts if part.fit_key}


def fits_of(methods: Iterable[Method], benchmark: Benchmark) -> list[Selector | Estimator]:
    """One part of a method for every different fit of the methods."""
    found: dict[tuple[str, str], Selector | Estimator] = {}
    for method in methods:
        found = fit_names(method, benchmark) | found
    return list(found.values())


def by_fit(methods: Iterable[Method], benchmark: Benchmark) -> list[tuple[Method, ...]]:
    """Group methods that share a fit, directly or by others; those without any are one group. Keeps their order."""
    order = list(methods)
    groups: list[tuple[set[tuple[str, str]], list[int]]] = []
    for place, method in enumerate(order):
        names, members = set(fit_names(method, benchmark)) or {("", "")}, [place]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names, members = names | group[0], members + group[1]
        groups.append((names, members))
    return [tuple(order[place] for place in places) for places in sorted(sorted(members) for _, members in groups)]
