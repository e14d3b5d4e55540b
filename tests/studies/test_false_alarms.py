"""The replay of clean nights on real boards, and what it found; the full study is `studies/false_alarms.py`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.audit.drift_rules import DriftPolicy
from studies import false_alarms as study

POLICY = DriftPolicy(n_resamples=200)


def test_the_share_and_its_error_by_hand() -> None:
    result = study.Replay(alarmed=[np.array([True, False]), np.array([False, False]), np.array([False, False])])
    assert result.n_nights == 6
    assert result.share == pytest.approx(1 / 6)
    # Alarms of a history less those expected: 2/3, −1/3, −1/3; the sum of squares is 2/3, and 3/2 · 2/3 is 1.
    assert result.standard_error == pytest.approx(1 / 6)


def test_subtasks_double_in_size() -> None:
    sizes = Counter(study.unequal_subtasks(630, np.random.default_rng(0)))
    assert [sizes[f"s{k}"] for k in range(6)] == [10, 20, 40, 80, 160, 320]


def test_a_replay_plants_drops_and_finds_them() -> None:
    board = study.read_board("40x400x4", np.random.default_rng(0))
    assert (board.n_models, board.n_items, len(board.subtask_names)) == (40, 400, 4)
    result = study.replay(board, 30, histories=3, nights=3, policy=POLICY)
    assert [nights.size for nights in result.alarmed] == [3, 3, 3]
    assert result.planted >= 1
    assert result.found == result.named == result.planted
    assert min(result.drops) > 0.02


def test_a_drop_lowers_the_mean_by_at_least_its_size() -> None:
    rng = np.random.default_rng(0)
    scores = np.array([1, 1, 1, 1, 255, 0, 1, 1, 1, 1, 1], np.uint8)
    items = np.arange(1, 11)
    study._drop(scores, items, 0.3, 255, rng)
    known = scores[items][scores[items] != 255]
    assert known.mean() in (pytest.approx(5 / 9), pytest.approx(4 / 9))  # 8/9 before; a third of nine answers, or one more
    assert scores[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alpaca_eval1.parquet", "boards/helm_med_qa.parquet"])
def test_a_small_baseline_of_a_real_board_rarely_alarms(name: str) -> None:
    folder = os.environ.get("MICROBENCH_TEST_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip("MICROBENCH_TEST_DATA is not set, or lacks the board")
    board = study.read_board(str(Path(folder) / name), np.random.default_rng(0))
    result = study.replay(board, 20, histories=12, nights=6, policy=POLICY)
    # With independent nights at 1 %, more than four of 72 have a probability below 0.001. Resampling the baseline alone alarms on
    # every sixth night.
    assert sum(int(nights.sum()) for nights in result.alarmed) <= 4
    assert result.found >= result.planted - 1
