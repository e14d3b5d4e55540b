"""Methods by name: what is built, and how an unknown name is refused."""

from __future__ import annotations

from typing import Any

import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import ESTIMATORS, SELECTORS, build_method
from microbench_ray.methods.selectors.tinybenchmarks import TinyBenchmarks
from tests.helpers.errors import refuses

MEAN = {"name": "mean"}


def test_a_method_is_built_from_names_and_parameters() -> None:
    method = build_method("mine", {"name": "stratified_confidence", "strata": 4}, {"name": "horvitz_thompson"})
    assert method.label == "mine"
    assert method.identity() == {
        "label": "mine",
        "selector": {"name": "stratified_confidence", "strata": 4, "signal": "confidence", "variant": "default"},
        "estimator": {"name": "horvitz_thompson", "signal": "correctness"},
    }


def test_parameters_are_part_of_the_identity() -> None:
    built = [build_method("m", {"name": "stratified_confidence", "strata": strata}, MEAN).identity() for strata in (4, 5, 4)]
    assert built[0] == built[2] != built[1]


def test_the_version_of_a_class_is_part_of_the_identity() -> None:
    method = build_method("m", {"name": "tinybenchmarks"}, MEAN)
    assert method.identity()["selector"] == {"name": "tinybenchmarks", "version": TinyBenchmarks.version, "dims": 10}


def test_names_are_those_of_the_design() -> None:
    assert {"random", "random_subtask_equal", "random_subtask_proportional", "random_subtask_inverse"} <= set(SELECTORS)
    assert {"stratified_confidence", "diversity", "fixed"} <= set(SELECTORS)
    assert {"mean", "weighted_mean", "horvitz_thompson"} <= set(ESTIMATORS)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with refuses(ConfigError, "name", where="methods.m.selector", got="randon", hint="did you mean random?"):
        build_method("m", {"name": "randon"}, MEAN)
    with refuses(ConfigError, "name", where="methods.m.estimator", got="man", hint="did you mean mean?"):
        build_method("m", {"name": "random"}, {"name": "man"})


@pytest.mark.parametrize("selector", [{}, {"name": None}, {"name": "zzzz"}])
def test_an_unknown_name_lists_the_valid_ones(selector: Any) -> None:
    with refuses(ConfigError, "name", where="methods.m.selector", hint=", ".join(sorted(SELECTORS))):
        build_method("m", selector, MEAN)


def test_an_unknown_parameter_suggests_the_nearest() -> None:
    with refuses(ConfigError, "parameter of stratified_confidence", got="starta", hint="did you mean strata?") as caught:
        build_method("m", {"name": "stratified_confidence", "starta": 4}, MEAN)
    assert "signal, strata, variant" in (caught.value.hint or "")
    with refuses(ConfigError, "parameter of random", got="strata"):
        build_method("m", {"name": "random", "strata": 4}, MEAN)


@pytest.mark.parametrize(
    "selector", [{"name": "stratified_confidence", "strata": "ten"}, {"name": "fixed", "items": ["a"], "weights": ["heavy"]}]
)
def test_a_value_of_a_wrong_type_is_refused(selector: Any) -> None:
    with refuses(ConfigError, f"parameter of {selector['name']}", where="methods.m.selector"):
        build_method("m", selector, MEAN)


def test_an_error_for_an_invalid_value_names_the_method() -> None:
    with refuses(ConfigError, "strata", where="methods.m.selector", got="0"):
        build_method("m", {"name": "stratified_confidence", "strata": 0}, MEAN)
