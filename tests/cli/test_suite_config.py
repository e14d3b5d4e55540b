"""The keys of a suite: boards by path or as mappings, and what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.settings.benchmark import IngestedConf, ScoresConf, SuiteConf, SyntheticConf
from microbench_ray.core.errors import ConfigError
from tests.helpers.errors import refuses


def boards(*arguments: str) -> list[Any]:
    suite = Composer("plan", ["benchmark=suite", *arguments]).plan().benchmark
    assert isinstance(suite, SuiteConf)
    return suite.boards


def test_boards_are_paths_or_mappings(tmp_path: Path) -> None:
    (tmp_path / "logs" / "models").mkdir(parents=True)
    entries = (
        f"a.parquet,{tmp_path}/logs,{{path: '~/b.csv', name: B, truth: macro, max_missing: .5}},{{reader: synthetic, n_items: 5}}"
    )
    found = boards(f"benchmark.boards=[{entries}]", "benchmark.max_missing=.2", "benchmark.weights={a: 2, B: 1}")
    assert [type(each) for each in found] == [ScoresConf, IngestedConf, ScoresConf, SyntheticConf]
    assert [each.max_missing for each in found[:3]] == [0.2, 0.2, 0.5]
    assert (found[2].name, found[2].truth, found[2].path) == ("B", "macro", str(Path("~/b.csv").expanduser()))


def test_boards_are_names_unless_they_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "benchmark").mkdir(parents=True)
    (tmp_path / "own" / "benchmark" / "mine.yaml").write_text(
        "defaults: [scores, _self_]\npath: ${data_dir}/mine.csv\ntruth: macro\nmax_missing: .3\n"
    )
    arguments = ["benchmark=suite", "benchmark.boards=[mine,gpqa,mine.csv]", "benchmark.max_missing=.2", "data_dir=/data"]
    composer = Composer("plan", arguments, tmp_path / "own")
    suite = composer.plan().benchmark
    assert isinstance(suite, SuiteConf)
    own, named, file = suite.boards
    assert (own.path, own.truth, own.max_missing) == ("/data/mine.csv", "macro", 0.3)
    assert (named.path, named.name, file.path, file.max_missing) == ("/data/gpqa.parquet", "gpqa", "mine.csv", 0.2)
    (tmp_path / "gpqa").write_text("")
    suite = composer.plan().benchmark
    assert isinstance(suite, SuiteConf)
    assert suite.boards[1].path == "gpqa"


def test_an_audit_of_a_suite_ingests_no_logs() -> None:
    arguments = ["benchmark=suite", "benchmark.boards=[a.csv,b.csv]", "ingest={source: lm_eval, path: logs}", "methods=[random]"]
    with refuses(ConfigError, "logs", where="ingest", got="suite", hint="microbench ingest"):
        Composer("audit", [*arguments, "out=x"]).audit()


@pytest.mark.parametrize(
    ("entry", "where", "got", "hint"),
    [
        ("3", "benchmark.boards[0]", "3", "path"),
        ("{name: a}", "benchmark.boards[0].path", None, "path"),
        ("scores", "benchmark.boards[0].path", None, "path"),
        ("suite", "benchmark.boards[0].reader", "suite", "scores"),
        ("{path: a, nme: b}", "benchmark.boards[0].nme", "nme", "did you mean name?"),
        ("{reader: suite, boards: [a]}", "benchmark.boards[0].reader", "suite", "scores"),
        ("{path: a, max_missing: many}", "benchmark.boards[0].max_missing", "many", "number"),
    ],
)
def test_what_is_no_board_is_refused(entry: str, where: str, got: str | None, hint: str) -> None:
    with refuses(ConfigError, "benchmark.boards", where=where, got=got, hint=hint):
        boards(f"benchmark.boards=[{entry}]")


def test_a_submitted_suite_needs_absolute_paths() -> None:
    arguments = [
        "benchmark=suite",
        "benchmark.boards=[/data/a.parquet,b.parquet]",
        "out=/mnt/out",
        "submit.address=http://head:8265",
    ]
    with refuses(ConfigError, "absolute", where="benchmark.path", got="b.parquet"):
        Composer("submit", arguments).submit()
