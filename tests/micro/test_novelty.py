"""Models unlike the known ones: their deviations by hand, the rate of flags, and folders of format version 1."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, t

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.micro import novelty
from microbench_ray.micro.artifact import MicroBenchmark, load
from microbench_ray.micro.build import build
from microbench_ray.micro.builder import is_shown
from microbench_ray.micro.content import content_of
from microbench_ray.micro.novelty import KnownModels, NoveltyCheck, better_from, deviations, largest, novelty_limit
from microbench_ray.micro.score import score
from tests.helpers.errors import refuses
from tests.micro.conftest import N_ITEMS, N_KNOWN, SIZE, accuracies, first_models, method, responses_to

VERSION_1 = Path(__file__).parent / "exports/version_1.json"


def test_deviations_by_hand() -> None:
    # Mean 2, deviation 1, and one more value varies by sqrt(4 / 3) of that.
    assert deviations(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx([0, 2 / math.sqrt(4 / 3)])
    assert deviations(np.ones(3), np.array([1.0, 2.0])).tolist() == [0, novelty.MAX_DEVIATION]


def test_the_limit_is_exceeded_by_at_most_one_in_twenty() -> None:
    assert novelty_limit(np.arange(1.0, 20.0)) == 19  # of 19, the largest
    assert novelty_limit(np.arange(1.0, 40.0)) == 38  # of 39, the second largest
    assert novelty_limit(np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx(t.ppf(1 - 0.05 / 3, 3), abs=1e-6)
    assert novelty_limit(np.array([0.0, 1.0, 2.0, 30.0])) == 30
    assert pytest.approx([t.ppf(1 - 0.05 / 3, n) for n in range(3, 18)], abs=1e-6) == list(novelty.STUDENT_OF_THREE)
    assert novelty_limit(np.zeros(18)) == novelty.STUDENT_OF_THREE[-1]


@pytest.mark.parametrize("n", [5, 10, 19, 25, 60])
def test_normal_novelties_are_flagged_at_the_rate(n: int) -> None:
    rng = np.random.default_rng(n)
    known, new = rng.normal(size=(4000, n)), rng.normal(size=4000)
    flagged = [value > novelty_limit(row) for row, value in zip(known, new, strict=True)]
    assert np.mean(flagged) <= 0.06
    assert n < 19 or np.mean(flagged) >= 0.03


def test_better_models_start_where_nine_in_ten_of_the_held_out_ones_do() -> None:
    assert better_from(np.array([1.0])) == -novelty.MAX_DEVIATION
    # Mean 2, deviation 1, t 1.886 with two degrees of freedom, and one more value.
    assert better_from(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 - 1.885618 * math.sqrt(4 / 3), abs=1e-6)
    # Of 19 values, a tenth of 20 is the second lowest.
    assert better_from(np.arange(1.0, 20.0)) == pytest.approx(2)
    assert pytest.approx([t.ppf(0.9, n) for n in range(1, 10)], abs=1e-6) == list(novelty.STUDENT_90)


@pytest.mark.parametrize("size", [3, 30])
def test_distances_are_mahalanobis_distances(size: int) -> None:
    """By the matrix of the items, where the closed form may take that of the models; known ones by leaving each out."""
    rng = np.random.default_rng(size)
    responses, new = (rng.random((12, size)) < 0.6).astype(float), (rng.random((3, size)) < 0.6).astype(float)
    known = KnownModels(responses, np.full(size, 0.5), responses.mean(axis=1))
    centred = responses - responses.mean(axis=0)
    ridge = np.square(centred).sum() / size
    expected = [row @ np.linalg.inv(centred.T @ centred + ridge * np.eye(size)) @ row for row in new - responses.mean(axis=0)]
    assert known._distance(new - responses.mean(axis=0)) == pytest.approx(expected)


def test_better_worse_and_strange_models_have_their_reasons() -> None:
    rng = np.random.default_rng(0)
    difficulty = np.linspace(0.1, 0.9, 40)
    responses = (rng.random((60, 40)) < difficulty).astype(float)
    known = KnownModels(responses, difficulty, responses.mean(axis=1))
    new = np.array([np.ones(40), np.zeros(40), difficulty < 0.5])
    found = known.novelty(new, new.mean(axis=1))
    assert max(found, key=lambda reason: found[reason][0]) in ("better", "pattern")
    assert found["better"][0] > 3 > found["worse"][0]
    assert found["worse"][1] > 3 * novelty.WORSE > found["better"][1]
    assert found["pattern"][2] > 3 > max(found["better"][2], found["worse"][2])
    assert np.array_equal(largest(found), np.max([found[key] for key in found], axis=0))
    assert np.isnan(known.novelty(new, np.full(3, np.nan))["pattern"]).all()


@pytest.mark.parametrize("n_known", [12, pytest.param(25, marks=pytest.mark.slow), pytest.param(70, marks=pytest.mark.slow)])
def test_models_drawn_alike_are_flagged_at_the_rate_though_items_are_chosen_by_the_known_ones(n_known: int) -> None:
    world, flagged = synthetic(n_models=300, n_items=200, seed=5), []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(300)
        scores = world.scores[order]
        names = [str(name) for name in world.model_ids[order]]
        shuffled = Benchmark.from_arrays("shuffled", scores, list(world.item_ids), names, units=1)
        micro = build(first_models(shuffled, n_known), method("greedy", "ridge"), 20, seed)
        new = responses_to(micro.item_ids, shuffled, slice(n_known, n_known + 100))
        flagged += [model.unlike for model in score(micro, new, micro.item_ids, names[n_known : n_known + 100])]
    assert np.mean(flagged) <= 0.1  # 5 % on average over draws of the known models, of which these are four


def test_too_few_models_flag_none(whole: Benchmark) -> None:
    micro = build(first_models(whole, 4), method("greedy", "ridge"), SIZE)
    check = NoveltyCheck(micro)
    assert check.warnings(np.ones(SIZE), 1.0) == []
    assert check.may_be_better(np.ones(SIZE), 0.0)  # nothing shows that it is not
    [scored] = score(micro, [np.ones(SIZE)], micro.item_ids, ["new"])
    assert scored.interval is None
    assert scored.needs_reserve


def test_a_folder_of_format_version_1_is_read_and_scores() -> None:
    micro = load(VERSION_1)
    assert micro.version == 1
    assert json.loads(VERSION_1.read_text())["checksum"] == content_of(micro)["checksum"]
    assert micro.variance == pytest.approx(micro.accuracy * (1 - micro.accuracy))
    assert np.array_equal(micro.groups, np.arange(24))
    assert (micro.better_from, micro.dispersion) == (None, 1.0)
    answers = np.vstack([micro.responses[:2], np.ones(6)])
    first, second, best = score(micro, answers, micro.item_ids, ["a", "b", "best"])
    assert first.interval_kind == second.interval_kind == "split_conformal_absolute"
    assert not first.unlike
    assert best.estimate is not None


def test_a_folder_without_novelties_measures_them_from_the_other_models(micros: dict[str, MicroBenchmark]) -> None:
    micro = replace(micros["greedy"], novelty=np.empty(0), version=1)
    [best] = score(micro, [np.ones(SIZE)], micro.item_ids, ["perfect"])
    assert best.unlike


def test_versions_are_told_apart(tmp_path: Path) -> None:
    content = json.loads(VERSION_1.read_text())
    content["version"] = 2
    (tmp_path / "microbench.json").write_text(json.dumps(content))
    with refuses(DataError, "edited", where=str(tmp_path / "microbench.json")):
        load(tmp_path)


def test_scores_of_the_held_out_best_decide_whether_models_may_be_better(whole: Benchmark) -> None:
    """With 200 models the best fifth are 40: `better_from` is None where they show that intervals hold, a deviation elsewhere."""
    micro = build(first_models(whole, N_KNOWN), method("greedy", "ridge"), SIZE)
    if micro.better_from is not None:
        check = NoveltyCheck(micro)
        new = responses_to(micro.item_ids, whole, slice(N_KNOWN, None))
        answers = [check.may_be_better(row, float(micro.readout.estimate(row[None])[0])) for row in new]
        truth = accuracies(whole)[N_KNOWN:]
        assert truth[np.array(answers)].mean() > truth[~np.array(answers)].mean()
    assert whole.n_items == N_ITEMS


@pytest.mark.parametrize(("n_held", "n", "shown"), [(0, 0, False), (10, 10, False), (28, 28, False), (29, 29, True)])
def test_all_of_29_intervals_must_hold_to_show_that_nine_in_ten_do(n_held: int, n: int, shown: bool) -> None:
    """.9 to the power of 28 is .052, and to that of 29 it is .047."""
    assert is_shown(np.arange(n) < n_held) is shown


@pytest.mark.parametrize("n", [45, 46, 300])
def test_intervals_are_shown_to_hold_by_the_binomial_test(n: int) -> None:
    for n_held in range(n - 40, n + 1):
        assert is_shown(np.arange(n) < n_held) is bool(binom.sf(n_held - 1, n, 0.9) <= 0.05)
