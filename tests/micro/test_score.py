"""New models scored by a micro-benchmark: by hand, against the truth of held-out models, and models unlike the known ones."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.choice import held_out_errors
from microbench_ray.micro.intervals import binomial_scale, calibration, errors_of, wilson_interval
from microbench_ray.micro.score import ScoreInterval, score
from tests.helpers.errors import refuses
from tests.micro.conftest import (
    N_ITEMS,
    N_KNOWN,
    NEW,
    SIZE,
    Micros,
    accuracies,
    ends,
    first_models,
    method,
    new_models,
    responses_to,
    width,
)


def test_a_mean_is_the_plain_mean(micros: Micros, whole: Benchmark) -> None:
    micro = micros["mean"]
    responses = responses_to(micro.item_ids, whole, NEW)
    scored = score(micro, responses, micro.item_ids, new_models(whole))
    assert [model.estimate for model in scored] == pytest.approx(responses.mean(axis=1), abs=1e-15)


def test_by_hand() -> None:
    """Five models and four items, all of them chosen: the mean, its errors and ranks are known."""
    scores = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    tiny = Benchmark.from_arrays("tiny", scores, list("abcd"), ["m4", "m3", "m2", "m1", "m0"])
    micro = build(tiny, method("random", "mean"), 4)
    assert micro.held_out.estimates == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    [scored] = score(micro, [[1, 0, 1, 0, 1]], ["b", "a", "d", "c", "unknown"], ["new"])
    assert (scored.estimate, scored.answered, scored.missing) == (0.5, 4, 0)
    assert scored.interval == ScoreInterval(low=0.5, high=0.5, rank_low=3, rank_high=3, kind="random_wilson")  # all items
    assert scored.warnings == ()
    assert scored.neighbours == ("m2",)


def test_the_interval_is_the_estimate_less_the_quantiles_of_the_errors(micros: Micros, whole: Benchmark) -> None:
    """200 held-out errors, estimate − truth: 2.5 % of 201 are five, so the fifth from either end."""
    micro = micros["greedy"]
    estimates = micro.held_out.estimates
    errors = np.sort((estimates - micro.accuracy) / binomial_scale(estimates, SIZE))
    [scored] = score(micro, responses_to(micro.item_ids, whole, [N_KNOWN]), micro.item_ids, ["new"])
    assert scored.estimate is not None
    assert scored.interval_kind == "split_conformal"
    scale = binomial_scale(np.array([scored.estimate]), SIZE)[0]
    # 2.5 % of 201 are 5.025: a fortieth of the way from the fifth to the sixth, from either end.
    high, low = (errors[each] * 0.975 + errors[other] * 0.025 for each, other in ((-5, -6), (4, 5)))
    assert ends(scored.interval) == pytest.approx((scored.estimate - scale * high, scored.estimate - scale * low))


@pytest.mark.parametrize(
    ("n_known", "kind"),
    [(10, "student"), (18, "student"), (19, "split_conformal_absolute"), (38, "split_conformal_absolute"), (39, "split_conformal")],
)
def test_the_number_of_held_out_models_decides_the_kind(known: Benchmark, n_known: int, kind: str) -> None:
    few = first_models(known, n_known)
    micro = replace(build(few, method("greedy", "ridge"), SIZE), better_from=None)
    middle = [int(np.argsort(micro.accuracy)[n_known // 2])]
    [scored] = score(micro, responses_to(micro.item_ids, few, middle), micro.item_ids, ["new"])
    assert scored.interval_kind == kind
    assert scored.to_json()["interval_kind"] == kind


@pytest.mark.parametrize("name", ["mean", "ridge", "greedy"])
def test_intervals_hold_the_truth_of_new_models(micros: Micros, whole: Benchmark, name: str) -> None:
    micro, truth = micros[name], accuracies(whole)[NEW]
    scored = score(micro, responses_to(micro.item_ids, whole, NEW), micro.item_ids, new_models(whole))
    held = [low <= true <= high for (low, high), true in zip([ends(model.interval) for model in scored], truth, strict=True)]
    assert np.mean(held) >= 0.88  # of 100 models; studies/score_coverage.py measures it
    for model, true, inside in zip(scored, truth, held, strict=True):
        assert model.interval is not None
        rank = 1 + int((micro.accuracy > true).sum())
        assert not inside or model.interval.rank_low <= rank <= model.interval.rank_high
        low, high = ends(model.interval)
        assert set(model.neighbours) == {micro.models[k] for k in range(N_KNOWN) if low <= micro.accuracy[k] <= high}
    assert np.mean([bool(model.warnings) for model in scored]) < 0.2


def test_a_perfect_model_and_one_with_inverted_answers_are_flagged(micros: Micros) -> None:
    micro = micros["greedy"]
    means = np.array([item.mean for item in micro.items])
    perfect, inverted = np.ones(SIZE), np.where(means > np.median(means), 0.0, 1.0)
    best, strange = score(micro, [perfect, inverted], micro.item_ids, ["perfect", "inverted"])
    assert best.unlike
    assert "better than all" in best.warnings[0]
    assert best.interval is not None
    assert best.interval.kind == "extrapolated"
    assert best.interval == best.extrapolated_interval
    assert best.interval.high == 1
    assert not best.needs_reserve
    assert strange.unlike
    assert any("pattern" in sentence for sentence in strange.warnings)
    assert strange.extrapolated_interval is not None


def test_the_extrapolated_interval_is_centred_on_the_calibrated_estimate(micros: Micros) -> None:
    """Its half-width is the quantile of the best models' absolute errors: 39.9 of 42 with the 41 of them."""
    micro = micros["greedy"]
    best = micro.extrapolated
    assert best is not None
    assert best.models.size == 41
    [scored] = score(micro, [np.ones(SIZE)], micro.item_ids, ["perfect"])
    line = calibration(micro.held_out.estimates, micro.accuracy)
    centre = line.accuracy(micro.readout.estimate(np.ones((1, SIZE))))[0]
    sizes = np.sort(np.abs(best.estimates - micro.accuracy[best.models]))
    half_width = sizes[38] * 0.1 + sizes[39] * 0.9
    assert errors_of(sizes).absolute_quantile == pytest.approx(half_width)
    assert ends(scored.extrapolated_interval)[0] == pytest.approx(min(centre - half_width, ends(scored.interval)[0]))


