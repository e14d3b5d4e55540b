"""`import microbench_ray as mb`: data in memory, sweeps, plans, exports and scores, without Ray, Hydra or files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import microbench_ray as mb
from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.methods.registry import Method
from tests.cli.test_light_start import imported
from tests.helpers.small_sweep import CELL, columns, command

GRID: dict[str, Any] = {"sizes": [5, 10, 20], "n_source": [10, 20], "n_target": 15, "runs": 20, "n_resamples": 100}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table(columns())


@pytest.fixture(scope="module")
def world(table: pa.Table) -> mb.Benchmark:
    return mb.benchmark(table, name="board")


class Hardest(mb.SelectorWithoutFit):
    """The items that fewest source models got right, as one writes it in a notebook."""

    signal = "correctness"
    nested = True

    def select(self, seen: mb.SeenItems, fit: None, size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(np.argsort(np.nanmean(seen.responses, axis=0), kind="stable")[:size])


def test_all_names_are_there():
    for name in mb.__all__:
        assert getattr(mb, name).__doc__
    with pytest.raises(AttributeError):
        mb.nothing  # noqa: B018


def test_the_library_imports_neither_ray_nor_hydra(board: Path):
    program = """
import sys, microbench_ray as mb
world = mb.read_scores(sys.argv[1])
mb.items_for(world, 0.1), mb.told_apart(world, 20), mb.gate(world, 0.05, 20)
made = mb.sweep(world, ["random", mb.method("greedy")], [5], 10, 15, 2, n_resamples=100)
assert len(made.mdad) == 4
micro = mb.export(world, 20, "random_ridge")
mb.score(micro, [[1, 0]], micro.item_ids[:2])
"""
    found, _ = imported(program, board)
    assert found.isdisjoint({"ray", "hydra", "omegaconf", "matplotlib", "rich", "vl_convert"})


def test_numpy_pandas_and_arrow_are_one_benchmark(table, world):
    frame = table.to_pandas()
    models = table.column_names[2:]
    matrix = frame[models].to_numpy().T
    made = [
        mb.benchmark(frame),
        mb.benchmark(frame.set_index("item_id")),
        mb.benchmark(table.to_batches()[0]),
        mb.benchmark(matrix, list(frame["item_id"]), models, list(frame["subtask"])),
        mb.benchmark(matrix.astype(float).tolist(), list(frame["item_id"]), models, list(frame["subtask"])),
    ]
    assert {each.digest for each in made} == {world.digest}
    bare = mb.benchmark(matrix, name="bare")
    assert (bare.item_ids[0], bare.model_ids[-1], bare.subtask_names, bare.name) == ("item_0", "model_39", ["all"], "bare")


def test_what_is_missing_and_what_is_known_come_along(table):
    frame = table.to_pandas().astype(dict.fromkeys(table.column_names[2:], float))
    frame.loc[3, "m00"] = np.nan
    sure = frame.assign(**{name: frame[name] * 0.5 + 0.1 for name in table.column_names[2:]})
    about = pd.DataFrame({"model_id": ["m00", "m01"], "params": [1e9, 2e9]})
    made = mb.benchmark(frame, confidence=sure, metadata=about)
    assert made.scores[0, 3] == made.missing
    assert made.confidence[1, 0] == pytest.approx(sure["m01"][0])
    assert made.metadata["params"]["m01"] == 2e9
    models = table.column_names[2:]
    array = mb.benchmark(
        frame[models].T.to_numpy(),
        list(frame["item_id"]),
        models,
        list(frame["subtask"]),
        confidence=sure[models].T.to_numpy(),
        metadata=about,
    )
    assert array.digest == made.digest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scores": [1, 2]}, "numbers"),
        ({"scores": [[1, 0], [1]]}, "no matrix"),
        ({"scores": [["a", "b"], ["c", "d"]]}, "numbers"),
        ({"scores": [[1, 0], [0, 2]]}, r"\[0, 1\]"),
        ({"scores": [[1, 0], [0, 1]], "item_ids": ["a"]}, "one item id per item"),
        ({"scores": [[1, 0], [0, 1]], "item_ids": ["a", "a"]}, "unique"),
        ({"scores": [[1, 0], [0, 1]], "confidence": [[1, 0]]}, "shape"),
        ({"scores": [[1, 0], [0, 1]], "confidence": pd.DataFrame({"item_id": ["a"]})}, "one kind"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": [1], "n": [0]}), "item_ids": ["a"]}, "brings its names"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": [1], "n": [0]}), "confidence": [[1], [0]]}, "one kind"),
        ({"scores": pd.DataFrame({"item_id": ["a", "b"], "m": [1, "x"], "n": [0, 1]})}, "several kinds"),
        ({"scores": pd.DataFrame({"m": [1, 0], "n": [0, 1]})}, "item_id"),
        ({"scores": pd.DataFrame({"item_id": ["a"], "m": ["1"], "n": [0]})}, "row 1"),
    ],
)
def test_bad_data_is_one_message(given, said):
    with pytest.raises(DataError, match=said):
        mb.benchmark(**given)


def test_a_sweep_is_that_of_the_command(board: Path, reference: Path):
    made = mb.sweep(mb.read_scores(board), ["random", "stratified_confidence"], **GRID)
    for name in ("agreement", "mdad", "summary"):
        assert made.tables[name].equals(pq.read_table(reference / f"{name}.parquet"), check_metadata=True), name
    cells = made.tables["cells"].sort_by([(key, "ascending") for key in CELL])
    stored = pa.concat_tables([pq.read_table(file) for file in sorted((reference / "cells").glob("*.parquet"))])
    stored = stored.sort_by([(key, "ascending") for key in CELL])
    assert cells.equals(stored.replace_schema_metadata(cells.schema.metadata))


def test_a_sweep_of_a_group_and_of_lists_is_that_of_the_command(board: Path, tmp_path: Path):
    tiny = ["i3", "i5", "i8"]
    (tmp_path / "tiny.txt").write_text("\n".join(tiny))
    fixed = f"{{method: fixed, label: tiny, selector: {{path: '{tmp_path / 'tiny.txt'}'}}}}"
    more = [f"methods=[random,{fixed}]", "targets=group", "targets.label=some", "targets.regex=m0", "grid.unseen=none"]
    assert main(command(board, tmp_path / "out", *more, "baseline=random", "keep_estimates=true", "seed=3", runs=5)) == 0
    method = mb.method("fixed", "tiny", {"items": tiny})
    grid = GRID | {"runs": 5, "seed": 3, "unseen": "none", "baseline": "random", "keep_estimates": True}
    made = mb.sweep(mb.read_scores(board), ["random", method], targets=mb.Targets("some", regex="m0"), **grid)
    for name in ("agreement", "mdad", "summary", "paired"):
        assert made.tables[name].equals(pq.read_table(tmp_path / "out" / f"{name}.parquet"), check_metadata=True), name
    assert len(made.estimates) == 2 * 3 * 5 * 10 + 10
    assert set(made.frame("cells")["method"]) == {"random", "tiny"}


def test_a_selector_of_ones_own_is_swept(world):
    mine = mb.method(label="hardest", selector=Hardest(), estimator={"name": "ridge"})
    made = mb.sweep(world, [mine, "random"], sizes=[5, 10], n_source=20, n_target=15, runs=3, n_resamples=100)
    assert set(made.summary["method"]) == {"hardest", "random"}
    assert made.summary["mean_agreement"].between(0.4, 1).all()
    assert mine.identity()["selector"] == {"name": f"{__name__}.Hardest"}
    assert "mdad: 8 rows" in repr(made)


def test_a_fault_of_a_method_comes_as_it_is(world):
    class Faulty(Hardest):
        def select(self, *given: Any) -> mb.Selection:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        mb.sweep(world, mb.method(label="faulty", selector=Faulty()), [5], 20, 15, 1)


@pytest.mark.parametrize("name", mb.method_names())
def test_methods_are_those_of_the_command(name):
    given = {"selector": {"items": ["i1"]}} if name == "fixed" else {}
    made = mb.method(name, "mine", **given)
    assert isinstance(made, Method)
    assert made == Composer("sweep", []).method({"method": name, "label": "mine"} | given)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (lambda w: mb.method("randon"), ConfigError, "did you mean random"),
        (lambda w: mb.method("greedy", selector={"penality": 1}), ConfigError, "penalty"),
        (lambda w: mb.method(label="mine"), ConfigError, "selector"),
        (lambda w: mb.method(selector={"name": "random"}), ConfigError, "label"),
        (lambda w: mb.method(label="mine", selector=object()), ConfigError, "without fit, select"),
        (lambda w: mb.sweep(w, "random", [500], 10, 15), GridError, "500 > "),
        (lambda w: mb.sweep(w, "random", [5], 39), GridError, "models"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, seed=-1), ConfigError, "seed"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, treshold=1), ConfigError, "treshold"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, thresholds=[2.0]), ConfigError, "thresholds"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, targets="m00"), ConfigError, "list of model ids"),
        (lambda w: mb.sweep(w, "random", [5], 10, 15, 1, n_resamples=100).paired, ConfigError, "baseline"),
        (lambda w: mb.items_needed(w, 0), ConfigError, "target difference"),
        (lambda w: mb.detectable_difference(w, 121), ConfigError, "121 of 120"),
        (lambda w: mb.score("nowhere", [[1]], ["i0"]), mb.MicrobenchError, "nowhere"),
        (lambda w: mb.score("nowhere", [[1]]), DataError, "item_ids"),
    ],
)
def test_what_cannot_be_is_one_message(world, wrong, error, said):
    with pytest.raises(error) as raised:
        wrong(world)
    assert said in str(raised.value)


def test_questions_are_answered(world):
    needed = mb.items_needed(world, [0.1, 0.0001])
    assert needed["size"][0] < 120
    assert mb.detectable_difference(world, int(needed["size"][0]))["mdad"] <= 0.1
    assert list(mb.items_needed(world, 0.1)["size"]) == list(needed["size"][:1])
    assert 0.5 < mb.posterior_ranking_probability(world, [0.7, 0.5], 20)["right"] <= 1
    assert mb.ranking_probability(world, ["m00", "m01"], 20)["right"] > 0.5
    assert mb.regression_gate(world, 0.05, 20)["miss"].is_monotonic_increasing


def test_a_micro_benchmark_is_exported_and_scores(world, table, tmp_path):
    micro = mb.export(world, 30, mb.method("random_ridge"), tmp_path / "micro")
    assert mb.load_micro(tmp_path / "micro").item_ids == micro.item_ids
    frame = table.to_pandas()[["item_id", "m00", "m01"]]
    scored = mb.score(tmp_path / "micro", frame)
    assert list(scored.index) == ["m00", "m01"]
    truth = frame[["m00", "m01"]].mean()
    assert ((scored["low"] <= truth) & (truth <= scored["high"])).all()
    array = mb.score(micro, frame[["m00", "m01"]].T.to_numpy(), list(frame["item_id"]), ["m00", "m01"])
    pd.testing.assert_frame_equal(array, scored)
    few = mb.score(micro, [[1.0] * 5], micro.item_ids[:5])
    assert few["refused"].iloc[0]
    assert few["estimate"].isna().all()
