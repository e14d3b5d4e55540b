"""Submissions to SWE-bench's leaderboard: which instances are not resolved is known from the others, or from a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.responses import list_model_files, read_responses
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.run import run_ingest
from microbench_ray.ingest.swe_bench import SweBenchReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

SWE = SweBenchReader()
IDS = [f"django__django-{k}" for k in range(8)] + ["sympy__sympy-1", "sympy__sympy-2"]
TOTALS = {"django/django": {"resolved": 1, "total": 8}, "sympy/sympy": {"resolved": 0, "total": 2}}
SUBMISSIONS = {
    "20240402_agent_a": {"no_generation": IDS[:3], "no_logs": [], "resolved": IDS[3:5]},
    "20250101_agent_b": {"no_generation": [], "no_logs": IDS[5:7], "resolved": [IDS[7], "sympy__sympy-1"]},
}
"""Nine of ten instances are named."""


def submissions(folder: Path, totals: Any = TOTALS, lists: Any = SUBMISSIONS) -> Path:
    split = folder / "evaluation/verified"
    for name, each in lists.items():
        write_json(split / name / "results/results.json", each)
        if totals is not None:
            write_json(split / name / "results/resolved_by_repo.json", totals)
    return split


def test_instances_that_another_submission_names_are_not_resolved(tmp_path: Path) -> None:
    split = submissions(tmp_path)
    samples, tally = read_all(SWE, split)
    assert {model: {item for item, [score] in scores(found).items() if score} for model, found in samples.items()} == {
        name: set(each["resolved"]) for name, each in SUBMISSIONS.items()
    }
    assert all(set(scores(found)) == set(IDS[:9]) for found in samples.values())
    assert {sample.subtask for found in samples.values() for sample in found} == {"django__django", "sympy__sympy"}
    (warning,) = tally.suspicious.values()
    assert "9 of 10 instances" in str(warning.got)
    assert "0.2222 here, 0.2000 there" in str(warning.got)  # 2 of 9 and 2 of 10
    # one submission alone is read beside the others of its folder
    alone, _ = read_all(SWE, split / "20240402_agent_a")
    assert alone == {"20240402_agent_a": samples["20240402_agent_a"]}


def test_a_list_of_all_instances(tmp_path: Path) -> None:
    split = submissions(tmp_path)
    samples, tally = read_all(SWE, split, Options(items=tuple(IDS)))
    assert not tally.suspicious
    for name, found in samples.items():  # the accuracy of the leaderboard
        values = [score for [score] in scores(found).values()]
        assert sum(values) / len(values) == len(SUBMISSIONS[name]["resolved"]) / 10  # type: ignore[arg-type]
    with refuses(DataError, "another split", where="results.json", got="sympy__sympy-1"):
        read_all(SWE, split, Options(items=tuple(IDS[:8])))
    report = write_json(tmp_path / "m.run.json", {"resolved_ids": IDS[:2]})
    with refuses(DataError, "not resolved", where=str(report), hint="items=FILE"):
        read_all(SWE, report)
    assert sum(sample.score or 0 for sample in read_all(SWE, report, Options(items=tuple(IDS)))[0]["m"]) == 2


@pytest.mark.parametrize(
    ("lists", "totals", "got"),
    [
        ({"20240402_agent_a": SUBMISSIONS["20240402_agent_a"]}, None, "5 instances in 1 submissions"),
        ({"20240402_agent_a": SUBMISSIONS["20240402_agent_a"]}, TOTALS, "of 10"),
    ],
)
def test_too_few_submissions_are_refused(tmp_path: Path, lists: Any, totals: Any, got: str) -> None:
    split = submissions(tmp_path, totals, lists)
    with refuses(DataError, "too few", where=str(split), got=got, hint="items=FILE"):
        SWE.find(split, Options(), Tally())


def test_what_is_not_known_is_a_warning(tmp_path: Path) -> None:
    tally = Tally()
    SWE.find(submissions(tmp_path, None), Options(), tally)
    (warning,) = tally.suspicious.values()
    assert "9 instances in 2 submissions" in str(warning.got)
    # tables with the totals of another split, as some public ones have, do not count
    others = {"django/django": {"resolved": 1, "total": 4}}
    write_json(tmp_path / "evaluation/verified/20240402_agent_a/results/resolved_by_repo.json", others)
    write_json(tmp_path / "evaluation/verified/20250101_agent_b/results/resolved_by_repo.json", ["x"])
    again = Tally()
    SWE.find(tmp_path, Options(), again)
    assert again.suspicious.keys() == tally.suspicious.keys()


def test_a_submission_that_comes_later_adds_its_instances_to_all(tmp_path: Path) -> None:
    split, listed = submissions(tmp_path, None), tmp_path / "ids.txt"
    conf = IngestConf(source="swe_bench", path=str(split), out=str(tmp_path / "out"))
    run_ingest(conf.job())
    submissions(tmp_path, None, {"20260101_agent_c": {"no_generation": ["sympy__sympy-2"], "resolved": IDS[:1]}})
    run_ingest(conf.job())
    folder = open_folder(str(tmp_path / "out"))
    files = list_model_files(folder)
    assert [each.record.model for each in files] == [*SUBMISSIONS, "20260101_agent_c"]
    for each in files:
        assert sorted(read_responses(folder, each.name)["item_id"].to_pylist()) == sorted(IDS)
    listed.write_text("\n".join(IDS) + "\n")
    with refuses(ConfigError, "other settings", hint="new folder"):
        run_ingest(IngestConf(source="swe_bench", path=str(split), out=str(tmp_path / "out"), items=str(listed)).job())
    with refuses(ConfigError, "items=", where="items", got="bfcl"):
        IngestConf(source="bfcl", path=str(split), out=str(tmp_path / "out"), items=str(listed)).job()
