"""New models scored by an exported micro-benchmark: by hand, against held-out truth, and what is told of those that are unlike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from scipy.stats import hypergeom

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, build_method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.intervals import absolute_bound, calibration, error_bounds, sample_interval
from microbench_ray.micro.score import score

SOURCES = 200


def method(selector: str, estimator: str) -> Method:
    return build_method(f"{selector}+{estimator}", {"name": selector}, {"name": estimator})


@pytest.fixture(scope="module")
def whole() -> Benchmark:
    return synthetic(n_models=300, n_items=400)


@pytest.fixture(scope="module")
def sources(whole) -> Benchmark:
    return Benchmark(whole.name, whole.models.take(pa.array(range(SOURCES))), whole.items, whole.units)


@pytest.fixture(scope="module")
def micros(sources) -> dict[str, MicroBenchmark]:
    return {
        estimator: build(sources, method(selector, estimator), 40)
        for selector, estimator in (("random", "mean"), ("random", "ridge"))
    } | {"greedy": build(sources, method("greedy", "ridge"), 40)}


def responses(made: MicroBenchmark, benchmark: Benchmark, models: slice) -> np.ndarray:
    """(n, size) of some models, in the order of the micro-benchmark."""
    at = {name: k for k, name in enumerate(benchmark.item_ids)}
    return (benchmark.scores[models] / benchmark.units)[:, [at[name] for name in made.item_ids]]


def test_bounds_by_hand():
    errors = np.arange(1.0, 40.0)  # 39: each tail may lose one in forty, and that is the outermost
    assert error_bounds(errors) == (1, 39)
    assert error_bounds(np.arange(1.0, 80.0)) == (2, 78)
    assert error_bounds(np.arange(1.0, 20.0)) == (-19, 19)  # 19: the absolute error
    assert error_bounds(np.arange(1.0, 19.0)) == (-np.inf, np.inf)
    assert absolute_bound(np.array([-5.0, *[1.0] * 18])) == 5
    assert absolute_bound(np.array([-5.0, *[1.0] * 38])) == 1  # 38 of 40 are 95 %


def test_bounds_hold_one_more_error_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for n in (19, 39, 300):
        drawn = rng.exponential(size=(4000, n + 1))
        held = [low <= row[-1] <= high for row in drawn for low, high in [error_bounds(row[:-1])]]
        assert 0.94 < np.mean(held) < 0.965


def test_a_line_is_read_backwards():
    truth = np.array([0.2, 0.4, 0.6, np.nan])
    line = calibration(np.array([0.35, 0.4, 0.45, 0.9]), truth)
    assert line == pytest.approx((0.3, 0.25))
    assert line.truth(np.array([0.5])) == pytest.approx([0.8])
    assert np.isnan(calibration(np.full(4, 0.3), truth).truth(np.array([0.5]))).all()


def test_a_mean_is_the_plain_mean(micros, whole):
    made = micros["mean"]
    new = responses(made, whole, slice(SOURCES, None))
    found = score(made, new, made.item_ids, list(whole.model_ids[SOURCES:]))
    assert [each.estimate for each in found] == pytest.approx(new.mean(axis=1), abs=1e-15)


def test_by_hand():
    """Five models, four items, all of them chosen: the mean, its errors and ranks written out."""
    scores = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    tiny = Benchmark.from_arrays("tiny", scores, list("abcd"), ["m4", "m3", "m2", "m1", "m0"])
    made = build(tiny, method("random", "mean"), 4)
    assert made.held_out.estimates == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    [found] = score(made, [[1, 0, 1, 0, 1]], ["b", "a", "d", "c", "unknown"], ["new"])
    assert (found.estimate, found.answered, found.missing) == (0.5, 4, 0)
    assert found.interval == (0, 1, 1, 5)
    assert "5 known models are too few" in found.warnings[-1]
    assert found.neighbours == ("m4", "m3", "m2", "m1", "m0")


@pytest.mark.parametrize("name", ["mean", "ridge", "greedy"])
def test_intervals_hold_models_that_were_not_there(micros, whole, name):
    made = micros[name]
    truth = (whole.scores[SOURCES:] / whole.units).mean(axis=1)
    found = score(made, responses(made, whole, slice(SOURCES, None)), made.item_ids, list(whole.model_ids[SOURCES:]))
    inside = [each.interval.low <= true <= each.interval.high for each, true in zip(found, truth, strict=True)]
    assert 0.88 <= np.mean(inside) <= 0.99  # of 100 models; studies/score_coverage.py measures it
    for each, true, held in zip(found, truth, inside, strict=True):
        rank = 1 + int((made.accuracy > true).sum())
        assert not held or each.interval.rank_low <= rank <= each.interval.rank_high
        assert each.beyond is None or (each.beyond.low <= each.interval.low and each.interval.high <= each.beyond.high)
        span = each.beyond or each.interval
        near = {str(made.models[k]) for k in range(SOURCES) if span.low <= made.accuracy[k] <= span.high}
        assert set(each.neighbours) == near
    assert np.mean([bool(each.warnings) for each in found]) < 0.2


def test_one_that_knows_all_and_one_that_is_upside_down_are_told(micros):
    made = micros["ridge"]
    means = np.array([item.mean for item in made.items])
    perfect, odd = np.ones(40), np.where(means > np.median(means), 0.0, 1.0)
    best, strange = score(made, [perfect, odd], made.item_ids, ["perfect", "odd"])
    assert "better than all of them" in best.warnings[0]
    assert best.beyond is not None
    assert best.beyond.high == 1
    assert best.beyond.high - best.beyond.low > best.interval.high - best.interval.low
    assert any("pattern" in sentence for sentence in strange.warnings)
    assert strange.beyond is not None


def test_without_a_measure_of_extrapolation_that_is_said(sources):
    few = Benchmark(sources.name, sources.models.take(pa.array(range(50))), sources.items, sources.units)
    made = build(few, method("random", "ridge"), 40)
    [best] = score(made, [np.ones(40)], made.item_ids, ["perfect"])
    assert best.beyond is None
    assert any("could not be measured" in each for each in best.warnings)


def test_order_and_other_items_do_not_matter(micros, whole):
    made = micros["greedy"]
    new = responses(made, whole, slice(SOURCES, SOURCES + 5))
    names = list(whole.model_ids[SOURCES : SOURCES + 5])
    order = np.random.default_rng(0).permutation(40)
    shuffled = np.concatenate([new[:, order], np.ones((5, 1))], axis=1)
    assert score(made, new, made.item_ids, names) == score(made, shuffled, [*np.array(made.item_ids)[order], "other"], names)


@pytest.mark.parametrize("name", ["mean", "ridge", "greedy"])
def test_missing_responses_widen_intervals_that_still_hold(micros, whole, name):
    made = micros[name]
    new = responses(made, whole, slice(SOURCES, None))
    truth, names = (whole.scores[SOURCES:] / whole.units).mean(axis=1), list(whole.model_ids[SOURCES:])
    full = score(made, new, made.item_ids, names)
    rng, inside, wider = np.random.default_rng(1), [], []
    for k, row in enumerate(new):
        holes = row.copy()
        holes[rng.permutation(40)[:18]] = np.nan
        [found] = score(made, [holes], made.item_ids, [names[k]])
        assert (found.answered, found.missing) == (22, 18)
        assert any("widened" in each for each in found.warnings)
        inside.append(found.interval.low <= truth[k] <= found.interval.high)
        wider.append(found.interval.high - found.interval.low - (full[k].interval.high - full[k].interval.low))
    assert np.mean(inside) >= 0.87
    assert np.mean(wider) > 0.01


def test_below_half_of_the_items_a_model_is_refused(micros):
    made = micros["mean"]
    rows = np.full((3, 40), np.nan)
    rows[0, :20], rows[1, :19] = 1, 1
    enough, few, none = score(made, rows, made.item_ids, ["enough", "few", "none"])
    assert enough.estimate == 1
    assert (few.estimate, few.interval, few.refused) == (None, None, "It answered 19 of 40 items: at least 50% are needed.")
    assert none.refused
    assert not enough.refused


@pytest.mark.parametrize(
    ("rows", "items", "models", "said"),
    [
        ([[1.0]], ["nothing"], ["m"], "No response is to an item"),
        ([[1.0, 1.0]], None, ["m"], "shape"),
        ([[1.0, 1.0]], "twice", ["m"], "item is there once"),
        ([[1.5]], "one", ["m"], "in [0, 1]"),
        ([[1.0], [1.0]], "one", ["m", "m"], "model is there once"),
    ],
)
def test_responses_that_cannot_be_are_one_message(micros, rows, items, models, said):
    made = micros["mean"]
    known = {"one": made.item_ids[:1], "twice": made.item_ids[:1] * 2}
    names = items if isinstance(items, list) else known.get(items, made.item_ids)
    with pytest.raises(DataError) as caught:
        score(made, rows, names, models)
    assert said in str(caught.value)


@pytest.fixture
def folder(micros, whole, tmp_path) -> Path:
    """A micro-benchmark, and a table of three new models: one whole, one with some and one with most responses missing."""
    made = micros["ridge"]
    made.save(tmp_path / "micro")
    new = responses(made, whole, slice(SOURCES, SOURCES + 3))
    new[1, :5], new[2, :30] = np.nan, np.nan
    columns = {"item_id": ["other", *made.item_ids]}
    columns |= {name: [1.0, *row] for name, row in zip(("whole", "holes", "empty"), new.tolist(), strict=True)}
    table = pa.table({key: pa.array(values, from_pandas=True) for key, values in columns.items()})
    pa.csv.write_csv(table, tmp_path / "new.csv")
    pa.csv.write_csv(table.select(["item_id", "whole"]), tmp_path / "good.csv")
    return tmp_path


def command(folder: Path, *more: str, table: str = "new.csv") -> list[str]:
    return ["score", f"micro={folder / 'micro'}", f"responses={folder / table}", "source=scores", *more]


def test_the_command_prints_a_table(folder, capsys):
    assert main(command(folder)) == 2  # one model is refused
    said = capsys.readouterr().out
    assert "40 of 400 items by random+ridge, 200 known models" in said
    assert "holes: 5 of 40 items have no response" in said
    assert "empty: It answered 10 of 40 items" in said
    assert "not of the micro-benchmark: 3 responses" in said
    assert main(command(folder, table="good.csv")) == 0


def test_the_command_answers_as_json_and_into_a_file(folder, capsys, micros, whole):
    made = micros["ridge"]
    assert main(command(folder, "format=json", f"out={folder / 'deep/report.json'}")) == 2
    said = capsys.readouterr().out
    assert (folder / "deep/report.json").read_text() == said
    content = json.loads(said)
    assert content["size"] == 40
    found = {each["model"]: each for each in content["models"]}
    want = made.readout.estimate(responses(made, whole, slice(SOURCES, SOURCES + 1)))
    assert found["whole"]["estimate"] == pytest.approx(want[0])
    assert found["whole"]["interval"].keys() == {"low", "high", "rank_low", "rank_high"}
    assert found["empty"]["estimate"] is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["source=null"], "format of the responses"),
        (["source=words"], "valid:"),
        (["format=xml"], "table or json"),
        (["on_conflict=first"], "error, last"),
        (["responses=s3://bucket/new.csv"], "from this machine"),
        (["micro=s3://bucket/micro"], "on this machine"),
        (["responses=nowhere.csv"], "nowhere.csv"),
        (["micro=nowhere"], "microbench export"),
        (["models=[nobody]"], "nobody"),
        (["out=/dev/null/report"], "cannot be written"),
    ],
)
def test_what_cannot_be_scored_is_one_message(folder, capsys, more, said):
    assert main(command(folder, *more)) == 1
    assert said in capsys.readouterr().err


def test_foreign_responses_are_one_message(folder, capsys):
    (folder / "foreign.csv").write_text("item_id,m\nq1,1\nq2,0\n")
    assert main(command(folder, table="foreign.csv")) == 1
    told = capsys.readouterr().err
    assert "No response is to an item of the micro-benchmark" in told
    assert "2 items, such as 'q1'" in told


def test_two_tables_of_one_model_agree_or_the_last_counts(folder, micros, capsys):
    made = micros["ridge"]
    (folder / "logs").mkdir()
    for name, value in (("a", 0), ("b", 1)):
        rows = "".join(f"{item},{value}\n" for item in made.item_ids)
        (folder / f"logs/{name}.csv").write_text(f"item_id,m\n{rows}")
    assert main(command(folder, table="logs")) == 1
    assert "on_conflict=last" in capsys.readouterr().err
    assert main(command(folder, "on_conflict=last", "format=json", table="logs")) == 0
    [found] = json.loads(capsys.readouterr().out)["models"]
    assert found["estimate"] == pytest.approx(min(1, float(made.readout.estimate(np.ones((1, 40)))[0])))


def test_confidences_are_read_where_the_estimator_reads_them(folder, sources, capsys):
    plan = build_method("sure", {"name": "random"}, {"name": "mean", "signal": "confidence"})
    made = build(sources, plan, 10)
    assert made.signal == "confidence"
    made.save(folder / "sure")
    rows = "".join(f"{item},1\n" for item in made.item_ids)
    (folder / "t.csv").write_text(f"item_id,m\n{rows}")
    assert main(command(folder, f"micro={folder / 'sure'}", table="t.csv")) == 1
    assert "confidence" in capsys.readouterr().err
    (folder / "t.confidence.csv").write_text(f"item_id,m\n{rows.replace(',1', ',0.25')}")
    assert main(command(folder, f"micro={folder / 'sure'}", "format=json", table="t.csv")) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["estimate"] == pytest.approx(0.25)


def test_scoring_loads_nothing_that_is_slow(folder):
    """Its time is nearly all spent on importing; benchmarks/ measures it."""
    program = (
        "import sys; from microbench_ray.cli.main import main; code = main(sys.argv[1:]); "
        "slow = {'pandas', 'ray', 'sklearn', 'numba', 'matplotlib', 'rich'} & set(sys.modules); sys.exit(f'{code} {slow}')"
    )
    done = subprocess.run([sys.executable, "-c", program, *command(folder)], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == "2 set()"


def test_the_library_is_enough(folder):
    """Without Ray and Hydra: build, save, load and score in a process of its own."""
    program = (
        "import sys; from microbench_ray import exported, scoring; made = exported.load(sys.argv[1]); "
        "found = scoring.score(made, [[1.0] * made.size], made.item_ids, ['m']); print(found[0].answered); "
        "assert not {'ray', 'hydra', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder / "micro")], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("40", "")


def test_an_interval_from_a_random_sample_holds_the_truth():
    """By enumeration: over all numbers of right answers that a sample of n from N items may have, weighted by their probability."""
    held = []
    for n_items, n in ((300, 25), (300, 100), (1000, 50)):
        for right in range(0, n_items + 1, n_items // 50):
            counts = np.arange(n + 1)
            chance = hypergeom(n_items, right, n).pmf(counts)
            bounds = np.array([sample_interval(k / n, n, n_items) for k in counts])
            truth = right / n_items
            held.append(float(chance[(bounds[:, 0] - 1e-12 <= truth) & (truth <= bounds[:, 1] + 1e-12)].sum()))
    assert 0.94 < np.mean(held) < 0.97
    assert min(held) > 0.85
    assert sample_interval(0.4, 20, 20) == (0.4, 0.4)


def test_a_model_unlike_the_known_ones_is_scored_by_the_random_items_of_the_reserve(micros):
    made = micros["greedy"]
    assert len(made.reserve) == made.size
    assert len(set(made.asked)) == len(made.asked) >= made.size
    right = np.ones((1, len(made.asked)))  # better than every known model
    wrong_on = [item.id for item in made.reserve][:10]
    right[0, [made.asked.index(name) for name in wrong_on]] = 0.0
    right[0, : made.size] = 1.0
    asked = dict(zip(made.asked, right[0], strict=True))
    mean = np.mean([asked[item.id] for item in made.reserve])
    [found] = score(made, right, made.asked, ["strong"])
    assert found.unlike
    assert found.by_reserve
    assert found.estimate == pytest.approx(mean)
    assert found.interval[:2] == pytest.approx(sample_interval(mean, made.size, 400))
    assert found.beyond is None
    assert any("needs no known model" in each for each in found.warnings)
    [alone] = score(made, np.ones((1, made.size)), made.item_ids, ["strong"])
    assert alone.unlike
    assert not alone.by_reserve
    assert any("score both lists together" in each for each in alone.warnings)


def test_a_model_like_the_known_ones_is_scored_by_the_items_alone(micros, sources):
    made = micros["greedy"]
    middle = int(np.argsort(made.accuracy)[SOURCES // 2])
    at = {name: k for k, name in enumerate(sources.item_ids)}
    own = (sources.scores[[middle]] / sources.units)[:, [at[name] for name in made.asked]]
    [both] = score(made, own, made.asked, ["middle"])
    [alone] = score(made, own[:, : made.size], made.item_ids, ["middle"])
    assert not both.unlike
    assert both == alone


def test_a_model_whose_random_items_contradict_the_others_is_scored_by_them(micros):
    """One that is like the known models on the items, as if it had been trained on them, and not on the reserve."""
    made = micros["greedy"]
    usual = int(np.argsort(made.accuracy)[len(made.models) // 2])
    asked = np.full(len(made.asked), np.nan)
    asked[: made.size] = made.responses[usual]
    of = {name: k for k, name in enumerate(made.asked)}
    others = [item.id for item in made.reserve if of[item.id] >= made.size]
    for right, meets in ((round(made.accuracy[usual] * len(others)), True), (0, False)):
        asked[made.size :] = np.arange(len(others)) < right
        mean = np.mean([asked[of[item.id]] for item in made.reserve])
        [found] = score(made, asked[None], made.asked, ["new"])
        [alone] = score(made, made.responses[[usual]], made.item_ids, ["new"])
        low, high = sample_interval(mean, made.size, 400)
        assert bool(low <= alone.interval.high and alone.interval.low <= high) is meets
        assert not alone.unlike
        assert (found.unlike, found.by_reserve) == (not meets, not meets)
        assert found.estimate == pytest.approx(alone.estimate if meets else mean)
        assert any("do not meet" in each for each in found.warnings) is not meets


def test_random_items_seldom_contradict_the_others_for_models_like_the_known_ones(micros, whole):
    made = micros["greedy"]
    at = {name: k for k, name in enumerate(whole.item_ids)}
    new = (whole.scores[SOURCES:] / whole.units)[:, [at[name] for name in made.asked]]
    found = score(made, new, made.asked, list(whole.model_ids[SOURCES:]))
    assert np.mean([any("do not meet" in each for each in one.warnings) for one in found]) <= 0.03


def test_a_random_list_read_by_its_mean_needs_no_reserve(micros):
    assert micros["mean"].reserve == ()
    assert micros["ridge"].reserve
