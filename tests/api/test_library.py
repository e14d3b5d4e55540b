"""`import microbench_ray as mb`: sweeps, plans, exports and scores of data in memory, without Ray, Hydra or files."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import microbench_ray as mb
from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, GridError, MicrobenchError
from microbench_ray.methods.registry import Method
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import CELL, columns, command

GRID: dict[str, Any] = {"sizes": [5, 10, 20], "n_source": [10, 20], "n_target": 15, "runs": 20, "n_resamples": 100}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table(columns())


@pytest.fixture(scope="module")
def world(table: pa.Table) -> mb.Benchmark:
    return mb.benchmark(table, name="board")


class Hardest(mb.SelectorWithoutFit):
    """The items that the fewest source models answered correctly, as a user would write it in a notebook."""

    signal: ClassVar[Any] = "correctness"
    nested = True

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> mb.Selection:
        responses = seen.responses
        assert responses is not None
        return mb.Selection(np.argsort(np.nanmean(responses, axis=0), kind="stable")[:size])


def test_every_public_name_is_importable_and_documented() -> None:
    for name in mb.__all__:
        assert getattr(mb, name).__doc__
    with pytest.raises(AttributeError):
        mb.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Exported", "MicroBenchmark"),
        ("gate", "regression_gate"),
        ("items_for", "items_needed"),
        ("order_of_models", "ranking_probability"),
        ("order_of_scores", "posterior_ranking_probability"),
        ("told_apart", "detectable_difference"),
    ],
)
def test_names_of_the_previous_release_work_and_warn(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"{old}\b.*\b{new}\b"):
        former = getattr(mb, old)
    assert former is getattr(mb, new)
    assert old not in mb.__all__


def test_the_library_imports_neither_ray_nor_hydra_nor_rich(board: Path) -> None:
    program = """
import sys, microbench_ray as mb
world = mb.read_scores(sys.argv[1])
mb.items_needed(world, 0.1), mb.detectable_difference(world, 20), mb.regression_gate(world, 0.05, 20)
result = mb.sweep(world, ["random", mb.method("greedy")], [5], 10, 15, 2, n_resamples=100)
assert len(result.mdad) == 4
micro = mb.export(world, 20, "random_ridge")
assert len(mb.score(micro, [[1, 0]], micro.item_ids[:2])) == 1
print(sorted({"ray", "hydra", "omegaconf", "matplotlib", "rich", "vl_convert"} & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", program, str(board)], capture_output=True, text=True, check=False)
    assert (process.stdout.strip(), process.stderr) == ("[]", "")


def test_numpy_pandas_and_arrow_give_the_same_benchmark(table: pa.Table, world: mb.Benchmark) -> None:
    frame = table.to_pandas()
    models = table.column_names[2:]
    matrix = frame[models].to_numpy().T
    benchmarks = [
        mb.benchmark(frame),
        mb.benchmark(frame.set_index("item_id")),
        mb.benchmark(table.to_batches()[0]),
        mb.benchmark(matrix, list(frame["item_id"]), models, list(frame["subtask"])),
        mb.benchmark(matrix.astype(float).tolist(), list(frame["item_id"]), models, list(frame["subtask"])),
    ]
    assert {benchmark.digest for benchmark in benchmarks} == {world.digest}
    bare = mb.benchmark(matrix, name="bare")
    assert (bare.item_ids[0], bare.model_ids[-1], bare.subtask_names, bare.name) == ("item_0", "model_39", ["all"], "bare")


def test_missing_responses_confidences_and_metadata_are_kept(table: pa.Table) -> None:
    models = table.column_names[2:]
    frame = table.to_pandas().astype(dict.fromkeys(models, float))
    frame.loc[3, "m00"] = np.nan
    confidence = frame.assign(**{name: frame[name] * 0.5 + 0.1 for name in models})
    metadata = pd.DataFrame({"model_id": ["m00", "m01"], "params": [1e9, 2e9]})
    benchmark = mb.benchmark(frame, confidence=confidence, metadata=metadata)
    assert benchmark.confidence is not None
    assert benchmark.metadata is not None
    assert benchmark.scores[0, 3] == benchmark.missing
    assert benchmark.confidence[1, 0] == pytest.approx(confidence["m01"][0])
    assert benchmark.metadata["params"]["m01"] == 2e9
    array = mb.benchmark(
        frame[models].T.to_numpy(),
        list(frame["item_id"]),
        models,
        list(frame["subtask"]),
        confidence=confidence[models].T.to_numpy(),
        metadata=metadata,
    )
    assert array.digest == benchmark.digest


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"scores": [1, 2]}, "scores"),
        ({"scores": [[1, 0], [1]]}, "scores"),
        ({"scores": [["a", "b"], ["c", "d"]]}, "scores"),
        ({"scores": [[1, 0], [0, 2]]}, "[0, 1]"),
        ({"scores": [[1, 0], [0, 1]], "item_ids": ["a"]}, "item"),
        ({"scores": [[1, 0], [0, 1]], "item_ids": ["a", "a"]}, "item"),
        ({"scores": [[1, 0], [0, 1]], "confidence": [[1, 0]]}, "confidence"),
        ({"scores": [[1, 0], [0, 1]], "confidence": pd.DataFrame({"item_id": ["a"]})}, "confidence"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": [1], "n": [0]}), "item_ids": ["a"]}, "item_ids"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": [1], "n": [0]}), "confidence": [[1], [0]]}, "confidence"),
        ({"scores": pd.DataFrame({"item_id": ["a", "b"], "m": [1, "x"], "n": [0, 1]})}, "scores"),
        ({"scores": pd.DataFrame({"m": [1, 0], "n": [0, 1]}), "confidence": pd.DataFrame({"m": [1, 0], "n": [0, 1]})}, "item_id"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": ["x"], "n": [0]})}, "m"),
    ],
)
def test_bad_data_is_refused(given: dict[str, Any], word: str) -> None:
    with refuses(DataError, word):
        mb.benchmark(**given)


