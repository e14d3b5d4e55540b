"""tinyBenchmarks on real responses (GPQA) against the results of the paper's own code, which has another kind of IRT model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from microbench_ray.data import read_scores
from microbench_ray.methods import build_method
from microbench_ray.metrics import mean_agreement
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep
from microbench_ray.sweeps.tables import counts_of

RUNS = 50
SIZES = (10, 25, 50, 100, 200)
KEY = ["size", "split"]


@pytest.fixture(scope="module")
def runs(test_data: Path) -> pd.DataFrame:
    """A row per method, size, half and run; agreement as the paper counts it."""
    benchmark = read_scores(test_data / "gpqa.parquet")
    methods = [build_method(name, {"name": "tinybenchmarks"}, {"name": name}) for name in ("weighted_mean", "p_irt")]
    plan = plan_sweep([benchmark], methods, Grid(sizes=SIZES, n_source=(300,), n_target=50, runs=RUNS), Targets(), seed=0)
    with threadpool_limits(1):
        cells = pa.concat_tables([evaluate_shard(shard, benchmark)["cells"] for shard in plan.shards])
    counts = counts_of(cells)
    table = cells.select(["method", *KEY, "run", "mean_abs_error", "kendall_tau"]).to_pandas()
    return table.assign(mean_agreement=[mean_agreement(counts[row], "paper") for row in range(len(cells))])


def golden(test_data: Path, name: str) -> pd.DataFrame:
    """Mean and standard deviation over the runs of the paper's code, by size and half; for agreement only the mean is known."""
    folder = test_data / "golden_gpqa"
    if name == "mean_agreement":
        table = pd.read_csv(folder / "summary.csv").query("method == 'tinyBenchmarks'").set_index(KEY)
        return table[["mean_agreement"]].set_axis(["mean"], axis=1)
    prefix = {"mean_abs_error": "err", "kendall_tau": "tau"}[name]
    table = pd.read_parquet(folder / "per_run.parquet").query("method == 'tinyBenchmarks'")
    halves = [table.assign(split=split, value=table[f"{prefix}_{split}"]) for split in ("seen", "unseen")]
    return pd.concat(halves).groupby(KEY)["value"].agg(["mean", "std"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean_agreement", "mean_abs_error", "kendall_tau"])
def test_it_is_no_worse_than_the_papers_code(runs: Any, test_data: Path, name: str) -> None:
    ours = runs[runs["method"] == "weighted_mean"].groupby(KEY)[name].agg(["mean", "std"])
    theirs = golden(test_data, name)
    sign = -1 if name == "mean_abs_error" else 1
    rows = []
    for key in ours.index:
        spread = [ours.loc[key, "std"], theirs["std"].get(key) if "std" in theirs else ours.loc[key, "std"]]
        error = math.hypot(*spread) / math.sqrt(RUNS)
        better = sign * (ours.loc[key, "mean"] - theirs.loc[key, "mean"]) / error
        rows.append({"key": key, "ours": ours.loc[key, "mean"], "theirs": theirs.loc[key, "mean"], "standard_errors": better})
    table = pd.DataFrame(rows)
    assert len(table) == 10
    assert (table["standard_errors"] > -3).all(), "\n" + table.to_string()
    # Nor do many small deviations add up.
    assert np.mean(table["standard_errors"]) > -1, "\n" + table.to_string()


@pytest.mark.slow
def test_predicting_the_items_not_selected_improves_the_estimate(runs: Any) -> None:
    means = runs.groupby(["method", *KEY])[["mean_agreement", "mean_abs_error", "kendall_tau"]].mean()
    gain = means.loc["p_irt"] - means.loc["weighted_mean"]
    assert len(gain) == 10
    assert (gain["mean_agreement"] > 0).all()
    assert (gain["mean_abs_error"] < 0).all()
    assert (gain["kendall_tau"] > 0).all()