def test_the_order_of_items_and_other_items_do_not_matter(micros: Micros, whole: Benchmark) -> None:
    micro = micros["greedy"]
    responses, names = responses_to(micro.item_ids, whole, slice(N_KNOWN, N_KNOWN + 5)), new_models(whole)[:5]
    order = np.random.default_rng(0).permutation(SIZE)
    shuffled = np.concatenate([responses[:, order], np.ones((5, 1))], axis=1)
    item_ids = [*(micro.item_ids[k] for k in order), "other"]
    assert score(micro, responses, micro.item_ids, names) == score(micro, shuffled, item_ids, names)


@pytest.mark.parametrize("name", ["mean", *(pytest.param(each, marks=pytest.mark.slow) for each in ("ridge", "greedy"))])
def test_missing_responses_widen_intervals_which_still_hold_the_truth(micros: Micros, whole: Benchmark, name: str) -> None:
    micro, truth, names = micros[name], accuracies(whole)[NEW], new_models(whole)
    responses = responses_to(micro.item_ids, whole, NEW)
    complete = score(micro, responses, micro.item_ids, names)
    rng, held, widened = np.random.default_rng(1), [], []
    for k, row in enumerate(responses):
        incomplete = row.copy()
        incomplete[rng.permutation(SIZE)[:18]] = np.nan
        [scored] = score(micro, [incomplete], micro.item_ids, [names[k]])
        assert (scored.answered, scored.missing) == (22, 18)
        assert any("18 of 40" in sentence for sentence in scored.warnings)
        low, high = ends(scored.interval)
        held.append(low <= truth[k] <= high)
        widened.append(high - low - width(complete[k].interval))
    assert np.mean(held) >= 0.87
    assert np.mean(widened) > 0.01


def test_the_errors_of_incomplete_responses_are_those_of_known_models_with_the_same_gaps(micros: Micros) -> None:
    """Of a mean: each known model's estimate is its mean over the items answered."""
    micro, missing = micros["mean"], np.arange(SIZE) < 10
    means = micro.responses[:, 10:].mean(axis=1)
    errors = held_out_errors(micro, missing)
    assert errors.values == pytest.approx((means - micro.accuracy) / binomial_scale(means, SIZE - 10))
    row = np.where(missing, np.nan, 1.0)
    [scored] = score(micro, [row], micro.item_ids, ["new"])
    assert ends(scored.interval) == pytest.approx(wilson_interval(1.0, SIZE - 10, N_ITEMS, 1.0, "random_wilson")[:2])


