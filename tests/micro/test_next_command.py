"""`microbench next`: a state file, batches, exit codes, and the formats of the report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import BAD_INPUT, DONE, UNDECIDED, VIOLATED, main
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.lock import lock_folder
from microbench_ray.micro.sequential.state import load

N = 150
ITEMS = [f"q{k}" for k in range(N)]
NEW = ["next", "state=s.json", "items=items.txt"]


def write(path: Path, name: str, accuracy: float, seed: int, items: list[str] | None = None) -> dict[str, int]:
    """A table of one model, of all items or some."""
    rng = np.random.default_rng(seed)
    scores = dict(zip(ITEMS, (rng.permutation(N) < accuracy * N).astype(int).tolist(), strict=True))
    chosen = ITEMS if items is None else items
    pd.DataFrame({"item_id": chosen, name: [scores[item] for item in chosen]}).to_csv(path, index=False)
    return scores


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.txt").write_text("\n".join(ITEMS))
    for seed, (name, accuracy) in enumerate({"base": 0.5, "better": 0.9, "worse": 0.2, "equal": 0.5}.items()):
        write(tmp_path / f"{name}.csv", name, accuracy, seed)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(list(arguments))
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["base.csv", "better.csv"], DONE),
        (["base.csv", "worse.csv"], VIOLATED),
        (["base.csv", "worse.csv", "question=noninferior", "margin=0.05"], VIOLATED),
        (["base.csv", "better.csv", "worse.csv", "question=best"], DONE),
        (["base.csv", "equal.csv", "question=best"], VIOLATED),
        (["better.csv", "question=accuracy", "margin=0.1"], DONE),
        ([], UNDECIDED),
    ],
)
def test_the_exit_code_is_the_decision(arguments: list[str], code: int, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, printed = run(capsys, *NEW, *arguments, "format=json")
    assert found == code
    assert json.loads(printed)["decision"] == {DONE: "yes", VIOLATED: "no", UNDECIDED: "cannot be told"}[code]


def test_batches_until_the_answer(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every batch is answered in a file of its own, until nothing is next; the library reads the same state."""
    code, printed = run(capsys, *NEW, "batch=10", "format=ids", "samples=batch.txt")
    asked: list[str] = []
    while code == UNDECIDED:
        batch = printed.split()
        assert (files / "batch.txt").read_text().split() == batch
        assert len(batch) == 10
        assert not set(batch) & set(asked)
        asked += batch
        write(files / "part_base.csv", "base", 0.5, 0, batch)
        write(files / "part_new.csv", "new", 0.9, 1, batch)
        code, printed = run(capsys, "next", "part_base.csv", "part_new.csv", "state=s.json", "batch=10", "format=ids")
        (files / "batch.txt").write_text(printed)
    assert code == DONE
    assert printed == ""
    assert 10 <= len(asked) < 100
    test = mb.Sequential.load("s.json")
    assert test.verdict().decision == "yes"
    assert list(test.items[: len(asked)]) == asked


def test_the_state_decides_what_is_asked(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *NEW, "question=equivalent", "margin=0.1", "names=[a,b]")
    before = (files / "s.json").read_bytes()
    for wrong in ("question=superior", "margin=0.2", "alpha=0.1", "names=[a,c]"):
        assert main(["next", "state=s.json", wrong]) == BAD_INPUT
        assert wrong.split("=")[0] in capsys.readouterr().err
    (files / "few.txt").write_text("\n".join((files / "items.txt").read_text().split()[:10]))
    for wrong, own in (("seed=7", "seed: 7; the test has 0"), ("base=a", "the test has none"), ("items=few.txt", "lists 10")):
        assert main(["next", "state=s.json", "margin=0.2", wrong]) == BAD_INPUT  # all in one message
        shown = " ".join(capsys.readouterr().err.split())
        assert own in shown
        assert "margin: 0.2; the test has 0.1" in shown
    assert (files / "s.json").read_bytes() == before
    same = ["question=equivalent", "margin=0.1", "seed=0", "items=items.txt"]
    assert run(capsys, "next", "state=s.json", *same)[0] == UNDECIDED
    code, printed = run(capsys, "next", "base.csv", "equal.csv", "state=s.json", "format=json")
    assert [each["name"] for each in json.loads(printed)["runs"]] == ["a", "b"]
    assert code in (DONE, VIOLATED)


