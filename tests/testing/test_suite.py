"""The public suite accepts plain methods, and every one of its checks rejects a method with the fault that it looks for."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.testing import check_method, checks_of, parametrize_with_checks
from tests.helpers.errors import refuses


@dataclass(frozen=True)
class First(mb.SelectorWithoutFit):
    """The first items in the order of their names."""

    nested: ClassVar[Any] = True
    ignores_order: ClassVar[Any] = ("models", "items")

    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.argsort(seen.item_ids)[:size])


@dataclass(frozen=True)
class Hardest(mb.SelectorWithoutFit):
    """The items that the source models answer worst."""

    signal: ClassVar[Any] = "confidence"
    nested: ClassVar[Any] = True
    fit_key: ClassVar[str] = "hardest"
    ignores_order: ClassVar[Any] = ("models",)

    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        answered = ~np.isnan(seen.responses)
        means = np.where(answered, seen.responses, 0).sum(axis=0, dtype=float) / np.maximum(answered.sum(axis=0), 1)
        return np.argsort(means.round(5), kind="stable")

    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(fit[:size])

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        return 4 * n_source * n_items


@dataclass(frozen=True)
class Average(mb.EstimatorWithoutFit):
    """The mean of the responses."""

    signal: ClassVar[Any] = "correctness"

    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        answered = ~np.isnan(responses)
        sums = np.ascontiguousarray(np.where(answered, responses, 0), dtype=float).sum(axis=1)
        counts = answered.sum(axis=1)
        return np.where(counts, sums / np.maximum(counts, 1), np.nan)


GOOD = [First(), Hardest(), Average()]


@parametrize_with_checks(GOOD)
def test_plain_methods_pass(method: Any, check: Any) -> None:
    check(method)


SHARED: list[Any] = [np.random.default_rng(0)]


class Twice(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.zeros(size, dtype=int))


class OneTooFew(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.arange(size - 1) if size > 1 else np.arange(1))


class Outside(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.arange(size) + 1)


class UndefinedWeights(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.arange(size), np.full(size, np.nan))


class OwnGenerator(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(SHARED[0].permutation(seen.n_items)[:size])


class GlobalState(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.array(random.sample(range(seen.n_items), size)))


class GlobalNumpy(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.random.permutation(seen.n_items)[:size])  # noqa: NPY002


class NotNested(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection((np.arange(size) + size) % seen.n_items)


class ByPosition(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.arange(size))


class FirstModel(Hardest):
    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        return np.argsort(np.nan_to_num(seen.responses[0]), kind="stable")


class Overwrites(Hardest):
    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        np.nan_to_num(seen.responses, copy=False)
        return super().fit(seen, rng)


class UsesUp(Hardest):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        chosen = fit[:size].copy()
        fit[:] = fit[::-1].copy()
        return mb.Selection(chosen)


class NeedsResponses(Hardest):
    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        if seen.responses is None or np.isnan(seen.responses).any():
            raise ValueError("no gaps, please")
        return super().fit(seen, rng)


class ThreeModels(Hardest):
    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        return np.argsort(np.sort(np.nan_to_num(seen.responses), axis=0)[2], kind="stable")


class FourItems(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.unique(np.append(np.arange(size - 1), 3))[:size] if size < 4 else np.arange(size))


class ByLayout(Hardest):
    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        flat = seen.responses.ravel(order="K")[: seen.n_items]
        return np.argsort(np.nan_to_num(flat), kind="stable")


class Expensive(Hardest):
    def fit_seconds(self, n_source: int, n_items: int) -> float:
        return -1.0


class Nameless(Hardest):
    fit_key: ClassVar[Any] = None


class WantsTargets(First):
    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator, targets: Any) -> mb.Selection:  # type: ignore[override]
        return mb.Selection(np.arange(size))


@dataclass
class Changeable(mb.SelectorWithoutFit):
    power: float = 1.0

    select = First.select


class NotPlain(mb.SelectorWithoutFit):
    select = First.select

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)


class Counts(mb.SelectorWithoutFit):
    select_first = First.select

    def __init__(self) -> None:
        self.calls = 0

    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        self.calls += 1
        return mb.Selection(np.arange(size))


class Peeks(First):
    """Reads the target models from a variable of its callers, as a method in a notebook could from a global one."""

    def select(self, seen: mb.SeenItems, fit: Any, size: int, rng: np.random.Generator) -> mb.Selection:
        frame: Any = sys._getframe()
        while frame is not None and not isinstance(frame.f_locals.get("benchmark"), mb.Benchmark):
            frame = frame.f_back
        shift = 0 if frame is None else int(frame.f_locals["benchmark"].scores[-1].sum())
        return mb.Selection((np.arange(size) + shift) % seen.n_items)


class Percent(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return 100 * super().estimate(responses, selection, seen, fit)


class ZeroForMissing(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return np.nan_to_num(super().estimate(responses, selection, seen, fit))


class Half(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses, selection, seen, fit) / 2


class Shrunk(Average):
    """Right for equal responses, and otherwise not the accuracy."""

    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses, selection, seen, fit) ** np.where((responses != responses[:, :1]).any(axis=1), 1.5, 1)


class Unweighted(Average):
    weighted = True


class Centred(Average):
    """Moves every target by the mean of all of them."""

    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        estimates = super().estimate(responses, selection, seen, fit)
        spread = np.ptp(estimates[~np.isnan(estimates)]) if (~np.isnan(estimates)).any() else 0
        return estimates + 1e-3 * spread * (estimates - np.nanmean(estimates))


class FirstItem(Average):
    """Counts the first item twice."""

    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(np.concatenate([responses[:, :1], responses], axis=1), selection, seen, fit)


class Narrow(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses, selection, seen, fit).astype(responses.dtype)


class Fills(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        estimates = super().estimate(responses, selection, seen, fit)
        responses[np.isnan(responses)] = 0
        return estimates


class Noisy(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses, selection, seen, fit) + 1e-9 * SHARED[0].random()


class GlobalNoise(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses, selection, seen, fit) + 1e-13 * np.random.random()  # noqa: NPY002


class TwoItems(Average):
    def estimate(self, responses: Any, selection: mb.Selection, seen: mb.SeenItems, fit: Any) -> Any:
        return super().estimate(responses[:, [0, 1]] if seen.n_items < 3 else responses, selection, seen, fit)


FOUND = (AssertionError, ConfigError, TypeError, ValueError, IndexError)
FAULTS = [
    (Twice, "check_selects_distinct_seen_items", "twice"),
    (OneTooFew, "check_selects_distinct_seen_items", "items are needed"),
    (Outside, "check_selects_distinct_seen_items", "positions"),
    (UndefinedWeights, "check_selects_distinct_seen_items", "weights"),
    (OwnGenerator, "check_equal_streams_give_equal_selections", "streams"),
    (GlobalState, "check_global_random_state", "random"),
    (GlobalNumpy, "check_global_random_state", "numpy.random"),
    (NotNested, "check_sizes_nest", "nested"),
    (ByPosition, "check_promised_order_does_not_matter", "order"),
    (FirstModel, "check_promised_order_does_not_matter", "order"),
    (Overwrites, "check_input_is_not_changed", "read-only"),
    (UsesUp, "check_one_fit_serves_every_size", "before"),
    (NeedsResponses, "check_missing_responses", "gaps"),
    (ThreeModels, "check_few_models", "out of bounds"),
    (FourItems, "check_few_items", "positions"),
    (ByLayout, "check_memory_layout_does_not_matter", "Fortran"),
    (Expensive, "check_signals_and_costs", "fit_seconds"),
    (Nameless, "check_signals_and_costs", "fit_key"),
    (WantsTargets, "check_attributes_and_signatures", "targets"),
    (Changeable, "check_parameters_are_frozen", "frozen"),
    (NotPlain, "check_pickles_and_has_an_identity", "plain"),
    (Counts, "check_one_fit_serves_every_size", "parameters"),
    (Peeks, "check_sweeps_do_not_show_targets", "targets"),
    (Percent, "check_estimates_are_accuracies", "fractions"),
    (ZeroForMissing, "check_estimates_are_accuracies", "NaN"),
    (Half, "check_equal_responses_are_their_own_estimate", "All responses"),
    (Shrunk, "check_all_items_give_the_accuracy", "accuracy"),
    (Unweighted, "check_items_count_by_their_weights", "weighted accuracy"),
    (Centred, "check_targets_are_estimated_one_by_one", "targets"),
    (FirstItem, "check_order_of_items", "order"),
    (Narrow, "check_float32_responses", "float64"),
    (Fills, "check_input_is_not_changed", "read-only"),
    (Noisy, "check_equal_streams_give_equal_estimates", "streams"),
    (GlobalNoise, "check_global_random_state", "numpy.random"),
    (TwoItems, "check_few_models_and_items", "out of bounds"),
]


@pytest.mark.parametrize(("kind", "name", "word"), FAULTS, ids=[f"{kind.__name__}-{name}" for kind, name, _ in FAULTS])
def test_a_fault_is_found_by_its_check(kind: Any, name: str, word: str) -> None:
    part = kind()
    (check,) = [each for each in checks_of(part) if each.name == name]
    with pytest.raises(FOUND, match=f"(?i){word}"):
        check(part)
    with pytest.raises(FOUND):
        check_method(part)


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {check.name for part in GOOD for check in checks_of(part)} == {name for _, name, _ in FAULTS}


def test_only_instances_of_parts_are_checked() -> None:
    with refuses(ConfigError, "instance", hint="First()"):
        checks_of(First)
    with refuses(ConfigError, "selector or an estimator", got="int"):
        checks_of(3)
    with refuses(ConfigError, "parts", got="mine"):
        checks_of(mb.method(label="mine", selector=First()))
    with refuses(ConfigError, "attributes", got="nested"):
        checks_of(type("Bare", (), {"select": First.select})())


@pytest.mark.parametrize("sizes", [[], [0], [2, 1], [1, 1], [41]])
def test_sizes_are_ascending_and_fit_the_board(sizes: list[int]) -> None:
    with refuses(ConfigError, "sizes", got=repr(sizes)):
        checks_of(First(), sizes)
