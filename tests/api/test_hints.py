"""Hints of the library are followed: what a message advises works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import columns

GRID: dict[str, Any] = {"sizes": [5], "n_source": 10, "n_target": 10, "runs": 2, "n_resamples": 100}


@pytest.fixture(scope="module")
def world() -> mb.Benchmark:
    return mb.benchmark(pd.DataFrame(columns()))


class Own(mb.SelectorWithoutFit):
    """Returns whatever a test makes of `size`."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> Any:
        return self.make(size)


WRONG_SELECTIONS: dict[str, tuple[Callable[[int], Any], str]] = {
    "Selection": (lambda size: list(range(size)), "mb.Selection(np.asarray(items))"),
    "items": (lambda size: mb.Selection(list(range(size))), "np.asarray(items, np.intp)"),  # type: ignore[arg-type]
    "array of 5 positions": (lambda size: mb.Selection(np.arange(size + 1)), "np.asarray(items, np.intp)"),
    "weights": (
        lambda size: mb.Selection(np.arange(size), [1 / size] * size),  # type: ignore[arg-type]
        "np.asarray(weights, np.float64)",
    ),
    "distinct": (lambda size: mb.Selection(0 * np.arange(size)), "without replacement"),
}


@pytest.mark.parametrize("word", WRONG_SELECTIONS)
def test_what_a_selector_returns(word: str, world: mb.Benchmark) -> None:
    make, hint = WRONG_SELECTIONS[word]
    with refuses(ConfigError, word, where="method own, Own.select", hint=hint):
        mb.export(world, 5, mb.method(label="own", selector=Own(make)))


def first(size: int) -> mb.Selection:
    return mb.Selection(np.arange(size))


class First(mb.SelectorWithoutFit):
    """The first items."""

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> Any:
        return first(size)


class AsList(mb.SelectorWithoutFit):
    """The first items, as a list."""

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> Any:
        return list(range(size))


class Bare:
    """No base class."""

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> Any:
        return first(size)


def test_a_sweep_refuses_a_list(world: mb.Benchmark) -> None:
    with refuses(ConfigError, "Selection", where="method own, AsList.select", got="list", hint="mb.Selection("):
        mb.sweep(world, mb.method(label="own", selector=AsList()), **GRID)
    assert len(mb.sweep(world, mb.method(label="own", selector=First()), **GRID).summary)


def test_a_class_is_not_an_instance(world: mb.Benchmark) -> None:
    with refuses(ConfigError, "class", got="First", hint="selector=First()"):
        mb.method(label="own", selector=First)  # type: ignore[arg-type]
    with refuses(ConfigError, "lacks", got="Bare without fit", hint="class Bare(mb.SelectorWithoutFit)"):
        mb.method(label="own", selector=Bare())  # type: ignore[arg-type]
    for given in (First, First(), [First()]):
        with refuses(ConfigError, "method", got="First", hint='mb.method(label="mine", selector=First())'):
            mb.sweep(world, given, **GRID)  # type: ignore[arg-type]
    mb.sweep(world, mb.method(label="mine", selector=First()), **GRID)  # the hint


def test_a_frame_without_item_ids(world: mb.Benchmark) -> None:
    micro = mb.export(world, 5, "random")
    frame = pd.DataFrame(columns())[["item_id", "m01"]]
    indexed = frame.set_index("item_id").rename_axis(None)
    with refuses(DataError, "item", where="responses", hint="add a column item_id"):
        mb.score(micro, frame[["m01"]])
    expected = mb.score(micro, frame).estimate.tolist()
    for same in (indexed, indexed.rename_axis("item_id"), frame.rename(columns={"item_id": "question"})):
        assert mb.score(micro, same).estimate.tolist() == expected
    assert mb.score(micro, indexed.rename_axis("item_id")).estimate.tolist() == expected
    assert mb.score(micro, frame[["m01"]].assign(item_id=frame.item_id)).estimate.tolist() == expected


def test_an_array_with_its_axes_exchanged(world: mb.Benchmark) -> None:
    micro, frame = mb.export(world, 5, "random"), pd.DataFrame(columns())
    array, ids = frame[["m01", "m02"]].to_numpy(), list(frame.item_id)
    with refuses(DataError, "item id", where="item_ids", got="(120, 2)", hint=".T"):
        mb.score(micro, array, item_ids=ids)
    assert len(mb.score(micro, array.T, item_ids=ids)) == 2
    with refuses(DataError, "model id", where="model_ids", hint=".T"):
        mb.benchmark(array, model_ids=["a", "b"])


@pytest.mark.parametrize(
    ("call", "where", "hint"),
    [
        (lambda b: mb.items_needed(b, 2), "differences", "differences=[0.02]"),
        (lambda b: mb.items_needed(b, "0.02"), "differences", "[0.02]"),  # type: ignore[arg-type]
        (lambda b: mb.detectable_difference(b, 5, threshold=80), "threshold", "threshold=0.8"),
        (lambda b: mb.detectable_difference(b, 0), "size", "size="),
        (lambda b: mb.regression_gate(b, 5, 20), "drop", "drop=0.05"),
        (lambda b: mb.ranking_probability(b, ["m01", "m002"], 20), "models", "did you mean m0"),
        (lambda b: mb.sweep(b, **(GRID | {"sizes": [5.5]})), "sizes", "sizes="),
        (lambda b: mb.sweep(b, **(GRID | {"runs": "5"})), "runs", "runs="),
        (lambda b: mb.sweep(b, **(GRID | {"seed": -1})), "seed", "seed="),
        (lambda b: mb.sweep(b, thresholds=[80], **GRID), "thresholds", "thresholds=[0.8]"),
        (lambda b: mb.sweep(b, thresholds="high", **GRID), "thresholds", "thresholds=[0.8]"),
        (lambda b: mb.sweep(b.scores, **GRID), "benchmark", "mb.benchmark("),
        (lambda b: mb.export("board.csv", 5), "benchmark", "mb.read_scores("),  # type: ignore[arg-type]
        (lambda b: mb.export(b, "5"), "size", "size="),  # type: ignore[arg-type]
        (lambda b: mb.export(b, 5, seed=-1), "seed", "seed="),
    ],
)
def test_arguments(call: Callable[[mb.Benchmark], object], where: str, hint: str, world: mb.Benchmark) -> None:
    with refuses(ConfigError, where, where=where, hint=hint):
        call(world)


def test_a_single_size_is_a_list_of_one(world: mb.Benchmark) -> None:
    assert set(mb.sweep(world, **(GRID | {"sizes": 5})).summary["size"]) == {5}


@pytest.mark.parametrize("measure", [mb.mdad, mb.agreement_curve])
def test_measures_of_accuracies_name_the_function_that_counts(measure: Callable[[Any], object]) -> None:
    with refuses(DataError, "counts", got="list", hint="mb.pair_counts(truth, estimates)"):
        measure([0.5, 0.6])
