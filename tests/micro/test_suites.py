"""Suites in `plan`, `export`, `score` and `sweep`: which boards can be left out, and models that miss a board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.data import Benchmark
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.builder import Origin, Place
from microbench_ray.micro.export_job import joined_origin
from microbench_ray.micro.left_out_boards import _change, _without_groups
from microbench_ray.micro.plan_report import text
from microbench_ray.micro.score import score
from tests.helpers import lm_eval_logs as logs
from tests.helpers.errors import refuses

NAMES, SIZES = ("gym", "gem", "odd"), (60, 90, 80)


def boards(n_models: int = 40, seed: int = 0) -> list[Benchmark]:
    """Two boards of one ability, and one of another."""
    rng = np.random.default_rng(seed)
    same, other = rng.normal(0, 1.5, (2, n_models, 1))
    found: list[Benchmark] = []
    for name, n_items, ability in zip(NAMES, SIZES, (same, same, other), strict=True):
        items = np.random.default_rng(len(found)).normal(size=n_items)
        right = ability - items + rng.logistic(size=(n_models, n_items)) > 0
        ids = [f"q{k}" for k in range(n_items)]
        found.append(mb.benchmark(right + 0.0, ids, [f"m{k}" for k in range(n_models)], name=name))
    return found


@pytest.fixture(scope="module")
def suite() -> Benchmark:
    return mb.suite(boards())


@pytest.fixture(scope="module")
def micro(suite: Benchmark) -> MicroBenchmark:
    return mb.export(suite, 40, "random_ridge_remainder", folds=4)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The boards as files; the last one lacks two models."""
    folder, paths = tmp_path_factory.mktemp("suite"), []
    for board in boards():
        frame = pd.DataFrame(board.scores.T, columns=board.model_ids)
        frame.insert(0, "item_id", board.item_ids)
        path = folder / f"{board.name}.csv"
        (frame.drop(columns=["m0", "m1"]) if board.name == "odd" else frame).to_csv(path, index=False)
        paths.append(path)
    return paths


def test_a_board_of_another_ability_cannot_be_left_out(suite: Benchmark) -> None:
    rows = mb.leave_out_boards(suite, 40, draws=3).table().set_index("board")
    assert rows.index.tolist() == list(NAMES)
    assert rows["n_items"].tolist() == list(SIZES)
    assert rows["weight"].to_numpy() == pytest.approx([1 / 3] * 3)
    assert rows["size"].tolist() == [40, 40, 40]
    assert rows["rmse_low"]["odd"] > 0
    assert rows["tau_high"]["odd"] < 0
    assert abs(rows["rmse_change"]["gym"]) < rows["rmse_change"]["odd"] / 3
    assert rows["own_rmse"]["odd"] > 2 * rows["own_rmse"]["gem"]
    assert rows["own_tau"]["gem"] > 0.6 > 0.4 > rows["own_tau"]["odd"]


def test_it_is_of_other_methods_and_budgets_too(suite: Benchmark) -> None:
    costs = np.repeat([1.0, 2.0, 4.0], SIZES)
    costly = mb.suite([mb.benchmark(b.scores + 0.0, b.item_ids.tolist(), b.model_ids.tolist(), name=b.name, cost=c * np.ones(n))
                       for b, c, n in zip(boards(), (1, 2, 4), SIZES, strict=True)])  # fmt: skip
    assert costly.costs is not None
    assert costly.costs.tolist() == costs.tolist()
    rows = mb.leave_out_boards(costly, cost=80, draws=1).table().set_index("board")
    assert rows["size"]["odd"] > rows["size"]["gem"] > rows["size"]["gym"] >= 20
    for method in ("random_ridge_remainder", "mdad_guided"):
        assert mb.leave_out_boards(suite, 30, method=method, draws=1).table()["size"].tolist() == [30, 30, 30]


