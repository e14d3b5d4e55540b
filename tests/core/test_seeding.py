"""Streams keyed by names: the same for the same key on any machine, and another for any other key."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from microbench_ray.core import seeding

PURPOSES = {
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
}
KEY = {"seed": 0, "benchmark": "gpqa", "method": "random", "n_source": 300, "run": 3, "size": 25}
OTHER = {"seed": 1, "benchmark": "bbh", "method": "rando", "n_source": 30, "run": 4, "size": 2}
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
}


def first(rng: np.random.Generator) -> int:
    return int(rng.integers(2**62))


def test_streams_are_pinned():
    # The same on every machine and in every version: a change here changes every number of the project.
    assert int(seeding.stream(0, "split", "gpqa", 3).integers(2**32)) == 704988644
    assert int(seeding.stream(7).integers(2**32)) == 3766068178


def test_parts_of_a_key_do_not_run_together():
    keys = [("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), (1,), ("1",), ("", "abc"), (), (0,), ("a", "bc", 0)]
    drawn = [first(seeding.stream(0, *key)) for key in keys]
    assert len(set(drawn)) == len(keys)


def test_seeds_and_keys_do_not_run_together():
    assert len({first(seeding.stream(seed, "x", run)) for seed in range(30) for run in range(30)}) == 900


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_a_stream_depends_on_its_key_and_on_nothing_else(purpose):
    before = first(PURPOSES[purpose](**KEY))
    assert before == first(PURPOSES[purpose](**KEY))
    changes = {name for name in KEY if first(PURPOSES[purpose](**(KEY | {name: OTHER[name]}))) != before}
    assert changes == USED[purpose]


def test_purposes_share_no_stream():
    for one, other in combinations(PURPOSES, 2):
        assert first(PURPOSES[one](**KEY)) != first(PURPOSES[other](**KEY))


def test_a_selector_whose_sizes_nest_has_one_stream_for_all_of_them():
    nested = [first(seeding.select_stream(0, "b", "m", 10, 0, None)) for _ in (10, 25)]
    assert nested[0] == nested[1] != first(seeding.select_stream(0, "b", "m", 10, 0, 10))


def test_the_stream_of_intervals_is_keyed_by_the_cell_without_its_run():
    group = ("b", "m", 10, 25, "random", "half")
    others = [("c", *group[1:]), (*group[:3], 26, *group[4:]), (*group[:-1], "none")]
    assert len({first(seeding.interval_stream(0, *key)) for key in [group, *others, group]}) == 4


def test_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    seeding.stream(0, "a").random(10)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
