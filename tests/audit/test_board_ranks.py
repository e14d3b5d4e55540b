"""The ranks that a leaderboard's own items leave open."""

from __future__ import annotations

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.audit import board_ranks as module
from microbench_ray.audit.board_ranks import board_ranks
from tests.helpers import small


def test_they_are_those_of_the_library() -> None:
    board = mb.synthetic(n_models=20, n_items=300)
    found = board_ranks(board, np.random.default_rng(0)).to_pandas()
    expected = mb.rank_intervals(board)
    assert found["model"].tolist() == expected["model"].tolist()
    assert found["rank"].tolist() == expected["rank"].tolist()
    for ours, theirs in (("rank_lo", "rank_low"), ("rank_hi", "rank_high")):
        assert np.abs(found[ours] - expected[theirs]).max() <= 1  # other draws
    assert found["tie_group"].is_monotonic_increasing


def test_far_models_have_one_rank() -> None:
    right = np.zeros((3, 80))
    right[0], right[1, :40] = 1, 1
    found = board_ranks(small.board(right), np.random.default_rng(0)).to_pylist()
    assert [(row["rank"], row["rank_lo"], row["rank_hi"], row["tie_group"]) for row in found] == [(k, k, k, k) for k in (1, 2, 3)]


def test_boards_of_many_models_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MODELS", 19)
    assert board_ranks(mb.synthetic(n_models=20, n_items=50), np.random.default_rng(0)).num_rows == 0
