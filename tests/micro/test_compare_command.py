"""`microbench compare`: logs, tables and boards; exit codes; every format of the report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import BAD_INPUT, DONE, UNDECIDED, VIOLATED, main
from microbench_ray.core.errors import ConfigError, DataError
from tests.helpers import lm_eval_logs as logs
from tests.helpers.errors import refuses

N = 150


def write(path: Path, *names: str, accuracy: float = 0.5, seed: int = 0, start: int = 0) -> Path:
    """A wide table of models that are right with one probability."""
    rng = np.random.default_rng(seed)
    columns = {name: (rng.random(N) < accuracy).astype(int) for name in names}
    about = {"item_id": [f"q{start + k}" for k in range(N)], "subtask": [f"s{k % 3}" for k in range(N)]}
    pd.DataFrame(about | columns).to_csv(path, index=False)
    return path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tables base.csv, better.csv, worse.csv and equal.csv."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, accuracy) in enumerate({"base": 0.5, "better": 0.9, "worse": 0.2, "equal": 0.5}.items()):
        write(tmp_path / f"{name}.csv", name, accuracy=accuracy, seed=seed)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["base.csv", "better.csv"], DONE),
        (["base.csv", "worse.csv"], DONE),
        (["base.csv", "better.csv", "accept=superior"], DONE),
        (["base.csv", "worse.csv", "accept=noninferior", "margin=0.05"], VIOLATED),
        (["base.csv", "equal.csv", "accept=superior", "margin=.1"], UNDECIDED),
        (["base.csv", "better.csv", "accept=equivalent", "margin=0.1"], VIOLATED),
        (["base.csv", "better.csv", "worse.csv", "accept=superior"], VIOLATED),
        (["runs=[base.csv,better.csv]", "accept=superior"], DONE),
    ],
)
def test_the_exit_code_is_the_decision(arguments: list[str], code: int, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments, "format=json"]) == code
    printed = json.loads(capsys.readouterr().out)
    expected = {DONE: "yes", VIOLATED: "no", UNDECIDED: "cannot be told"}[code] if "accept" in " ".join(arguments) else None
    assert printed["decision"] == expected


def test_a_table_in_plain_words(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "base.csv", "better.csv", "accept=superior", "out=report.txt"]) == DONE
    printed = capsys.readouterr().out
    assert (files / "report.txt").read_text() == printed
    for word in ("better is better than base", "95 % interval", "yes", "s0", "150 items"):
        assert word in printed


def test_markdown_shows_names_as_they_are(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(files / "odd.csv", "a|b*_<i>", accuracy=0.9, seed=9)
    assert main(["compare", "base.csv", "odd.csv", "format=markdown", "accept=superior"]) == DONE
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert r"a\|b\*\_\<i\>" in printed
    assert len({line.replace(r"\|", "").count("|") for line in rows[:4]}) == 1
    assert printed.startswith("**Gate")


def test_junit_counts_what_failed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", "base.csv", "better.csv", "worse.csv", "equal.csv", "accept=superior", "margin=0.1", "format=junit"])
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert code == VIOLATED
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [len(case.findall("failure")) for case in suite.findall("testcase")] == [0, 1, 0]


def test_two_models_of_one_board(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(files / "board.csv", "m0", "m1", "m2")
    assert main(["compare", "m0", "m2", "board=board.csv", "format=json"]) == DONE
    printed = json.loads(capsys.readouterr().out)
    frame = pd.read_csv(files / "board.csv")
    assert printed["comparisons"][0]["difference"]["value"] == pytest.approx((frame["m2"] - frame["m0"]).mean())
    benchmark = mb.read_scores(files / "board.csv")
    found = mb.compare("m0", "m2", benchmark=benchmark)
    assert found.to_json()["comparisons"] == printed["comparisons"]


def test_runs_of_one_model_are_named_by_their_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(files / "again.csv", "base", seed=7)
    assert main(["compare", "base.csv", "again.csv", "format=json"]) == DONE
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["runs"]] == ["base.csv", "again.csv"]


def test_clusters_from_a_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"item_id": [f"q{k}" for k in range(N)], "cluster": [k // 5 for k in range(N)]}).to_csv(
        "clusters.csv", index=False
    )
    assert main(["compare", "base.csv", "better.csv", "cluster=clusters.csv", "format=json"]) == DONE
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["difference"]["interval_kind"] == "clusters"


def test_weights_from_a_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = [1 + 2 * (k % 2) for k in range(N)]
    pd.DataFrame({"item_id": [f"q{k}" for k in range(N)], "weight": weights}).to_csv("weights.csv", index=False)
    assert main(["compare", "base.csv", "better.csv", "weight=weights.csv", "format=json"]) == DONE
    printed = json.loads(capsys.readouterr().out)
    expected = np.average(pd.read_csv("better.csv")["better"], weights=weights)
    assert printed["comparisons"][0]["mean_b"] == pytest.approx(expected)
    assert printed["rules"]["truth"] == "weights"
    assert main(["compare", "base.csv", "better.csv", "weight=weights.csv"]) == DONE
    assert "weighted mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["base.csv"], ("two runs", "base.csv")),
        ([], ("two runs",)),
        (["base.csv", "base.csv"], ("twice", "base.csv")),
        (["base.csv", "absent.csv"], ("exist", "absent.csv")),
        (["base.csv", "other.csv"], ("common", "q0", "q1000")),
        (["base.csv", "board.csv"], ("one model", "m0", "board=")),
        (["m0", "m9", "board=board.csv"], ("no such model", "m9", "m1")),
        (["base.csv", "better.csv", "source=nothing"], ("format", "nothing")),
        (["base.csv", "folder"], ("format", "source=")),
        (["base.csv", "better.csv", "accept=best"], ("accept", "superior")),
        (["base.csv", "better.csv", "accept=noninferior", "margin=2"], ("margin", "0.02")),
        (["base.csv", "better.csv", "cluster=absent.csv"], ("cluster=absent.csv", "cluster=subtask")),
        (["base.csv", "better.csv", "cluster=base.csv"], ("clusters", "column")),
        (["base.csv", "better.csv", "weight=base.csv"], ("weights", "column")),
        (["base.csv", "better.csv", "weight=words.csv"], ("weight", "'one'")),
        (["base.csv", "better.csv", "out=s3://bucket/report"], ("out", "URL")),
        (["base.csv", "better.csv", "runs=[a,b]"], ("twice", "runs")),
        (["one.csv", "two.csv", "truth=macro"], ("truth", "subtask")),
        (["base.csv", "percent.csv"], ("outside", "percent.csv", "ingest", "scale=100")),
    ],
)
def test_misuse_gets_one_message(
    arguments: list[str], facts: tuple[str, ...], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files / "board.csv", "m0", "m1")
    write(files / "other.csv", "other", start=1000)
    for name, score in (("percent", 70), ("one", 1), ("two", 0)):
        (files / f"{name}.csv").write_text(f"item_id,{name}\nq0,{score}\nq1,1\n")
    (files / "folder").mkdir()
    (files / "words.csv").write_text("item_id,weight\nq0,one\nq1,2\n")
    assert main(["compare", *arguments]) == BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    for fact in facts:
        assert fact in printed.err


def test_many_tasks_are_one_note_and_confidences_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, right in (("a", 1.0), ("b", 0.0)):
        logs.write_results(tmp_path / name, name)
        for task in ("t0", "t1", "t2", "t3"):  # the likeliest answer is never that of `acc`
            rows = [logs.choice(k, [-1, -2], ["x", "y"], "1" if right else "0", acc=right) for k in range(3)]
            logs.write(tmp_path / name, task, rows)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "source=lm_eval", "format=json"]) == DONE
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "metric acc" in note
    assert "1 more" in note


def test_repeats_in_memory() -> None:
    rng = np.random.default_rng(0)
    base, new = (rng.random((80, 3)) < 0.5).astype(float), (rng.random((80, 3)) < 0.7).astype(float)
    found = mb.compare(base, new, names=["base", "new"], accept="superior", reference="benchmark")
    row = found.table().iloc[0]
    assert row["difference"] == pytest.approx(new.mean() - base.mean())
    assert row["interval_kind"] == "repeats"
    assert found.decision == row["decision"]
    series = [pd.Series(each.ravel(), index=np.repeat([f"item_{k}" for k in range(80)], 3)) for each in (base, new)]
    same = mb.compare(*series, names=["base", "new"], accept="superior", reference="benchmark")
    assert same.to_json() == found.to_json()
    assert "new is better than base" in repr(found)
    assert found.report("markdown").startswith("**Gate")


@pytest.mark.parametrize(
    ("runs", "kind", "word", "names"),
    [
        (([0.2, 1.5], [0.1, 0.2]), DataError, "1.5", None),
        (([0.2, 0.5],), ConfigError, "two runs", None),
        (([0.2, 0.5], [0.1, 0.2]), ConfigError, "name", ["a"]),
        (("base.csv", "new.csv"), ConfigError, "base.csv", None),
        ((np.zeros((2, 2, 2)), np.zeros((2, 2, 2))), DataError, "shape", None),
    ],
)
def test_misuse_of_the_library(runs: tuple[object, ...], kind: type[DataError], word: str, names: list[str] | None) -> None:
    with refuses(kind, word):
        mb.compare(*runs, names=names)  # type: ignore[arg-type]


def test_an_unknown_model_of_a_benchmark() -> None:
    benchmark = mb.synthetic("drawn", 5, 40, 2)
    with refuses(ConfigError, "model", got="nobody"):
        mb.compare("nobody", str(benchmark.model_ids[0]), benchmark=benchmark)


def test_runs_that_are_scored_by_different_metrics_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, metrics in (("a", ["acc", "acc_norm"]), ("b", ["acc"])):
        logs.write_results(tmp_path / name, name)
        rows = [logs.line(k, metrics=metrics, acc=k % 2, acc_norm=1.0) for k in range(8)]
        logs.write(tmp_path / name, "task", rows)
    paths = [str(tmp_path / name) for name in "ab"]
    assert main(["compare", *paths, "source=lm_eval"]) == BAD_INPUT
    message = capsys.readouterr().err
    for fact in ("different metrics", "task 'task'", "acc_norm before, acc in", "metric="):
        assert fact in message
    assert main(["compare", *paths, "source=lm_eval", "metric=acc"]) == DONE


def test_items_that_changed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    ids = [f"q{k:02}" for k in range(20)]
    for name, right in (("a", ids[:10]), ("b", ["q00", "q01", *ids[10:17]])):
        pd.DataFrame({"item_id": ids, name: [int(item in right) for item in ids]}).to_csv(f"{name}.csv", index=False)
    assert main(["compare", "a.csv", "b.csv"]) == DONE
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Changed most"))
    assert line == "Changed most: b is ahead on q10, q11, q12, q13, q14 and 2 more; behind on q02, q03, q04, q05, q06 and 3 more."


def test_other_prompts_of_the_same_items_are_flagged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, prompt in (("five-shot", "0" * 64), ("zero-shot", "f" * 64), ("unknown", None)):
        logs.write_results(tmp_path / name, name)
        logs.write(tmp_path / name, "task", [logs.line(k, prompt_hash=prompt, acc=k % 2) for k in range(8)])
    for other, flagged in (("zero-shot", True), ("unknown", False)):
        assert main(["compare", str(tmp_path / "five-shot"), str(tmp_path / other), "source=lm_eval", "format=json"]) == DONE
        warnings = " ".join(json.loads(capsys.readouterr().out)["warnings"])
        assert ("8 of 8 items were sent in different prompts" in warnings) == flagged


def test_many_comparisons_are_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = write(tmp_path / "board.csv", *[f"m{k:02}" for k in range(20)])
    models = [f"m{k:02}" for k in range(20)]
    for form in ("table", "markdown"):
        assert main(["compare", f"board={board}", *models, "accept=noninferior", "margin=0.3", f"format={form}"]) == DONE
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) < 55
        (row,) = (line.strip("| ") for line in lines if line.strip("| ").startswith("m19") and "m00" in line)
        assert row.endswith("yes")
        assert "19 comparisons on 150 items" in " ".join(lines)
    assert main(["compare", f"board={board}", *models[:6]]) == DONE
    assert "Probability that m05 is better" in capsys.readouterr().out
