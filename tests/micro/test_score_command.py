"""`microbench score`: a table, JSON and a file; and input that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.methods import build_method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from tests.micro.conftest import N_KNOWN, SIZE, responses_to

Micros = dict[str, MicroBenchmark]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(micros: Micros, whole: Benchmark, tmp_path: Path) -> Path:
    """A micro-benchmark, and a table of three new models: complete, with some and with most responses missing."""
    micro = replace(micros["greedy"], better_from=None)
    micro.save(tmp_path / "micro")
    responses = responses_to(micro.item_ids, whole, slice(N_KNOWN, N_KNOWN + 3))
    responses[1, :5], responses[2, :30] = np.nan, np.nan
    models = {
        name: pa.array([1.0, *row], from_pandas=True) for name, row in zip(("complete", "some", "few"), responses, strict=True)
    }
    table = pa.table({"item_id": ["other", *micro.item_ids], **models})
    pa.csv.write_csv(table, tmp_path / "new.csv")
    pa.csv.write_csv(table.select(["item_id", "complete"]), tmp_path / "complete.csv")
    return tmp_path


def command(folder: Path, *more: str, table: str = "new.csv") -> list[str]:
    return ["score", f"micro={folder / 'micro'}", f"responses={folder / table}", "source=scores", *more]


def test_a_table(folder: Path, capsys: Captured) -> None:
    assert main(command(folder)) == 2  # one model is refused
    lines = capsys.readouterr().out.splitlines()
    assert any({"40", "400", "greedy+ridge", "200"} <= set(line.replace(",", " ").split()) for line in lines)
    assert any(line.startswith("some: ") and "5 of 40" in line for line in lines)
    assert any(line.startswith("few: ") and "10 of 40" in line for line in lines)
    assert any("3 responses" in line for line in lines)  # of the item `other`
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(("complete ", "some ", "few "))}
    assert rows.keys() == {"complete", "some", "few"}
    assert rows["few"][1] == "–"
    assert main(command(folder, table="complete.csv")) == 0


def test_a_model_without_an_interval_gets_the_command_that_runs_the_reserve(
    folder: Path, micros: Micros, whole: Benchmark, capsys: Captured
) -> None:
    """In the table, in JSON and in the library's result; with the reserve there is an interval, and no command."""
    micro = replace(micros["greedy"], better_from=-1000.0, extrapolated=None)
    micro.save(folder / "micro", overwrite=True)
    assert main(command(folder, table="complete.csv")) == 0
    lines = capsys.readouterr().out.splitlines()
    [row] = [line for line in lines if line.startswith("complete ")]
    assert row.split()[1] != "–"
    assert row.split()[2:4] == ["–", "–"]
    assert row.endswith("run the reserve")
    assert any(str(folder / "micro/reserve.txt") in line for line in lines)
    assert lines[-1].strip() == f"microbench score micro={folder / 'micro'} responses=LOGS source=FORMAT"
    assert main(command(folder, "format=json", table="complete.csv")) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["reserve_commands"][-1] == lines[-1].strip()
    assert (content["models"][0]["interval"], content["models"][0]["needs_reserve"]) == (None, True)
    every = responses_to(micro.all_item_ids, whole, [N_KNOWN])
    table = mb.score(folder / "micro", every[:, :SIZE], micro.item_ids, ["m"])
    assert bool(table["needs_reserve"].iloc[0])
    assert np.isnan(table["low"].iloc[0])
    both = mb.score(folder / "micro", every, micro.all_item_ids, ["m"])
    assert both["interval_kind"].iloc[0] == "reserve_wilson"
    assert not bool(both["needs_reserve"].iloc[0])


def test_json_on_the_terminal_and_in_a_file(folder: Path, capsys: Captured, micros: Micros, whole: Benchmark) -> None:
    micro = micros["greedy"]
    assert main(command(folder, "format=json", f"out={folder / 'deep/report.json'}")) == 2
    printed = capsys.readouterr().out
    assert (folder / "deep/report.json").read_text() == printed
    content = json.loads(printed)
    assert content["size"] == SIZE
    models = {model["model"]: model for model in content["models"]}
    expected = micro.readout.estimate(responses_to(micro.item_ids, whole, [N_KNOWN]))
    assert models["complete"]["estimate"] == pytest.approx(expected[0])
    assert models["complete"]["interval"].keys() == {"low", "high", "rank_low", "rank_high"}
    assert models["complete"]["interval_kind"] == "split_conformal"
    assert (models["few"]["estimate"], models["few"]["interval_kind"]) == (None, None)


def test_a_picture_shows_the_models_that_are_scored(folder: Path, capsys: Captured) -> None:
    assert main(command(folder, f"figure={folder / 'deep/models.svg'}")) == 2
    texts = [text.text or "" for text in ElementTree.parse(folder / "deep/models.svg").iter("{http://www.w3.org/2000/svg}text")]
    printed = capsys.readouterr().out
    assert {"complete", "some", "known models"} <= set(texts)
    assert "few" not in texts  # refused
    assert texts[-2] in printed  # the title, as above the table


