"""Properties of every selector and estimator in the registry; new ones are tested here without new test code."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest

from microbench_ray.methods import ESTIMATORS, SELECTORS, Method, SeenItems, Selection
from microbench_ray.methods.estimators.means import Mean

N_ITEMS = 40
SIZES = [1, 2, 7, 23, N_ITEMS]
# Unequal subtasks in random order; one of them has a single item.
SUBTASK = np.random.default_rng(7).permutation(np.repeat(np.arange(5, dtype=np.int32), [1, 3, 6, 10, 20]))
# Parameters without a default, by name and size; most selectors have none.
REQUIRED = {"fixed": lambda size: {"items": [f"item{k}" for k in range(N_ITEMS)][-size:]}}

every_selector = pytest.mark.parametrize("name", sorted(SELECTORS))
every_size = pytest.mark.parametrize("size", SIZES)
every_estimator = pytest.mark.parametrize("name", sorted(ESTIMATORS))


def make(name: str, size: int) -> Any:
    return SELECTORS[name](**REQUIRED.get(name, lambda size: {})(size))


def world(n_items: int, *, gaps: bool = False, signal: str | None = "confidence") -> SeenItems:
    rng = np.random.default_rng(11)
    ability, difficulty = rng.normal(size=(30, 1)), rng.normal(size=n_items)
    responses = (1 / (1 + np.exp(difficulty - ability - rng.normal(size=(30, n_items))))).astype(np.float32)
    if signal == "correctness":
        responses = (responses > 0.5).astype(np.float32)
    if gaps:
        responses[rng.random(responses.shape) < 0.3] = np.nan
        responses[:, 5] = np.nan  # an item without responses
        responses[3] = np.nan  # a model without responses
    ids = np.array([f"item{k}" for k in range(n_items)], dtype=object)
    subtask = SUBTASK.copy() if n_items == N_ITEMS else np.zeros(n_items, dtype=np.int32)
    return SeenItems(ids, subtask, None if signal is None else responses)


def seen_items(selector: Any, *, gaps: bool = False) -> SeenItems:
    return world(N_ITEMS, gaps=gaps, signal=selector.signal)


@cache
def fitted(name: str, n_items: int, gaps: bool) -> tuple[SeenItems, bytes]:
    """Seen items, and an estimator's pickled fit to them."""
    estimator = ESTIMATORS[name]()
    seen = world(n_items, gaps=gaps, signal=estimator.source_signal)
    return seen, pickle.dumps(estimator.fit(seen, np.random.default_rng(5)))


def estimate(name: str, responses: np.ndarray, selection: Selection, *, gaps: bool = False) -> np.ndarray:
    """Estimates of an estimator after its fit, if any, to more items than are selected."""
    seen, fit = fitted(name, max(N_ITEMS, len(selection.items) + 20), gaps)
    return ESTIMATORS[name]().estimate(responses, selection, seen, pickle.loads(fit))  # noqa: S301


def choose(selector: Any, seen: SeenItems, size: int, seed: int = 3) -> Selection:
    fit = selector.fit(seen, np.random.default_rng(seed))
    return selector.select(seen, fit, size, np.random.default_rng(seed + 1))


def same(one: Selection, other: Selection) -> bool:
    if (one.weights is None) != (other.weights is None) or not np.array_equal(one.items, other.items):
        return False
    return one.weights is None or (other.weights is not None and np.array_equal(one.weights, other.weights))


def check(selection: Selection, size: int) -> None:
    assert selection.items.shape == (size,)
    assert selection.items.dtype.kind == "i"
    assert len(set(selection.items.tolist())) == size
    assert 0 <= selection.items.min() <= selection.items.max() < N_ITEMS
    if selection.weights is not None:
        assert selection.weights.shape == (size,)
        assert selection.weights.dtype == np.float64
        assert np.isfinite(selection.weights).all()
        assert (selection.weights >= 0).all()
        assert selection.weights.sum() > 0


@every_selector
@every_size
@pytest.mark.parametrize("seed", range(5))
def test_it_chooses_distinct_seen_items_of_the_given_number(name: str, size: int, seed: int) -> None:
    selector = make(name, size)
    check(choose(selector, seen_items(selector), size, seed), size)


@every_selector
@every_size
def test_the_same_streams_give_the_same_choice(name: str, size: int) -> None:
    selector = make(name, size)
    assert same(choose(selector, seen_items(selector), size), choose(make(name, size), seen_items(selector), size))


