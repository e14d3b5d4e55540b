"""Plausible misuses of `mb.compare`: one message, or a flagged result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError, MicrobenchError
from tests.helpers.errors import refuses

N = 50
A, B = (np.random.default_rng(0).random((2, N)) < [[0.5], [0.6]]).astype(float)
BY_ITEM = [dict(enumerate(each)) for each in (A, B)]


@pytest.fixture(scope="module")
def board() -> mb.Benchmark:
    return mb.synthetic(n_models=4, n_items=60)


@pytest.mark.parametrize(
    ("runs", "options", "kind", "word", "where", "got"),
    [
        ((A, B[:30]), {}, DataError, "same items", "runs", "30 and 50"),
        ((100 * A, 100 * B), {}, DataError, "outside", "run_0", "100"),
        ((-A, B), {}, DataError, "outside", "run_0", "-1"),
        ((np.where(A > 0, np.inf, A), B), {}, DataError, "outside", "run_0", "inf"),
        ((np.full(N, np.nan), B), {}, DataError, "in common", "run_0", "run_1"),
        (({"q1": "yes", "q2": "no"}, {"q1": "no", "q2": "no"}), {}, DataError, "not a number", "q1", "yes"),
        ((np.array(["yes", "no"]), B), {}, DataError, "not a number", "run_0", "yes"),
        ((pd.DataFrame({"x": A}), pd.DataFrame({"x": B})), {}, ConfigError, "by item", "run_0", "DataFrame"),
        (("a.csv", "b.csv"), {}, ConfigError, "by item", "run_0", "a.csv"),
        ((A[None], B[None]), {}, DataError, "one item", "run_0", "item_0"),
        ((np.zeros((3, 3, 3)), A), {}, DataError, "shape", "run_0", "(3, 3, 3)"),
        ((A,), {}, ConfigError, "two runs", "runs", "1"),
        ((), {}, ConfigError, "two runs", "runs", "0"),
        (({}, {}), {}, DataError, "in common", "run_0", "run_1"),
        (({"q": []}, {"q": []}), {}, DataError, "in common", "run_0", "run_1"),
        ((A, B), {"names": ["x", "x"]}, ConfigError, "one name", "names", "x, x"),
        ((A, B), {"cluster": "passage"}, ConfigError, "each item", "cluster", "passage"),
        ((A, B), {"cluster": np.arange(40)}, ConfigError, "each item", "cluster", "(40,)"),
        (BY_ITEM, {"cluster": np.arange(N)}, ConfigError, "each item", "cluster", "(50,)"),
        (BY_ITEM, {"cluster": dict.fromkeys(range(N))}, DataError, "cluster", "cluster", "50 of 50"),
        (BY_ITEM, {"cluster": dict.fromkeys(range(N), "all")}, DataError, "one cluster", "cluster", "50 items"),
        (BY_ITEM, {"weight": dict.fromkeys(range(N), -1)}, DataError, "positive", "weights", "-1"),
        (BY_ITEM, {"weight": dict.fromkeys(range(N), "x")}, DataError, "positive", "weights", "'x'"),
        ((A, B), {"weight": np.ones(N), "truth": "macro"}, ConfigError, "weights", "truth", "macro"),
        ((A, B), {"truth": "median"}, ConfigError, "Unknown", "truth", "median"),
        ((A, B), {"truth": "weights"}, ConfigError, "Unknown", "truth", "weights"),
        ((A, B), {"reference": "sample"}, ConfigError, "Unknown", "reference", "sample"),
        ((A, B), {"repeats": 3}, ConfigError, "Unknown", "repeats", "3"),
        ((A, B), {"against": "second"}, ConfigError, "Unknown", "against", "second"),
        ((A, B), {"adjust": "bonferroni"}, ConfigError, "Unknown", "adjust", "bonferroni"),
        ((A, B), {"accept": "better"}, ConfigError, "Unknown", "accept", "better"),
        ((A, B), {"accept": "noninferior", "margin": 2}, ConfigError, "fraction", "margin", "2"),
        ((A, B), {"accept": "noninferior", "margin": "2%"}, ConfigError, "number", "margin", "2%"),
        ((A, B), {"accept": "noninferior", "margin": float("nan")}, ConfigError, "fraction", "margin", "nan"),
        ((A, B), {"confidence": 95}, ConfigError, "confidence", "confidence", "95"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: Any, options: dict[str, Any], kind: type[MicrobenchError], word: str, where: str, got: str
) -> None:
    with refuses(kind, word, where=where, got=got):
        mb.compare(*runs, **options)


def test_models_of_a_benchmark_are_named_once_and_rightly(board: mb.Benchmark) -> None:
    first, second = map(str, board.model_ids[:2])
    with refuses(ConfigError, "no such model", got="nobody", hint=first):
        mb.compare(first, "nobody", benchmark=board)
    with refuses(ConfigError, "twice", got=first):
        mb.compare(first, first, benchmark=board)
    with refuses(ConfigError, "names of its models", got="ndarray"):
        mb.compare(A, B, benchmark=board)
    with refuses(ConfigError, "benchmark", got="ndarray"):
        mb.compare(first, second, benchmark=np.ones((2, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "options", "word"),
    [
        ((A, A), {}, "same score"),
        ((np.zeros(N), np.zeros(N)), {}, "same score"),
        ((A[:2], B[:2]), {}, "only 2 items"),
        ((A, B), {"cluster": np.arange(N) // 25}, "only 2 clusters"),
        ((A, B), {"repeats": "runs"}, "single run"),
        (({"q1": [1, 0], "q2": 1}, {"q1": 1, "q2": [0, 1]}), {}, "numbers of repeats"),
        ((BY_ITEM[0], dict(list(BY_ITEM[1].items())[:20])), {}, "not asked 30"),
    ],
)
def test_what_is_doubtful_is_flagged(runs: Any, options: dict[str, Any], word: str) -> None:
    assert word in " ".join(mb.compare(*runs, **options).found.warnings)


def test_scores_of_everything_or_nothing_have_an_interval() -> None:
    for score in (0.0, 1.0):
        found = mb.compare(np.full(N, score), np.full(N, score), accept="equivalent", margin=0.02)
        assert found.decision == "cannot be told"
    row = mb.compare(np.zeros(N), np.ones(N)).table().iloc[0]
    assert 0.8 < row["low"] < row["difference"] == row["high"] == 1
    many = mb.compare(A, np.stack([B] * 5, axis=1)).table().iloc[0]
    once = mb.compare(A, B).table().iloc[0]
    assert many[["low", "high"]].to_list() == pytest.approx(once[["low", "high"]].to_list())


def test_values_of_items_may_be_arrays_and_ids_numbers() -> None:
    groups = np.arange(N) // 5
    by_array, by_number, by_name = (
        mb.compare(*runs, cluster=cluster, weight=weight).table()
        for runs, cluster, weight in (
            ((A, B), groups, 1 + groups),
            (BY_ITEM, dict(enumerate(groups)), dict(enumerate(1 + groups))),
            (
                BY_ITEM,
                {str(k): str(group) for k, group in enumerate(groups)},
                {str(k): 1 + group for k, group in enumerate(groups)},
            ),
        )
    )
    pd.testing.assert_frame_equal(by_array, by_number)
    pd.testing.assert_frame_equal(by_number, by_name)
    subtask = np.arange(N) // 25
    assert mb.compare(A, B, subtask=subtask, truth="macro").found.rules.truth == "macro"
