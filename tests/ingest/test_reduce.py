"""`reduce`: the scores of repeats become one, by hand and as the tools compute it; several logs as repeats."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.api.micro import load_micro
from microbench_ray.cli.main import main
from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data import read_ingested
from microbench_ray.data.reduce import pass_at, reducer
from microbench_ray.data.responses import model_file, read_responses
from microbench_ray.ingest import registry
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.fold import OnConflict
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from microbench_ray.micro.responses import ResponseInput
from microbench_ray.micro.responses import read_responses as read_new
from tests.helpers.errors import refuses
from tests.helpers.plain import PlainReader


@pytest.mark.parametrize(
    ("how", "scores", "expected"),
    [
        ("mean", (1, 0, 0.5), 0.5),
        ("max", (0, 0.25, 0), 0.25),
        ("mode", (0, 1, 1), 1),
        ("mode", (0.5, 1, 1, 0.5), 0.5),
        ("majority", (0, 1, 1), 1),
        ("majority", (0, 1, 1, 0), None),
        ("pass@1", (0, 1, 1, 0), 0.5),
        ("pass@2", (0, 0, 1), 2 / 3),
        ("pass@3", (0, 0.9, 0), 0),
        ("pass@4", (0, 1, 1), None),
    ],
)
def test_by_hand(how: str, scores: tuple[float, ...], expected: float | None) -> None:
    assert reducer(how)(scores) == (None if expected is None else pytest.approx(expected))


def test_pass_at_k_is_the_share_of_all_draws_with_a_right_one() -> None:
    for n, right, k in [(5, 2, 3), (6, 1, 1), (6, 5, 2), (4, 0, 2), (4, 4, 4)]:
        answers = [1] * right + [0] * (n - right)
        draws = list(itertools.combinations(answers, k))
        assert pass_at(k, n, right) == pytest.approx(sum(map(max, draws)) / len(draws))


@pytest.mark.parametrize("how", ["mean", "max", "mode", "majority", "pass@2"])
def test_as_inspect_reduces(how: str) -> None:
    library = pytest.importorskip("inspect_ai.scorer")
    names = {"mean": "mean_score", "max": "max_score", "mode": "mode_score", "majority": "majority_score"}
    if how in names and not hasattr(library, names[how]):
        pytest.skip(f"this version of inspect-ai has no {names[how]}")
    theirs = library.pass_at(2) if how == "pass@2" else getattr(library, names[how])()
    for scores in itertools.product((0.0, 1.0), repeat=4):
        value = theirs([library.Score(value=score) for score in scores]).as_float()
        ours = reducer(how)(scores)
        assert value != value if ours is None else value == pytest.approx(ours)


@pytest.mark.parametrize("how", ["median", "pass@0", "pass@", "pass@k", "pass^2", ""])
def test_unknown_ways_are_refused(how: str) -> None:
    with refuses(ConfigError, "reduce", where="reduce", got=repr(how)):
        IngestConf(source="table", path="x", out="y", reduce=how).job()


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(registry.READERS, "plain", PlainReader())
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("q1 law 1\nq1 law 0\nq1 law 0\nq2 law 1\nq2 law 1\nq2 law 0\nq3 law 1\n")
    (tmp_path / "logs/b.log").write_text("q1 law 0\nq1 law 0\nq1 law 0\nq2 law 1\nq2 law 0\nq2 law 0\nq3 law 0\n")
    return tmp_path / "logs"


def ingest(logs: Path, reduce: str = "mean", on_conflict: OnConflict = "error") -> IngestSummary:
    options = Options(reduce=reduce)
    job = IngestJob(source="plain", path=str(logs), out=logs.parent / "board", options=options, on_conflict=on_conflict)
    return run_ingest(job)


def test_scores_are_reduced_and_the_means_told(logs: Path) -> None:
    (line,) = [line for line in ingest(logs, "pass@2").lines() if line.startswith("repeats:")]
    table = read_responses(open_folder(logs.parent / "board"), model_file("a"))
    assert table["score"].to_pylist() == [pytest.approx(2 / 3), 1, None]  # q3 was answered once
    assert table["repeats"].to_pylist() == [[1, 0, 0], [1, 1, 0], None]
    # Of both models: 2/3, 1, 0, 2/3, and means 1/3, 2/3, 0, 1/3.
    assert f"{7 / 12:.4f}" in line
    assert f"{1 / 3:.4f}" in line
    assert json.loads((logs.parent / "board/ingest.json").read_text())["reduce"] == "pass@2"
    with refuses(ConfigError, "settings", got="reduce=pass@2 before"):
        ingest(logs, "max")
    board = read_ingested(logs.parent / "board")
    assert board.repeats is None
    assert any("repeats" in note and "means" in note for note in board.notes)


def test_several_logs_of_a_model_are_repeats(logs: Path) -> None:
    (logs / "a@2.log").write_text("q1 law 1\nq4 law 1\nq3 law 0\n")
    summary = ingest(logs, on_conflict="repeats")
    rows = {row["item_id"]: row for row in read_responses(open_folder(logs.parent / "board"), model_file("a")).to_pylist()}
    assert rows["q1"]["repeats"] in ([1, 0, 0, 1], [1, 1, 0, 0])  # by names of logs
    assert rows["q1"]["score"] == 0.5
    assert rows["q2"]["repeats"] == [1, 1, 0]
    assert rows["q3"]["score"] == 0.5
    assert rows["q4"]["repeats"] is None
    assert summary.logs == 3
    assert ingest(logs, on_conflict="repeats").unchanged == ["a", "b"]
    (logs / "a@2.log").write_text("q1 law 1\nq4 law 1\nq3 law 1\n")
    assert ingest(logs, on_conflict="repeats").updated == ["a"]
    rows = {row["item_id"]: row for row in read_responses(open_folder(logs.parent / "board"), model_file("a")).to_pylist()}
    assert rows["q3"]["score"] == 1
    assert sorted(rows["q1"]["repeats"]) == [0, 0, 1, 1]


def test_repeats_in_logs_that_are_gone_are_not_lost_silently(logs: Path) -> None:
    (logs / "a@2.log").write_text("q1 law 1\n")
    ingest(logs, on_conflict="repeats")
    (logs / "a.log").unlink()
    (logs / "a@2.log").write_text("q1 law 0\n")
    summary = ingest(logs, on_conflict="repeats")
    assert "together" in str(summary.failed["a"])
    assert isinstance(summary.failed["a"], DataError)


def long_table(models: list[str], seed: int) -> pd.DataFrame:
    """Three answers of every model to each of 30 items."""
    rng = np.random.default_rng(seed)
    rows = [(model, f"q{item}", k) for model in models for item in range(30) for k in range(3)]
    return pd.DataFrame(rows, columns=["model", "item_id", "repeat"]).assign(score=rng.integers(0, 2, len(rows)))


def test_new_responses_are_reduced_as_those_of_the_board(tmp_path: Path) -> None:
    for name, models in (("board", [f"m{k}" for k in range(12)]), ("new", ["n1"])):
        (tmp_path / name).mkdir()
        long_table(models, len(models)).to_csv(tmp_path / name / "long.csv", index=False)
    made, micro_folder = f"out={tmp_path / 'made'}", tmp_path / "micro"
    assert main(["ingest", "source=table", f"path={tmp_path / 'board'}", made, "reduce=max"]) == 0
    board = ["benchmark=ingested", f"benchmark.path={tmp_path / 'made'}"]
    assert main(["export", *board, "method=random", "size=10", "folds=2", f"out={micro_folder}"]) == 0
    micro = load_micro(micro_folder)
    assert micro.source["reduce"] == "max"
    given = ResponseInput(path=str(tmp_path / "new"), source=None, options=Options(), on_conflict="error")
    found = read_new(given, micro)
    best = long_table(["n1"], 1).groupby("item_id")["score"].max()
    assert found.responses[0].tolist() == [best[item] for item in micro.all_item_ids]
    long_table(["n1"], 2).to_csv(tmp_path / "new/second.csv", index=False)
    both = pd.concat([long_table(["n1"], 1), long_table(["n1"], 2)]).groupby("item_id")["score"].max()
    found = read_new(replace(given, on_conflict="repeats"), micro)
    assert found.responses[0].tolist() == [both[item] for item in micro.all_item_ids]
