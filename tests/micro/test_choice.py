"""Which of the valid intervals a model gets: with few known models, random items, the reserve, and models that may be better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.data import Benchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.choice import IntervalChoice, RandomScore, contradict
from microbench_ray.micro.files import reserve_commands
from microbench_ray.micro.intervals import AccuracyInterval, wilson_interval
from microbench_ray.micro.score import score
from tests.micro.conftest import N_ITEMS, NEW, SIZE, Micros, ends, first_models, method, new_models, responses_to, width


@pytest.mark.parametrize(("mean", "expected"), [(0.64, False), (0.66, True), (0.36, False), (0.34, True)])
def test_a_contradiction_by_hand(mean: float, expected: bool) -> None:
    """Half-widths .09 and .12 make .15 about the estimate of .5."""
    by_items = AccuracyInterval(low=0.41, high=0.59, kind="split_conformal")
    around = AccuracyInterval(low=mean - 0.12, high=mean + 0.12, kind="reserve_wilson")
    by_random = RandomScore(mean=mean, n=50, interval=around, from_reserve=True)
    assert contradict(by_items, 0.5, by_random) is expected


@pytest.mark.parametrize("n_known", [12, 50])
def test_without_errors_on_better_models_there_is_no_interval_but_the_reserves(known: Benchmark, n_known: int) -> None:
    micro = build(first_models(known, n_known), method("greedy", "ridge"), SIZE)
    [best] = score(micro, [np.ones(SIZE)], micro.item_ids, ["perfect"])
    assert best.unlike is (n_known == 50)  # of twelve models, the best one is as far from the others
    assert best.estimate is not None
    assert best.interval is None
    assert best.needs_reserve
    assert any("could not be measured" in sentence for sentence in best.warnings)
    [run] = score(micro, np.ones((1, len(micro.all_item_ids))), micro.all_item_ids, ["perfect"])
    assert run.interval_kind == "reserve_wilson"
    assert (run.by_reserve, run.needs_reserve) == (True, False)


def test_random_items_need_no_known_models(known: Benchmark) -> None:
    """Their plain mean has Wilson's interval, however few the known models are and whatever reads the items."""
    few, row = first_models(known, 5), np.ones(SIZE)
    row[:10] = 0
    for estimator in ("mean", "ridge"):
        micro = build(few, method("random", estimator), SIZE)
        assert micro.reserve == ()
        scored = [*score(micro, [row], micro.item_ids, ["new"]), *score(micro, [np.ones(SIZE)], micro.item_ids, ["perfect"])]
        if estimator == "mean":
            assert [model.interval_kind for model in scored] == ["random_wilson"] * 2
            assert [model.estimate for model in scored] == [0.75, 1.0]
            assert ends(scored[0].interval) == pytest.approx(wilson_interval(0.75, SIZE, N_ITEMS, 1.0, "random_wilson")[:2])
        assert not any(model.needs_reserve or model.by_reserve for model in scored)
        assert all(model.interval is not None for model in scored)


def test_the_reserve_serves_models_like_the_known_ones_where_these_are_few(known: Benchmark) -> None:
    micro = build(first_models(known, 6), method("greedy", "ridge"), SIZE)
    assert IntervalChoice(micro).prefers_random
    middle = int(np.argsort(micro.accuracy)[3])
    responses = responses_to(micro.all_item_ids, known, [middle])
    [alone], [both] = (score(micro, responses[:, :n], micro.all_item_ids[:n], ["m"]) for n in (SIZE, responses.shape[1]))
    assert not alone.unlike
    assert not both.unlike
    assert both.by_reserve
    assert both.interval_kind == "reserve_wilson"
    assert alone.interval is None or width(both.interval) < width(alone.interval)


def test_the_narrower_interval_is_decided_for_all_models_at_once(micros: Micros, whole: Benchmark) -> None:
    """200 known models: the readout's errors are smaller than those of as many random items."""
    assert IntervalChoice(micros["mean"]).prefers_random
    micro = replace(micros["greedy"], better_from=None)
    assert not IntervalChoice(micro).prefers_random
    scored = score(micro, responses_to(micro.all_item_ids, whole, NEW), micro.all_item_ids, new_models(whole))
    assert {model.interval_kind for model in scored if not model.unlike} == {"split_conformal"}


def test_models_that_may_be_better_need_random_items(micros: Micros, whole: Benchmark) -> None:
    """From the deviation on that held-out better models reach; below it the readout's interval stands."""
    for start, kinds in ((-1000.0, {"reserve_wilson"}), (1000.0, {"split_conformal"})):
        micro = replace(micros["greedy"], better_from=start)
        responses = responses_to(micro.all_item_ids, whole, NEW)
        both = score(micro, responses, micro.all_item_ids, new_models(whole))
        assert {model.interval_kind for model in both if not model.unlike} == kinds
        alone = score(replace(micro, extrapolated=None), responses[:, :SIZE], micro.item_ids, new_models(whole))
        expected = {None} if start < 0 else {"split_conformal"}
        assert {model.interval_kind for model in alone if not model.unlike} == expected
        assert all(model.needs_reserve is (model.interval is None) for model in alone)


@pytest.mark.parametrize(
    ("source", "start", "word"),
    [
        ("lm_eval", "lm_eval run --tasks", "reserve_samples.json"),
        ("inspect", "inspect eval", "reserve_inspect_ids.json"),
        ("scores", "#", "reserve.txt"),
    ],
)
def test_the_reserve_is_run_by_the_tool_that_the_logs_are_from(micros: Micros, source: str, start: str, word: str) -> None:
    micro = micros["greedy"]
    placed = tuple(replace(item, task="a task", position=str(k)) for k, item in enumerate(micro.reserve))
    run, scores = reserve_commands(replace(micro, reserve=placed, source={"source": source}), Path("my folder"))
    assert run.startswith(start)
    assert f"my folder/{word}" in run
    assert ("'a task'" in run) is (source == "lm_eval")
    assert scores == f"microbench score micro='my folder' responses=LOGS source={source}"
