"""A race with predictions: without them it is the race of the program, and with them the best model is rarely lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data.synthetic import synthetic
from microbench_ray.metrics.racing import elimination_times
from studies.race_predictions import eliminated_by_predictions, main, predictions


def drawn(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(rng.normal(0, 1, n_items) - rng.normal(0, 1, (n_models, 1))))
    return (rng.random((n_models, n_items)) < chance).astype(float)


def test_without_known_models_it_is_the_race_of_the_program() -> None:
    scores = drawn(6, 150)
    assert eliminated_by_predictions(scores, None, 0.05).tolist() == elimination_times(scores, scores, 150, 0.05).tolist()


def test_copies_of_known_models_are_predicted() -> None:
    known = drawn(30, 150)
    found = predictions(known[:3, :100], known)
    assert np.corrcoef(found[0, 100:], known[0, 100:])[0, 1] > np.corrcoef(known.mean(axis=0)[100:], known[0, 100:])[0, 1]
    assert ((found >= 0) & (found <= 1)).all()


def test_the_best_model_is_lost_in_at_most_the_level() -> None:
    rng, known = np.random.default_rng(0), drawn(10, 60, seed=1)
    scores = np.zeros((4, 60))
    for row, right in zip(scores, (31, 30, 30, 20), strict=True):
        row[rng.permutation(60)[:right]] = 1
    lost = 0
    for _ in range(40):
        order = rng.permutation(60)
        lost += eliminated_by_predictions(scores[:, order], known[:, order], 0.2)[0] > 0
    assert lost < 8 + 3 * 2.5  # three standard errors


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = synthetic(n_models=20, n_items=40)
    pd.DataFrame(board.scores.T, columns=board.model_ids).assign(item_id=board.item_ids).to_csv(tmp_path / "board.csv", index=False)
    assert main([str(tmp_path / "board.csv"), "--models", "5", "--draws", "1"]) == 0
    assert "| board | 40 | 5 | 15 |" in capsys.readouterr().out
    assert main(["missing.csv"]) == 2
