"""`plan` where responses are missing or graded: the order is the leaderboard's, and probabilities are those of drawn samples."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.data import Benchmark, read_scores, synthetic
from microbench_ray.metrics.closed_form import expected_agreeing, expected_counts, order_probabilities
from microbench_ray.micro.sample_size import pairs_of, ranking_probability

N_MODELS, N_ITEMS = 27, 400


@pytest.fixture(scope="module")
def gaps() -> Benchmark:
    """351 pairs of models, 8 % of whose responses are missing, mostly to hard items: rates differ from model to model."""
    rng = np.random.default_rng(0)
    scores = synthetic(n_models=N_MODELS, n_items=N_ITEMS, seed=3).scores.astype(float)
    hard = 1 - scores.mean(axis=0)
    rates = rng.uniform(0, 0.3, (N_MODELS, 1)) * hard
    scores[rng.random(scores.shape) < rates * 0.08 / rates.mean()] = np.nan
    board = Benchmark.from_arrays(
        "gaps", scores, [f"i{k}" for k in range(N_ITEMS)], [f"m{k:02d}" for k in range(N_MODELS)], max_missing=0.5
    )
    assert 0.07 < (board.scores == board.missing).mean() < 0.09
    return board


def accuracies(board: Benchmark) -> np.ndarray:
    return np.nanmean(fractions(board), axis=1)


def fractions(board: Benchmark) -> np.ndarray:
    return np.where(board.scores == board.missing, np.nan, board.scores / board.units)


def drawn_orders(board: Benchmark, size: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n_models, n_models) shares of draws of random items in which the first model has the higher mean, and in which they tie."""
    rng, values = np.random.default_rng(seed), fractions(board)
    present, filled = (~np.isnan(values)).astype(float), np.nan_to_num(values)
    above, tied = np.zeros((2, len(values), len(values)))
    for _ in range(draws):
        items = rng.permutation(board.n_items)[:size]
        with np.errstate(invalid="ignore"):
            means = filled[:, items].sum(axis=1) / present[:, items].sum(axis=1)
        difference = np.nan_to_num(means[:, None] - means)
        above += difference > 1e-12
        tied += np.abs(difference) <= 1e-12
    return above / draws, tied / draws


def test_the_better_model_is_the_one_of_higher_accuracy_on_the_leaderboard(gaps: Benchmark) -> None:
    truth, pairs = accuracies(gaps), pairs_of(gaps)
    assert pairs.n_pairs == 351
    assert (truth[pairs.higher] >= truth[pairs.lower]).all()
    shared = ~np.isnan(fractions(gaps))
    by_shared_items = 0
    for one, other in combinations(range(N_MODELS), 2):
        both = shared[one] & shared[other]
        ordered = np.sign(fractions(gaps)[one][both].mean() - fractions(gaps)[other][both].mean())
        by_shared_items += ordered * np.sign(truth[one] - truth[other]) < 0
    assert by_shared_items >= 5  # the items that both answered would order these wrongly


@pytest.mark.parametrize("size", [10, pytest.param(50, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.slow)])
def test_probabilities_of_single_pairs_are_the_shares_of_draws(gaps: Benchmark, size: int) -> None:
    above, tied = drawn_orders(gaps, size, 4000, size)
    names = [str(name) for name in gaps.model_ids]
    worst = 0.0
    for one, other in list(combinations(range(N_MODELS), 2))[::13]:
        answer = ranking_probability(gaps, [names[one], names[other]], size)
        if answer.better is None:
            continue
        better, worse = names.index(answer.better), names.index(str(answer.worse))
        assert answer.n_answered == tuple((~np.isnan(fractions(gaps)[[better, worse]])).sum(axis=1))
        assert answer.difference == pytest.approx(accuracies(gaps)[better] - accuracies(gaps)[worse])
        worst = max(worst, abs(answer.right - above[better, worse]), abs(answer.tied - tied[better, worse]))
    assert worst < 0.03  # four standard errors of 4,000 draws


def test_the_closed_form_of_all_pairs_is_near_the_shares_of_draws(gaps: Benchmark) -> None:
    pairs = pairs_of(gaps)
    for size in (10, 25, 50, 200):
        above, tied = drawn_orders(gaps, size, 4000, 100 + size)
        order = order_probabilities(pairs, size)
        gap = order.right - above[pairs.higher, pairs.lower]
        assert np.abs(gap[pairs.difference > 0]).max() < (0.1 if size < 50 else 0.03)
        assert abs(gap[pairs.difference > 0].mean()) < 0.01
        assert abs((order.tied - tied[pairs.higher, pairs.lower]).mean()) < 0.02
        counts = expected_counts(pairs, size)
        assert counts.n_agree.sum() / counts.n_pairs.sum() == pytest.approx(
            above[pairs.higher, pairs.lower][pairs.difference > 0].mean(), abs=0.012
        )


def test_graded_scores_tie_as_often_as_in_draws() -> None:
    """Scores of 0 and 1 with few halves: sums are rarely odd, so the grid of halves alone gives far too few ties."""
    rng = np.random.default_rng(2)
    scores = synthetic(n_models=6, n_items=300, seed=1).scores.astype(float)
    scores[rng.random(scores.shape) < 0.03] = 0.5
    board = Benchmark.from_arrays("graded", scores, [f"i{k}" for k in range(300)], [f"m{k}" for k in range(6)])
    assert board.units == 2
    above, tied = drawn_orders(board, 20, 6000, 5)
    for one, other in combinations(range(6), 2):
        answer = ranking_probability(board, [f"m{one}", f"m{other}"], 20)
        better, worse = int(str(answer.better)[1:]), int(str(answer.worse)[1:])
        assert (answer.right, answer.tied) == pytest.approx((above[better, worse], tied[better, worse]), abs=0.025)


def test_the_closed_form_of_a_graded_board_is_near_draws_where_ties_count_as_half(test_data: Path) -> None:
    """AlpacaEval 1: most scores are 0 or 1, so that sums tie more often than on a grid of halves."""
    board = read_scores(test_data / "alpaca_eval1.parquet", confidence=None)
    pairs = pairs_of(board)
    above, tied = drawn_orders(board, 10, 2000, 1)
    drawn = [share[pairs.higher, pairs.lower][pairs.difference > 0].mean() for share in (above, tied)]
    counts = expected_counts(pairs, 10)
    right, half = (float(expected_agreeing(counts, policy)[0].sum() / counts.n_pairs.sum()) for policy in ("wrong", "half"))
    assert half == pytest.approx(drawn[0] + drawn[1] / 2, abs=0.01)
    assert right == pytest.approx(drawn[0], abs=0.075)