def test_a_sweep_has_the_tables_of_the_command(board: Path, reference: Path) -> None:
    result = mb.sweep(mb.read_scores(board), ["random", "stratified_confidence"], **GRID)
    for name in ("agreement", "mdad", "summary"):
        assert result.tables[name].equals(pq.read_table(reference / f"{name}.parquet"), check_metadata=True), name
    cells = result.tables["cells"].sort_by([(key, "ascending") for key in CELL])
    stored = pa.concat_tables([pq.read_table(file) for file in sorted((reference / "cells").glob("*.parquet"))])
    stored = stored.sort_by([(key, "ascending") for key in CELL])
    assert cells.equals(stored.replace_schema_metadata(cells.schema.metadata))


def test_a_sweep_without_a_grid_fits_the_board(board: Path, tmp_path: Path) -> None:
    boards = [mb.read_scores(board), mb.synthetic(n_models=40, n_items=40)]
    result = mb.sweep(boards, runs=2, n_resamples=100)
    found = result.summary[["benchmark", "size", "n_source", "n_target"]].drop_duplicates()
    assert set(found["n_source"]) == {27}
    assert set(found["n_target"]) == {13}
    sizes = found.groupby("benchmark")["size"].apply(set)
    assert [sizes["board"], sizes["synthetic"]] == [{10, 25, 50}, {5, 10}]
    assert set(mb.sweep(boards[1], sizes=[3], n_source=[20, 25], runs=2, n_resamples=100).summary["n_target"]) == {15}
    with refuses(GridError, "40 models", where="grid.n_source", got="n_source [38]"):
        mb.sweep(boards[1], n_source=38, n_target=3)


