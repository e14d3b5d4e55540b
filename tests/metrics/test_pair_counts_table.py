"""Merging, trimming and validating PairCounts, and `pair_counts` for notebooks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.metrics import N_BINS, PairCounts, count_pairs, pair_counts, true_pairs
from tests.helpers.errors import refuses


@st.composite
def some_counts(draw: st.DrawFn, n_bins: int | None = None) -> Any:
    bins = n_bins or draw(st.integers(1, 6))
    binned = ("n_pairs", "n_agree", "n_tied", "n_tied_agree")
    values = {name: np.array(draw(st.lists(st.integers(0, 9), min_size=bins, max_size=bins)), np.int64) for name in binned}
    values |= {name: np.asarray(draw(st.integers(0, 9))) for name in ("n_true_tied", "n_true_tied_up")}
    return PairCounts(**values)


@given(some_counts(), some_counts(), some_counts())
def test_merge_laws(a: Any, b: Any, c: Any) -> None:
    assert (a + b).equals(b + a)
    assert ((a + b) + c).equals(a + (b + c))
    assert (a + PairCounts.zeros(n_bins=1)).equals(a)
    assert PairCounts.stack([a, b, c]).total().equals(a + b + c)
    assert (a + b).n_bins == max(a.n_bins, b.n_bins)


@given(some_counts())
def test_trimming_keeps_every_pair_and_padding_undoes_it(a: Any) -> None:
    trimmed = a.trimmed()
    assert trimmed.n_pairs.sum() == a.n_pairs.sum()
    assert trimmed.n_bins == 1 or trimmed.n_pairs[-1] > 0
    if not any(getattr(a, name)[trimmed.n_bins :].any() for name in ("n_agree", "n_tied", "n_tied_agree")):
        assert trimmed.padded(a.n_bins).equals(a)


def test_shapes() -> None:
    counts = PairCounts.zeros((3, 2))
    assert counts.n_pairs.shape == (3, 2, N_BINS)
    assert counts.n_true_tied.shape == (3, 2)
    assert counts[0].n_pairs.shape == (2, N_BINS)
    assert counts[:, 1].n_true_tied.shape == (3,)
    assert counts.total().n_pairs.shape == (N_BINS,)
    assert counts.trimmed().n_bins == 1
    with refuses(DataError, "bins", where="PairCounts.padded", got="n_bins=5", hint="trimmed"):
        counts.padded(5)
    with refuses(DataError, "stack", where="PairCounts.stack", got="empty"):
        PairCounts.stack([])


def test_fields_that_do_not_fit_are_refused() -> None:
    good = [np.zeros(3, np.int64)] * 4 + [np.asarray(0)] * 2
    PairCounts(*good)
    for position, name, bad in (
        (1, "n_agree", np.zeros(2, np.int64)),
        (2, "n_tied", np.zeros(3, np.int32)),
        (4, "n_true_tied", np.zeros(3, np.int64)),
    ):
        fields = list(good)
        fields[position] = bad
        with refuses(DataError, "int64", where=f"PairCounts.{name}", got=str(bad.shape)):
            PairCounts(*fields)


@given(st.integers(1, 300), st.data())
def test_pair_counts_binned_from_accuracies_are_those_from_counts(n_items: int, data: st.DataObject) -> None:
    right = np.array(data.draw(st.lists(st.integers(0, n_items), min_size=2, max_size=8)))
    estimates = np.linspace(0, 1, right.size)
    expected = count_pairs(true_pairs(right, np.full(right.size, n_items)), estimates)
    assert pair_counts(right / n_items, estimates, n_items).equals(expected)
    # Without the number of items, floats are binned with a guard: the same for this few items.
    assert pair_counts(right / n_items, estimates).equals(expected)


def test_runs_graded_scores_and_missing_answers() -> None:
    # Scores in {0, .5, 1}: 2.5 of 4 and 3 of 5 differ by .025 (bin 5); the third model answered nothing.
    truth = [[2.5 / 4, 3 / 5, math.nan], [0.5, 0.5, 1.0]]
    items = [[4, 5, 7], [2, 2, 2]]
    counts = pair_counts(truth, [[0.9, 0.1, 0.5], [0.2, 0.1, 0.3]], items, units=2)
    assert counts.n_pairs.shape == (2, N_BINS)
    assert np.flatnonzero(counts.n_agree[0]).tolist() == [5]
    assert counts.n_pairs[1, 100] == counts.n_agree[1, 100] == 2
    assert counts.n_true_tied.tolist() == [0, 1]
    assert counts.n_true_tied_up.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("truth", "estimates", "n_items", "units", "word", "where", "got"),
    [
        ([0.5], [0.5, 0.5], 4, 1, "shape", "pair_counts", "(1,) and (2,)"),
        ([[[0.5]]], [[[0.5]]], 4, 1, "shape", "pair_counts", "(1, 1, 1)"),
        ([50.0, 25.0], [0.5, 0.5], 4, 1, "fractions", "truth", "50.0"),
        ([0.5, -0.1], [0.5, 0.5], None, 1, "fractions", "truth", "-0.1"),
        ([0.5, 0.5], [0.5, math.inf], 4, 1, "finite", "estimates", "infinity"),
        ([0.5, 0.3], [0.5, 0.5], 4, 1, "whole", "truth", "1.2"),
        ([0.5, 0.625], [0.5, 0.5], 4, 1, "whole", "truth", "2.5"),
        ([0.5, 0.5], [0.5, 0.5], 0, 1, "positive", "n_items", "0"),
        ([0.5, 0.5], [0.5, 0.5], 4.0, 1, "positive", "n_items", "4.0"),
        ([0.5, 0.5], [0.5, 0.5], [4, 4, 4], 1, "positive", "n_items", "[4, 4, 4]"),
        ([0.5, 0.5], [0.5, 0.5], None, 2, "n_items", "pair_counts", "units=2"),
    ],
)
def test_bad_tables_are_refused(truth: Any, estimates: Any, n_items: int, units: int, word: str, where: str, got: str) -> None:
    with refuses(DataError, word, where=where, got=got):
        pair_counts(truth, estimates, n_items, units=units)
