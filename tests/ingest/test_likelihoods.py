"""Log-likelihoods of lm-evaluation-harness, as its versions nest them, become probabilities, or are refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.ingest.base import Tally
from microbench_ray.ingest.likelihoods import NONE, confidence, log_likelihoods
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
def test_likelihoods_are_found_however_they_are_nested(responses):
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
def test_other_responses_are_no_likelihoods(responses):
    assert log_likelihoods(responses) is None
    assert confidence(responses, Tally()) is NONE


def test_confidence_is_the_softmax_at_the_target():
    # e^-1 : e^-3 = 1 : e^-2
    found = confidence(choice(0, [-1, -3], ["yes", "no"], "0"), Tally())
    assert found.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert found.answers == pytest.approx((1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))))
    assert found.label == 0


@given(
    st.lists(st.floats(-1e300, 0), min_size=2, max_size=8).flatmap(
        lambda found: st.tuples(st.just(found), st.sampled_from(range(len(found))))
    )
)
def test_probabilities_are_probabilities(drawn):
    values, label = drawn
    found = confidence(choice(0, values, [f"t{k}" for k in range(len(values))], str(label), acc=None), Tally())
    assert found.label == label
    assert sum(found.answers) == pytest.approx(1)
    assert 0 <= found.confidence == found.answers[label] <= 1
    assert found.answers.index(max(found.answers)) == next(k for k, p in enumerate(found.answers) if p == max(found.answers))


@pytest.mark.parametrize(
    ("texts", "target", "doc", "label"),
    [
        (["no", "yes"], "yes", {}, 1),
        (["A", "B"], "1", {}, 1),
        (["0", "1", "2"], "2", {}, 2),  # the same either way
        (["2", "1", "0"], "2", {"label": 2}, 2),  # the document holds a number
        (["2", "1", "0"], "2", {"label": "2"}, None),  # a text, which a template makes a number, and a field does not
        (["2", "1", "0"], "2", {}, None),
        (["5", "7"], "7", {}, 1),  # no such position
        (["5", "7"], "9", {}, None),
        (["yes", "yes", "no"], "yes", {}, None),
        (["yes", "no"], None, {"gold": 1}, 1),
        (["yes", "no"], None, {"gold": True}, None),
        (["yes", "no"], "[5]", {}, None),
    ],
)
def test_the_target_is_a_position_or_a_text_and_never_a_guess(texts, target, doc, label):
    tally = Tally()
    found = confidence(choice(0, [-1.0] * len(texts), texts, target, doc=doc, acc=None), tally)
    assert found.label == label
    assert tally.dropped == ({} if label is not None else {"confidences where the right answer cannot be told": 1})


def test_arguments_may_be_lists_or_missing():
    row = choice(0, [-1, -3], ["no", "yes"], "yes", acc=None)
    assert confidence(row | {"arguments": [["q", " no"], ["q", " yes"]]}, Tally()).label == 1
    assert confidence(row | {"arguments": []}, Tally()) is NONE
    assert confidence(row | {"arguments": None, "target": "1"}, Tally()).label == 1


def test_several_right_answers_are_added():
    found = confidence(choice(0, [-1, -2, -1], ["a", "b", "c"], "[0, 2]", acc=1.0), Tally())
    assert found.confidence == pytest.approx(2 / (2 + math.exp(-1)))
    assert (found.answers, found.label) == (None, None)


def test_of_two_answers_that_share_their_text_acc_tells_the_right_one():
    wrong = choice(0, [-3, -1], ["went home.", "went home."], "went home.", acc=0.0)
    assert confidence(wrong, Tally()).label == 0
    assert confidence(wrong | {"acc": 1.0}, Tally()).label == 1
    assert confidence(wrong | {"acc": float("nan")}, Tally()) is NONE


def test_a_label_that_contradicts_acc_is_not_believed():
    tally = Tally()
    assert confidence(choice(0, [-1, -3], ["a", "b"], "1", acc=1.0), tally) is NONE
    assert tally.dropped == {"confidences that contradict acc": 1}


def test_equal_likelihoods_count_as_the_harness_counts_them():
    assert confidence(choice(0, [-1, -1], ["a", "b"], "0", acc=1.0), Tally()).confidence == 0.5
    assert confidence(choice(0, [-1, -1], ["a", "b"], "1", acc=0.0), Tally()).confidence == 0.5


def test_with_acc_norm_the_likelihoods_stay_those_of_whole_answers():
    texts = ["short", "a much longer answer"]
    row = choice(0, [-3, -4], texts, "1", metrics=["acc", "acc_norm"], acc=0.0, acc_norm=1.0)
    assert confidence(row, Tally()).confidence == pytest.approx(1 / (1 + math.e))


@pytest.mark.parametrize("value", ["nan", "-inf", "inf", "-Infinity", "1e999"])
def test_without_finite_likelihoods_there_is_no_confidence(value):
    tally = Tally()
    row = choice(0, [-1, -3], ["a", "b"], "0")
    assert confidence(row | {"filtered_resps": [[value, "False"], PAIRS[1]]}, tally) is NONE
    assert tally.dropped == {"confidences with a log-likelihood that is not finite": 1}


def test_one_likelihood_is_that_of_the_text():
    row = line(0, filtered_resps=[["-0.5", "True"]], metrics=["perplexity", "acc"], perplexity=-0.5)
    assert confidence(row, Tally()) == (pytest.approx(math.exp(-0.5)), None, None)
    assert confidence(row | {"filtered_resps": [["0.5", "True"]]}, Tally()) is NONE


def test_answers_without_their_question_are_left_out():
    texts = ["a", "b", "a", "b"]
    row = choice(0, [-1, -3, -7, -2], texts, "0", metrics=["acc", "acc_mutual_info"], acc_mutual_info=1.0)
    assert confidence(row, Tally()).answers == confidence(choice(0, [-1, -3], texts[:2], "0"), Tally()).answers


ATOMS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["-1", "nan", "False", "[0]", "1", "a", ""])
LISTS = st.lists(ATOMS, max_size=3)
SURPRISES = (
    ATOMS | LISTS | st.lists(ATOMS | LISTS | st.lists(LISTS, max_size=2), max_size=3) | st.fixed_dictionaries({"gold": ATOMS})
)


@given(
    st.dictionaries(st.sampled_from(["filtered_resps", "resps", "target", "arguments", "doc", "acc", "acc_mutual_info"]), SURPRISES)
)
def test_whatever_json_holds_gives_probabilities_or_nothing(row):
    found = confidence(json.loads(json.dumps(row)), Tally())
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert (found.answers is None) == (found.label is None)
