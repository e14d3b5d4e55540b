"""studies.beyond_sources: readouts against the estimator, the order by hand, and a small study from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import synthetic
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.auto import AutoEstimator
from microbench_ray.methods.kernels.auto import fit_auto
from studies.beyond_sources import draws, main, order, readouts
from studies.score_coverage import accuracies
from tests.helpers.small import responses

N_ITEMS, SIZE = 60, 12


def test_a_tie_counts_one_half() -> None:
    # Of five pairs of different accuracies four are right and one is tied; the pair of equal accuracies is left out.
    assert order(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.1, 0.2, 0.3, 0.3])) == pytest.approx((1 + 1 + 1 + 0.5 + 1) / 5)


def test_the_readouts_are_those_of_the_estimator() -> None:
    scores = responses(30, 0, N_ITEMS).astype(float)
    subtask = np.zeros(N_ITEMS, np.int32)
    ranked = np.argsort(scores.mean(axis=1))
    sources, targets = np.sort(ranked[:20]), ranked[20:]  # the ten best
    found, flagged = readouts(scores, subtask, sources, targets, SIZE, np.random.default_rng(3))
    seen = SeenItems(np.array([str(k) for k in range(N_ITEMS)], object), subtask, scores[sources].astype(np.float32))
    fit = fit_auto(seen, np.random.default_rng(3))
    selection = Selection(fit.learned.order[:SIZE])
    answered = scores[np.ix_(targets, selection.items)]
    expected = AutoEstimator(signal="correctness").estimate(answered, selection, seen, fit)
    assert found["auto"] == pytest.approx(expected, abs=1e-5)
    assert found["mean"] == pytest.approx(answered.mean(axis=1))
    top, stack = scores[sources].mean(axis=1).max(), found["stack"]
    share = np.clip(((stack + found["wide"]) / 2 - top) / 0.05, 0, 1)
    assert (share > 0).any()
    assert flagged == (share > 0).mean()
    assert found["auto"] == pytest.approx(stack + share * (found["wide"] - stack), abs=1e-5)
    narrow_share = np.clip((stack - top) / 0.05, 0, 1)
    assert found["narrow"] == pytest.approx(stack + narrow_share * (found["p_irt"] - stack), abs=1e-5)


@pytest.mark.parametrize("kind", ["best", "worst"])
def test_the_fifth_that_is_held_out_is_never_a_source(kind: str) -> None:
    board = synthetic(n_models=50, n_items=N_ITEMS)
    by_accuracy = np.argsort(accuracies(board))
    for sources, targets, _ in draws(board, kind, 20, 3):
        assert set(targets) == set(by_accuracy[-10:] if kind == "best" else by_accuracy[:10])
        assert len(sources) == 20
        assert not set(sources) & set(targets)
    assert list(draws(board, kind, 41, 3)) == []
    assert [len(targets) for _, targets, _ in draws(board, "alike", 20, 1)] == [30]


def test_a_small_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = pd.DataFrame(responses(45, 0, N_ITEMS).T, columns=[f"m{k}" for k in range(45)]).astype(float)
    scores.insert(0, "item_id", [f"q{k}" for k in range(N_ITEMS)])
    scores.to_parquet(tmp_path / "b.parquet")
    words = [str(tmp_path / "b.parquet"), "--fraction", "0.2"]
    assert main([*words, "--sources", "7", "--runs", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 * 8
    assert lines[2].startswith("| best, 1 boards, flagged")
    assert "(" not in lines[2].split("|")[3]
    assert main([*words, "--sources", "46", "--runs", "4"]) == 2
    assert main([*words, "--runs", "2"]) == 2
    assert "--runs" in capsys.readouterr().err