@every_selector
def test_one_fit_serves_every_size_in_any_order(name: str) -> None:
    selector = make(name, 7)
    seen = seen_items(selector)
    fit = selector.fit(seen, np.random.default_rng(3))
    for size in [2, 7, 23] if name not in REQUIRED else [7, 7]:
        selector.select(seen, fit, size, np.random.default_rng(size))
    assert same(selector.select(seen, fit, 7, np.random.default_rng(4)), choose(selector, seen, 7))


@every_selector
@every_size
def test_read_only_arrays_are_accepted_and_no_array_is_changed(name: str, size: int) -> None:
    selector = make(name, size)
    writeable, seen = seen_items(selector), seen_items(selector)
    for array in (seen.item_ids, seen.subtask, seen.responses):
        if array is not None:
            array.flags.writeable = False
    assert same(choose(selector, writeable, size), choose(selector, seen, size))
    fresh = seen_items(selector)
    assert np.array_equal(writeable.item_ids, fresh.item_ids)
    assert np.array_equal(writeable.subtask, fresh.subtask)
    if fresh.responses is not None:
        assert writeable.responses is not None
        assert np.array_equal(writeable.responses, fresh.responses)


@every_selector
def test_global_random_state_neither_changes_nor_matters(name: str) -> None:
    selector = make(name, 7)
    seen = seen_items(selector)
    before = pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002
    once = choose(selector, seen, 7)
    assert pickle.dumps(np.random.get_state()) == before[0]  # noqa: NPY002
    assert random.getstate() == before[1]
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    try:
        assert same(once, choose(selector, seen, 7))
    finally:
        np.random.set_state(state)  # noqa: NPY002


@every_selector
@every_size
def test_missing_source_responses_give_finite_weights(name: str, size: int) -> None:
    selector = make(name, size)
    check(choose(selector, seen_items(selector, gaps=True), size), size)


NESTED = sorted(name for name in SELECTORS if make(name, 7).nested)


def test_some_selectors_nest_and_others_do_not() -> None:
    assert {"disco", "greedy", "mdad_guided"} <= set(NESTED) < set(SELECTORS)


@pytest.mark.parametrize("name", NESTED)
def test_a_selector_whose_sizes_nest_extends_its_choice(name: str) -> None:
    selector = make(name, 7)
    seen = seen_items(selector)
    for size in SIZES:
        whole = choose(selector, seen, N_ITEMS).items
        assert np.array_equal(choose(selector, seen, size).items, whole[:size])


@every_selector
def test_a_selector_is_frozen_can_be_pickled_and_has_an_identity(name: str) -> None:
    selector = make(name, 7)
    for field in fields(selector):
        with pytest.raises(FrozenInstanceError):
            setattr(selector, field.name, None)
    twin = pickle.loads(pickle.dumps(selector))  # noqa: S301
    assert twin == selector
    assert hash(twin) == hash(selector)
    assert same(choose(selector, seen_items(selector), 7), choose(twin, seen_items(twin), 7))
    identity = Method("label", selector, Mean()).identity()
    assert identity["selector"]["name"] == name
    assert identity == Method("label", twin, Mean()).identity()
    assert json.dumps(json.loads(json.dumps(identity, allow_nan=False))) == json.dumps(identity)


@every_selector
def test_a_selector_declares_its_fit_and_its_cost(name: str) -> None:
    selector = make(name, 7)
    assert selector.signal in (None, "correctness", "confidence", "answers", "both")
    assert isinstance(selector.nested, bool)
    assert isinstance(selector.fit_key, str)
    assert 0 <= selector.fit_seconds(300, 6016) < 60
    assert (0 < selector.fit_bytes(300, 6016, 1000) < 2**30) == (selector.signal is not None)
    # A selector that does not read the source models has no fit.
    assert selector.signal is not None or selector.fit_key == ""


@dataclass(frozen=True)
class Case:
    """Responses (n_target, size), NaN where missing, and a selection of `size` items."""

    responses: np.ndarray
    selection: Selection


def case(size: int, *, weighted: bool, gaps: bool) -> Case:
    rng = np.random.default_rng(size)
    responses = rng.integers(0, 5, (12, size)) / 4
    if gaps:
        responses[rng.random(responses.shape) < 0.3] = np.nan
        responses[2] = np.nan
    weights = rng.uniform(0.1, 1, size)
    return Case(responses, Selection(np.arange(size), weights / weights.sum() if weighted else None))