def test_a_sweep_of_a_group_and_a_list_has_the_tables_of_the_command(board: Path, tmp_path: Path) -> None:
    tiny = ["i3", "i5", "i8"]
    (tmp_path / "tiny.txt").write_text("\n".join(tiny))
    fixed = f"{{method: fixed, label: tiny, selector: {{path: '{tmp_path / 'tiny.txt'}'}}}}"
    more = [f"methods=[random,{fixed}]", "targets=group", "targets.label=some", "targets.regex=m0", "grid.unseen=none"]
    assert main(command(board, tmp_path / "out", *more, "baseline=random", "keep_estimates=true", "seed=3", runs=5)) == 0
    method = mb.method("fixed", "tiny", {"items": tiny})
    grid = GRID | {"runs": 5, "seed": 3, "unseen": "none", "baseline": "random", "keep_estimates": True}
    result = mb.sweep(mb.read_scores(board), ["random", method], targets=mb.Targets("some", regex="m0"), **grid)
    for name in ("agreement", "mdad", "summary", "paired"):
        assert result.tables[name].equals(pq.read_table(tmp_path / "out" / f"{name}.parquet"), check_metadata=True), name
    assert len(result.estimates) == 2 * 3 * 5 * 10 + 10
    assert set(result.frame("cells")["method"]) == {"random", "tiny"}


def test_a_users_own_selector_is_swept(world: mb.Benchmark) -> None:
    mine = mb.method(label="hardest", selector=Hardest(), estimator={"name": "ridge"})
    result = mb.sweep(world, [mine, "random"], sizes=[5, 10], n_source=20, n_target=15, runs=3, n_resamples=100)
    assert set(result.summary["method"]) == {"hardest", "random"}
    assert result.summary["mean_agreement"].between(0.4, 1).all()
    assert mine.identity()["selector"] == {"name": f"{__name__}.Hardest"}
    assert "mdad: 8 rows" in repr(result)


def test_an_exception_of_a_users_own_method_is_not_caught(world: mb.Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Hardest):
        def select(self, *given: Any) -> mb.Selection:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        mb.sweep(world, mb.method(label="faulty", selector=Faulty()), [5], 20, 15, 1, progress=True)
    assert "0/1" in capsys.readouterr().err


def small_sweep(world: mb.Benchmark, **more: Any) -> mb.Result:
    return mb.sweep(world, ["random"], sizes=[5, 10], n_source=10, n_target=15, runs=3, n_resamples=100, **more)


def test_progress_is_lines_outside_a_terminal_only_where_asked_for(world: mb.Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    silent = small_sweep(world)
    assert capsys.readouterr() == ("", "")
    small_sweep(world, progress=False)
    assert capsys.readouterr() == ("", "")
    lines = small_sweep(world, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "6/6" in captured.err  # cells: two sizes in three runs
    assert lines.tables["mdad"].equals(silent.tables["mdad"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("progress", "drawn"), [(None, True), (True, True), (False, False)])
def test_progress_is_a_bar_in_a_terminal(
    world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch, progress: bool | None, drawn: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    small_sweep(world, progress=progress)
    assert ("6/6" in terminal.getvalue()) is drawn
    assert ("\x1b[" in terminal.getvalue()) is drawn


@pytest.mark.parametrize("name", mb.method_names())
def test_methods_are_those_of_the_command(name: str) -> None:
    more: dict[str, Any] = {"selector": {"items": ["i1"]}} if name == "fixed" else {}
    method = mb.method(name, "mine", **more)
    assert isinstance(method, Method)
    assert method == Composer("sweep", []).method({"method": name, "label": "mine"} | more)


@pytest.mark.parametrize(
    ("call", "kind", "word", "where"),
    [
        (lambda w: mb.method("randon"), ConfigError, "did you mean random", None),
        (lambda w: mb.method("greedy", selector={"penality": 1}), ConfigError, "penalty", None),
        (lambda w: mb.method(label="mine"), ConfigError, "selector", "method mine"),
        (lambda w: mb.method(selector={"name": "random"}), ConfigError, "label", "method"),
        (lambda w: mb.method(label="mine", selector=cast("Any", object())), ConfigError, "without fit, select", "method mine"),
        (lambda w: mb.sweep(w, "random", [500], 10, 15), GridError, "500", None),
        (lambda w: mb.sweep(w, "random", [5], 39), GridError, "models", None),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, seed=-1), ConfigError, "-1", "seed"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, treshold=1), ConfigError, "thresholds", "treshold"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, thresholds=[2.0]), ConfigError, "thresholds", None),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, targets="m00"), ConfigError, "model ids", "targets"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, 1, n_resamples=100).paired, ConfigError, "baseline=", "paired"),
        (lambda w: mb.items_needed(w, 0), ConfigError, "difference", None),
        (lambda w: mb.detectable_difference(w, 121), ConfigError, "121 of 120", "size"),
        (lambda w: mb.score("nowhere", [[1]], ["i0"]), DataError, "cannot be read", "nowhere"),
        (lambda w: mb.score("nowhere", [[1]]), DataError, "item_ids", None),
    ],
)
def test_bad_arguments_are_refused(
    world: mb.Benchmark, call: Callable[[mb.Benchmark], object], kind: type[MicrobenchError], word: str, where: str | None
) -> None:
    with refuses(kind, word, where=where):
        call(world)


