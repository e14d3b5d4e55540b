from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, best_models, match_models, read_scores, synthetic

MODELS = ["ada-7b", "ada-8b-instruct", "bob-8b", "bob-70b-instruct", "cyd"]
BENCHMARK = Benchmark.from_arrays(
    "b",
    np.eye(5),
    list("vwxyz"),
    MODELS,
    metadata=pd.DataFrame(
        {
            "params": [7e9, 8e9, 8e9, 70e9, None],
            "instruct": [False, True, False, True, None],
            "family": ["ada", "ada", "bob", "bob", None],
            "released": pd.to_datetime(["2023-01-01", "2023-06-01", "2024-01-01", "2024-06-01", None]),
        },
        index=MODELS,
    ),
)


def test_names() -> None:
    assert match_models(BENCHMARK, names=["cyd", "ada-7b", "cyd"]).tolist() == [0, 4]


def test_regex() -> None:
    assert match_models(BENCHMARK, regex="8b").tolist() == [1, 2]
    assert match_models(BENCHMARK, regex="^bob.*instruct$").tolist() == [3]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("instruct and 7e9 <= params <= 9e9", [1]),
        ("7e9 <= params <= 9e9", [0, 1, 2]),
        ("instruct", [1, 3]),
        ("not instruct", [0, 2]),  # not cyd, of which nothing is known
        ("instruct == True", [1, 3]),
        ("params > 1e10 or not instruct", [0, 2, 3]),
        ("not (params > 1e10)", [0, 1, 2]),
        ("family in ['ada', 'eve']", [0, 1]),
        ("family not in ('ada', 'eve')", [2, 3]),
        ("family != 'ada'", [2, 3]),
        ("not family == 'ada'", [2, 3]),
        ("released >= '2024-01-01'", [2, 3]),
        ("not released >= '2024-01-01'", [0, 1]),
        ("model_id == 'cyd' or family == 'ada'", [0, 1, 4]),
        ("(family == 'bob') & ~instruct", [2]),
        ("(params == 7e9) | (params / 2 == 35e9)", [0, 3]),
        ("params + 1e9 == 8e9 and -params < 0 and params - 1 < params * 2", [0]),
        ("  instruct\t", [1, 3]),
    ],
)
def test_where(where: str, expected: list[int]) -> None:
    assert match_models(BENCHMARK, where=where).tolist() == expected


