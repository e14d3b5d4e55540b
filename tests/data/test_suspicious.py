"""Means among models and items, and exchanged axes, are warned of in every way that a table of scores comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataWarning
from microbench_ray.data.suspicious import find_suspicious, named_like_aggregates
from tests.helpers.small_sweep import columns

MODELS, ITEMS = 12, 60


def table() -> pd.DataFrame:
    return pd.DataFrame(columns(MODELS, ITEMS)).drop(columns="subtask")


def with_column(name: str, make: Callable[[pd.Series[Any]], Any]) -> pd.DataFrame:
    frame = table()
    return frame.assign(**{name: make(frame.drop(columns="item_id").mean(axis=1))})


def with_row(name: str) -> pd.DataFrame:
    frame = table()
    means: dict[Any, Any] = frame.drop(columns="item_id").mean(axis=0).to_dict()
    return pd.concat([frame, pd.DataFrame([{"item_id": name} | means])], ignore_index=True)


SUSPICIOUS: dict[str, tuple[Callable[[], pd.DataFrame], str, str]] = {
    "a mean, by name only": (lambda: with_column("mean_score", lambda mean: 0 * mean), "a model", "'mean_score': by name"),
    "a mean, by content": (lambda: with_column("x", lambda mean: mean), "a model", "'x': the mean of the others"),
    "a rounded mean": (lambda: with_column("x", lambda mean: mean.round(2)), "a model", "'x': the mean of the others"),
    "a difficulty": (lambda: with_column("x", lambda mean: 1 - mean), "a model", "'x': 1 minus the mean"),
    "another scale": (lambda: with_column("x", lambda mean: mean**2 / 2 + 0.1), "a model", "'x': fractions"),
    "a row of means, by content": (lambda: with_row("z"), "an item", "'z': the mean of the others"),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_aggregates_are_warned_of_and_counted_as_before(case: str, tmp_path: Path) -> None:
    make, kind, got = SUSPICIOUS[case]
    frame = make()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    readers: list[Callable[[], mb.Benchmark]] = [
        lambda: mb.benchmark(frame),
        lambda: mb.benchmark(frame.set_index("item_id")),
        lambda: mb.read_scores(tmp_path / "t.csv"),
        lambda: mb.read_scores(tmp_path / "t.parquet"),
    ]
    for read in readers:
        with pytest.warns(DataWarning) as caught:
            benchmark = read()
        [warning] = [each.message for each in caught if isinstance(each.message, DataWarning)]
        assert kind in warning.what
        assert got in (warning.got or "")
        assert "remove" in (warning.hint or "")
        assert caught[0].filename == __file__
        assert (benchmark.n_models, benchmark.n_items) == (frame.shape[1] - 1, frame.shape[0])
        assert benchmark.notes == (warning.note,)


LEFT_OUT: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "a mean": (lambda: with_column("Average", lambda mean: mean), "'Average'"),
    "a rounded mean": (lambda: with_column("AVG score", lambda mean: mean.round(2)), "'AVG score'"),
    "a difficulty": (lambda: with_column("difficulty", lambda mean: 1 - mean), "'difficulty'"),
    "ranks": (lambda: with_column("rank", lambda mean: mean.rank()), "'rank'"),
    "a row of means": (lambda: with_row("Overall"), "'Overall'"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_aggregates_by_name_and_content_are_left_out(case: str, tmp_path: Path) -> None:
    make, name = LEFT_OUT[case]
    frame = make()
    frame.to_csv(tmp_path / "t.csv", index=False)
    for read in (lambda: mb.benchmark(frame), lambda: mb.read_scores(tmp_path / "t.csv", name="benchmark")):
        with pytest.warns(DataWarning, match="left out") as caught:
            benchmark = read()
        assert name in str(caught[0].message)
        assert benchmark.digest == mb.benchmark(table()).digest
        assert len(benchmark.notes) == 1


def test_the_hints_work() -> None:
    frame = with_column("Average", lambda mean: mean)
    with pytest.warns(DataWarning, match="ignore: "):
        mb.benchmark(frame)
    assert mb.benchmark(frame.drop(columns="Average")).notes == ()
    with pytest.warns(DataWarning, match="aggregate"):
        assert mb.benchmark(frame, columns={"ignore": []}).n_models == MODELS + 1
    assert mb.benchmark(frame, columns={"ignore": ["Average"]}).n_models == MODELS


@pytest.mark.parametrize("source", ["scores", "ingested"])
def test_the_command_line_shows_it(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    with_column("mean_score", lambda mean: 0 * mean).to_csv(path, index=False)
    if source == "ingested":
        assert main(["ingest", "source=scores", f"path={path}", f"out={tmp_path / 'board'}"]) == 0
        assert "warning: " in (shown := capsys.readouterr().out)
        assert "'mean_score': by name" in shown
        path = tmp_path / "board"
    assert main(["plan", f"benchmark={source}", f"benchmark.path={path}"]) == 0
    assert "'mean_score': by name" in capsys.readouterr().out
    keys = ["grid.sizes=[5]", "grid.n_source=[4]", "grid.n_target=4", "plan_only=true", f"out={tmp_path / 'o'}", "-q"]
    assert main(["sweep", f"benchmark={source}", f"benchmark.path={path}", *keys]) == 0
    assert "'mean_score': by name" in capsys.readouterr().err


def test_new_models_to_score_are_looked_at_too(tmp_path: Path) -> None:
    micro = mb.export(mb.benchmark(table()), 5, "random")
    with pytest.warns(DataWarning, match="aggregate"):
        scored = mb.score(micro, with_column("mean_score", lambda mean: 0 * mean)[["item_id", "m01", "mean_score"]])
    assert list(scored.index) == ["m01", "mean_score"]


def test_an_array_handed_over_transposed_is_warned_of() -> None:
    scores = np.array([table()[f"m{k:02d}"] for k in range(MODELS)], dtype=float)
    with pytest.warns(DataWarning) as caught:
        mb.benchmark(scores.T)
    warning = caught[0].message
    assert isinstance(warning, DataWarning)
    assert "exchanged" in warning.what
    assert "60 models × 12 items" in (warning.got or "")
    assert "scores.T" in (warning.hint or "")
    assert mb.benchmark(scores).notes == ()  # the hint


def test_a_table_handed_over_transposed_is_warned_of() -> None:
    frame = table().set_index("item_id")
    frame.columns = pd.Index([f"org/Llama-{k}b" for k in range(MODELS)])
    with pytest.warns(DataWarning, match="exchanged"):
        mb.benchmark(frame.T.rename_axis("item_id"))
    assert mb.benchmark(frame).notes == ()


def test_ordinary_boards_are_not_suspicious() -> None:
    rng = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(rng.normal(size=80) - rng.normal(size=(40, 1))))
    items = [f"q{k}" for k in range(80)]
    models = ["gpt-4", "phi-micro", "total-eclipse-7b", *(f"m{k}" for k in range(37))]
    for scores in (
        (rng.random(chance.shape) < chance).astype(float),
        np.rint(4 * chance) / 4,
        chance,
        np.where(rng.random(chance.shape) < 0.2, np.nan, chance),
    ):
        assert find_suspicious(scores, models, items) == []
    assert find_suspicious(np.ones((3, 80)), ["a", "b", "c"], items) == []


def test_names_are_whole_words() -> None:
    names = ["Average", "AVG score", "mean", "meaningful", "totally", "Overall accuracy", "mean-7b", "difficulty", "rank"]
    assert named_like_aggregates(names, "model") == ["Average", "AVG score", "mean", "Overall accuracy", "difficulty", "rank"]
    assert named_like_aggregates(names, "item") == ["Average", "AVG score", "mean", "Overall accuracy"]
