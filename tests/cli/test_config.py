"""conf/ composes and agrees with the dataclasses, and every way to start a job gives the same job."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.keys import JOBS
from microbench_ray.cli.main import main
from microbench_ray.cli.settings.benchmark import BENCHMARKS
from microbench_ray.cli.settings.compare import CompareConf
from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.cli.settings.next import NextConf
from microbench_ray.cli.settings.score import ScoreConf
from microbench_ray.cli.settings.sweep import EngineConf, GridConf, ReduceConf, RulesConf, SweepConf, TargetsConf
from microbench_ray.methods import Method
from microbench_ray.methods.presets import CONF
from microbench_ray.methods.registry import ESTIMATORS, SELECTORS
from microbench_ray.sweeps.engine.ray_engine import ClusterRayEngine
from microbench_ray.sweeps.engine.resources import Request
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from tests.helpers.processes import run_script
from tests.helpers.small_sweep import assert_same_tables, command, read_cells, read_tables, write_board

METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
GROUPS = ("benchmark", "grid", "targets", "engine")
ROOT = Path(__file__).parents[2]


def load(name: str) -> dict[str, Any]:
    """The keys of a file, with those of the files that it starts from."""
    content: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    folder = name.rpartition("/")[0]
    included = [each for each in content.pop("defaults", []) if isinstance(each, str) and each != "_self_"]
    return {key: value for each in included for key, value in load(f"{folder}/{each}".lstrip("/")).items()} | content


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def method(entry: Any, config_dir: Path | None = None) -> Method:
    return Composer("sweep", [], config_dir).method(entry)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return write_board(tmp_path / "board.parquet")


def test_every_file_belongs_to_a_tested_group() -> None:
    files = {str(path.relative_to(CONF)) for path in CONF.rglob("*") if path.is_file()}
    known = {f"{group}/{name}.yaml" for group in (*GROUPS, "method", "experiment") for name in names(group)}
    assert files == known | {
        "rules.yaml",
        *(f"{job}.yaml" for job in JOBS),
    }


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in GROUPS for name in names(group)])
def test_every_choice_composes(choice: str) -> None:
    group, name = choice.split("=")
    composed = Composer("sweep", [choice]).compose([choice])
    assert composed[group]
    if group == "benchmark":
        assert composed.benchmark.reader == (name if name in BENCHMARKS else "scores")
        assert name in BENCHMARKS or composed.benchmark.path == f"leaderboards/{name}.parquet"


def test_the_main_job_sweeps_every_method_but_the_one_that_needs_a_list() -> None:
    swept = {load(f"method/{name}")["selector"]["name"] for name in load("sweep")["methods"]}
    assert swept == set(SELECTORS) - {"fixed"}


def test_every_selector_has_a_method_and_every_method_a_selector() -> None:
    assert set(SELECTORS) <= set(METHODS)
    for name in METHODS:
        content = load(f"method/{name}")
        assert sorted(content) == ["estimator", "selector"]
        selector, estimator = content["selector"]["name"], content["estimator"]["name"]
        assert selector in SELECTORS
        assert estimator in ESTIMATORS
        assert name.startswith(selector)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_file_shows_every_parameter(name: str) -> None:
    content = load(f"method/{name}")
    for part, registry in (("selector", SELECTORS), ("estimator", ESTIMATORS)):
        kind = registry[content[part]["name"]]
        assert set(content[part]) == {"name", *inspect.signature(kind).parameters}


def defaults(kind: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(kind()).items() if not is_dataclass(value)}


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_a_benchmark_file_has_the_keys_and_defaults_of_its_class(name: str) -> None:
    assert load(f"benchmark/{name}") == defaults(BENCHMARKS[name])


@pytest.mark.parametrize(
    "arguments",
    [
        ["engine.resources={random: {memory: 2e9, custom: {large: 1}}}"],
        ["engine.resources.random.memory=2e9", "engine.resources.random.custom.large=1"],
    ],
)
def test_a_method_can_reserve_more_resources_on_a_cluster(arguments: list[str]) -> None:
    conf, job = Composer("sweep", ["engine=cluster", "methods=[random,stratified_confidence]", *arguments]).sweep()
    assert conf.engine.resources["default"] == {"num_cpus": 1}
    assert isinstance(job.engine, ClusterRayEngine)
    assert job.engine.requests.of_method == {"random": Request(1.0, 2e9, {"large": 1.0})}


def test_the_other_files_have_the_keys_and_defaults_of_their_classes() -> None:
    assert load("grid/default") == defaults(GridConf)
    assert GridConf().grid() == Grid()
    assert [field.name for field in fields(GridConf)] == [field.name for field in fields(Grid)]
    assert load("targets/random") == defaults(TargetsConf) == vars(Targets())
    assert load("targets/group") == defaults(TargetsConf) | {"label": "group"}
    assert load("targets/best") == defaults(TargetsConf) | {"label": "best", "best": 0.2}
    assert load("engine/auto") == defaults(EngineConf)
    assert load("engine/local") == defaults(EngineConf) | {"name": "local"}
    assert load("engine/serial") == defaults(EngineConf) | {"name": "serial"}
    assert RulesConf().rules() == Rules()
    reduce, sweep = load("reduce"), load("sweep")
    assert reduce == defaults(ReduceConf)
    assert load("score") == defaults(ScoreConf)
    assert load("compare") == defaults(CompareConf)
    assert load("next") == defaults(NextConf)
    assert load("ingest") == defaults(IngestConf)
    assert sweep == {key: value for key, value in defaults(SweepConf).items() if key != "benchmark"} | {"methods": sweep["methods"]}


def test_a_mapping_changes_a_method() -> None:
    plain, changed = method("stratified_confidence"), method({"method": "stratified_confidence", "selector": {"strata": 5}})
    assert changed.label == "stratified_confidence"
    assert [each.identity()["selector"]["strata"] for each in (plain, changed)] == [10, 5]
    assert changed.selector.signal == plain.selector.signal == "confidence"
    assert changed.estimator == plain.estimator
    relabelled = method({"method": "random", "label": "mine", "estimator": {"signal": "confidence"}})
    assert relabelled.label == "mine"
    assert relabelled.selector == method("random").selector
    assert (relabelled.estimator.signal, method("random").estimator.signal) == ("confidence", "correctness")


def test_a_mapping_with_another_name_replaces_the_whole_selector_or_estimator() -> None:
    replaced = method({"method": "stratified_confidence", "label": "x", "selector": {"name": "random"}})
    assert replaced.identity()["selector"] == {"name": "random"}
    assert replaced.estimator == method("stratified_confidence").estimator
    replaced = method({"method": "stratified_confidence", "label": "x", "estimator": {"name": "mean"}})
    assert replaced.identity()["estimator"] == {"name": "mean", "signal": "correctness"}
    without_base = method({"label": "y", "selector": {"name": "random_subtask_equal"}})
    assert without_base.identity() == method("random_subtask_equal").identity() | {"label": "y"}


def test_a_method_in_the_users_folder_is_found_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "coarse.yaml").write_text(
        "selector: {name: stratified_confidence, strata: 3}\nestimator: {name: mean}\n"
    )
    assert method("coarse", tmp_path).identity()["selector"]["strata"] == 3
    assert method("random", tmp_path) == method("random")


def test_several_benchmarks_in_the_users_folder_are_swept_together(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "benchmark").mkdir(parents=True)
    for name in ("first", "second"):
        path = write_board(tmp_path / f"{name}.parquet")
        (folder / "benchmark" / f"{name}.yaml").write_text(f"defaults: [scores]\npath: {path}\n")
    arguments = [each for each in command(path, tmp_path / "out", runs=2) if not each.startswith("benchmark")]
    assert main([*arguments, "benchmark=[first,second]", "--config-dir", str(folder)]) == 0
    assert set(pq.read_table(tmp_path / "out" / "mdad.parquet")["benchmark"].to_pylist()) == {"first", "second"}
    assert main([*arguments, "benchmark=first", f"out={tmp_path / 'one'}", f"--config-dir={folder}"]) == 0
    both, one = read_cells(tmp_path / "out"), read_cells(tmp_path / "one")
    assert one.equals(both.filter(pc.field("benchmark") == "first"))


@pytest.mark.parametrize("spelling", [["--cfg"], ["--cfg", "job"]])
def test_the_configuration_is_shown_as_yaml(
    spelling: list[str], board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(board, tmp_path / "out", "seed=3"), *spelling]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["seed"] == 3
    assert shown["benchmark"]["path"] == str(board)
    assert shown["grid"]["sizes"] == [5, 10, 20]
    assert not (tmp_path / "out").exists()


def test_help_and_version_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h"], ["sweep", "--help"]):
        assert main(arguments) == 0
        assert "Usage: microbench" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("microbench-ray")


def test_plan_only_prints_the_plan_and_does_nothing(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(board, tmp_path / "out", "plan_only=true", "engine=local")) == 0
    printed = capsys.readouterr()
    assert "240 cells in 8 shards" in printed.out
    assert str(tmp_path / "out") in printed.out
    assert printed.err == ""
    assert not (tmp_path / "out").exists()


def test_the_folder_is_named_after_the_benchmark_by_default(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [each for each in command(board, tmp_path, "plan_only=true") if not each.startswith("out=")]
    assert main([*arguments, "benchmark.name=../x"]) == 0
    assert "out=results/_x" in capsys.readouterr().out


@pytest.mark.slow
def test_the_scripts_in_jobs_are_the_same_application(board: Path, tmp_path: Path) -> None:
    def run_job(name: str, *arguments: str) -> str:
        completed = run_script(ROOT / "jobs" / f"{name}.py", arguments, cwd=tmp_path)
        assert completed.returncode == 0, completed.stderr
        return completed.stderr

    messages = run_job("sweep", *command(board, tmp_path / "script", runs=2)[1:])
    assert main(command(board, tmp_path / "command", runs=2)) == 0
    assert "24 cells computed" in messages
    assert_same_tables(tmp_path / "script", tmp_path / "command")
    run_job("reduce", f"out={tmp_path / 'script'}", "thresholds=[.7]", "figures=false", "report=false", "n_resamples=100")
    assert set(pq.read_table(tmp_path / "script" / "mdad.parquet")["threshold"].to_pylist()) == {0.7}


def test_the_console_script_is_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("microbench")
    completed = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert (completed.returncode, completed.stdout.strip()) == (0, version("microbench-ray"))


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*.parquet")}


@pytest.mark.slow
def test_reduce_applies_other_rules_without_computing_cells(board: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sweep = command(board, out, "grid.n_source=[10]", "methods=[random]", runs=4)
    assert main(sweep) == 0
    before, cells = read_tables(out), state(out / "cells")
    other_rules = ["thresholds=[.7,.8,.9]", "tie_policy=half", "ci=pairs", "n_resamples=100", "report=false"]
    assert main(["reduce", f"out={out}", *other_rules]) == 0
    after = read_tables(out)
    assert state(out / "cells") == cells
    assert set(after["mdad"]["threshold"].to_pylist()) == {0.7, 0.8, 0.9}
    assert len(after["mdad"]) == 3 * len(before["mdad"])
    for name in ("agreement", "mdad", "summary"):
        assert set(after[name]["tie_policy"].to_pylist()) == {"half"}
        assert set(after[name]["ci"].to_pylist()) == {"pairs"}
    assert after["agreement"]["n_pairs"].equals(before["agreement"]["n_pairs"])
    assert not after["agreement"]["agreement"].equals(before["agreement"]["agreement"])
    assert list((out / "figures").glob("*.png"))
    assert main(["reduce", f"out={out}", "n_resamples=100", "figures=false", "report=false"]) == 0
    again = read_tables(out)
    assert all(again[name].equals(before[name]) for name in before)


def test_tables_show_only_the_cells_of_the_last_configuration(board: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(command(board, out, runs=2)) == 0
    assert main(command(board, out, "methods=[random]", "grid.sizes=[5]", "grid.n_source=[10]", runs=2)) == 0
    mdad = pq.read_table(out / "mdad.parquet")
    assert set(mdad["method"].to_pylist()) == {"random"}
    assert set(mdad["size"].to_pylist()) == {5}
    assert set(read_cells(out)["size"].to_pylist()) == {5, 10, 20}


@pytest.mark.slow
def test_the_release_layout_gives_the_cells_of_the_wide_one(test_data: Path, tmp_path: Path) -> None:
    for layout in ("wide", "npy"):
        subprocess.run(
            [sys.executable, test_data / "make_leaderboard.py", "bbh", tmp_path / layout, "--models", "120", "--layout", layout],
            check=True,
            timeout=60,
        )
    read_from = {
        "wide": ["benchmark=scores", f"benchmark.path={tmp_path / 'wide' / 'bbh.parquet'}"],
        "npy": ["benchmark=release", f"benchmark.path={tmp_path / 'npy'}"],
    }
    shared = [each for each in command(tmp_path, tmp_path, runs=3) if not each.startswith(("benchmark", "out="))]
    for layout, benchmark in read_from.items():
        assert main([*shared, *benchmark, "benchmark.name=x", f"out={tmp_path / 'out' / layout}"]) == 0
    assert read_cells(tmp_path / "out" / "wide").equals(read_cells(tmp_path / "out" / "npy"))


@pytest.mark.parametrize(
    "text",
    [
        "instruct and 7e9 <= params <= 9e9",
        'family in ["a", "b"]',
        "family == 'it'",
        r"^\d+-8b(-it)?$|\\",
        "it's",
        "a\\'b",
        "ends in a \\",
        "folder (1)/a,b=c.csv",
        "8",
    ],
)
def test_expressions_and_paths_need_only_the_quotes_of_the_shell(text: str) -> None:
    composed = Composer("sweep", [f"targets.where={text}", "targets.regex=null", f"out='{'x y'}'"])
    conf = composed.compose(composed.overrides)
    assert (str(conf.targets.where), conf.targets.regex, conf.out) == (text, None, "x y")
