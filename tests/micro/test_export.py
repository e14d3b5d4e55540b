"""An exported micro-benchmark: built on everything, judged on what it was not built from, whole on disk, read back or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, GridError, StoreError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, SeenItems, Selection, build_method
from microbench_ray.methods.estimators.ridge import Ridge
from microbench_ray.methods.selectors.fixed import read_list
from microbench_ray.metrics import mdad, pair_counts
from microbench_ray.micro import artifact as exported
from microbench_ray.micro.build import build
from microbench_ray.micro.intervals import calibration


def method(selector: str = "random", estimator: str = "mean", **parameters: object) -> Method:
    return build_method(f"{selector}+{estimator}", {"name": selector, **parameters}, {"name": estimator})


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return synthetic(n_models=120, n_items=300)


@pytest.fixture(scope="module")
def made(world) -> exported.MicroBenchmark:
    return build(world, method("greedy", "ridge"), 20)


def shares(world: Benchmark) -> np.ndarray:
    return world.scores / world.units


def test_it_is_built_on_all_models_and_items(world, made):
    seen = SeenItems(world.item_ids, world.subtask_codes, shares(world).astype(np.float32))
    chosen = np.array([list(world.item_ids).index(name) for name in made.item_ids])
    rng = np.random.default_rng(0)
    fit = Ridge().fit(seen, rng)
    want = Ridge().estimate(shares(world)[:, chosen], Selection(chosen), seen, fit)
    assert made.readout.estimate(made.responses) == pytest.approx(want, abs=1e-9)
    assert made.models == tuple(world.model_ids)
    assert made.accuracy == pytest.approx(shares(world).mean(axis=1))
    assert (made.size, made.benchmark["digest"]) == (20, world.digest)
    assert np.array_equal(made.responses, shares(world)[:, chosen])


def test_a_held_out_estimate_does_not_know_the_model(world):
    """Model 7 gets another accuracy by items that are not chosen: its own estimate stays, the final readout does not."""
    plan = method("random", "ridge")
    before = build(world, plan, 20)
    scores = world.scores.copy()
    others = ~np.isin(world.item_ids, before.item_ids)
    scores[7, others] = 1 - scores[7, others]
    changed = Benchmark.from_arrays(world.name, scores, list(world.item_ids), list(world.model_ids), units=world.units)
    after = build(changed, plan, 20)
    assert after.item_ids == before.item_ids
    assert after.held_out.estimates[7] == before.held_out.estimates[7]
    assert not np.allclose(after.readout.coefficients, before.readout.coefficients, atol=1e-6)
    assert np.count_nonzero(after.held_out.estimates != before.held_out.estimates) >= 100


def test_errors_and_mdad_are_those_of_the_held_out_models(world):
    made = build(world, method(), 30, folds=2)
    assert made.held_out.estimates == pytest.approx(made.responses.mean(axis=1))  # a mean learns nothing from other models
    rows = sum(row["n_pairs"] for row in made.held_out.agreement)
    assert rows == pytest.approx(2 * 60 * 59 / 2, abs=60)  # of two folds, but for models tied on all items
    best = made.extrapolated
    assert best is not None
    assert np.array_equal(best.models, np.flatnonzero(made.accuracy >= np.sort(made.accuracy)[-24]))
    rest = np.setdiff1d(np.arange(120), best.models)
    line = calibration(made.held_out.estimates[rest], made.accuracy[rest])
    assert best.estimates == pytest.approx(line.truth(made.responses[best.models].mean(axis=1)))
    counts = pair_counts(made.accuracy[best.models], best.estimates, n_items=300)
    assert best.mdad["mdad"] == mdad(counts).mdad


def test_the_same_is_the_same_bytes_and_comes_back(world, made, tmp_path):
    names = made.save(tmp_path / "one")
    assert build(world, method("greedy", "ridge"), 20).save(tmp_path / "two") == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    again = exported.load(tmp_path / "one")
    assert again.items == made.items
    assert np.array_equal(again.readout.estimate(made.responses), made.readout.estimate(made.responses))
    assert exported.content_of(again) == exported.content_of(made)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_its_lists_are_read_by_fixed(made, tmp_path):
    made.save(tmp_path / "micro")
    assert read_list(tmp_path / "micro/items.txt") == (tuple(made.item_ids), None)
    ids, weights = read_list(tmp_path / "micro/weights.csv")
    assert (ids, weights) == (tuple(made.item_ids), (1 / 20,) * 20)


def test_missing_responses_and_weights_are_kept(world, tmp_path):
    scores = (shares(world)).astype(float)
    scores[np.random.default_rng(0).random(scores.shape) < 0.05] = np.nan
    holes = Benchmark.from_arrays("holes", scores, list(world.item_ids), list(world.model_ids))
    made = build(holes, method("stratified_confidence", "horvitz_thompson"), 30)
    made.save(tmp_path / "micro")
    again = exported.load(tmp_path / "micro")
    assert np.isnan(again.responses).any()
    assert np.array_equal(again.responses, made.responses, equal_nan=True)
    assert again.readout.estimate(again.responses) == pytest.approx(made.readout.estimate(made.responses))
    whole = ~np.isnan(made.responses).any(axis=1)
    by_hand = made.readout.intercept + made.responses[whole] @ [item.coefficient for item in made.items]
    assert made.readout.estimate(made.responses[whole]) == pytest.approx(by_hand)


def test_a_list_is_exported_as_it_is(world):
    ids = [str(name) for name in world.item_ids[[5, 3, 8]]]
    made = build(world, method("fixed", "weighted_mean", items=ids, weights=[2, 1, 1]))
    assert made.item_ids == ids
    assert [item.weight for item in made.items] == [0.5, 0.25, 0.25]
    assert [item.coefficient for item in made.items] == pytest.approx([0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    ("plan", "size", "error", "said"),
    [
        (method("tinybenchmarks", "p_irt"), 10, ConfigError, "horvitz_thompson, mean"),
        (method(), None, ConfigError, "size=100"),
        (method(), 301, GridError, "301 of 300"),
        (method(), 0, GridError, "0 of 300"),
        (method("fixed", "mean", items=["a"]), 2, GridError, "1 items"),
        (method("fixed", "mean", items=["nothing"]), 1, DataError, "not in the benchmark"),
    ],
)
def test_what_cannot_be_built_is_one_message(world, plan, size, error, said):
    with pytest.raises(error) as caught:
        build(world, plan, size)
    assert said in str(caught.value)


def test_too_few_models_and_folds_are_refused(world):
    few = Benchmark.from_arrays("few", world.scores[:3], list(world.item_ids), list(world.model_ids[:3]))
    with pytest.raises(DataError, match="held-out"):
        build(few, method(), 10)
    with pytest.raises(ConfigError, match="two folds"):
        build(world, method(), 10, folds=1)


def test_a_folder_is_replaced_only_when_it_is_one_and_that_is_asked_for(made, tmp_path):
    place = tmp_path / "micro"
    made.save(place)
    made.save(place)  # the very same: nothing to do
    other = replace(made, seed=1)
    with pytest.raises(StoreError, match="something else") as caught:
        other.save(place)
    assert "overwrite=true" in str(caught.value)
    assert exported.load(place).seed == 0
    other.save(place, overwrite=True)
    assert exported.load(place).seed == 1
    (place / "mine.txt").write_text("precious")
    with pytest.raises(StoreError, match="something else"):
        made.save(place, overwrite=True)
    assert (place / "mine.txt").read_text() == "precious"
    home = tmp_path / "home"
    home.mkdir()
    (home / "items.txt").write_text("precious")
    with pytest.raises(StoreError):
        made.save(home, overwrite=True)
    assert (home / "items.txt").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"micro", "home"}


def test_a_folder_that_cannot_be_written_is_one_message(made, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StoreError):
            made.save(place)


def damaged(text: str, kind: str) -> str:
    content = json.loads(text)
    if kind == "cut short":
        return text[: len(text) // 2]
    if kind == "foreign":
        return json.dumps({"results": {}})
    if kind == "list":
        return "[1]"
    if kind == "version":
        content["version"] = 2
    if kind == "edited":
        content["readout"]["intercept"] += 0.1
    if kind == "twice":
        content["items"][1]["id"] = content["items"][0]["id"]
    if kind == "incomplete":
        del content["models"]
    if kind == "without checksum":
        del content["checksum"]
    if kind == "shapes":
        content["models"][0]["responses"].append(1)
        content["checksum"] = exported.checksum(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut short", "cut short"),
        ("foreign", "no exported micro-benchmark"),
        ("list", "a JSON list"),
        ("version", "another format version"),
        ("edited", "was edited"),
        ("twice", "twice"),
        ("incomplete", "edited"),
        ("without checksum", "incomplete"),
        ("shapes", "incomplete"),
    ],
)
def test_a_damaged_file_is_one_message(made, tmp_path, capsys, kind, said):
    made.save(tmp_path / "micro")
    file = tmp_path / "micro/microbench.json"
    file.write_text(damaged(file.read_text(), kind))
    assert main(["score", f"micro={tmp_path / 'micro'}", "responses=any.csv", "source=scores"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert str(file) in told


def test_the_command_says_what_it_made_and_what_it_could_not(tmp_path, capsys):
    world = ["benchmark.n_models=40", "benchmark.n_items=60"]
    out = tmp_path / "micro"
    assert main(["export", *world, "method={method: random, estimator: {name: ridge}}", "size=10", f"out={out}"]) == 0
    said = capsys.readouterr().out
    assert "10 of 60 items by random, built on all 40 models" in said
    assert "there is no samples.json" in said
    assert "too few models" in said
    assert {path.name for path in out.iterdir()} == {"microbench.json", "items.txt", "weights.csv", "reserve.txt", "README.md"}
    assert exported.load(out).method["estimator"]["name"] == "ridge"
    assert main(["export", *world, "method=random", "size=10", f"out={out}"]) == 1
    assert "overwrite=true" in capsys.readouterr().err
    assert main(["export", *world, "method=random", "size=10", f"out={out}", "overwrite=true"]) == 0
    assert exported.load(out).method["estimator"]["name"] == "mean"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["method=tinybenchmarks_p_irt"], "estimator: {name"),
        (["methods=[random,greedy]"], "method=NAME"),
        (["out=s3://bucket/micro"], "on this machine"),
        (["seed=-1"], "at least 0"),
        (["folds=1"], "two folds"),
        (["size=10", "method=nothing"], "valid:"),
        ([], "out"),
    ],
)
def test_what_cannot_be_asked_for_is_one_message(tmp_path, capsys, more, said):
    place = [f"out={tmp_path / 'micro'}"] if more and not any(each.startswith("out=") for each in more) else []
    assert main(["export", "size=10", *place, *more]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "micro").exists()


def test_a_readout_of_both_signals_says_how_it_can_be_exported(world):
    both = build_method("guided", {"name": "mdad_guided"}, {"name": "ridge_remainder"})
    with pytest.raises(ConfigError, match="reads one signal") as caught:
        build(world, both, 20)
    assert "signal: correctness" in (caught.value.hint or "")
    alone = build_method("guided", {"name": "mdad_guided"}, {"name": "ridge_remainder", "signal": "correctness"})
    made = build(world, alone, 20)
    assert made.signal == "correctness"
    off = made.held_out.estimates - made.accuracy
    mean = build(world, method(), 20).held_out.estimates - made.accuracy
    assert np.sqrt(np.mean(off**2)) < 0.75 * np.sqrt(np.mean(mean**2))
