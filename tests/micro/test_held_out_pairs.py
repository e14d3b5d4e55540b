"""Which differences an exported micro-benchmark detects: with an interval over models, and not at all for a handful of models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm, t

from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark, read_scores, synthetic
from microbench_ray.metrics import bootstrap_models, expanded_level, mdad, pair_counts
from microbench_ray.micro import artifact
from microbench_ray.micro import builder as building
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.records import MIN_COMPARED
from tests.micro.conftest import accuracies, method, responses_to


def part_of(board: Benchmark, models: np.ndarray) -> Benchmark:
    """The board of some of its models."""
    return Benchmark(board.name, board.models.take(pa.array(models)), board.items, board.units)


def true_mdad(board: Benchmark, others: np.ndarray, micro: MicroBenchmark) -> float:
    """The monotone MDAD of a micro-benchmark among models that it was not built from; infinite where it is never reached."""
    rest = part_of(board, others)
    estimates = micro.readout.estimate(responses_to(micro.item_ids, rest, slice(None)))
    counts = pair_counts(accuracies(rest), estimates, n_items=board.n_items)
    return float(np.nan_to_num(mdad(counts, n_resamples=1).mdad_monotone, nan=np.inf))


def covered(board: Benchmark, n_models: int, selector: str, estimator: str, size: int, repeats: int) -> float:
    """Share of draws of known models in which the interval of the export covers the MDAD among the other models.

    Draws with too few groups of models, with copies counted once, have no interval and do not count.
    """
    hits = []
    for repeat in range(repeats):
        order = np.random.default_rng(repeat).permutation(board.n_models)
        micro = build(part_of(board, np.sort(order[:n_models])), method(selector, estimator), size, seed=repeat)
        row, truth = micro.held_out.mdad, true_mdad(board, np.sort(order[n_models:]), micro)
        if (row["n_groups"] or 0) >= MIN_COMPARED:
            low, high = (np.inf if value is None else value for value in (row["ci_lo"], row["ci_hi"]))
            hits.append(low <= truth <= high)
    assert len(hits) >= repeats / 4
    return float(np.mean(hits))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("board", "n_models", "selector", "estimator", "size"),
    [
        ("gpqa", 25, "random", "mean", 50),
        ("gpqa", 40, "random", "mean", 50),
        ("gpqa", 70, "random", "mean", 50),
        ("gpqa", 25, "greedy", "ridge", 50),
        ("gpqa", 70, "greedy", "ridge", 50),
        ("boards/openllm_musr", 30, "random", "mean", 50),
        ("boards/openllm_musr", 60, "greedy", "ridge", 50),
        ("boards/helm_gsm", 30, "random", "mean", 25),
    ],
)
def test_the_interval_covers_the_mdad_among_other_models(
    test_data: Path, board: str, n_models: int, selector: str, estimator: str, size: int
) -> None:
    """95 % up to the chance of 120 draws; folds as runs covered 73 to 85 % of the first four."""
    share = covered(read_scores(test_data / f"{board}.parquet"), n_models, selector, estimator, size, 120)
    print(f"{board}, {n_models} models, {selector}/{estimator}, {size} items: {share:.3f}")
    assert share >= 0.9


@pytest.mark.slow
def test_the_interval_of_seventy_models_covers(test_data: Path) -> None:
    assert covered(read_scores(test_data / "gpqa.parquet"), 70, "random", "mean", 50, 30) >= 0.9


def test_the_interval_is_over_models() -> None:
    """The resamples by hand: percentiles of the crossings, at the level for 40 models."""
    world = synthetic(n_models=40, n_items=200)
    micro = build(world, method(), 30)
    row = micro.held_out.mdad
    resampled = bootstrap_models(
        world.scores.sum(axis=1), np.full(40, 200), 1, micro.held_out.estimates, 4000, np.random.default_rng(1)
    )
    counts = pair_counts(micro.accuracy, micro.held_out.estimates, n_items=200)
    by_hand = mdad(counts, ci="models", resampled=resampled, level=expanded_level(0.95, 40))
    assert row["mdad_monotone"] == by_hand.mdad_monotone
    for key, value in (("ci_lo", by_hand.mdad_monotone_ci_lo), ("ci_hi", by_hand.mdad_monotone_ci_hi)):
        assert np.inf if row[key] is None else row[key] == pytest.approx(value, abs=0.015)


@pytest.mark.parametrize("n_models", [2, 8, 20, 1000])
def test_the_level_for_few_models(n_models: int) -> None:
    quantile = t(n_models - 1).ppf(0.975) * np.sqrt(n_models / (n_models - 1))
    assert expanded_level(0.95, n_models) == pytest.approx(1 - 2 * norm.sf(quantile), abs=1e-9)


@pytest.mark.parametrize("n_models", [8, MIN_COMPARED - 1, MIN_COMPARED])
def test_too_few_models_have_no_mdad(n_models: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "micro"
    world = [f"benchmark.n_models={n_models}", "benchmark.n_items=60"]
    assert main(["export", *world, "method=random", "size=10", f"out={out}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "drawn like the known ones" in line]
    row = json.loads((out / "microbench.json").read_text())["mdad"]
    assert row["n_models"] == n_models
    if n_models < MIN_COMPARED:
        assert set(row.values()) == {None, n_models}
        assert "too few models" in line
        assert "differences of" not in line
    else:
        assert row["mdad_monotone"] is not None
        assert "95 % interval" in line


def test_the_line_shows_the_numbers_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "micro"
    assert main(["export", "benchmark.n_models=60", "benchmark.n_items=200", "method=random", "size=50", f"out={out}"]) == 0
    row = artifact.load(out).held_out.mdad
    values = [f"{100 * value:.1f}" for value in (row["mdad_monotone"], row["ci_lo"], row["ci_hi"]) if value is not None]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "drawn like the known ones" in line]
    assert len(values) >= 2
    for value in values:
        assert value in line


def test_many_models_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MAX_COMPARED", 30)
    world = synthetic(n_models=60, n_items=100)
    micro = build(world, method(), 20)
    assert micro.held_out.mdad["n_models"] == 30
    assert sum(row["n_pairs"] for row in micro.held_out.agreement) <= 30 * 29 / 2
    assert micro.held_out.estimates.size == 60
