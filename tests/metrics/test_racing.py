"""Putting models out of a race: the definition, pairs, and the probability of losing the best model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from microbench_ray.metrics.betting import CAP, FiniteList, horizons, log_wealth
from microbench_ray.metrics.racing import SPREAD, elimination_times

N = 90


def answers(accuracies: list[float], n: int = N, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((len(accuracies), n)) < np.array(accuracies)[:, None]).astype(float)


def test_two_models_are_a_test_of_their_difference() -> None:
    for seed in range(12):
        scores = answers([0.3 + 0.05 * seed, 0.5], seed=seed)
        wealth = [log_wealth(scores[1 - k] - scores[k], 0.0, FiniteList(150), 0.05) >= math.log(20) for k in (0, 1)]
        expected = [int(np.argmax(each)) + 1 if each.any() else 0 for each in wealth]
        assert elimination_times(scores, scores, 150, 0.05).tolist() == expected


def by_definition(scores: np.ndarray, n_listed: int, alpha: float) -> list[int]:
    """Model by model and item by item."""
    n_models, n = scores.shape
    out, sums, lengths = [0] * n_models, [0.0] * n_models, horizons(n_listed)
    wealth = np.ones((n_models, lengths.size))
    values: list[list[float]] = [[] for _ in range(n_models)]
    for t in range(n):
        active = [k for k in range(n_models) if not out[k]]
        if len(active) == 1:
            break
        left = n_listed - t
        beaten = []
        for k in active:
            others = [j for j in active if j != k]
            # Relative to the leader, or for the leader to the runner-up: a common factor does not matter.
            top = max(sums[j] for j in others)
            w = np.array([math.exp(-t * (g**2) / (2 * SPREAD)) for g in gaps(sums, active, k, others, top, t)])
            w /= w.sum()
            of_next = float(w @ scores[others, t])
            expected = (sums[k] - float(w @ np.array([sums[j] for j in others]))) / left
            past = np.array(values[k])
            variance = (0.25 + (((past - past.mean()) ** 2).sum() if t else 0.0)) / (1 + t)
            value = of_next - scores[k, t]
            for h, length in enumerate(lengths):
                bet = math.sqrt(2 * math.log(1 / alpha) / variance / length) * n_listed / left
                wealth[k, h] *= 1 + min(bet, CAP / (expected + 1)) * (value - expected)
            values[k].append(value)
        for k in active:
            sums[k] += scores[k, t]
        for k in active:
            ahead = max(sums[j] for j in active) - sums[k] > left - 1 + 1e-9
            if ahead or wealth[k].mean() >= 1 / alpha:
                beaten.append(k)
        if len(beaten) == len(active):
            beaten.remove(max(active, key=lambda k: sums[k]))
        for k in beaten:
            out[k] = t + 1
    return out


def gaps(sums: list[float], active: list[int], k: int, others: list[int], top: float, t: int) -> list[float]:
    leader = max(active, key=lambda j: sums[j])
    best = top if k == leader else sums[leader]
    return [(best - sums[j]) / max(t, 1) for j in others]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_definition(seed: int) -> None:
    scores = answers([0.2, 0.5, 0.7, 0.75], seed=seed)
    found = elimination_times(scores, scores, 120, 0.05).tolist()
    assert found == by_definition(scores, 120, 0.05)
    assert 0 < sum(each > 0 for each in found) < 4


def test_many_races_at_once_are_the_same_and_later_answers_do_not_count() -> None:
    races = np.stack([answers([0.2, 0.5, 0.7, 0.75], seed=seed) for seed in range(5)])
    found = elimination_times(races, races, 120, 0.05)
    assert [elimination_times(each, each, 120, 0.05).tolist() for each in races] == found.tolist()
    own = races[0]
    first = int(found[0][0])
    assert first > 0
    heads = np.array([first, N, N, N])  # the first model is not asked again
    assert elimination_times(own, own, 120, 0.05, heads).tolist() == found[0].tolist()
    heads[1] = first - 1  # a model in the race was asked fewer items
    assert elimination_times(own, own, 120, 0.05, heads).tolist() == [0, 0, 0, 0]


def test_the_best_model_is_eliminated_in_at_most_the_level() -> None:
    rng = np.random.default_rng(0)
    scores = np.zeros((5, 60))
    for row, right in zip(scores, (31, 30, 30, 30, 20), strict=True):
        row[rng.permutation(60)[:right]] = 1
    orders = rng.permuted(np.tile(np.arange(60), (2000, 1)), axis=1)
    races = np.moveaxis(scores[:, orders], 0, 1)
    lost = (elimination_times(races, races, 60, 0.2)[:, 0] > 0).mean()
    assert 0.01 < lost < 0.2