def test_a_model_with_less_than_half_of_the_items_is_refused(micros: Micros) -> None:
    micro = micros["mean"]
    rows = np.full((3, SIZE), np.nan)
    rows[0, :20], rows[1, :19] = 1, 1
    enough, few, none = score(micro, rows, micro.item_ids, ["enough", "few", "none"])
    assert enough.estimate == 1
    assert not enough.refused
    assert (few.estimate, few.interval, few.interval_kind) == (None, None, None)
    assert "19 of 40" in few.refused
    assert "0 of 40" in none.refused


@pytest.mark.parametrize(
    ("rows", "items", "models", "word", "got"),
    [
        ([[1.0]], "foreign", ["m"], "none of the responses", "'nothing'"),
        ([[1.0, 1.0]], "all", ["m"], "shape", "(1, 2)"),
        ([[1.0, 1.0]], "twice", ["m"], "item ids", "twice"),
        ([[1.5]], "one", ["m"], "[0, 1]", "1.5"),
        ([[1.0], [1.0]], "one", ["m", "m"], "model ids", "'m' twice"),
    ],
)
def test_bad_responses_are_refused(
    micros: Micros, rows: list[list[float]], items: str, models: list[str], word: str, got: str
) -> None:
    micro = micros["mean"]
    ids = {
        "foreign": ["nothing"],
        "all": micro.item_ids,
        "one": micro.item_ids[:1],
        "twice": micro.item_ids[:1] * 2,
    }
    with refuses(DataError, word, where="responses", got=got):
        score(micro, rows, ids[items], models)


def test_a_bad_response_to_the_reserve_is_refused(micros: Micros) -> None:
    micro = micros["greedy"]
    responses = np.ones((1, len(micro.all_item_ids)))
    responses[0, -1] = 2.0
    with refuses(DataError, "[0, 1]", where="responses", got="2"):
        score(micro, responses, micro.all_item_ids, ["m"])


def test_a_model_unlike_the_known_ones_is_scored_by_the_reserve(micros: Micros) -> None:
    micro = micros["greedy"]
    assert len(micro.reserve) == SIZE
    assert len(set(micro.all_item_ids)) == len(micro.all_item_ids) >= SIZE
    responses = np.ones((1, len(micro.all_item_ids)))  # better than every known model on the items
    wrong = {item.id for item in micro.reserve[:10]} - set(micro.item_ids)
    assert wrong
    for name in wrong:
        responses[0, micro.all_item_ids.index(name)] = 0.0
    mean = 1 - len(wrong) / SIZE
    [scored] = score(micro, responses, micro.all_item_ids, ["strong"])
    assert scored.unlike
    assert scored.by_reserve
    assert scored.interval_kind == "reserve_wilson"
    assert scored.estimate == pytest.approx(mean)
    assert ends(scored.interval) == pytest.approx(wilson_interval(mean, SIZE, N_ITEMS, 1.0, "reserve_wilson")[:2])
    assert scored.extrapolated_interval is None
    [alone] = score(micro, np.ones((1, SIZE)), micro.item_ids, ["strong"])
    assert alone.unlike
    assert not alone.by_reserve
    assert alone.interval_kind == "extrapolated"
    assert any("reserve.txt" in sentence for sentence in alone.warnings)


def test_items_shared_with_the_reserve_do_not_count_as_the_reserve(known: Benchmark) -> None:
    """With two thirds of the items selected, most of the reserve is answered without being run."""
    size = 2 * N_ITEMS // 3
    micro = mb.export(known, size=size, method="greedy", seed=3)
    own = [item.id for item in micro.reserve if item.id not in micro.column_of]
    assert 0 < len(own) < size / 2
    every, selected = np.ones((1, len(micro.all_item_ids))), np.ones((1, size))
    [alone] = score(micro, selected, micro.item_ids, ["strong"])
    assert alone.unlike
    assert not alone.by_reserve
    assert any("reserve.txt" in sentence for sentence in alone.warnings)
    [run] = score(micro, every, micro.all_item_ids, ["strong"])
    assert run.by_reserve
    nearly = every.copy()
    nearly[0, micro.all_item_ids.index(own[0])] = np.nan  # of more than ten
    assert len(own) > 10
    assert score(micro, nearly, micro.all_item_ids, ["strong"])[0].by_reserve


@pytest.mark.parametrize("high", [1.2, 55.0, np.inf])
def test_responses_to_the_reserve_are_checked_like_all_others(micros: Micros, high: float) -> None:
    """Also where the responses to the micro-benchmark's own items are valid: percentages, for example."""
    micro = micros["greedy"]
    responses = np.ones((1, len(micro.all_item_ids)))
    responses[0, micro.size :] = high
    with refuses(DataError, "[0, 1]", where="responses"):
        score(micro, responses, micro.all_item_ids, ["m"])