def test_what_a_killed_command_left_beside_the_report_is_removed(folder: Path) -> None:
    left, others = folder / ".report.txt.0123abcd.tmp", [folder / ".other.txt.0123abcd.tmp", folder / ".report.txt.notes.tmp"]
    for path in (left, *others):
        path.touch()
    assert main(command(folder, f"out={folder / 'report.txt'}", table="complete.csv")) == 0
    assert not left.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["source=null", "responses=nowhere"], ["where: source", "source=lm_eval"]),
        (["source=words"], ["words", "valid:"]),
        (["format=xml"], ["where: format", "xml", "csv, json, markdown, table"]),
        (["on_conflict=first"], ["where: on_conflict", "first", "error, last"]),
        (["max_line_bytes=0"], ["where: max_line_bytes"]),
        (["responses=s3://bucket/new.csv"], ["where: responses", "s3://bucket/new.csv"]),
        (["micro=s3://bucket/micro"], ["where: micro", "s3://bucket/micro"]),
        (["out=s3://bucket/report"], ["where: out", "s3://bucket/report"]),
        (["responses=nowhere.csv"], ["nowhere.csv"]),
        (["micro=nowhere"], ["nowhere", "microbench export"]),
        (["models=[nobody]"], ["nobody"]),
        (["out=/dev/null/report"], ["/dev/null/report", "out=FILE"]),
        (["figure=picture.pdf"], ["where: figure", "picture.pdf", ".png", ".svg"]),
        (["figure=s3://bucket/a.svg"], ["where: figure", "s3://bucket/a.svg"]),
        (["figure=/dev/null/a.svg"], ["/dev/null/a.svg", "figure=FILE"]),
    ],
)
def test_bad_input_is_one_message(folder: Path, capsys: Captured, more: list[str], words: list[str]) -> None:
    assert main(command(folder, *more)) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_tables_are_recognised_and_repeats_are_reported(folder: Path, capsys: Captured) -> None:
    table = folder / "complete.csv"
    assert main(command(folder, "source=null", table="complete.csv")) == 0
    assert "answered more than once" not in capsys.readouterr().out
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows, rows[1], rows[2]]) + "\n")
    assert main(command(folder, "source=null", table="complete.csv")) == 0
    assert "2 items were answered more than once" in capsys.readouterr().out


def test_keys_that_score_does_not_have_are_not_advised_alone(folder: Path, capsys: Captured) -> None:
    table = folder / "complete.csv"
    header, first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, first.rpartition(",")[0] + ",85", *rows]) + "\n")
    assert main(command(folder, table="complete.csv")) == 1
    assert "ingest and export the benchmark with the keys: scale=100" in capsys.readouterr().err
    assert main(command(folder, table="nowhere.csv")) == 1
    message = capsys.readouterr().err
    assert "responses=…" in message
    assert " path=" not in message


def test_responses_to_other_items_are_refused(folder: Path, capsys: Captured) -> None:
    (folder / "foreign.csv").write_text("item_id,m\nq1,1\nq2,0\n")
    assert main(command(folder, table="foreign.csv")) == 1
    message = capsys.readouterr().err
    assert "foreign.csv" in message
    assert "2 items, such as 'q1'" in message


def test_two_tables_of_one_model_must_agree_or_the_last_counts(folder: Path, micros: Micros, capsys: Captured) -> None:
    micro = micros["greedy"]
    (folder / "logs").mkdir()
    for name, value in (("a", 0), ("b", 1)):
        rows = "".join(f"{item},{value}\n" for item in micro.item_ids)
        (folder / f"logs/{name}.csv").write_text(f"item_id,m\n{rows}")
    assert main(command(folder, table="logs")) == 1
    assert "on_conflict=last" in capsys.readouterr().err
    assert main(command(folder, "on_conflict=last", "format=json", table="logs")) == 0
    [scored] = json.loads(capsys.readouterr().out)["models"]
    assert scored["estimate"] == pytest.approx(min(1, float(micro.readout.estimate(np.ones((1, SIZE)))[0])))


def test_confidences_are_read_for_an_estimator_of_confidences(folder: Path, known: Benchmark, capsys: Captured) -> None:
    micro = build(known, build_method("sure", {"name": "random"}, {"name": "mean", "signal": "confidence"}), 10)
    assert micro.signal == "confidence"
    micro.save(folder / "sure")
    rows = "".join(f"{item},1\n" for item in micro.item_ids)
    (folder / "t.csv").write_text(f"item_id,m\n{rows}")
    assert main(command(folder, f"micro={folder / 'sure'}", table="t.csv")) == 1
    assert "confidence" in capsys.readouterr().err
    (folder / "t.confidence.csv").write_text(f"item_id,m\n{rows.replace(',1', ',0.25')}")
    assert main(command(folder, f"micro={folder / 'sure'}", "format=json", table="t.csv")) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["estimate"] == pytest.approx(0.25)


def test_scoring_imports_nothing_slow(folder: Path) -> None:
    """Nearly all its time is spent on imports; benchmarks/test_perf_score.py measures it."""
    program = (
        "import sys; from microbench_ray.cli.main import main; code = main(sys.argv[1:]); "
        "slow = {'pandas', 'ray', 'sklearn', 'numba', 'matplotlib', 'rich'} & set(sys.modules); sys.exit(f'{code} {slow}')"
    )
    process = subprocess.run([sys.executable, "-c", program, *command(folder)], capture_output=True, text=True, check=False)
    assert process.stderr.strip().splitlines()[-1] == "2 set()"
