"""An exported micro-benchmark: what it is built on, errors of held-out models, its folder, and damaged files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, GridError, MicrobenchError, StoreError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, SeenItems, Selection, build_method
from microbench_ray.methods.estimators.ridge import Ridge
from microbench_ray.methods.item_lists import read_list
from microbench_ray.metrics import mdad, pair_counts
from microbench_ray.micro import artifact
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.content import content_of
from microbench_ray.micro.intervals import calibration
from microbench_ray.micro.json_values import checksum
from tests.helpers.errors import refuses
from tests.micro.conftest import accuracies, method


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return synthetic(n_models=120, n_items=300)


@pytest.fixture(scope="module")
def micro(world: Benchmark) -> MicroBenchmark:
    return build(world, method("greedy", "ridge"), 20)


def shares(world: Benchmark) -> np.ndarray:
    return np.asarray(world.scores / world.units)


def test_it_is_built_on_all_models_and_items(world: Benchmark, micro: MicroBenchmark) -> None:
    seen = SeenItems(world.item_ids, world.subtask_codes, shares(world).astype(np.float32))
    chosen = np.array([list(world.item_ids).index(name) for name in micro.item_ids])
    fit = Ridge().fit(seen, np.random.default_rng(0))
    expected = Ridge().estimate(shares(world)[:, chosen], Selection(chosen), seen, fit)
    assert micro.readout.estimate(micro.responses) == pytest.approx(expected, abs=1e-9)
    assert micro.models == tuple(world.model_ids)
    assert micro.accuracy == pytest.approx(accuracies(world))
    assert (micro.size, micro.benchmark["digest"]) == (20, world.digest)
    assert np.array_equal(micro.responses, shares(world)[:, chosen])


def test_a_held_out_estimate_does_not_depend_on_the_models_own_accuracy(world: Benchmark) -> None:
    """Responses of model 7 to items that are not chosen change: its held-out estimate stays, the final readout does not."""
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


def test_errors_and_mdad_are_those_of_the_held_out_models(world: Benchmark) -> None:
    micro = build(world, method(), 30, folds=2)
    assert micro.held_out.estimates == pytest.approx(micro.responses.mean(axis=1))  # a mean learns nothing from other models
    counts = pair_counts(micro.accuracy, micro.held_out.estimates, n_items=300)  # all pairs, within and across folds
    assert micro.held_out.mdad["mdad"] == mdad(counts).mdad
    assert micro.held_out.mdad["mdad_monotone"] == mdad(counts).mdad_monotone
    assert sum(row["n_pairs"] for row in micro.held_out.agreement) == int(counts.n_pairs.sum())
    best = micro.extrapolated
    assert best is not None
    assert np.array_equal(best.models, np.flatnonzero(micro.accuracy >= np.sort(micro.accuracy)[-24]))
    rest = np.setdiff1d(np.arange(120), best.models)
    line = calibration(micro.held_out.estimates[rest], micro.accuracy[rest])
    assert best.estimates == pytest.approx(line.accuracy(micro.responses[best.models].mean(axis=1)))
    counts = pair_counts(micro.accuracy[best.models], best.estimates, n_items=300)
    assert best.mdad["mdad"] == mdad(counts).mdad


def test_an_error_is_the_estimate_less_the_true_accuracy(micro: MicroBenchmark) -> None:
    for held_out, key in ((micro.held_out, None), (micro.extrapolated, "extrapolation")):
        assert held_out is not None
        expected = np.array([value - micro.accuracy[k] for k, value in zip(held_out.models, held_out.estimates, strict=True)])
        assert np.array_equal(micro.errors(held_out), expected)
        content = content_of(micro)
        assert (content if key is None else content[key])["error"]["bias"] == pytest.approx(expected.mean())


def test_equal_micro_benchmarks_have_equal_bytes_and_load_again(world: Benchmark, micro: MicroBenchmark, tmp_path: Path) -> None:
    names = micro.save(tmp_path / "one")
    assert build(world, method("greedy", "ridge"), 20).save(tmp_path / "two") == names
    assert "microbench.json" in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    loaded = artifact.load(tmp_path / "one")
    assert loaded.items == micro.items
    assert np.array_equal(loaded.readout.estimate(micro.responses), micro.readout.estimate(micro.responses))
    assert content_of(loaded) == content_of(micro)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_its_lists_are_read_by_fixed(micro: MicroBenchmark, tmp_path: Path) -> None:
    micro.save(tmp_path / "micro")
    assert read_list(tmp_path / "micro/items.txt") == (tuple(micro.item_ids), None)
    ids, weights = read_list(tmp_path / "micro/weights.csv")
    assert (ids, weights) == (tuple(micro.item_ids), (1 / 20,) * 20)


def test_missing_responses_and_weights_are_kept(world: Benchmark, tmp_path: Path) -> None:
    scores = shares(world).astype(float)
    scores[np.random.default_rng(0).random(scores.shape) < 0.05] = np.nan
    incomplete = Benchmark.from_arrays("incomplete", scores, list(world.item_ids), list(world.model_ids))
    micro = build(incomplete, method("stratified_confidence", "horvitz_thompson"), 30)
    micro.save(tmp_path / "micro")
    loaded = artifact.load(tmp_path / "micro")
    assert np.isnan(loaded.responses).any()
    assert np.array_equal(loaded.responses, micro.responses, equal_nan=True)
    assert loaded.readout.estimate(loaded.responses) == pytest.approx(micro.readout.estimate(micro.responses))
    complete = ~np.isnan(micro.responses).any(axis=1)
    by_hand = micro.readout.intercept + micro.responses[complete] @ [item.coefficient for item in micro.items]
    assert micro.readout.estimate(micro.responses[complete]) == pytest.approx(by_hand)


def test_a_list_is_exported_in_its_order_with_its_weights(world: Benchmark) -> None:
    ids = [str(name) for name in world.item_ids[[5, 3, 8]]]
    micro = build(world, method("fixed", "weighted_mean", items=ids, weights=[2, 1, 1]))
    assert micro.item_ids == ids
    assert [item.weight for item in micro.items] == [0.5, 0.25, 0.25]
    assert [item.coefficient for item in micro.items] == pytest.approx([0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    ("plan", "size", "kind", "word", "where", "got"),
    [
        (method("tinybenchmarks", "p_irt"), 10, ConfigError, "horvitz_thompson, mean", "estimator", "p_irt"),
        (method(), None, ConfigError, "size=100", "size", "nothing"),
        (method(), 301, GridError, "number of items", "size", "301 of 300"),
        (method(), 0, GridError, "number of items", "size", "0 of 300"),
        (method("fixed", "mean", items=["a"]), 2, GridError, "list", "size", "2 for 1 items"),
        (method("fixed", "mean", items=["nothing"]), 1, DataError, "not in the benchmark", None, "nothing"),
    ],
)
def test_a_method_or_size_that_does_not_fit_is_refused(
    world: Benchmark, plan: Method, size: int | None, kind: type[MicrobenchError], word: str, where: str | None, got: str
) -> None:
    with refuses(kind, word, where=where, got=got):
        build(world, plan, size)


def test_too_few_models_and_folds_are_refused(world: Benchmark) -> None:
    few = Benchmark.from_arrays("few", world.scores[:3], list(world.item_ids), list(world.model_ids[:3]))
    with refuses(DataError, "models", where="few", got="3 models"):
        build(few, method(), 10)
    with refuses(ConfigError, "two folds", where="folds", got="1"):
        build(world, method(), 10, folds=1)


def test_overwrite_replaces_a_micro_benchmark_and_nothing_else(micro: MicroBenchmark, tmp_path: Path) -> None:
    place = tmp_path / "micro"
    micro.save(place)
    micro.save(place)  # identical, so nothing is done
    other = replace(micro, seed=1)
    with refuses(StoreError, "another micro-benchmark", where=str(place), hint="overwrite=true"):
        other.save(place)
    assert artifact.load(place).seed == 0
    other.save(place, overwrite=True)
    assert artifact.load(place).seed == 1
    (place / "mine.txt").write_text("precious")
    with refuses(StoreError, "other files", where=str(place), got="mine.txt"):
        micro.save(place, overwrite=True)
    assert (place / "mine.txt").read_text() == "precious"
    home = tmp_path / "home"
    home.mkdir()
    (home / "items.txt").write_text("precious")
    with refuses(StoreError, "other files", where=str(home), got="items.txt"):
        micro.save(home, overwrite=True)
    assert (home / "items.txt").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"micro", "home"}


def test_a_path_that_is_or_lies_below_a_file_is_refused(
    micro: MicroBenchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/below"):
        with refuses(StoreError, "file", where=str(place)):
            micro.save(place)
    assert not caplog.records


def damaged(text: str, damage: str) -> str:
    content = json.loads(text)
    if damage == "cut short":
        return text[: len(text) // 2]
    if damage == "foreign":
        return json.dumps({"results": {}})
    if damage == "list":
        return "[1]"
    if damage == "version":
        content["version"] = 7
    if damage == "edited":
        content["readout"]["intercept"] += 0.1
    if damage == "twice":
        content["items"][1]["id"] = content["items"][0]["id"]
    if damage == "incomplete":
        del content["models"]
    if damage == "without checksum":
        del content["checksum"]
    if damage == "shapes":
        content["models"][0]["responses"].append(1)
        content["checksum"] = checksum(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("cut short", "truncated"),
        ("foreign", "not an exported micro-benchmark"),
        ("list", "a JSON list"),
        ("version", "version 7"),
        ("edited", "edited"),
        ("twice", "twice"),
        ("incomplete", "checksum"),
        ("without checksum", "incomplete"),
        ("shapes", "incomplete"),
    ],
)
def test_a_damaged_file_is_one_message(
    micro: MicroBenchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, word: str
) -> None:
    micro.save(tmp_path / "micro")
    file = tmp_path / "micro/microbench.json"
    file.write_text(damaged(file.read_text(), damage))
    assert main(["score", f"micro={tmp_path / 'micro'}", "responses=any.csv", "source=scores"]) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert word in message
    assert str(file) in message


def test_the_command_prints_what_it_exported_and_what_it_could_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = ["benchmark.n_models=40", "benchmark.n_items=60"]
    out = tmp_path / "micro"
    assert main(["export", *world, "method={method: greedy, estimator: {name: ridge}}", "size=10", f"out={out}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"10", "60", "40", "greedy"} <= set(lines[0].replace(",", " ").split())
    assert any("samples.json" in line for line in lines)
    assert any("too few models" in line for line in lines)
    assert any(f"microbench score micro={out}" in line for line in lines)
    assert {path.name for path in out.iterdir()} == {"microbench.json", "items.txt", "weights.csv", "reserve.txt", "README.md"}
    loaded = artifact.load(out)
    assert loaded.method["estimator"]["name"] == "ridge"
    error = 100 * np.abs(loaded.held_out.estimates - loaded.accuracy).mean()
    assert f"{error:.1f} points" in lines[1]
    assert main(["export", *world, "method=random", "size=10", f"out={out}"]) == 1
    assert "overwrite=true" in capsys.readouterr().err
    assert main(["export", *world, "method=random", "size=10", f"out={out}", "overwrite=true"]) == 0
    assert artifact.load(out).method["estimator"]["name"] == "mean"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["method=tinybenchmarks_p_irt"], ["estimator: {name"]),
        (["methods=[random,greedy]"], ["where: method", "2 methods", "method=NAME"]),
        (["out=s3://bucket/micro"], ["where: out", "s3://bucket/micro"]),
        (["seed=-1"], ["where: seed", "-1"]),
        (["folds=1"], ["where: folds", "two folds"]),
        (["size=10", "method=nothing"], ["nothing", "valid:"]),
        ([], ["out"]),
    ],
)
def test_bad_input_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: list[str]) -> None:
    out = [f"out={tmp_path / 'micro'}"] if more and not any(override.startswith("out=") for override in more) else []
    assert main(["export", "size=10", *out, *more]) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for word in words:
        assert word in message
    assert not (tmp_path / "micro").exists()


def test_an_estimator_of_both_signals_is_refused(world: Benchmark) -> None:
    both = build_method("guided", {"name": "mdad_guided"}, {"name": "ridge_remainder"})
    with refuses(ConfigError, "one signal", where="estimator.signal", got="scores and confidences", hint="signal: correctness"):
        build(world, both, 20)


@pytest.mark.slow
def test_guided_items_of_one_signal_have_smaller_errors_than_random_ones(world: Benchmark) -> None:
    scores_only = build_method("guided", {"name": "mdad_guided"}, {"name": "ridge_remainder", "signal": "correctness"})
    micro = build(world, scores_only, 20)
    assert micro.signal == "correctness"
    errors = micro.errors(micro.held_out)
    of_random = build(world, method(), 20)
    assert np.sqrt(np.mean(errors**2)) < 0.75 * np.sqrt(np.mean(of_random.errors(of_random.held_out) ** 2))
