"""Streams keyed by names: equal keys give equal streams on all machines, different keys give different streams."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from microbench_ray.core import seeding

PURPOSES: dict[str, Callable[..., np.random.Generator]] = {
    "targets": lambda seed, benchmark, method, n_source, run, size: seeding.target_stream(seed, benchmark, run),
    "sources": lambda seed, benchmark, method, n_source, run, size: seeding.source_stream(seed, benchmark, run),
    "split": lambda seed, benchmark, method, n_source, run, size: seeding.split_stream(seed, benchmark, run),
    "fit": lambda seed, benchmark, method, n_source, run, size: seeding.fit_stream(seed, method, benchmark, n_source, run),
    "select": lambda seed, benchmark, method, n_source, run, size: seeding.select_stream(
        seed, benchmark, method, n_source, run, size
    ),
    "models": lambda seed, benchmark, method, n_source, run, size: seeding.model_bootstrap_stream(seed, benchmark, method, size),
    "paired": lambda seed, benchmark, method, n_source, run, size: seeding.paired_stream(seed, benchmark, n_source, method, "half"),
    "drift": lambda seed, benchmark, method, n_source, run, size: seeding.drift_stream(seed, benchmark, method),
    "ranks": lambda seed, benchmark, method, n_source, run, size: seeding.rank_stream(seed, benchmark, method),
    "export": lambda seed, benchmark, method, n_source, run, size: seeding.export_stream(seed, benchmark, method),
}
KEY: dict[str, Any] = {"seed": 0, "benchmark": "gpqa", "method": "random", "n_source": 300, "run": 3, "size": 25}
OTHER: dict[str, Any] = {"seed": 1, "benchmark": "bbh", "method": "rando", "n_source": 30, "run": 4, "size": 2}
USED = {
    "targets": {"seed", "benchmark", "run"},
    "sources": {"seed", "benchmark", "run"},
    "split": {"seed", "benchmark", "run"},
    "fit": {"seed", "benchmark", "method", "n_source", "run"},
    "select": {"seed", "benchmark", "method", "n_source", "run", "size"},
    "models": {"seed", "benchmark", "method", "size"},
    "paired": {"seed", "benchmark", "method", "n_source"},
    "drift": {"seed", "benchmark", "method"},
    "ranks": {"seed", "benchmark", "method"},
    "export": {"seed", "benchmark", "method"},
}


def first(rng: np.random.Generator) -> int:
    return int(rng.integers(2**62))


def test_streams_are_pinned() -> None:
    # Equal on all machines and in all versions: a change here changes all results.
    assert int(seeding.stream(0, "split", "gpqa", 3).integers(2**32)) == 704988644
    assert int(seeding.stream(7).integers(2**32)) == 3766068178


def test_the_boundaries_of_a_keys_parts_matter() -> None:
    keys = [("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), (1,), ("1",), ("", "abc"), (), (0,), ("a", "bc", 0)]
    drawn = [first(seeding.stream(0, *key)) for key in keys]
    assert len(set(drawn)) == len(keys)


def test_seeds_and_keys_are_not_confused() -> None:
    assert len({first(seeding.stream(seed, "x", run)) for seed in range(30) for run in range(30)}) == 900


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_a_stream_depends_only_on_its_key(purpose: str) -> None:
    before = first(PURPOSES[purpose](**KEY))
    assert before == first(PURPOSES[purpose](**KEY))
    changes = {name for name in KEY if first(PURPOSES[purpose](**(KEY | {name: OTHER[name]}))) != before}
    assert changes == USED[purpose]


def test_purposes_share_no_stream() -> None:
    for one, other in combinations(PURPOSES, 2):
        assert first(PURPOSES[one](**KEY)) != first(PURPOSES[other](**KEY))


def test_a_selector_with_nested_sizes_has_one_stream_for_all_sizes() -> None:
    nested = [first(seeding.select_stream(0, "b", "m", 10, 0, None)) for _ in (10, 25)]
    assert nested[0] == nested[1] != first(seeding.select_stream(0, "b", "m", 10, 0, 10))


def test_the_stream_of_intervals_is_keyed_by_the_cell_without_its_run() -> None:
    group = ("b", "m", 10, 25, "random", "half")
    others = [("c", *group[1:]), (*group[:3], 26, *group[4:]), (*group[:-1], "none")]
    assert len({first(seeding.interval_stream(0, *key)) for key in [group, *others, group]}) == 4


def test_numpys_global_state_is_not_used() -> None:
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    seeding.stream(0, "a").random(10)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
