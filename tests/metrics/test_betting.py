"""Evidence by betting: the definition, the guarantee on all orders of small lists, and what the bounds hold."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from microbench_ray.metrics.betting import (
    CAP,
    PRIOR_SQUARES,
    PRIOR_VARIANCE,
    FiniteList,
    Predictions,
    bounds_of_mean,
    horizons,
    log_wealth,
    lower_bound,
    refutes,
)


def wealth_by_definition(
    x: list[float], null: float, n_items: int, alpha: float, low: float, high: float, predictions: Predictions | None = None
) -> list[float]:
    """The wealth of the mixture, one value and one bet after the other."""
    capital = [1.0 for _ in horizons(n_items)]
    found, certain = [], False
    for t, value in enumerate(x):
        before = x[:t]
        left = n_items - t
        expected = (n_items * null - sum(before)) / left
        offset = most = 0.0
        residuals = list(before)
        if predictions is not None:
            offsets, largest = offsets_by_definition(x[: t + 1], predictions, n_items)
            residuals = [a - b for a, b in zip(before, offsets, strict=False)]
            offset, most = offsets[t], largest[t]
        mean = sum(residuals) / max(t, 1)
        variance = (PRIOR_VARIANCE * (high - low) ** 2 + sum((each - mean) ** 2 for each in residuals)) / (1 + t)
        for k, length in enumerate(horizons(n_items)):
            bet = math.sqrt(2 * math.log(1 / alpha) / (variance * length)) * n_items / left
            bet = min(bet, CAP / max(expected - low + most, 1e-12)) if low <= expected < high else 0.0
            capital[k] *= 1 + bet * (value - offset - expected)
        certain |= (sum(x[: t + 1]) + (left - 1) * low) / n_items > null + 1e-12
        found.append(math.inf if certain else sum(capital) / len(capital))
    return found


def offsets_by_definition(x: list[float], predictions: Predictions, n_items: int) -> tuple[list[float], list[float]]:
    g, mean = list(predictions.values), predictions.mean
    offsets, largest = [], []
    for t in range(len(x)):
        ahead = (n_items * mean - sum(g[:t])) / (n_items - t)
        average = sum(x[:t]) / max(t, 1)
        products = sum((a - average) * (b - mean) for a, b in zip(x[:t], g[:t], strict=True))
        squares = sum((b - mean) ** 2 for b in g[:t])
        slope = min(max((PRIOR_SQUARES + products) / (PRIOR_SQUARES + squares), 0.0), 2.0)
        offsets.append(slope * (g[t] - ahead))
        largest.append(slope * (1 - ahead))
    return offsets, largest


@pytest.mark.parametrize("n_items", [25, 40, 300])
@pytest.mark.parametrize("predicted", [False, True])
def test_the_wealth_is_that_of_the_definition(n_items: int, predicted: bool) -> None:
    rng = np.random.default_rng(n_items)
    for null in (0.1, 0.4, 0.7):
        x = np.round(rng.random(25), 1)
        predictions = Predictions(rng.random(25), 0.55) if predicted else None
        found = np.exp(log_wealth(x, null, FiniteList(n_items, 0.0, 1.0, predictions), 0.05))
        expected = wealth_by_definition(x.tolist(), null, n_items, 0.05, 0.0, 1.0, predictions)
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("values", [[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 0], [0.2, 0.2, 0.9, 0.0, 1.0, 0.4]])
@pytest.mark.parametrize("predicted", [False, True])
def test_the_wealth_against_the_true_mean_is_a_martingale_over_all_orders(values: list[float], predicted: bool) -> None:
    """Averaged over the next value, given any beginning, no bet gains or loses."""
    n, mean = len(values), float(np.mean(values))
    orders = np.array(list(permutations(range(n))))
    x = np.array(values)[orders]
    g = np.array([0.1, 0.9, 0.3, 0.3, 0.8, 0.6])
    predictions = Predictions(g[orders], float(g.mean())) if predicted else None
    wealth = np.exp(log_wealth(x, mean, FiniteList(n, 0.0, 1.0, predictions), 0.1))
    assert wealth.mean(axis=0) == pytest.approx(np.ones(n))
    for t in range(1, n):
        beginnings: dict[tuple[int, ...], list[int]] = {}
        for row, order in enumerate(orders):
            beginnings.setdefault(tuple(order[:t]), []).append(row)
        for rows in beginnings.values():
            assert wealth[rows, t].mean() == pytest.approx(wealth[rows[0], t - 1])
    smaller = np.exp(log_wealth(x, mean + 0.1, FiniteList(n, 0.0, 1.0, predictions), 0.1))
    assert (smaller.mean(axis=0) <= 1 + 1e-12).all()


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_the_true_mean_is_ever_refuted_in_at_most_alpha_of_all_orders(alpha: float) -> None:
    for values in ([1, 1, 0, 0, 0, -1, -1], [1, 0, 0, 0, 0, 0, 0], [0.5, -0.5, 0.1, 0.1, -0.2, 0, 0.9]):
        x = np.array(list(permutations(values)))
        wealth = log_wealth(x, float(np.mean(values)), FiniteList(len(values)), alpha)
        assert (wealth.max(axis=1) >= math.log(1 / alpha)).mean() <= alpha


def test_values_that_cannot_be_made_up_for_refute_with_certainty() -> None:
    values = [1.0] * 6
    assert np.isinf(log_wealth(values, 0.5, FiniteList(10, 0.0), 0.05)[5])  # at least 6 of 10
    assert not np.isinf(log_wealth(values, 0.6, FiniteList(10, 0.0), 0.05)[5])


def test_refuted_means_are_a_half_line() -> None:
    rng = np.random.default_rng(0)
    for predictions in (None, Predictions(rng.random(80), 0.5)):
        x = (rng.random(80) < 0.7).astype(float)
        wealth = log_wealth(x, np.linspace(0, 1, 101), FiniteList(120, 0.0, 1.0, predictions), 0.05)
        most = np.clip(np.maximum.accumulate(wealth, axis=1), 0, 1e9)  # the wealth begins at 1
        assert (np.diff(most, axis=0) <= 1e-9).all()


def test_the_bound_is_the_largest_mean_that_is_refuted() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-1, 2, 60) * (rng.random(60) < 0.6) + 0.0
    of = FiniteList(200)
    found = lower_bound(x, of, 0.05)
    assert refutes(x, found - 1e-5, of, 0.05)
    assert not refutes(x, found + 1e-5, of, 0.05)
    assert lower_bound(x, of, 0.05, (found - 1e-9,)) >= found - 1e-9


def test_bounds_close_on_the_mean_and_mirror_each_other() -> None:
    rng = np.random.default_rng(2)
    x = (rng.random(100) < 0.3).astype(float)
    g = np.clip(x * 0.5 + rng.random(100) * 0.5, 0, 1)
    predictions = Predictions(g, float(g.mean()))
    for given in (None, predictions):
        widths = []
        for n in (0, 10, 50, 90, 100):
            part = None if given is None else Predictions(given.values[:n], given.mean)
            low, high = bounds_of_mean(x[:n], x[:n], FiniteList(100, 0.0, 1.0, part), 0.025)
            assert low <= x.mean() <= high
            widths.append(high - low)
        assert widths[0] == 1
        assert widths == sorted(widths, reverse=True)
        assert widths[-1] == 0
    low, high = bounds_of_mean(x[:50], x[:50], FiniteList(100, 0.0), 0.025)
    mirrored = bounds_of_mean(1 - x[:50], 1 - x[:50], FiniteList(100, 0.0), 0.025)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-5)


def test_unknown_values_widen_the_bounds() -> None:
    x = np.tile([0.0, 1.0], 40)
    least, largest = x.copy(), x.copy()
    least[:8], largest[:8] = 0, 1
    known = bounds_of_mean(x, x, FiniteList(100, 0.0), 0.05)
    unknown = bounds_of_mean(least, largest, FiniteList(100, 0.0), 0.05)
    assert unknown.low < known.low
    assert unknown.high > known.high


def test_good_predictions_narrow_the_bounds() -> None:
    rng = np.random.default_rng(3)
    g = np.asarray(rng.integers(0, 2, 400) * 0.8 + 0.1, np.float64)
    x = (rng.random(400) < g).astype(float)
    plain = bounds_of_mean(x[:150], x[:150], FiniteList(400, 0.0), 0.05)
    predicted = bounds_of_mean(x[:150], x[:150], FiniteList(400, 0.0, 1.0, Predictions(g[:150], float(g.mean()))), 0.05)
    assert predicted.high - predicted.low < 0.85 * (plain.high - plain.low)
