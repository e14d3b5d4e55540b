"""Every file in conf/experiment/ composes and plans on score tables of the right shape; one of them runs as a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import GridError
from microbench_ray.methods.presets import CONF
from microbench_ray.sweeps.driver import SweepJob
from tests.helpers.errors import refuses

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
METHODS = {path.stem for path in (CONF / "method").glob("*.yaml")}
PAPER = ["random", "random_subtask_equal", "stratified_confidence", "anchor_points", "diversity", "tinybenchmarks"]
PAPER_SIZES = [10, 25, 50, 100, 250, 500, 1000]
N_ITEMS = {"mmlu": 2400, "mmlu_pro": 2400, "bbh": 2000, "gpqa": 448}
N_SUBTASKS = {"mmlu": 6, "mmlu_pro": 6, "bbh": 5, "gpqa": 1}


@pytest.fixture(scope="module")
def leaderboards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score tables with the names of the paper's benchmarks, and enough models and items for its grid."""
    folder = tmp_path_factory.mktemp("leaderboards")
    rng = np.random.default_rng(0)
    for name, n_items in N_ITEMS.items():
        abilities = np.linspace(0.2, 0.7, 420)
        scores = (rng.random((420, n_items)) < abilities[:, None]).astype(np.uint8)
        about = {"item_id": [f"i{k}" for k in range(n_items)], "subtask": [f"s{k % N_SUBTASKS[name]}" for k in range(n_items)]}
        pq.write_table(pa.table(about | {f"m{k:03d}": row for k, row in enumerate(scores)}), folder / f"{name}.parquet")
    return folder


def content(name: str, *overrides: str) -> Any:
    return Composer("sweep", [f"experiment={name}", *overrides]).compose([f"experiment={name}", *overrides])


Swept = Callable[..., SweepJob]


@pytest.fixture(scope="module")
def sweep(leaderboards: Path) -> Swept:
    """A function that makes the job of an experiment, once for all tests."""

    @cache
    def make(name: str, *overrides: str) -> SweepJob:
        given = [f"experiment={name}", f"data_dir={leaderboards}", *overrides]
        if "benchmark.path" not in "".join(overrides) and name == "paper_gpqa":
            given.append(f"benchmark.path={leaderboards / 'gpqa.parquet'}")
        return Composer("sweep", given).sweep()[1]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_plans(name: str, sweep: Swept) -> None:
    job = sweep(name)
    plan = job.plan()
    assert {each.label for shard in plan.shards for each in shard.methods} == {each.label for each in job.methods}
    assert {shard.benchmark for shard in plan.shards} == {each.name for each in job.benchmarks}
    runs = {run for shard in plan.shards for run in shard.runs}
    assert runs == set(range(20 if name == "signals" else 50))


@pytest.mark.parametrize("name", ["figure_2", "figure_3", "source_models", "thresholds", "fixed_targets", "same_fraction"])
def test_experiments_of_the_paper_have_its_six_methods(name: str) -> None:
    assert list(content(name).methods) == PAPER


def test_the_full_table_has_every_method_except_fixed() -> None:
    assert METHODS - {"fixed"} <= set(content("table_full").methods)


@pytest.mark.slow
def test_better_compares_every_method_on_random_and_best_targets(sweep: Swept) -> None:
    assert METHODS - {"fixed"} <= set(content("better").methods)
    shards = sweep("better").plan().shards
    assert {shard.n_source for shard in shards} == {50, 100, 300}
    groups = {(shard.benchmark, shard.targets) for shard in shards}
    assert groups == {(benchmark, targets) for benchmark in ("gpqa", "mmlu_pro", "bbh") for targets in ("random", "best")}
    few = sweep("few_sources")
    assert few.grid.n_source == (10, 25)
    assert (few.extra_targets, few.rules.baseline) == (sweep("better").extra_targets, "best")
    assert {each.label for each in few.methods} < METHODS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["figure_3", "table_full"])
def test_all_benchmarks_are_swept_at_the_papers_sizes(name: str, sweep: Swept) -> None:
    plan = sweep(name).plan()
    for benchmark in N_ITEMS:
        sizes = {size for shard in plan.shards if shard.benchmark == benchmark for size, _ in shard.sizes}
        assert sorted(sizes) == ([10, 25, 50, 100, 200] if benchmark == "gpqa" else PAPER_SIZES)
    assert {(shard.n_source, shard.n_target) for shard in plan.shards} == {(300, 50)}


@pytest.mark.parametrize(("given", "expected"), [("[mmlu_pro,bbh]", {"mmlu_pro", "bbh"}), ("bbh", {"bbh"}), ("[gpqa]", {"gpqa"})])
def test_a_subset_of_an_experiments_benchmarks_can_be_chosen(given: str, expected: set[str], sweep: Swept) -> None:
    assert {shard.benchmark for shard in sweep("figure_3", f"benchmark={given}").plan().shards} == expected


@pytest.mark.slow
def test_each_experiment_varies_its_variable(sweep: Swept) -> None:
    assert sweep("source_models").grid.n_source == (10, 30, 50, 100, 150, 200, 300)
    assert sweep("thresholds").rules.thresholds == (0.7, 0.8, 0.9)
    plan = sweep("separate_subtasks").plan()
    assert {shard.subtask for shard in plan.shards} == {f"s{k}" for k in range(6)}
    fractions = {
        (shard.benchmark, size, fraction) for shard in sweep("same_fraction").plan().shards for size, fraction in shard.sizes
    }
    assert {fraction for _, _, fraction in fractions} == {0.01, 0.025, 0.05, 0.1}
    assert {("mmlu", 240, 0.1), ("gpqa", 45, 0.1)} <= fractions


def test_fixed_targets_have_similar_accuracies(sweep: Swept) -> None:
    job = sweep("fixed_targets")
    (benchmark,) = job.benchmarks
    targets = set(job.plan().shards[0].group or ())
    accuracies = benchmark.scores.mean(axis=1)
    assert targets == set(np.flatnonzero((accuracies >= 0.4) & (accuracies <= 0.5)))
    assert 25 in job.grid.sizes


def test_signals_combines_both_signals_of_selector_and_estimator(sweep: Swept) -> None:
    read = {
        (each.selector.signal, type(each.estimator).__name__, each.estimator.signal)
        for each in sweep("signals").methods
        if base_of(each) == "AnchorPoints"
    }
    assert {(a, "WeightedMean", b) for a in ("confidence", "correctness") for b in ("confidence", "correctness")} <= read
    assert {each.estimator.signal for each in sweep("signals").methods if base_of(each) == "Random"} == {
        "confidence",
        "correctness",
    }


def base_of(method: Any) -> str:
    return type(method.selector).__name__


def test_sizes_must_fit_the_smallest_subtask(sweep: Swept) -> None:
    with refuses(GridError, "mmlu_pro/s0", where="grid.sizes", got="250", hint="grid.sizes=[10,25,50,100]"):
        sweep("separate_subtasks", "grid.sizes=[10,25,50,100,250]").plan()


def test_an_experiment_runs_as_a_command(leaderboards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["methods=[random]", "grid.runs=2", "n_resamples=100", "engine=serial", "figures=false", "report=false"]
    arguments = ["sweep", "experiment=figure_3", "benchmark=[bbh,gpqa]", f"data_dir={leaderboards}", f"out={tmp_path}", *small]
    assert main(arguments) == 0
    assert "10, 25, 50, 100, 200" in capsys.readouterr().err
    mdad = pq.read_table(tmp_path / "mdad.parquet").to_pandas()
    assert len(mdad) == 2 * (len(PAPER_SIZES) + 5)