@given(st.floats(1e8, 1e11), st.floats(1e8, 1e11), st.booleans())
def test_where_against_the_definition(low: float, high: float, instruct: bool) -> None:
    benchmark = synthetic(n_models=30, n_items=5)
    rows = benchmark.metadata.itertuples()
    expected = [k for k, row in enumerate(rows) if low <= row.params < high and row.instruct == instruct]
    where = f"{low!r} <= params < {high!r} and instruct == {instruct}"
    if expected:
        assert match_models(benchmark, where=where).tolist() == expected
    else:
        with pytest.raises(DataError, match="No model"):
            match_models(benchmark, where=where)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, ["exactly one way", "none of names, regex, where"]),
        ({"names": ["cyd"], "regex": "a"}, ["exactly one way", "names and regex"]),
        ({"names": []}, ["empty"]),
        (
            {"names": ["cyd", "ada-8b-instrct", "x"]},
            ["2 of the 3", "'ada-8b-instrct'", "close to the first: 'ada-8b-instruct'"],
        ),
        ({"names": ["###"]}, ["models are 'ada-7b'"]),
        ({"regex": "(8b"}, ["regular expression is invalid", "'(8b'"]),
        ({"regex": "zoe"}, ["No model of 'b' matches", "'zoe'"]),
        ({"where": "params > 1e12"}, ["No model of 'b' matches", "'params > 1e12'"]),
        ({"where": "family == 3"}, ["No model"]),
        ({"where": "size > 3"}, ["no metadata column 'size'", "columns: params, instruct, family, released"]),
        ({"where": "family == ada"}, ["no metadata column 'ada'", "texts need quotes"]),
        ({"where": "params >"}, ["cannot be understood"]),
        ({"where": ""}, ["cannot be understood"]),
        ({"where": "params\0"}, ["cannot be understood"]),
        ({"where": "(" * 1000 + "params"}, ["cannot be understood"]),
        ({"where": "params > @low"}, ["cannot be understood"]),
        ({"where": "params = 3"}, ["cannot be understood"]),
        ({"where": "params"}, ["neither true nor false", "params (Float64)"]),
        ({"where": "not params"}, ["neither true nor false"]),
        ({"where": "True"}, ["neither true nor false"]),
        ({"where": "1 < 2"}, ["needs a column"]),
        ({"where": "instruct & params > 1"}, ["neither true nor false"]),
        ({"where": "params > 'a'"}, ["cannot be compared"]),
        ({"where": "released > 'soon'"}, ["cannot be compared"]),
        ({"where": "params in 7e9"}, ["a list of values"]),
        ({"where": "params > [7e9]"}, ["a list takes"]),
        ({"where": "params > 1 / 0"}, ["division by zero"]),
        ({"where": "'a' * 1000000000 == family"}, ["arithmetic is for numbers"]),
        ({"where": "-family == 'a'"}, ["cannot be compared"]),
        ({"where": "9 ** 9 ** 9 > params"}, ["only columns, values and comparisons", "Pow"]),
        ({"where": "params is True"}, ["Is in"]),
        ({"where": "params == None"}, ["only columns"]),
        ({"where": "params.sum() > 3"}, ["Call in"]),
        ({"where": "params.values > 3"}, ["Attribute in"]),
        ({"where": "__import__('os').system('true')"}, ["Call in"]),
        ({"where": "(lambda: params)() > 3"}, ["Call in"]),
        ({"where": "params[0] > 3"}, ["Subscript in"]),
        ({"where": "[p for p in params] == 1"}, ["ListComp in"]),
    ],
)
def test_bad_groups(options: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        match_models(BENCHMARK, **options)
    for part in ["targets", *parts]:
        assert part in str(caught.value)


def test_accuracy_is_known_of_every_model() -> None:
    scores = [[1, 1, 0, 0], [1, np.nan, 0, 1], [0, 0, 0, 1]]  # .5, 2/3 of three answered, .25
    bare = Benchmark.from_arrays("b", np.array(scores), list("wxyz"), ["a", "b", "c"], max_missing=0.5)
    assert match_models(bare, where="0.5 <= accuracy").tolist() == [0, 1]
    assert match_models(bare, where="accuracy < 0.5 or accuracy > 0.66").tolist() == [1, 2]
    told = Benchmark.from_arrays(
        "b",
        np.array(scores),
        list("wxyz"),
        ["a", "b", "c"],
        max_missing=0.5,
        metadata=pd.DataFrame({"accuracy": [1, 2, 3]}, ["a", "b", "c"]),
    )
    assert match_models(told, where="accuracy == 3").tolist() == [2]


def test_where_without_metadata() -> None:
    benchmark = Benchmark.from_arrays("b", np.eye(2), ["x", "y"], ["m", "n"])
    with pytest.raises(DataError, match=r"X\.models\.csv beside X\.parquet"):
        match_models(benchmark, where="instruct")


# Accuracies 1/4, 3/4, 3/4, 2/4, and 3/3 of a model that left an item out.
ANSWERED = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 0, 0], [1, 1, np.nan, 1]])


@pytest.mark.parametrize(("share", "expected"), [(0.2, [4]), (0.21, [1, 2, 4]), (0.4, [1, 2, 4]), (0.8, [1, 2, 3, 4])])
def test_the_best_are_a_share_and_those_as_good_as_the_last(share: float, expected: list[int]) -> None:
    benchmark = Benchmark.from_arrays("b", ANSWERED, list("wxyz"), MODELS, max_missing=0.5)
    assert match_models(benchmark, best=share).tolist() == best_models(benchmark, share).tolist() == expected


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_no_share_no_group(share: float) -> None:
    with pytest.raises(DataError, match="a share between 0 and 1"):
        match_models(BENCHMARK, best=share)


def test_of_graded_scores_with_gaps_the_best_are_at_least_as_good_as_all_others(test_data: Path) -> None:
    benchmark = read_scores(test_data / "alpaca_eval1.parquet")
    accuracies = pd.read_parquet(test_data / "alpaca_eval1.parquet").drop(columns=["item_id", "subtask"]).mean().to_numpy()
    best = best_models(benchmark, 0.2)
    assert 11 <= best.size < 20  # a fifth of 52, rounded up
    others = np.setdiff1d(np.arange(benchmark.n_models), best)
    assert accuracies[best].min() > accuracies[others].max()
