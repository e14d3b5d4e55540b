from __future__ import annotations

import pickle
import time

import numpy as np
import pytest

from microbench_ray.data import READERS, synthetic


def test_the_leaderboard_has_the_documented_properties() -> None:
    start = time.process_time()
    benchmark = synthetic()
    assert time.process_time() - start < 1  # budget .3 s, measured .05 s
    assert (benchmark.n_models, benchmark.n_items, benchmark.units, benchmark.has_missing) == (200, 2000, 1, False)
    accuracy = benchmark.scores.mean(axis=1)
    assert 0.2 < accuracy.min() < 0.4
    assert 0.75 < accuracy.max() < 0.95
    assert 0.05 < accuracy.std() < 0.2
    sizes = np.bincount(benchmark.subtask_codes)
    assert len(sizes) == 12
    assert sizes.max() / sizes.min() == pytest.approx(6, abs=0.5)
    assert set(benchmark.metadata.columns) == {"family", "params", "instruct", "release_date"}
    assert not benchmark.metadata.isna().any(axis=None)
    assert benchmark.metadata["params"].between(5e8, 7e10).all()


def test_confidence_increases_with_correctness_and_ability() -> None:
    benchmark = synthetic()
    confidence, correct = benchmark.confidence, benchmark.scores == 1
    assert confidence is not None
    assert confidence[correct].mean() > confidence[~correct].mean() + 0.2
    ranks = [values.argsort().argsort() for values in (confidence.mean(axis=1), correct.mean(axis=1))]
    assert np.corrcoef(ranks)[0, 1] > 0.8
    assert 0 < confidence.min() < 0.1 < 0.9 < confidence.max() < 1


def test_items_differ_in_difficulty_and_larger_models_are_better() -> None:
    benchmark = synthetic()
    assert benchmark.scores.mean(axis=0).std() > 0.15
    accuracy = benchmark.scores.mean(axis=1)
    assert np.corrcoef(np.log(benchmark.metadata["params"].to_numpy(float)), accuracy)[0, 1] > 0.5


def test_seeds() -> None:
    assert synthetic(seed=1).digest == synthetic(seed=1).digest != synthetic(seed=2).digest
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002
    synthetic()
    assert pickle.dumps(np.random.get_state()) == state  # noqa: NPY002


@pytest.mark.parametrize(("models", "items", "subtasks"), [(2, 1, 1), (3, 5, 12), (1000, 13, 3)])
def test_any_size(models: int, items: int, subtasks: int) -> None:
    benchmark = READERS["synthetic"]("w", models, items, subtasks)
    assert (benchmark.n_models, benchmark.n_items) == (models, items)
    assert len(benchmark.subtask_names) == min(items, subtasks)