def test_the_librarys_table_says_which_items_the_estimate_is_the_mean_of(micros: Micros) -> None:
    micro = micros["greedy"]
    table = mb.score(micro, np.ones((1, len(micro.all_item_ids))), micro.all_item_ids, ["strong"])
    assert list(table["unlike"]) == list(table["by_reserve"]) == [True]


def test_a_model_like_the_known_ones_is_scored_by_the_items_alone(micros: Micros, known: Benchmark) -> None:
    micro = micros["greedy"]
    middle = [int(np.argsort(micro.accuracy)[N_KNOWN // 2])]
    responses = responses_to(micro.all_item_ids, known, middle)
    [both] = score(micro, responses, micro.all_item_ids, ["middle"])
    [alone] = score(micro, responses[:, :SIZE], micro.item_ids, ["middle"])
    assert not both.unlike
    assert both == alone


@pytest.mark.parametrize("contradicts", [False, True])
def test_a_model_contradicted_by_the_reserve_is_scored_by_it(micros: Micros, contradicts: bool) -> None:
    """Like a known model on the items, as if it had been trained on them, and all wrong on the rest of the reserve."""
    micro = micros["greedy"]
    usual = int(np.argsort(micro.accuracy)[N_KNOWN // 2])
    n_other = len(micro.all_item_ids) - SIZE
    n_right = 0 if contradicts else round(micro.accuracy[usual] * n_other)
    responses = np.concatenate([micro.responses[usual], np.arange(n_other) < n_right])
    response_to = dict(zip(micro.all_item_ids, responses, strict=True))
    mean = np.mean([response_to[item.id] for item in micro.reserve])
    [both] = score(micro, responses[None], micro.all_item_ids, ["new"])
    [alone] = score(micro, micro.responses[[usual]], micro.item_ids, ["new"])
    _, high, _ = wilson_interval(float(mean), SIZE, N_ITEMS, 1.0, "reserve_wilson")
    alone_low, _ = ends(alone.interval)
    assert alone.estimate is not None
    half_width = np.hypot(high - mean, alone.estimate - alone_low)
    assert bool(abs(mean - alone.estimate) > half_width) is contradicts
    assert not alone.unlike
    assert (both.unlike, both.by_reserve) == (contradicts, contradicts)
    assert both.estimate == pytest.approx(mean if contradicts else alone.estimate)
    assert any("contradict" in sentence for sentence in both.warnings) is contradicts


def test_the_reserve_seldom_contradicts_models_like_the_known_ones(micros: Micros, whole: Benchmark) -> None:
    micro = micros["greedy"]
    both = score(micro, responses_to(micro.all_item_ids, whole, NEW), micro.all_item_ids, new_models(whole))
    alone = score(micro, responses_to(micro.item_ids, whole, NEW), micro.item_ids, new_models(whole))
    contradicted = [with_it.unlike and not without.unlike for with_it, without in zip(both, alone, strict=True)]
    assert np.mean(contradicted) <= 0.1  # 5 % of differences, up to the chance of 100 models


def test_random_items_have_no_reserve(micros: Micros) -> None:
    assert micros["mean"].reserve == micros["ridge"].reserve == ()
    assert micros["greedy"].reserve


def test_json_keeps_its_keys(micros: Micros) -> None:
    micro = micros["greedy"]
    [scored] = score(micro, [np.ones(SIZE)], micro.item_ids, ["perfect"])
    content = scored.to_json()
    assert list(content) == [
        *("model", "answered", "missing", "estimate", "interval", "interval_kind", "neighbours", "beyond", "warnings"),
        *("refused", "unlike", "by_reserve", "needs_reserve"),
    ]
    assert content["interval"].keys() == content["beyond"].keys() == {"low", "high", "rank_low", "rank_high"}
    refused = replace(scored, estimate=None, interval=None).to_json()
    assert (refused["interval"], refused["interval_kind"], refused["beyond"]) == (None, None, None)


def test_loading_and_scoring_import_little(micros: Micros, tmp_path: Path) -> None:
    """In a process that imports no more than these two modules."""
    micros["ridge"].save(tmp_path / "micro")
    program = (
        "import sys; from microbench_ray.micro import artifact, score; micro = artifact.load(sys.argv[1]); "
        "[scored] = score.score(micro, [[1.0] * micro.size], micro.item_ids, ['m']); print(scored.answered); "
        "print(sorted({'ray', 'hydra', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "micro")]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.stdout.split(), process.stderr) == (["40", "[]"], "")
