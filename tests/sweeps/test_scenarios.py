"""Every scenario of the protocol gives the same tables on the configured engine as in a for-loop over the reversed shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.driver import run_sweep
from microbench_ray.sweeps.engine.base import Engine, Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.shards import Shard
from tests.helpers.rotation import rotating
from tests.helpers.small_sweep import N_ITEMS, assert_same_tables, columns, command

A_LIST = "{method: fixed, label: tiny, selector: {items: [i3,i5,i8,i13], weights: [1,2,3,4], built_from: [m00,m01]}}"
SCENARIOS: dict[str, list[str]] = {
    "default": [],
    "separate subtasks": ["grid.subtasks=separate"],
    "fractions": ["grid.sizes=[]", "grid.fractions=[0.05,0.1]"],
    "no unseen half": ["grid.unseen=none"],
    "a group by expression": ["targets=group", "targets.label=large", "targets.where=4 <= params <= 6"],
    "a group by names": ["targets=group", "targets.label=two", "targets.names=[m03,m07]"],
    "a fixed list": [f"methods=[random,{A_LIST}]"],
    "another signal": ["methods=[{method: stratified_confidence, label: sure, estimator: {signal: confidence}}]"],
    "estimates kept": ["keep_estimates=true"],
    "two thresholds, half ties": ["thresholds=[0.7,0.9]", "tie_policy=half", "ci=pairs"],
}


@pytest.fixture(scope="module")
def gappy_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graded scores with missing values, confidences and metadata."""
    folder = tmp_path_factory.mktemp("gappy")
    rng = np.random.default_rng(1)
    world = columns()
    models = [name for name in world if name not in ("item_id", "subtask")]
    scores = {
        name: np.where(rng.random(N_ITEMS) < 0.04, np.nan, (world[name] + rng.integers(0, 2, N_ITEMS)) / 2) for name in models
    }
    about = {name: world[name] for name in ("item_id", "subtask")}
    pq.write_table(pa.table(about | scores), folder / "board.parquet")
    pq.write_table(pa.table(about | {name: rng.random(N_ITEMS) for name in models}), folder / "board.confidence.parquet")
    facts = {"model_id": models, "params": [float(k % 7) for k in range(len(models))]}
    pq.write_table(pa.table(facts), folder / "board.models.parquet")
    return folder / "board.parquet"


class Backwards(SerialEngine):
    """Computes the shards in reverse order."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        yield from super().run(benchmarks, shards[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", rotating(SCENARIOS, 3))
def test_the_configured_engine_gives_the_same_tables(scenario: str, gappy_board: Path, tmp_path: Path, engine: Engine) -> None:
    folders = [tmp_path / "configured", tmp_path / "reversed"]
    for out, used in zip(folders, (engine, Backwards()), strict=True):
        changed = {each.split("=")[0] for each in SCENARIOS[scenario]}
        kept = [each for each in command(gappy_board, out, runs=6)[1:] if each.split("=")[0] not in changed]
        _, sweep = Composer("sweep", [*kept, *SCENARIOS[scenario]]).sweep()
        sweep = dataclasses.replace(sweep, engine=used)
        assert run_sweep(sweep, sweep.plan()).failed == 0
    assert_same_tables(*folders)
    if scenario == "estimates kept":
        ours, theirs = (ds.dataset(sorted(map(str, (out / "estimates").iterdir()))).to_table() for out in folders)
        assert len(ours)
        assert ours.equals(theirs)