def test_an_error_leaves_the_state_as_it_was(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A batch that cannot be written, ids of other items, runs in another order than their names, and a bad question."""
    pd.DataFrame({"item_id": ["other"], "base": [1]}).to_csv("strange.csv", index=False)
    named = ["next", "state=n.json", "items=items.txt", "names=[base,better]"]
    for arguments, word in (
        ([*NEW, "samples=batch.json"], "samples"),
        ([*NEW, "strange.csv", "better.csv"], "'other'"),
        ([*named, "better.csv", "worse.csv"], "better, worse"),
        ([*NEW, "base.csv"], "give two runs"),
        (["next", f"state={files}", "items=items.txt"], "not a folder"),
    ):
        assert main(arguments) == BAD_INPUT
        assert word in capsys.readouterr().err
        assert not list(files.glob("*.json"))
    assert not list(files.glob(".*"))


def test_commands_at_the_same_time_take_turns(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, *NEW)
    monkeypatch.setattr("microbench_ray.micro.sequential.job.WAIT", 0.0)
    lock = lock_folder(LocalFolder(files), 0.0)
    try:
        assert main(["next", "base.csv", "better.csv", "state=s.json"]) == BAD_INPUT
        assert "Another command" in capsys.readouterr().err
    finally:
        lock.release()
    assert run(capsys, "next", "base.csv", "better.csv", "state=s.json")[0] == DONE


@pytest.mark.parametrize("truth", ["micro", "macro", "weights"])
def test_a_list_that_is_no_random_sample_answers_for_itself(truth: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the board ranks by another number, random items too: the answer is about the plain mean of the list, and says so."""
    rng = np.random.default_rng(1)
    board = mb.benchmark(
        (rng.random((20, 60)) < rng.random(60)).astype(float),
        subtask=["a"] * 40 + ["b"] * 20,
        truth="macro" if truth == "macro" else "micro",
        weights=np.arange(60) + 1.0 if truth == "weights" else None,
    )
    mb.export(board, size=30, method="random", out="micro")
    _, printed = run(capsys, "next", "state=s.json", "micro=micro", f"base={board.model_ids[0]}", "format=json")
    content = json.loads(printed)
    assert content["n_union"] == (60 if truth == "micro" else 30)
    assert any(("plain mean" in note) == (truth != "micro") for note in content["notes"])
    state = load(files / "s.json")
    known = list(state.scores[str(board.model_ids[0])].values())
    whole = board.accuracies()[0] if truth == "micro" else np.mean([each for each in known if each is not None])
    assert state.known_mean == pytest.approx(whole)


def test_known_models_with_missing_answers_predict_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their means over the whole benchmark are unknown, also if the items of the list were all answered."""
    rng = np.random.default_rng(2)
    scores = (rng.random((12, 80)) < rng.random(80)).astype(float)
    full = mb.benchmark(scores)
    mb.export(full, size=20, method="random", out="full")
    places = {str(item): k for k, item in enumerate(full.item_ids)}
    listed = {places[item] for item in mb.load_micro("full").item_ids}
    scores[:6, min(set(range(80)) - listed)] = np.nan
    mb.export(mb.benchmark(scores), size=20, method="random", out="gaps")
    accuracy = ["question=accuracy", "margin=0.1"]
    for micro, used in (("full", True), ("gaps", False)):
        assert not np.isnan(mb.load_micro(micro).responses).any()
        run(capsys, "next", f"state={micro}.json", f"micro={micro}", *accuracy)
        assert bool(load(files / f"{micro}.json").predictions) == used
    assert main(["next", "state=base.json", "micro=gaps", f"base={full.model_ids[0]}"]) == BAD_INPUT
    assert "missing answers" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "junit"])
def test_reports(form: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys, *NEW, "base.csv", "worse.csv", f"format={form}", "out=report.txt")
    assert code == VIOLATED
    assert (files / "report.txt").read_text() == printed
    if form == "junit":
        assert ElementTree.fromstring(printed).get("failures") == "1"
    elif form == "csv":
        assert printed.splitlines()[0].startswith("a,b,n_items")
    else:
        assert "worse is not better than base" in printed


def test_an_export_of_random_items_answers_for_the_whole_board(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(300)
    board = pd.DataFrame(
        {"item_id": [f"i{k}" for k in range(300)]} | {f"m{k}": (rng.random(300) < chance).astype(int) for k in range(30)}
    )
    board.to_csv("board.csv", index=False)
    mb.export(mb.read_scores("board.csv"), size=120, method="random", out="micro")
    board["new"] = np.maximum(board["m3"], (rng.random(300) < 0.6).astype(int))
    board[["item_id", "new"]].to_csv("new.csv", index=False)
    code, printed = run(capsys, "next", "state=s.json", "micro=micro", "base=m3", "batch=5", "format=json")
    content = json.loads(printed)
    assert code == UNDECIDED
    assert content["n_union"] == 300
    assert [each["name"] for each in content["runs"]] == ["m3", "new"]
    code, printed = run(capsys, "next", "new.csv", "state=s.json", "format=json")
    (pair,) = json.loads(printed)["comparisons"]
    assert code == DONE
    assert pair["difference"]["low"] <= (board["new"] - board["m3"]).mean() <= pair["difference"]["high"]
    assert pair["n_items"] == 120
    accuracy = ["next", "new.csv", "state=a.json", "micro=micro", "question=accuracy", "margin=0.1", "format=json"]
    (model,) = json.loads(run(capsys, *accuracy)[1])["sequential"]["models"]
    assert model["low"] <= board["new"].mean() <= model["high"]


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["next"], ("state",)),
        (["next", "state=s.json"], ("items", "micro=DIR")),
        ([*NEW, "micro=micro"], ("both",)),
        ([*NEW, "base=m3"], ("base", "micro")),
        ([*NEW, "question=first"], ("question", "superior")),
        ([*NEW, "margin=2"], ("margin", "0.02")),
        ([*NEW, "alpha=0"], ("alpha", "0.05")),
        ([*NEW, "batch=0"], ("batch",)),
        ([*NEW, "question=best"], ("two or more", "models")),
        ([*NEW, "base.csv", "better.csv", "worse.csv"], ("two models", "worse")),
        ([*NEW, "names=[a,b]", "base.csv"], ("runs", "base", "a, b")),
        (["next", "state=base.csv"], ("base.csv",)),
        ([*NEW, "samples=batch.json"], ("samples", "micro=DIR")),
        (["next", "state=s3://bucket/s.json"], ("state", "URL")),
        ([*NEW, "absent.csv", "base.csv"], ("absent.csv",)),
    ],
)
def test_misuse_gets_one_message(
    arguments: list[str], facts: tuple[str, ...], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    for fact in facts:
        assert fact in printed.err