def test_the_jackknife_is_that_of_its_definition() -> None:
    rng, groups = np.random.default_rng(0), np.array([0, 0, 1, 2, 3, 3, 3, 4])
    truth, estimates = rng.normal(size=(2, 8))
    signs = [np.sign(np.subtract.outer(each, each)) for each in (truth, estimates)]
    member = np.eye(5)[groups]
    ratio = _without_groups(signs[0] * signs[1], member) / _without_groups(np.abs(signs[0]), member)
    for row, kept in enumerate([np.ones(8, bool), *(groups != group for group in range(5))]):
        assert ratio[row] == pytest.approx(kendalltau(truth[kept], estimates[kept]).statistic)
    left = np.array([0.3, 0.1, 0.2, 0.4, 0.5])
    change, low, high = _change(np.r_[0.3, left], np.zeros(6))
    assert change == pytest.approx(0.3)
    assert high - change == pytest.approx(1.959964 * np.sqrt(4 / 5 * ((left - 0.3) ** 2).sum()))
    assert change - low == pytest.approx(high - change)


def test_boards_are_left_out_of_means_over_boards_only(suite: Benchmark) -> None:
    with refuses(ConfigError, "mean", where="leave_out", got="truth=micro", hint="suite"):
        mb.leave_out_boards(boards()[0], 10)
    for given in ({}, {"size": 10, "cost": 3.0}):
        numbers: Any = given
        with refuses(ConfigError, "size", got="size="):
            mb.leave_out_boards(suite, **numbers)
    with refuses(GridError, "items", got="140 without gem"):
        mb.leave_out_boards(suite, 141)
    with refuses(ConfigError, "nest", got="random"):
        mb.leave_out_boards(suite, cost=3, method="random_ridge_remainder")
    with refuses(ConfigError, "costs"):
        mb.leave_out_boards(suite, cost=3)
    with refuses(DataError, "too few models", hint="10"):
        mb.leave_out_boards(mb.suite(boards(n_models=8)), 10)


def test_a_model_that_misses_a_board_is_scored_and_told(suite: Benchmark, micro: MicroBenchmark) -> None:
    new = mb.suite(boards(60, seed=5))
    answers = (new.scores / new.units).astype(float)
    answers[:, new.subtask_codes == 0] = np.nan  # of gym, whose ability gem shows
    scored = score(micro, answers, new.item_ids.tolist(), new.model_ids.tolist())
    sentence = next(each for each in scored[0].warnings if "gym" in each)
    assert "gem" not in sentence
    truths = new.accuracies()
    held = [s.interval.low <= t <= s.interval.high for s, t in zip(scored, truths, strict=True) if s.interval is not None]
    assert len(held) >= 40
    assert np.mean(held) >= 0.85
    answers[:, new.subtask_codes == 2] = np.nan  # and with it most items
    assert sum(item.subtask != "gem" for item in micro.items) > 20
    refused = score(micro, answers, new.item_ids.tolist(), new.model_ids.tolist())[0]
    assert refused.estimate is None
    assert {"gym", "odd"} <= set(refused.refused.replace(",", "").replace(".", "").split())
    scattered = (new.scores / new.units).astype(float)
    scattered[:, new.item_ids == micro.item_ids[0]] = np.nan
    assert any("1 of 40" in each for each in score(micro, scattered, new.item_ids.tolist(), new.model_ids.tolist())[0].warnings)


def test_the_origin_of_a_suite_is_that_of_its_boards() -> None:
    one = Origin({"source": "lm_eval"}, {"a/1": Place("a", "1")})
    other = Origin({"source": "lm_eval"}, {"b/1": Place("b", "1")})
    assert joined_origin([one, other]) == Origin({"source": "lm_eval"}, {**one.places, **other.places})
    assert joined_origin([one, Origin({"source": "inspect"}, {})]) == joined_origin([]) == Origin()


def keys(tables: list[Path]) -> list[str]:
    return ["benchmark=suite", f"benchmark.boards=[{','.join(map(str, tables))}]"]


