"""LiveBench, AlpacaEval, Arena-Hard, BFCL and VLMEvalKit: values by hand, and the accuracy that the tool reports."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.alpaca_eval import WIN_RATE, AlpacaEvalReader
from microbench_ray.ingest.arena_hard import NOT_JUDGED as NO_GAME
from microbench_ray.ingest.arena_hard import UNWEIGHTED, ArenaHardReader
from microbench_ray.ingest.base import Options, OwnScore, Tally
from microbench_ray.ingest.bfcl import BfclReader
from microbench_ray.ingest.livebench import FAILED, NOT_JUDGED, LiveBenchReader
from microbench_ray.ingest.overall import SubtaskMean
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.ingest.values import WITHOUT_SCORE
from microbench_ray.ingest.vlmevalkit import VlmEvalKitReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores, values
from tests.helpers.tool_logs import write_json, write_lines

LIVEBENCH, ALPACA, ARENA, BFCL, VLM = LiveBenchReader(), AlpacaEvalReader(), ArenaHardReader(), BfclReader(), VlmEvalKitReader()


def judged(question: str, model: str, score: Any, task: str = "zebra_puzzle", **more: Any) -> dict[str, Any]:
    return {"question_id": question, "task": task, "model": model, "score": score, "tstamp": 1.0, "category": "reasoning", **more}


def test_judgments_of_livebench(tmp_path: Path) -> None:
    lines = [judged("a", "m", 1), judged("a", "n", 0.5), judged("b", "m", 0, eval_status="eval_error"), judged("b", "n", -1)]
    file = write_json(tmp_path / "reasoning/zebra_puzzle/model_judgment/ground_truth_judgment.jsonl", lines)
    write_json(tmp_path / "reasoning/spatial/model_judgment/ground_truth_judgment.jsonl", [judged("c", "n", 1, "spatial")])
    samples, tally = read_all(LIVEBENCH, tmp_path)
    assert {model: scores(found) for model, found in samples.items()} == {
        "m": {"a": [1], "b": [0]},
        "n": {"a": [0.5], "b": [None], "c": [1]},
    }
    assert {sample.subtask for sample in samples["n"]} == {"reasoning/zebra_puzzle", "reasoning/spatial"}
    assert tally.dropped == {NOT_JUDGED: 1}
    assert tally.choices[FAILED] == 1
    # a file that has changed is read again
    write_json(file, [judged("a", "m", 0)])
    assert scores(read_all(LIVEBENCH, file)[0]["m"]) == {"a": [0]}
    write_json(file, [judged("a", "m", 1), {"task": "x"}])
    with refuses(DataError, "field", where=f"{file}: line 2"):
        read_all(LIVEBENCH, file)


def test_livebench_averages_tasks_and_then_categories(tmp_path: Path) -> None:
    lines = [
        judged("a", "m", 1),
        judged("b", "m", 0),
        judged("c", "m", 1, "spatial"),
        judged("d", "m", 0.25, "amps", category="math"),
    ]
    lines += [
        judged("d", "m", 0.25, "amps", category="math"),
        judged("a", "n", 1),
        judged("b", "n", -1),
        judged("d", "n", 1, "amps", category="math"),
    ]
    write_json(tmp_path / "logs/model_judgment/ground_truth_judgment.jsonl", lines)
    summary = run_ingest(IngestJob(source="livebench", path=str(tmp_path / "logs"), out=tmp_path / "out"))
    # reasoning is the mean of 1/2 and 1, math is 1/4; the mean over items is (1 + 0 + 1 + 1/4) / 4
    assert summary.compared["m"][:2] == (pytest.approx(0.5625, abs=1e-12), pytest.approx((0.75 + 0.25) / 2, abs=1e-12))
    assert summary.compared["n"][:2] == (1, 1)
    (said,) = [line for line in summary.lines() if "LiveBench" in line]
    assert "'m' 0.5625 and 0.5000" in said
    assert "'n'" not in said
    assert LIVEBENCH.overall({"zebra_puzzle": SubtaskMean(0.5, 3)}) is None  # judgments without categories


def test_bfcl_weighs_categories() -> None:
    assert BFCL.overall({"simple": SubtaskMean(1.0, 400)}) is None  # of an earlier version
    half = SubtaskMean(0.5, 10)
    assert BFCL.overall({"simple_python": half, "live_simple": half}) is None  # the other live ones have numbers of tests
    live = {f"live_{name}": SubtaskMean(0.2, 100) for name in ("multiple", "parallel", "parallel_multiple")}
    found = BFCL.overall(
        {"simple_python": SubtaskMean(0.9, 400), "multiple": SubtaskMean(0.8, 200), "irrelevance": SubtaskMean(0.6, 240)}
        | {"live_simple": SubtaskMean(0.6, 100), "multi_turn_base": half, "web_search_base": half, "memory_kv": half}
        | live
    )
    parts = [(0.9 / 3 + 0.8) / 4, (0.6 + 3 * 0.2) / 4, 0.6 / 2, 0.5 / 4, (0.5 / 2 + 0.5 / 3) / 2]  # what was not run is 0
    assert found == pytest.approx(sum(w * part for w, part in zip((0.1, 0.1, 0.1, 0.3, 0.4), parts, strict=True)), abs=1e-12)


def test_bfcl_of_version_3_weighs_categories() -> None:
    live = {f"live_{name}": SubtaskMean(0.25, 10) for name in ("multiple", "parallel", "parallel_multiple", "irrelevance")}
    live |= {"live_simple": SubtaskMean(0.75, 50), "live_relevance": SubtaskMean(1.0, 10)}
    other = {"simple": SubtaskMean(0.9, 400), "java": SubtaskMean(0.6, 100), "irrelevance": SubtaskMean(0.5, 240)}
    turns = {"multi_turn_base": SubtaskMean(0.4, 200)}
    of_live = (4 * 10 * 0.25 + 50 * 0.75 + 10 * 1.0) / 100  # by numbers of tests
    parts = [(1.5 / 3 + 0.5) / 5, of_live, 0.4 / 4]  # what was not run is 0
    assert BFCL.overall(other | turns | live) == pytest.approx(sum(parts) / 3, abs=1e-12)
    assert BFCL.overall(other | turns) == pytest.approx((parts[0] + parts[2]) / 3, abs=1e-12)
    assert BFCL.overall(other | live) is None  # without several turns: an earlier version
    assert BFCL.overall(other | turns | {"live_simple": SubtaskMean(0.5, 10)}) is None
    executed = {"rest": SubtaskMean(0.5, 70), "exec_multiple": SubtaskMean(0.2, 50)}
    parts[0] = (1.5 / 3 + 0.5 + 0.5 / 2 + 0.2) / 9
    assert BFCL.overall(other | turns | live | executed) == pytest.approx(sum(parts) / 3, abs=1e-12)


def preferred(instruction: str, preference: Any, **more: Any) -> dict[str, Any]:
    names = {"generator_1": "gpt4", "generator_2": "m", "annotator": "weighted"}
    return (
        {"instruction": instruction, "dataset": "koala", "output_1": "…", "output_2": "…", "preference": preference} | names | more
    )


def test_annotations_of_alpaca_eval(tmp_path: Path) -> None:
    rows = [preferred("a", 1.25), preferred("b", 2), preferred("c", 0), preferred("d", None), preferred("e", 1, dataset="oasst")]
    file = write_json(tmp_path / "m/weighted/annotations.json", rows)
    write_json(tmp_path / "n/weighted/annotations.json", [preferred("b", 1, generator_2="n")])
    write_json(tmp_path / "model_outputs.json", [{"instruction": "a", "output": "…", "generator": "m"}])
    samples, tally = read_all(ALPACA, tmp_path)
    assert values(samples["m"]) == [0.25, 1, 0.5, None, 0]
    assert [sample.subtask for sample in samples["m"]] == ["koala"] * 4 + ["oasst"]
    assert samples["n"][0].item_id == samples["m"][1].item_id
    assert tally.choices[WIN_RATE] == 2
    assert tally.dropped == {WITHOUT_SCORE: 1, "files of another format": 1}
    assert tally.metrics == {"annotator": "weighted, against gpt4"}
    # the win rate as AlpacaEval computes it: the mean of preference - 1, a draw being 1.5
    rate = np.mean([sample.score for sample in samples["m"] if sample.score is not None])
    assert rate == pytest.approx(np.mean([1.25, 2, 1.5, 1]) - 1, abs=1e-9)
    with refuses(DataError, "AlpacaEval", where=str(tmp_path)):
        ALPACA.find(tmp_path, Options(metric="another*"), Tally())
    write_json(file, [preferred("a", 3)])
    with refuses(DataError, "preference", where=f"{file}: annotation 1", got="3"):
        read_all(ALPACA, tmp_path)


def test_win_rates_of_the_leaderboard(tmp_path: Path) -> None:
    """The file beside the annotations is compared, and its length-controlled win rate said."""
    write_json(tmp_path / "m/weighted/annotations.json", [preferred("a", 1.25), preferred("b", 2)])
    write_json(tmp_path / "n/weighted/annotations.json", [preferred("a", 1.5, generator_2="n")])
    header = ",win_rate,standard_error,length_controlled_winrate\n"
    (tmp_path / "m/weighted/leaderboard.csv").write_text(f"{header}gpt4,50.0,0.0,50.0\nm,62.5,1.0,40.5\n")
    (tmp_path / "n/weighted/leaderboard.csv").write_text(f"{header}n,49.0,1.0,\n")
    summary = run_ingest(IngestJob(source="alpaca_eval", path=str(tmp_path), out=tmp_path / "out"))
    assert summary.compared["m"][:2] == (pytest.approx(0.625, abs=1e-12), pytest.approx(0.405, abs=1e-12))
    (said,) = [line for line in summary.lines() if "length-controlled" in line and "'m'" in line]
    assert "0.6250 and 0.4050" in said
    (warning,) = summary.suspicious.values()
    assert "'n'" in str(warning.where)
    assert "0.500000" in str(warning.got)


def games(uid: str, first: str | None, second: str | None, **more: Any) -> dict[str, Any]:
    played = [None if label is None else {"score": label, "judgment": {"answer": "…"}, "prompt": []} for label in (first, second)]
    return {"uid": uid, "category": "coding", "judge": "gpt-4.1", "model": "m", "baseline": "o3-mini", "games": played} | more


def test_judgments_of_arena_hard(tmp_path: Path) -> None:
    lines = [games("a", "B>>A", "A>B"), games("b", "A=B", "B>A"), games("c", "A<B", "B<A"), games("d", "A>B", None)]
    file = write_json(tmp_path / "gpt-4.1/m.jsonl", lines)
    samples, tally = read_all(ARENA, tmp_path)
    # the model is B in the first game and A in the second
    assert scores(samples["m"]) == {"a": [1, 1], "b": [0, 0.5], "c": [1, 1], "d": [None]}
    assert tally.dropped == {NO_GAME: 1}
    assert set(tally.choices) == {UNWEIGHTED, "judge: gpt-4.1, against o3-mini"}
    assert tally.metrics == {"judge": "gpt-4.1, against o3-mini"}
    assert tally.own == OwnScore(6.5 / 8)  # of six games, one a clear win, which Arena-Hard counts three times
    old = {"question_id": "a", "model": "m", "judge": "gpt-4", "games": [{"user_prompt": "…", "judgment": "…", "score": "B>A"}] * 2}
    samples, _ = read_all(ARENA, write_json(tmp_path / "old/m.jsonl", [old]))
    assert scores(samples["m"]) == {"a": [0, 1]}
    with refuses(DataError, "Arena-Hard", where=str(tmp_path)):
        ARENA.find(tmp_path, Options(metric="claude*"), Tally())
    for change, word in ((games("a", "A~B", "A>B"), "label"), (games("a", "A>B", "A>B", model="n"), "several models")):
        write_json(file, [lines[0], change])
        with refuses(DataError, word, where=f"{file}: line 2"):
            read_all(ARENA, file)


def bfcl(folder: Path, header: dict[str, Any], failed: list[str], tests: list[str], group: str = "non_live/") -> Path:
    failures = [{"id": name, "valid": False, "error": []} for name in failed]
    write_lines(
        folder / "result/org_m" / f"{group}BFCL_v4_simple_python_result.json", [{"id": name, "result": ""} for name in tests]
    )
    return write_lines(folder / "score/org_m" / f"{group}BFCL_v4_simple_python_score.json", [header, *failures])


@pytest.mark.parametrize("group", ["", "non_live/", "agentic/memory/kv/"])
def test_scores_of_bfcl(tmp_path: Path, group: str) -> None:
    tests = ["simple_0", "simple_1", "simple_2"]
    header = {"accuracy": 2 / 3, "correct_count": 2, "total_count": 3}
    bfcl(tmp_path, header, ["simple_1"], tests, group)
    samples, _ = read_all(BFCL, tmp_path)
    assert scores(samples["org_m"]) == {"simple_0": [1], "simple_1": [0], "simple_2": [1]}
    assert {sample.subtask for sample in samples["org_m"]} == {"simple_python"}
    assert np.mean([sample.score for sample in samples["org_m"]]) == pytest.approx(header["accuracy"], abs=1e-9)
    with refuses(DataError, "BFCL", where=str(tmp_path), hint="tasks"):
        BFCL.find(tmp_path, Options(tasks=("live_*",)), Tally())


@pytest.mark.parametrize(
    ("header", "failed"),
    [
        ({"accuracy": 1.0, "correct_count": 3, "total_count": 3}, ["a"]),
        ({"accuracy": 0.5, "correct_count": 2, "total_count": 4}, ["a"]),
        ({"accuracy": 2 / 3, "correct_count": 2, "total_count": 3}, ["z"]),
    ],
)
def test_scores_of_bfcl_that_do_not_fit_the_results(tmp_path: Path, header: Any, failed: list[str]) -> None:
    file = bfcl(tmp_path, header, failed, ["a", "b", "c"])
    with refuses(DataError, "do not match", where=str(file)):
        read_all(BFCL, tmp_path)


def test_scores_of_bfcl_without_results(tmp_path: Path) -> None:
    file = bfcl(tmp_path, {"accuracy": 1.0, "correct_count": 1, "total_count": 1}, [], ["a"])
    (tmp_path / "result/org_m/non_live/BFCL_v4_simple_python_result.json").unlink()
    with refuses(DataError, "results is missing", where=str(file), hint="result"):
        read_all(BFCL, tmp_path)


ROWS = [
    {"index": 1, "question": "q1", "answer": "A", "category": "logic", "prediction": "A", "hit": 1},
    {"index": 2, "question": "q2", "answer": "B", "category": "maths", "prediction": "A", "hit": 0},
]


def vlm_file(folder: Path, suffix: str, rows: Any = ROWS, name: str = "org-m_MMStar_exact_matching_result") -> Path:
    file = folder / "org-m" / "T20250612" / f"{name}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".json":
        return write_json(file, rows)
    if suffix == ".tsv":
        with file.open("w", encoding="utf-8", newline="") as text:
            writer = csv.DictWriter(text, rows[0], delimiter="\t", quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
        return file
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([*rows[0]], *([*row.values()] for row in rows)):
        book.active.append(row)
    book.save(file)
    return file


@pytest.mark.parametrize("suffix", [".json", ".tsv", ".xlsx"])
def test_results_of_vlmevalkit(tmp_path: Path, suffix: str) -> None:
    vlm_file(tmp_path, suffix)
    vlm_file(tmp_path / "other", ".json", name="org-m_AI2D_TEST_gpt-4o-mini_result")
    samples, tally = read_all(VLM, tmp_path)
    assert scores(samples["org-m"]) == {"MMStar/1": [1], "MMStar/2": [0], "AI2D_TEST/1": [1], "AI2D_TEST/2": [0]}
    assert {sample.subtask for sample in samples["org-m"]} >= {"MMStar/logic", "MMStar/maths"}
    assert tally.metrics == {"MMStar": "hit", "AI2D_TEST": "hit"}
    # the contents are the same in every kind of file
    by_item = {sample.item_id: sample.content for sample in samples["org-m"]}
    assert by_item["MMStar/1"] == by_item["AI2D_TEST/1"]


def test_results_of_vlmevalkit_that_cannot_be_read(tmp_path: Path) -> None:
    file = vlm_file(tmp_path, ".json", [{"index": 1, "score": 3}])
    with refuses(DataError, "hit", where=f"{file}: row 1", got="'score'"):
        read_all(VLM, tmp_path)
    nameless = vlm_file(tmp_path / "x", ".json", name="another_MMStar_result")
    with refuses(DataError, "folder", where=str(nameless), hint="folder of the model"):
        read_all(VLM, tmp_path / "x")
    with refuses(DataError, "too large", where=str(file), hint="max_line_bytes"):
        read_all(VLM, tmp_path, Options(max_line_bytes=10))
