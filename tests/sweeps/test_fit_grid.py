"""The default grid fits itself to the benchmarks; what is given is never changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.data import Benchmark
from microbench_ray.methods import build_method
from microbench_ray.sweeps.fit_grid import OPEN_KEYS, fit_grid
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep

RANDOM = build_method("random", {"name": "random"}, {"name": "mean"})


def board(n_models: int, n_items: int, name: str = "board", subtasks: list[str] | None = None) -> Benchmark:
    scores = np.random.default_rng(0).random((n_models, n_items)).round()
    return Benchmark.from_arrays(
        name, scores, [f"i{k}" for k in range(n_items)], [f"m{k}" for k in range(n_models)], subtasks=subtasks
    )


def fitted(
    benchmark: Benchmark, *, open_keys: tuple[str, ...] = OPEN_KEYS, targets: tuple[Targets, ...] = (Targets(),), **given: Any
) -> Grid:
    return fit_grid(Grid(**given), open_keys, [benchmark], targets).grid


@pytest.mark.parametrize(
    ("n_models", "n_items", "sizes", "n_source", "n_target"),
    [
        (200, 2000, (10, 25, 50, 100, 250, 500), 100, 50),  # the synthetic leaderboard: the default grid
        (150, 1000, (10, 25, 50, 100, 250, 500), 100, 50),
        (149, 999, (10, 25, 50, 100, 250, 500), 100, 49),
        (60, 448, (10, 25, 50, 100), 40, 20),  # 224 seen items
        (12, 60, (5, 10, 25), 8, 4),
        (12, 24, (5, 10), 8, 4),
        (3, 10, (5,), 1, 2),
        (4, 8, (2,), 2, 2),
        (3, 1, (1,), 1, 2),
    ],
)
def test_the_grid_fits_models_and_items(n_models: int, n_items: int, sizes: tuple[int, ...], n_source: int, n_target: int) -> None:
    assert fitted(board(n_models, n_items)) == Grid(sizes=sizes, n_source=(n_source,), n_target=n_target)


@pytest.mark.filterwarnings("ignore::microbench_ray.core.errors.DataWarning")
@given(st.integers(3, 300), st.integers(1, 400), st.sampled_from(["half", "none"]))
def test_any_board_of_three_models_can_be_swept(n_models: int, n_items: int, unseen: Any) -> None:
    benchmark = board(n_models, n_items)
    grid = fitted(benchmark, unseen=unseen)
    assert plan_sweep([benchmark], [RANDOM], grid, Targets()).shards
    assert grid.runs == Grid().runs


@pytest.mark.parametrize(
    ("given", "open_keys", "expected"),
    [
        ({"n_target": 30}, ("sizes", "n_source"), {"n_source": (10,), "n_target": 30}),
        ({"n_source": (10, 25)}, ("sizes", "n_target"), {"n_source": (10, 25), "n_target": 15}),
        ({"sizes": (7, 900)}, ("n_source", "n_target"), {"sizes": (7, 900), "n_source": (27,), "n_target": 13}),
        ({"n_source": (300,), "n_target": 100}, ("sizes",), {"n_source": (300,), "n_target": 100}),
        ({}, (), {"sizes": Grid().sizes, "n_source": (100,), "n_target": 50}),
    ],
)
def test_given_values_are_never_changed(given: dict[str, Any], open_keys: tuple[str, ...], expected: dict[str, Any]) -> None:
    grid = fitted(board(40, 120), open_keys=open_keys, **given)
    assert {key: getattr(grid, key) for key in expected} == expected


def test_separate_subtasks_have_sizes_that_the_smallest_allows() -> None:
    benchmark = board(40, 120, subtasks=["large"] * 100 + ["small"] * 20)
    assert fitted(benchmark, subtasks="separate").sizes == (5, 10)
    assert fitted(benchmark).sizes == (10, 25, 50)


def test_the_sources_are_those_that_a_fixed_group_leaves() -> None:
    groups = (Targets(), Targets(label="mine", names=tuple(f"m{k}" for k in range(30))))
    assert fitted(board(40, 120), targets=groups[:1]).n_source == (27,)
    assert fitted(board(40, 120), targets=groups).n_source == (10,)
    only = fit_grid(Grid(), OPEN_KEYS, [board(40, 120)], groups[1:])
    assert only.grid.n_target == Grid().n_target
    assert "n_target" not in only.lines[0]


def test_benchmarks_have_sizes_each_and_numbers_of_models_that_all_allow() -> None:
    boards = [board(40, 120, "one"), board(30, 3000, "two"), board(90, 50, "three")]
    fit = fit_grid(Grid(), OPEN_KEYS, boards, [Targets()], {"three": (3, 4)})
    assert fit.grid == Grid(sizes=(10, 25, 50), n_source=(20,), n_target=10)
    assert fit.sizes == {"two": (10, 25, 50, 100, 250, 500), "three": (3, 4)}
    assert [line.split(":")[0] for line in fit.lines] == ["one", "two", "three"]
    assert "grid.sizes=[10,25,50] grid.n_source=[20] grid.n_target=10" in fit.lines[0]
    assert "sizes" not in fit.lines[2]
    assert fit_grid(Grid(), ("sizes",), boards[2:], [Targets()], {"three": (3, 4)}).lines == []