def test_plan_export_and_score_by_command(tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["plan", *keys(tables), "benchmark.weights.odd=2", "size=30", "leave_out=true", "format=json", "differences=[]"]) == 0
    )
    answers = json.loads(capsys.readouterr().out)
    assert (answers["truth"], answers["n_models"], answers["n_items"]) == ("macro", 38, sum(SIZES))
    assert any("'m0' (not on odd)" in note for note in answers["notes"])
    assert [row["board"] for row in answers["left_out"]["boards"]] == list(NAMES)
    assert [row["weight"] for row in answers["left_out"]["boards"]] == pytest.approx([0.25, 0.25, 0.5])
    assert "| odd | 50.0 % | 30 |" in text(answers, "markdown")
    assert "own_rmse" in text(answers, "csv")
    out = tmp_path / "micro"
    assert main(["export", *keys(tables), "method=random_subtask_neyman", "size=30", "folds=3", f"out={out}"]) == 0
    items = (out / "items.txt").read_text().split()
    assert {item.split("/")[0] for item in items} == set(NAMES)
    assert main(["score", f"micro={out}", f"responses={_responses(items, tmp_path)}", "source=scores", "format=json"]) == 0
    report = json.loads(capsys.readouterr().out.split("Files:")[-1].split("\n", 1)[1])
    [model] = report["models"]
    # The mean over boards of the mean of its items, without odd, which the model misses.
    kept = pd.Series([_answer(item) for item in items], index=[item.split("/")[0] for item in items])
    assert model["estimate"] == pytest.approx(kept[kept.index != "odd"].groupby(level=0).mean().mean())
    assert any("odd" in each for each in model["warnings"])


def _answer(item: str) -> int:
    return len(item) % 2


def _responses(items: list[str], folder: Path) -> Path:
    path = folder / "new.csv"
    cells = ["" if item.startswith("odd") else str(_answer(item)) for item in items]
    path.write_text("item_id,new\n" + "".join(f"{item},{cell}\n" for item, cell in zip(items, cells, strict=True)))
    return path


def test_a_sweep_and_an_audit_of_a_suite(tables: list[Path], tmp_path: Path) -> None:
    out, small = tmp_path / "out", ["grid.n_source=[20]", "grid.n_target=10", "grid.runs=2", "engine=serial", "figures=false"]
    given = ["methods=[random,random_subtask_neyman]", "grid.sizes=[12]", *small]
    assert main(["sweep", *keys(tables), *given, f"out={out}"]) == 0
    summary = pd.read_parquet(out / "summary.parquet")
    assert set(summary["benchmark"]) == {"suite"}
    assert set(summary["method"]) == {"random", "random_subtask_neyman"}
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{name}/q{k}\n" for name in NAMES for k in range(4)))
    night = ["lists={mine: %s}" % listed, "methods=[]", "grid.sizes=[12]", *small, "night=2026-01-01", "report=false"]  # noqa: UP031
    audit = tmp_path / "audit"
    assert main(["audit", *keys(tables), *night, f"out={audit}"]) in (0, 3)
    verdict = json.loads((audit / "nights" / "2026-01-01" / "verdict.json").read_text())
    made = verdict["made"]["benchmark"]
    assert (made["n_models"], made["n_items"], made["truth"]) == (38, sum(SIZES), "macro")


def test_logs_of_ingested_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids of logs differ between tasks and are kept, so that one run of all tasks gives the items, and its logs are scored."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for model in range(14):
        folder = tmp_path / ("old" if model else "new") / f"model-{model}"
        logs.write_results(folder, f"model-{model}")
        chance = 1 / (1 + np.exp(-rng.normal() + np.arange(30) % 7 - 3))
        for task in ("quiz", "riddle"):
            logs.write(folder, task, [logs.line(k, acc=float(rng.random() < p)) for k, p in enumerate(chance)])
    for task in ("quiz", "riddle"):
        assert main(["ingest", "source=lm_eval", "path=old", f"tasks=[{task}]", f"out=boards/{task}"]) == 0
    suite = ["benchmark=suite", "benchmark.boards=[boards/quiz,boards/riddle]"]
    assert main(["export", *suite, "method=random_subtask_neyman", "size=20", "folds=2", "out=micro"]) == 0
    samples = json.loads(Path("micro/samples.json").read_text())
    assert {task: len(numbers) for task, numbers in samples.items()} == {"quiz": 10, "riddle": 10}
    capsys.readouterr()
    assert main(["score", "micro=micro", "responses=new", "format=json"]) == 0
    [model] = json.loads(capsys.readouterr().out)["models"]
    assert (model["model"], model["answered"]) == ("model-0", 20)
