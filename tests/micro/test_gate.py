"""Gates: advice for a benchmark without pairs to measure one on names only what can help."""

from __future__ import annotations

import re

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.micro.gate import regression_gate
from microbench_ray.micro.sample_size import pairs_of
from tests.helpers.errors import refuses


def board_with(right: list[int], n_items: int = 400) -> Benchmark:
    """A benchmark of models with these numbers of right answers."""
    rng = np.random.default_rng(0)
    scores = np.zeros((len(right), n_items), np.uint8)
    for row, number in enumerate(right):
        scores[row, rng.permutation(n_items)[:number]] = 1
    return Benchmark.from_arrays("board", scores, [f"i{k}" for k in range(n_items)], [f"m{k}" for k in range(len(right))])


def test_where_no_two_models_are_near_no_drop_is_advised() -> None:
    """Few models, at least 3 points apart: no drop has equally good versions to measure false alarms on."""
    board = board_with([100, 112, 160, 240])
    for drop in (0.03, 0.05, 0.12, 0.2):
        with refuses(DataError, "no pairs", where="drop", got="3.0%", hint="more models") as caught:
            regression_gate(board, pairs_of(board), drop, 50)
        assert not re.search("another drop|drop=", str(caught.value.hint))


def test_where_all_models_are_near_no_drop_is_advised() -> None:
    board = board_with([200, 200, 201])
    with refuses(DataError, "no pairs", where="drop", got="half a point", hint="more models") as caught:
        regression_gate(board, pairs_of(board), 0.05, 50)
    assert "drop=" not in str(caught.value.hint)


@pytest.mark.parametrize("drop", [0.01, 0.05, 0.08, 0.4])
def test_a_drop_that_is_advised_can_be_measured(drop: float) -> None:
    """Models 0, 7 and 30 points above the two best: these drops have pairs."""
    board = board_with([200, 200, 228, 320])
    with refuses(DataError, "no pairs", where="drop", got=f"{drop:g}") as caught:
        regression_gate(board, pairs_of(board), drop, 50)
    advised = [float(each) for each in re.findall(r"drop=([0-9.]+)", str(caught.value.hint))]
    assert advised
    assert min(abs(each - drop) for each in advised) == pytest.approx(min(abs(each - drop) for each in (0.07, 0.23, 0.3)))
    for each in advised:
        assert len(regression_gate(board, pairs_of(board), each, 50)) >= 9
