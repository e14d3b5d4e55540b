"""Every selector and estimator in the registry passes the public suite; new ones are tested here without new test code."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import ESTIMATORS, SELECTORS, Fixed
from microbench_ray.testing import Check, checks_of
from microbench_ray.testing.boards import N_ITEMS, make_board
from microbench_ray.testing.common import COMMON_CHECKS, fit_of, fresh_fit, identity_of, source_signal, twin_of
from microbench_ray.testing.estimator_checks import check_targets_are_estimated_one_by_one, estimate, require_valid
from microbench_ray.testing.selector_checks import SIZES, check_few_items, select
from tests.helpers.rotation import share

SLOW_FITS = {
    "AutoEstimator",
    "AutoSelector",
    "FisherInformation",
    "GpIrt",
    "IrtAbility",
    "PIrt",
    "RidgeRemainder",
    "TinyBenchmarks",
}
SIGNALS = ("correctness", "confidence", "answers", "both")


def variants(kind: Any) -> list[Any]:
    """The class with its defaults, and with every other signal that it accepts as a parameter."""
    parts = [kind()]
    for signal in SIGNALS if "signal" in inspect.signature(kind).parameters else ():
        try:
            parts.append(kind(signal=signal))
        except ConfigError:
            continue
    return list(dict.fromkeys(parts))


PARTS = [part for name, kind in (*SELECTORS.items(), *ESTIMATORS.items()) if name != "fixed" for part in variants(kind)]


def is_of_another_day(part: Any) -> bool:
    """Whether another signal of an expensive part is tested today."""
    others = variants(type(part))
    return type(part).__name__ in ("AutoEstimator", "AutoSelector") and part not in share(others, len(others))


def case(part: Any, check: Check) -> Any:
    """A case of pytest; slow where fits or many estimates take seconds; of the most expensive ones, one signal a day."""
    kind = type(part).__name__
    many = check.function is check_targets_are_estimated_one_by_one and part.fit_key
    slow = many or (kind in SLOW_FITS and check.function not in COMMON_CHECKS)
    marks = [pytest.mark.nightly] if slow and is_of_another_day(part) else [pytest.mark.slow] if slow else []
    return pytest.param(part, check, id=f"{kind}-{part.signal}-{check.name}", marks=marks)


@pytest.mark.parametrize(("part", "check"), [case(part, check) for part in PARTS for check in checks_of(part)])
def test_it_passes(part: Any, check: Check) -> None:
    check(part)


@pytest.mark.parametrize("size", SIZES)
def test_a_given_list_passes(size: int) -> None:
    """A given list has one size; it cannot be asked for items that it does not have."""
    given = Fixed([f"item{k}" for k in range(N_ITEMS)][-size:])
    for check in checks_of(given, [size]):
        if check.function is not check_few_items:
            check(given)


@pytest.mark.parametrize("name", sorted({*SELECTORS, *ESTIMATORS} - {"fixed"}))
def test_parts_are_hashable_and_identified_by_their_name(name: str) -> None:
    for registry in (SELECTORS, ESTIMATORS):
        if name in registry:
            part = registry[name]()
            assert hash(twin_of(part)) == hash(part)
            assert identity_of(part)["name"] == name
    assert identity_of(Fixed(["a"]))["name"] == "fixed"


def test_some_selectors_nest_and_others_do_not() -> None:
    nested = {name for name, kind in SELECTORS.items() if name != "fixed" and kind().nested}
    assert {"disco", "greedy", "mdad_guided"} <= nested < set(SELECTORS)


def test_a_selector_with_a_signal_says_how_many_bytes_it_takes() -> None:
    for part in PARTS:
        if hasattr(part, "select"):
            assert (part.fit_bytes(300, 6016, 1000) > 0) == (part.signal is not None)


def test_equal_fit_keys_are_the_same_fit() -> None:
    fits: dict[tuple[str, str | None], bytes] = {}
    for part in PARTS:
        fit = pickle.dumps(fresh_fit(part, make_board("answers")).fit)
        assert fits.setdefault((part.fit_key, source_signal(part)), fit) == fit


@pytest.mark.slow
@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_any_selector_goes_with_any_estimator(estimator: str) -> None:
    """Right and wrong answers to everything are the extreme estimates, whichever items were selected."""
    part, board = ESTIMATORS[estimator](), make_board("correctness")
    for name in sorted(set(SELECTORS) - {"fixed"}):
        selector = SELECTORS[name]()
        selection = select(selector, fit_of(selector, board), 7)
        right = np.random.default_rng(2).integers(0, 2, (9, 7)).astype(float)
        right[0], right[1] = 0, 1
        estimates = estimate(part, fresh_fit(part, board), right, selection)
        require_valid(estimates, right)
        if part.fit_key == "":
            assert estimates[0] == pytest.approx(0, abs=1e-12)
        assert (estimates <= estimates[1] + 1e-12).all()