def test_planning(world: mb.Benchmark) -> None:
    needed = mb.items_needed(world, [0.1, 0.0001])
    assert list(needed.columns) == ["difference", "size", "low", "high", "reference"]
    assert needed["low"][0] <= needed["size"][0] < 120
    assert set(needed["reference"]) == {"population"}  # 120 items are few
    assert needed["size"].isna()[1]
    assert list(mb.items_needed(world, 0.1)["size"]) == list(needed["size"][:1])
    detectable = mb.detectable_difference(world, int(needed["size"][0]))
    assert list(detectable) == [
        *("size", "mdad", "share_of_pairs", "mean_agreement", "mdad_low", "mdad_high", "reference"),
    ]
    assert detectable["mdad_low"] <= detectable["mdad"] <= 0.1
    posterior = mb.posterior_ranking_probability(world, [0.7, 0.5], 20)
    assert list(posterior) == [
        *("size", "scores", "difference", "right", "expected_difference", "n_pairs", "accuracy_low", "accuracy_high", "reference"),
    ]
    assert 0.5 < posterior["right"] <= 1
    ranking = mb.ranking_probability(world, ["m00", "m01"], 20)
    assert list(ranking) == [
        *("size", "better", "worse", "difference", "right", "tied", "right_beyond"),
        *("difference_low", "difference_high", "reference", "n_answered", "power"),
    ]
    assert ranking["n_answered"] == [120, 120]
    assert ranking["right"] > 0.5
    gate = mb.regression_gate(world, 0.05, 20)
    assert list(gate.columns) == ["tolerance", "recommended", "false_alarm", "miss", "false_alarm_fresh", "miss_fresh", "reference"]
    assert gate["miss"].is_monotonic_increasing
    assert gate["false_alarm"].is_monotonic_decreasing


def test_a_micro_benchmark_is_exported_loaded_and_scores_new_models(world: mb.Benchmark, table: pa.Table, tmp_path: Path) -> None:
    micro = mb.export(world, 30, mb.method("random_ridge"), tmp_path / "micro", seed=1)
    assert mb.load_micro(tmp_path / "micro").item_ids == micro.item_ids
    models = ["m00", "m01"]
    frame = table.to_pandas()[["item_id", *models]]
    scored = mb.score(tmp_path / "micro", frame)
    assert list(scored.index) == models
    assert list(scored.columns) == [
        *("estimate", "low", "high", "interval_kind", "rank_low", "rank_high", "beyond_low", "beyond_high"),
        *("answered", "missing", "unlike", "by_reserve", "needs_reserve", "neighbours", "warnings", "refused"),
    ]
    truth = frame[models].mean()
    assert ((scored["low"] <= truth) & (truth <= scored["high"])).all()
    assert set(scored["interval_kind"]) == {"random_wilson"}
    array = mb.score(micro, frame[models].T.to_numpy(), list(frame["item_id"]), models)
    pd.testing.assert_frame_equal(array, scored)
    few = mb.score(micro, [[1.0] * 5], micro.item_ids[:5])
    assert few["refused"].iloc[0]
    assert few["estimate"].isna().all()
    assert few["interval_kind"].isna().all()
