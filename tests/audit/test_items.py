from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from microbench_ray.audit import items
from microbench_ray.audit.items import benjamini_hochberg, count_missing_responses, item_statistics
from microbench_ray.data import Benchmark
from tests.helpers import small

NAN = np.nan


@pytest.mark.filterwarnings("ignore:What counts as an item looks like:microbench_ray.core.errors.DataWarning")
def test_statistics_by_hand_and_by_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "ITEMS_PER_BLOCK", 7)
    right = small.responses(40).astype(float)
    right[:, 3], right[:, 4], right[:, 5] = 1, 0, 0.5
    right[::4, 10:30] = NAN
    right[:, 6] = 1 - right[:, 7]
    found = item_statistics(small.board(right))
    assert found["item_id"].to_pylist() == small.items()
    assert [found["dead"][k].as_py() for k in range(3, 7)] == ["all_right", "all_wrong", "constant", ""]
    assert found["dead"].to_pylist().count("") == small.N_ITEMS - 3
    for item in (0, 6, 12, 200):
        known = ~np.isnan(right[:, item])
        rest = np.nanmean(np.delete(right, item, axis=1), axis=1)
        assert found["n_answered"][item].as_py() == known.sum()
        assert found["mean"][item].as_py() == pytest.approx(np.nanmean(right[:, item]))
        r = stats.pearsonr(right[known, item], rest[known]).statistic
        assert found["discrimination"][item].as_py() == pytest.approx(r)
        assert found["p_negative"][item].as_py() == pytest.approx(stats.norm.cdf(np.arctanh(r) * np.sqrt(known.sum() - 3)))
    assert found["discrimination"][3].as_py() is None
    assert found["negative"][3].as_py() is False


def test_a_wrong_answer_key_is_flagged_and_noise_rarely() -> None:
    right = small.responses(200)
    right[:, :200] = np.random.default_rng(0).integers(0, 2, (200, 200))  # every model guesses
    right[:, 230] = 1 - right[:, 230]  # wrong answer key
    found = item_statistics(small.board(right))
    negative = np.flatnonzero(found["negative"].to_numpy())
    assert 230 in negative
    assert len(negative) <= 3
    assert np.sum(found["p_negative"].to_numpy(zero_copy_only=False)[:200] < 0.05) > 3


def test_false_discoveries_are_controlled_as_by_scipy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.random(30) ** 3
        assert (benjamini_hochberg(p, 0.1) == (stats.false_discovery_control(p) <= 0.1)).all()
    p = np.array([NAN, 0.01, NAN, 0.9])
    assert benjamini_hochberg(p, 0.05).tolist() == [False, True, False, False]
    assert benjamini_hochberg(np.array([NAN]), 0.05).tolist() == [False]
    assert benjamini_hochberg(np.array([]), 0.05).tolist() == []


def test_too_few_models_have_no_p_value() -> None:
    found = item_statistics(small.board(small.responses(3)))
    assert found["p_negative"].null_count == small.N_ITEMS
    assert not found["negative"].to_numpy().any()


def test_missing_responses_by_hand() -> None:
    scores = np.array([[1, NAN, 0, 1], [0, NAN, NAN, 1], [1, 0, 0, 0]])
    board = Benchmark.from_arrays("b", scores, list("wxyz"), ["a", "b", "c"], subtasks=["s", "s", "t", "t"], max_missing=0.6)
    found = count_missing_responses(board)
    assert found.total == 3
    assert found.by_model == {"a": 1, "b": 2}
    assert found.by_item == {"x": 2, "y": 1}
    assert found.by_subtask == {"s": 2, "t": 1}
    assert count_missing_responses(small.board(small.responses(3))).total == 0
