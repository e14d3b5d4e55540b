"""Intervals over models of the number of items and of the MDAD: resamples against a loop, and coverage on halves of a board."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.data import read_scores, synthetic
from microbench_ray.metrics import closed_form as cf
from microbench_ray.metrics import size_interval
from microbench_ray.metrics.model_bootstrap import model_weights
from microbench_ray.metrics.pair_moments import pair_moments
from microbench_ray.metrics.size_interval import ResampledMdads
from microbench_ray.metrics.ties import TiePolicy


def resampled(scores: np.ndarray, seed: int = 0, policy: TiePolicy = "wrong") -> ResampledMdads:
    return ResampledMdads(pair_moments(scores), 0.8, policy, False, np.random.default_rng(seed))


@pytest.mark.parametrize("policy", ["wrong", "half", "drop"])
def test_resamples_are_those_of_a_loop(policy: TiePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every resample holds w_i copies of model i; copies of one model form no pair."""
    monkeypatch.setattr(size_interval, "RESAMPLES", 12)
    scores, size = synthetic(n_models=14, n_items=120, seed=2).scores, 30
    bins = resampled(scores, 5, policy).bins(size)
    pairs = pair_moments(scores)
    assert (pairs.difference > 0).sum() > 80
    for weight, got in zip(model_weights(np.arange(14), 14, 12, np.random.default_rng(5)), bins, strict=True):
        copies = np.repeat(np.arange(pairs.n_pairs), (weight[pairs.higher] * weight[pairs.lower]).astype(int))
        mdad = cf.expected_mdad(cf.expected_counts(pairs.take(copies), size), 0.8, policy)
        assert got == (201 if math.isnan(mdad) else round(mdad * 200))


def test_the_interval_holds_the_number_of_all_models_and_narrows_with_more_of_them() -> None:
    widths = []
    for n_models in (20, 150):
        pairs = pair_moments(synthetic(n_models=n_models, n_items=600, seed=1).scores)
        size = cf.smallest_size(pairs, 0.05)
        assert size is not None
        low, high = ResampledMdads(pairs, 0.8, "wrong", False, np.random.default_rng(0)).size_interval(0.05, size)
        assert high is not None
        assert low <= size <= high
        widths.append((high - low) / size)
    assert widths[1] < widths[0] / 1.5


@pytest.mark.slow
def test_intervals_of_halves_hold_the_number_of_the_whole_board() -> None:
    """Of boards of 40 models drawn from 400, the 95 % interval holds what all 400 say."""
    scores = synthetic(n_models=400, n_items=800, seed=4).scores
    pairs, rng = pair_moments(scores), np.random.default_rng(6)
    truth = {difference: cf.smallest_size(pairs, difference) for difference in (0.03, 0.06)}
    mdad = cf.expected_mdad(cf.expected_counts(pairs, 60))
    held, held_mdad = [], []
    for _ in range(25):
        part = pair_moments(scores[rng.permutation(400)[:40]])
        drawn = ResampledMdads(part, 0.8, "wrong", False, rng)
        for difference, whole in truth.items():
            size = cf.smallest_size(part, difference)
            assert size is not None
            assert whole is not None
            low, high = drawn.size_interval(difference, size)
            held.append(low <= whole and (high is None or whole <= high))
        ends = drawn.mdad_interval(60, cf.expected_mdad(cf.expected_counts(part, 60)))
        held_mdad.append((ends[0] or 0) <= mdad and (ends[1] is None or mdad <= ends[1]))
    assert np.mean(held) >= 0.88
    assert np.mean(held_mdad) >= 0.88


def test_many_models_have_fewer_resamples() -> None:
    pairs = pair_moments(synthetic(n_models=30, n_items=60).scores)
    assert ResampledMdads(pairs, 0.8, "wrong", False, np.random.default_rng(0)).n_resamples == size_interval.RESAMPLES
    many = pairs.take(np.arange(200_000) % pairs.n_pairs)
    assert ResampledMdads(many, 0.8, "wrong", False, np.random.default_rng(0)).n_resamples < 100


def test_a_difference_that_resamples_do_not_detect_has_no_upper_end() -> None:
    """Two models: their one pair, at a distance that all items just detect, is in some resamples and in others there is none."""
    scores = np.zeros((3, 40), np.uint8)
    scores[0, :22], scores[1, :20], scores[2, :18] = 1, 1, 1
    pairs = pair_moments(scores)
    drawn = ResampledMdads(pairs, 0.999, "wrong", True, np.random.default_rng(0))
    low, high = drawn.size_interval(0.05, 40)
    assert high is None
    assert low <= 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gpqa", "boards/openllm_musr", "boards/helm_gsm", "boards/helm_med_qa", "boards/agents_swebench_verified"]
)
def test_intervals_of_parts_of_real_boards_hold_the_number_of_the_whole(test_data: Path, name: str) -> None:
    scores, rng = read_scores(test_data / f"{name}.parquet", confidence=None).scores, np.random.default_rng(3)
    whole = pair_moments(scores)
    shares = []
    for n_models in (30, 60, len(scores) // 2):
        held = []
        for _ in range(12):
            part = pair_moments(scores[rng.permutation(len(scores))[:n_models]])
            drawn = ResampledMdads(part, 0.8, "wrong", False, rng)
            for difference in (0.02, 0.05):
                size, truth = cf.smallest_size(part, difference), cf.smallest_size(whole, difference)
                if size is not None and truth is not None:
                    low, high = drawn.size_interval(difference, size)
                    held.append(low <= truth and (high is None or truth <= high))
        shares.append(float(np.mean(held)))
        print(f"{name}, {n_models} models: {shares[-1]:.2f} of {len(held)}")
    assert min(shares) >= 0.75
    assert np.mean(shares) >= 0.9
