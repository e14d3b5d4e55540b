"""Log-likelihoods of lm-evaluation-harness, as its versions nest them, are converted to probabilities or ignored."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.ingest.base import Tally
from microbench_ray.ingest.likelihoods import NO_CONFIDENCE, log_likelihoods, read_confidence
from tests.helpers.lm_eval_logs import choice, line

PAIRS = [["-1.0", "False"], ["-3.0", "True"]]


@pytest.mark.parametrize(
    "responses",
    [
        {"filtered_resps": PAIRS},
        {"filtered_resps": [[-1.0, False], [-3.0, True]]},
        {"filtered_resps": [[-1, 0.0], [-3, 1.0]]},
        {"filtered_resps": [[PAIRS[0]], [PAIRS[1]]]},
        {"resps": [[PAIRS[0]], [PAIRS[1]]]},
        {"resps": [[PAIRS[0], ["-9", "False"]], [PAIRS[1], ["-9", "False"]]]},  # repeated requests: the first
        {"resps": [[[PAIRS[0]]], [[PAIRS[1]]]]},
        {"filtered_resps": [[-1.0], [-3.0]]},
        {"filtered_resps": [-1.0, -3.0]},
        {"filtered_resps": ["-1.0", "-3.0"]},
        {"filtered_resps": ["a", "b"], "resps": PAIRS},
    ],
)
def test_nested_likelihoods(responses: dict[str, Any]) -> None:
    assert log_likelihoods(responses) == [-1.0, -3.0]


@pytest.mark.parametrize(
    "responses",
    [
        {},
        {"filtered_resps": []},
        {"filtered_resps": ["7"]},  # one generated number
        {"filtered_resps": [["7", "8"]], "resps": [["7", "8"]]},  # repeated generations
        {"filtered_resps": ["3", "4"]},  # a likelihood is not above 0
        {"filtered_resps": "-1.0"},
        {"filtered_resps": [["-1.0", "maybe"], ["-3.0", "False"]]},
        {"filtered_resps": [None, True]},
        {"filtered_resps": [[], {}]},
    ],
)
def test_responses_that_are_not_likelihoods(responses: dict[str, Any]) -> None:
    assert log_likelihoods(responses) is None
    assert read_confidence(responses, Tally()) is NO_CONFIDENCE


def test_confidence_is_the_softmax_at_the_target() -> None:
    # e^-1 : e^-3 = 1 : e^-2
    found = read_confidence(choice(0, [-1, -3], ["yes", "no"], "0"), Tally())
    assert found.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert found.answers == pytest.approx((1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))))
    assert found.label == 0


@given(
    st.lists(st.floats(-1e300, 0), min_size=2, max_size=8).flatmap(
        lambda likelihoods: st.tuples(st.just(likelihoods), st.sampled_from(range(len(likelihoods))))
    )
)
def test_probabilities_sum_to_1_and_the_most_probable_answer_is_the_likeliest(drawn: tuple[list[float], int]) -> None:
    values, label = drawn
    found = read_confidence(choice(0, values, [f"t{k}" for k in range(len(values))], str(label), acc=None), Tally())
    assert found.label == label
    assert found.answers is not None
    assert found.confidence is not None
    assert sum(found.answers) == pytest.approx(1)
    assert 0 <= found.confidence == found.answers[label] <= 1
    assert found.answers[values.index(max(values))] == max(found.answers)


@pytest.mark.parametrize(
    ("texts", "target", "doc", "label"),
    [
        (["no", "yes"], "yes", {}, 1),
        (["A", "B"], "1", {}, 1),
        (["0", "1", "2"], "2", {}, 2),  # both readings agree
        (["2", "1", "0"], "2", {"label": 2}, 2),  # the document holds a number
        (["2", "1", "0"], "2", {"label": "2"}, None),  # a text, which only a template turns into a number
        (["2", "1", "0"], "2", {}, None),
        (["5", "7"], "7", {}, 1),  # no such position
        (["5", "7"], "9", {}, None),
        (["yes", "yes", "no"], "yes", {}, None),
        (["yes", "no"], None, {"gold": 1}, 1),
        (["yes", "no"], None, {"gold": True}, None),
        (["yes", "no"], "[5]", {}, None),
    ],
)
def test_the_target_is_an_index_or_a_text_and_ambiguous_ones_are_ignored(
    texts: list[str], target: str | None, doc: dict[str, Any], label: int | None
) -> None:
    tally = Tally()
    found = read_confidence(choice(0, [-1.0] * len(texts), texts, target, doc=doc, acc=None), tally)
    assert found.label == label
    assert tally.dropped == ({} if label is not None else {"confidences whose correct answer is ambiguous": 1})


def test_arguments_may_be_lists_or_missing() -> None:
    row = choice(0, [-1, -3], ["no", "yes"], "yes", acc=None)
    assert read_confidence(row | {"arguments": [["q", " no"], ["q", " yes"]]}, Tally()).label == 1
    assert read_confidence(row | {"arguments": []}, Tally()) is NO_CONFIDENCE
    assert read_confidence(row | {"arguments": None, "target": "1"}, Tally()).label == 1


def test_several_correct_answers_are_added() -> None:
    found = read_confidence(choice(0, [-1, -2, -1], ["a", "b", "c"], "[0, 2]", acc=1.0), Tally())
    assert found.confidence == pytest.approx(2 / (2 + math.exp(-1)))
    assert (found.answers, found.label) == (None, None)


def test_acc_determines_the_correct_one_of_two_answers_with_the_same_text() -> None:
    wrong = choice(0, [-3, -1], ["went home.", "went home."], "went home.", acc=0.0)
    assert read_confidence(wrong, Tally()).label == 0
    assert read_confidence(wrong | {"acc": 1.0}, Tally()).label == 1
    assert read_confidence(wrong | {"acc": float("nan")}, Tally()) is NO_CONFIDENCE


def test_a_label_that_contradicts_acc_is_ignored() -> None:
    tally = Tally()
    assert read_confidence(choice(0, [-1, -3], ["a", "b"], "1", acc=1.0), tally) is NO_CONFIDENCE
    assert tally.dropped == {"confidences that contradict acc": 1}


def test_ties_are_broken_as_in_the_harness() -> None:
    assert read_confidence(choice(0, [-1, -1], ["a", "b"], "0", acc=1.0), Tally()).confidence == 0.5
    assert read_confidence(choice(0, [-1, -1], ["a", "b"], "1", acc=0.0), Tally()).confidence == 0.5


def test_acc_norm_does_not_change_confidences() -> None:
    texts = ["short", "a much longer answer"]
    row = choice(0, [-3, -4], texts, "1", metrics=["acc", "acc_norm"], acc=0.0, acc_norm=1.0)
    assert read_confidence(row, Tally()).confidence == pytest.approx(1 / (1 + math.e))


@pytest.mark.parametrize("value", ["nan", "-inf", "inf", "-Infinity", "1e999"])
def test_non_finite_likelihoods_give_no_confidence(value: str) -> None:
    tally = Tally()
    row = choice(0, [-1, -3], ["a", "b"], "0")
    assert read_confidence(row | {"filtered_resps": [[value, "False"], PAIRS[1]]}, tally) is NO_CONFIDENCE
    assert tally.dropped == {"confidences with a non-finite log-likelihood": 1}


def test_a_single_likelihood_is_that_of_the_text() -> None:
    row = line(0, filtered_resps=[["-0.5", "True"]], metrics=["perplexity", "acc"], perplexity=-0.5)
    assert read_confidence(row, Tally()) == (pytest.approx(math.exp(-0.5)), None, None)
    assert read_confidence(row | {"filtered_resps": [["0.5", "True"]]}, Tally()) is NO_CONFIDENCE


def test_answers_without_the_question_are_left_out() -> None:
    texts = ["a", "b", "a", "b"]
    row = choice(0, [-1, -3, -7, -2], texts, "0", metrics=["acc", "acc_mutual_info"], acc_mutual_info=1.0)
    assert read_confidence(row, Tally()).answers == read_confidence(choice(0, [-1, -3], texts[:2], "0"), Tally()).answers


ATOMS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["-1", "nan", "False", "[0]", "1", "a", ""])
LISTS = st.lists(ATOMS, max_size=3)
ANY_VALUE = (
    ATOMS | LISTS | st.lists(ATOMS | LISTS | st.lists(LISTS, max_size=2), max_size=3) | st.fixed_dictionaries({"gold": ATOMS})
)


@given(
    st.dictionaries(st.sampled_from(["filtered_resps", "resps", "target", "arguments", "doc", "acc", "acc_mutual_info"]), ANY_VALUE)
)
def test_arbitrary_json_gives_probabilities_or_none(row: dict[str, Any]) -> None:
    found = read_confidence(json.loads(json.dumps(row)), Tally())
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert (found.answers is None) == (found.label is None)
