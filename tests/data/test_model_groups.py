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
from tests.helpers.errors import refuses

EXAMPLE = "7e9 <= params <= 9e9"
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
            "released": [*pd.to_datetime(["2023-01-01", "2023-06-01", "2024-01-01", "2024-06-01"]), None],
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
        ("not instruct", [0, 2]),  # not cyd, whose metadata are unknown
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


DRAWN = synthetic(n_models=30, n_items=5)


@given(st.floats(1e8, 1e11), st.floats(1e8, 1e11), st.booleans())
def test_where_against_the_definition(low: float, high: float, instruct: bool) -> None:
    models = zip(DRAWN.metadata["params"].tolist(), DRAWN.metadata["instruct"].tolist(), strict=True)
    expected = [k for k, (params, tuned) in enumerate(models) if low <= params < high and tuned == instruct]
    where = f"{low!r} <= params < {high!r} and instruct == {instruct}"
    if expected:
        assert match_models(DRAWN, where=where).tolist() == expected
    else:
        with refuses(DataError, "no model", where="targets.where", got=where):
            match_models(DRAWN, where=where)


@pytest.mark.parametrize(
    ("options", "word", "got", "hint"),
    [
        ({}, "one way", "none of names, regex, where", "names"),
        ({"names": ["cyd"], "regex": "a"}, "one way", "names and regex", "names"),
        ({"names": []}, "empty", None, "name"),
        ({"names": ["cyd", "ada-8b-instrct", "x"]}, "2 of the 3", "'ada-8b-instrct'", "'ada-8b-instruct'"),
        ({"names": ["###"]}, "1 of the 1", "'###'", "'ada-7b'"),
        ({"regex": "(8b"}, "regular expression", "'(8b'", None),
        ({"regex": "zoe"}, "no model", "'zoe'", "'ada-7b'"),
        ({"where": "params > 1e12"}, "no model", "'params > 1e12'", "'ada-7b'"),
        ({"where": "family == 3"}, "no model", "family == 3", "'ada-7b'"),
        ({"where": "size > 3"}, "'size'", "size > 3", "params, instruct, family, released"),
        ({"where": "family == ada"}, "'ada'", "family == ada", "quotes"),
        ({"where": "params >"}, "not valid", "params >", EXAMPLE),
        ({"where": ""}, "not valid", "''", EXAMPLE),
        ({"where": "params\0"}, "not valid", "params", EXAMPLE),
        ({"where": "(" * 1000 + "params"}, "not valid", "params", EXAMPLE),
        ({"where": "params > @low"}, "not valid", "@low", EXAMPLE),
        ({"where": "params = 3"}, "not valid", "params = 3", EXAMPLE),
        ({"where": "params"}, "evaluated", "neither true nor false", "params (Float64)"),
        ({"where": "not params"}, "evaluated", "neither true nor false", EXAMPLE),
        ({"where": "True"}, "evaluated", "neither true nor false", EXAMPLE),
        ({"where": "1 < 2"}, "evaluated", "column", EXAMPLE),
        ({"where": "instruct & params > 1"}, "evaluated", "neither true nor false", EXAMPLE),
        ({"where": "params > 'a'"}, "evaluated", "params > 'a'", EXAMPLE),
        ({"where": "released > 'soon'"}, "evaluated", "released > 'soon'", EXAMPLE),
        ({"where": "params in 7e9"}, "evaluated", "list of values", EXAMPLE),
        ({"where": "params > [7e9]"}, "evaluated", "a list", EXAMPLE),
        ({"where": "params > 1 / 0"}, "evaluated", "division by zero", EXAMPLE),
        ({"where": "'a' * 1000000000 == family"}, "evaluated", "arithmetic", EXAMPLE),
        ({"where": "-family == 'a'"}, "evaluated", "-family == 'a'", EXAMPLE),
        ({"where": "9 ** 9 ** 9 > params"}, "only", "Pow in", EXAMPLE),
        ({"where": "params is True"}, "only", "Is in", EXAMPLE),
        ({"where": "params == None"}, "only", "Constant in", EXAMPLE),
        ({"where": "params.sum() > 3"}, "only", "Call in", EXAMPLE),
        ({"where": "params.values > 3"}, "only", "Attribute in", EXAMPLE),
        ({"where": "__import__('os').system('true')"}, "only", "Call in", EXAMPLE),
        ({"where": "(lambda: params)() > 3"}, "only", "Call in", EXAMPLE),
        ({"where": "params[0] > 3"}, "only", "Subscript in", EXAMPLE),
        ({"where": "[p for p in params] == 1"}, "only", "ListComp in", EXAMPLE),
    ],
)
def test_invalid_groups_are_reported(options: dict[str, Any], word: str, got: str | None, hint: str | None) -> None:
    where = f"targets.{next(iter(options))}" if len(options) == 1 else "targets"
    with refuses(DataError, word, where=where, got=got, hint=hint):
        match_models(BENCHMARK, **options)


def test_accuracy_can_be_compared_without_metadata() -> None:
    scores = [[1, 1, 0, 0], [1, np.nan, 0, 1], [0, 0, 0, 1]]  # .5, 2/3 of three answered items, .25
    bare = Benchmark.from_arrays("b", np.array(scores), list("wxyz"), ["a", "b", "c"], max_missing=0.5)
    assert match_models(bare, where="0.5 <= accuracy").tolist() == [0, 1]
    assert match_models(bare, where="accuracy < 0.5 or accuracy > 0.66").tolist() == [1, 2]
    with_metadata = Benchmark.from_arrays(
        "b",
        np.array(scores),
        list("wxyz"),
        ["a", "b", "c"],
        max_missing=0.5,
        metadata=pd.DataFrame({"accuracy": [1, 2, 3]}, ["a", "b", "c"]),
    )
    assert match_models(with_metadata, where="accuracy == 3").tolist() == [2]


def test_where_without_metadata() -> None:
    benchmark = Benchmark.from_arrays("b", np.eye(2), ["x", "y"], ["m", "n"])
    with refuses(DataError, "'instruct'", where="targets.where", got="instruct", hint="X.models.csv"):
        match_models(benchmark, where="instruct")


# Accuracies 1/4, 3/4, 3/4, 2/4, and 3/3 of a model with a missing response.
ANSWERED = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 0, 0], [1, 1, np.nan, 1]])


@pytest.mark.parametrize(("share", "expected"), [(0.2, [4]), (0.21, [1, 2, 4]), (0.4, [1, 2, 4]), (0.8, [1, 2, 3, 4])])
def test_the_best_models_are_a_share_with_ties(share: float, expected: list[int]) -> None:
    benchmark = Benchmark.from_arrays("b", ANSWERED, list("wxyz"), MODELS, max_missing=0.5)
    assert match_models(benchmark, best=share).tolist() == best_models(benchmark, share).tolist() == expected


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with refuses(DataError, "between 0 and 1", where="targets.best", got=f"{share:g}"):
        match_models(BENCHMARK, best=share)


def test_the_best_models_with_graded_and_missing_scores(test_data: Path) -> None:
    benchmark = read_scores(test_data / "alpaca_eval1.parquet")
    accuracies = pd.read_parquet(test_data / "alpaca_eval1.parquet").drop(columns=["item_id", "subtask"]).mean().to_numpy()
    best = best_models(benchmark, 0.2)
    assert 11 <= best.size < 20  # a fifth of 52, rounded up
    others = np.setdiff1d(np.arange(benchmark.n_models), best)
    assert accuracies[best].min() > accuracies[others].max()