every_case = pytest.mark.parametrize(
    ("size", "weighted", "gaps"),
    [(size, weighted, gaps) for size in (1, 3, 200) for weighted in (False, True) for gaps in (False, True)],
)


@pytest.mark.parametrize("name", sorted(name for name, kind in ESTIMATORS.items() if kind().fit_key == ""))
@every_case
def test_the_estimate_from_equal_responses_is_their_value(name: str, size: int, weighted: bool, gaps: bool) -> None:
    given = case(size, weighted=weighted, gaps=gaps)
    for value in (0.0, 0.25, 1.0):
        responses = np.where(np.isnan(given.responses), np.nan, value)
        estimates = estimate(name, responses, given.selection)
        answered = ~np.isnan(responses).all(axis=1)
        assert np.abs(estimates[answered] - value).max() < 1e-12


@every_estimator
@every_case
def test_only_a_target_without_responses_has_no_estimate(name: str, size: int, weighted: bool, gaps: bool) -> None:
    given = case(size, weighted=weighted, gaps=gaps)
    estimates = estimate(name, given.responses, given.selection, gaps=gaps)
    assert estimates.shape == (12,)
    assert estimates.dtype == np.float64
    assert np.array_equal(np.isnan(estimates), np.isnan(given.responses).all(axis=1))


@pytest.mark.slow
@every_estimator
@every_case
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_of_targets_does_not_matter_and_equal_responses_get_equal_bits(
    name: str, size: int, weighted: bool, gaps: bool, order: Literal["C", "F"]
) -> None:
    given = case(size, weighted=weighted, gaps=gaps)
    twice = np.concatenate([given.responses, given.responses[::-1], given.responses[4:5]])
    estimates = estimate(name, np.asarray(twice, order=order), given.selection)
    assert estimates[:12].tobytes() == estimates[12:24][::-1].tobytes()
    assert estimates[4:5].tobytes() == estimates[24:].tobytes()
    shuffled = np.random.default_rng(1).permutation(len(twice))
    again = estimate(name, np.asarray(twice[shuffled], order=order), given.selection)
    assert again.tobytes() == estimates[shuffled].tobytes()


@every_estimator
def test_an_estimator_accepts_read_only_arrays_and_changes_none(name: str) -> None:
    given = case(30, weighted=True, gaps=True)
    given.responses.flags.writeable = False
    assert given.selection.weights is not None
    given.selection.weights.flags.writeable = False
    given.selection.items.flags.writeable = False
    first, second = (estimate(name, given.responses, given.selection) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@every_estimator
def test_an_estimator_is_frozen_can_be_pickled_and_has_an_identity(name: str) -> None:
    estimator = ESTIMATORS[name]()
    for field in fields(estimator):
        with pytest.raises(FrozenInstanceError):
            setattr(estimator, field.name, None)
    assert pickle.loads(pickle.dumps(estimator)) == estimator  # noqa: S301
    identity = Method("label", make("random", 1), estimator).identity()["estimator"]
    assert isinstance(identity, Mapping)
    assert identity["name"] == name
    assert json.loads(json.dumps(identity)) == identity
    assert estimator.signal in ("correctness", "confidence", "answers", "both")
    assert 0 <= estimator.fit_seconds(300, 6016) < 60
    assert 0 <= estimator.fit_bytes(300, 6016, 1000) < 2**30
    assert (estimator.source_signal is None) == (estimator.fit_key == "")


def test_equal_fit_keys_are_the_same_fit() -> None:
    parts = [make(name, 7) for name in SELECTORS] + [kind() for kind in ESTIMATORS.values()]
    fits: dict[tuple[str, str | None], bytes] = {}
    for part in parts:
        signal = part.source_signal if hasattr(part, "source_signal") else part.signal
        fit = pickle.dumps(part.fit(world(N_ITEMS, signal=signal), np.random.default_rng(3)))
        assert fits.setdefault((part.fit_key, signal), fit) == fit


@pytest.mark.slow
@every_selector
@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_any_selector_goes_with_any_estimator(name: str, estimator: Any) -> None:
    selector = make(name, 7)
    selection = choose(selector, seen_items(selector), 7)
    right = np.random.default_rng(2).integers(0, 2, (9, 7)).astype(float)
    right[0], right[1] = 0, 1
    estimates = estimate(estimator, right, selection)
    assert estimates.shape == (9,)
    assert np.isfinite(estimates).all()
    if ESTIMATORS[estimator]().fit_key == "":
        assert estimates[0] == pytest.approx(0, abs=1e-12)
    assert (estimates <= estimates[1] + 1e-12).all()
