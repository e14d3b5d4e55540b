"""The table of paired differences that sweeps and reductions write: the same for any engine, and only with a baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.driver import run_sweep
from microbench_ray.sweeps.engine.base import Engine, Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.evaluate import draw_run
from microbench_ray.sweeps.shards import Shard
from tests.helpers.small_sweep import assert_same_tables, command


class Backwards(SerialEngine):
    """Computes the last shard first."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        yield from super().run(benchmarks, shards[::-1])


def swept(arguments: list[str], engine: Engine) -> bytes:
    _, sweep = Composer("sweep", arguments[1:]).sweep()
    sweep = dataclasses.replace(sweep, engine=engine)
    run_sweep(sweep, sweep.plan())
    return (Path(sweep.out) / "paired.parquet").read_bytes()


def test_the_same_bytes_by_any_engine_order_and_division(board: Path, tmp_path: Path, engine: Engine) -> None:
    one, other, third = (command(board, tmp_path / name, "baseline=random") for name in "abc")
    expected = swept(one, engine)
    assert swept(other, Backwards()) == expected
    assert swept([*third, "sizes_apart=true", "methods=[stratified_confidence,random]"], SerialEngine()) == expected
    table = pq.read_table(tmp_path / "a" / "paired.parquet").to_pandas()
    # 3 sizes, 2 numbers of sources, 2 halves: the one method against the other.
    assert len(table) == 12
    assert set(table["method"]) == {"stratified_confidence"}
    assert set(table["baseline"]) == {"random"}
    assert set(table["n_runs"]) == {20}


def test_differences_are_those_of_the_other_tables(board: Path, tmp_path: Path) -> None:
    assert main(command(board, tmp_path, "baseline=best", "methods=[random,random_subtask_equal,stratified_confidence]")) == 0
    key = ["n_source", "size", "split"]
    mdad, summary = (
        pq.read_table(tmp_path / f"{name}.parquet").to_pandas().set_index([*key, "method"]).sort_index()
        for name in ("mdad", "summary")
    )
    paired = pq.read_table(tmp_path / "paired.parquet").to_pandas()
    assert len(paired) == 2 * 12
    for row in paired.to_dict("records"):
        panel = tuple(row[name] for name in key)
        ours, baseline = (mdad.loc[(*panel, row[name])] for name in ("method", "baseline"))
        assert baseline["mdad"] == mdad.loc[panel]["mdad"].min()
        for name in ("mdad", "mdad_monotone"):
            assert row[f"{name}_difference"] == pytest.approx(ours[name] - baseline[name], abs=1e-12)
            assert row[f"{name}_ci_lo"] <= row[f"{name}_ci_hi"]
        shares = [summary.loc[(*panel, row[name])]["mean_agreement"] for name in ("method", "baseline")]
        assert row["mean_agreement_difference"] == pytest.approx(shares[0] - shares[1], abs=1e-12)


def test_reduce_compares_anew_and_leaves_no_table_of_other_rules(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    assert main(command(board, out)) == 0
    assert not (out / "paired.parquet").exists()
    quick = ["n_resamples=100", "figures=false", "report=false"]
    assert main(["reduce", f"out={out}", "baseline=stratified_confidence", *quick]) == 0
    assert "paired.parquet" in capsys.readouterr().out
    assert main(command(board, fresh, "baseline=stratified_confidence")) == 0
    assert (out / "paired.parquet").read_bytes() == (fresh / "paired.parquet").read_bytes()
    assert_same_tables(out, fresh)
    capsys.readouterr()
    before = (out / "mdad.parquet").stat().st_mtime_ns
    assert main(["reduce", f"out={out}", "baseline=randon", *quick]) == 1
    message = capsys.readouterr().err
    for fact in ("baseline", "randon", "did you mean random?"):
        assert fact in message
    assert (out / "mdad.parquet").stat().st_mtime_ns == before
    assert main(["reduce", f"out={out}", *quick]) == 0
    assert not (out / "paired.parquet").exists()


def test_a_baseline_that_is_not_swept_is_refused_before_any_work(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(board, tmp_path / "out", "baseline=anchor_points")) == 1
    message = capsys.readouterr().err
    for fact in ("baseline", "anchor_points", "best", "random", "stratified_confidence"):
        assert fact in message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_groups_of_targets_are_two_sweeps_in_one_folder(board: Path, tmp_path: Path) -> None:
    both, alone, best = (tmp_path / name for name in ("both", "alone", "best"))
    assert main(command(board, both, "extra_targets=[best]", "baseline=random")) == 0
    assert main(command(board, alone, "baseline=random")) == 0
    assert main(command(board, best, "targets=best", "baseline=random")) == 0
    for name in ("mdad", "summary", "agreement", "paired"):
        table = pq.read_table(both / f"{name}.parquet")
        for label, folder in (("random", alone), ("best", best)):
            expected = pq.read_table(folder / f"{name}.parquet")
            assert len(expected)
            assert table.filter(pc.equal(table["targets"], label)).equals(expected, check_metadata=True)


def test_the_best_are_better_than_every_source(board: Path) -> None:
    _, sweep = Composer("sweep", command(board, Path("out"), "targets=best")[1:]).sweep()
    (benchmark,) = sweep.benchmarks
    accuracies = benchmark.scores.mean(axis=1)
    for shard in sweep.plan().shards:
        for run in shard.runs:
            draw = draw_run(shard, benchmark, run)
            assert accuracies[draw.targets].min() > accuracies[draw.sources].max()


@pytest.mark.slow
def test_graded_scores_with_gaps_are_compared_on_both_groups(test_data: Path, tmp_path: Path) -> None:
    arguments = [
        "sweep",
        "benchmark=scores",
        f"benchmark.path={test_data / 'alpaca_eval1.parquet'}",
        "extra_targets=[best]",
        "methods=[random,random_subtask_equal,anchor_points]",
        "grid.sizes=[10,100]",
        "grid.n_source=[20]",
        "grid.n_target=15",
        "grid.runs=5",
        "n_resamples=100",
        "baseline=best",
        "figures=false",
        "report=false",
        "engine=serial",
        f"out={tmp_path}",
    ]
    assert main(arguments) == 0
    paired = pq.read_table(tmp_path / "paired.parquet").to_pandas()
    # 2 sizes, 2 groups, 2 halves: 2 methods against the third.
    assert len(paired) == 16
    assert set(paired["targets"]) == {"random", "best"}
    assert (paired["mean_agreement_ci_lo"] <= paired["mean_agreement_ci_hi"]).all()
    assert (paired["mdad_difference"].dropna() >= 0).all()
    best = paired[paired["targets"] == "best"]
    assert set(best["n_target"]) == {11}
