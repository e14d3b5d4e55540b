"""Methods by name: what is built, and what is said of a name that does not exist."""

from __future__ import annotations

import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import ESTIMATORS, SELECTORS, build_method

MEAN = {"name": "mean"}


def test_a_method_is_built_from_names_and_parameters():
    method = build_method("mine", {"name": "stratified_confidence", "strata": 4}, {"name": "horvitz_thompson"})
    assert method.label == "mine"
    assert method.identity() == {
        "label": "mine",
        "selector": {"name": "stratified_confidence", "strata": 4, "signal": "confidence", "variant": "default"},
        "estimator": {"name": "horvitz_thompson", "signal": "correctness"},
    }


def test_parameters_are_part_of_the_identity():
    built = [build_method("m", {"name": "stratified_confidence", "strata": strata}, MEAN).identity() for strata in (4, 5, 4)]
    assert built[0] == built[2] != built[1]


def test_names_are_those_of_the_design():
    assert {"random", "random_subtask_equal", "random_subtask_proportional", "random_subtask_inverse"} <= set(SELECTORS)
    assert {"stratified_confidence", "diversity", "fixed"} <= set(SELECTORS)
    assert {"mean", "weighted_mean", "horvitz_thompson"} <= set(ESTIMATORS)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Unknown name") as caught:
        build_method("m", {"name": "randon"}, MEAN)
    assert caught.value.where == "methods.m.selector"
    assert caught.value.got == "randon"
    assert caught.value.hint.startswith("did you mean random? valid: anchor_points, ")
    with pytest.raises(ConfigError) as caught:
        build_method("m", {"name": "random"}, {"name": "man"})
    assert caught.value.where == "methods.m.estimator"
    assert "did you mean mean?" in caught.value.hint


@pytest.mark.parametrize("selector", [{}, {"name": None}, {"name": "zzzz"}])
def test_a_missing_name_lists_what_there_is(selector):
    with pytest.raises(ConfigError, match="Unknown name") as caught:
        build_method("m", selector, MEAN)
    assert caught.value.hint == "valid: " + ", ".join(sorted(SELECTORS))


def test_an_unknown_parameter_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Unknown parameter of stratified_confidence") as caught:
        build_method("m", {"name": "stratified_confidence", "starta": 4}, MEAN)
    assert caught.value.hint == "did you mean strata? valid: signal, strata, variant"
    with pytest.raises(ConfigError) as caught:
        build_method("m", {"name": "random", "strata": 4}, MEAN)
    assert caught.value.hint == "there are none"


@pytest.mark.parametrize(
    "selector", [{"name": "stratified_confidence", "strata": "ten"}, {"name": "fixed", "items": ["a"], "weights": ["heavy"]}]
)
def test_a_value_of_a_wrong_type_is_refused(selector):
    with pytest.raises(ConfigError, match=f"A parameter of {selector['name']} has the wrong type"):
        build_method("m", selector, MEAN)


def test_a_value_that_the_class_refuses_says_which_method_it_is_of():
    with pytest.raises(ConfigError, match="strata must be at least 1") as caught:
        build_method("m", {"name": "stratified_confidence", "strata": 0}, MEAN)
    assert caught.value.where == "methods.m.selector"
