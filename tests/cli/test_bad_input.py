"""Bad input is reported up front, in one message, and no file is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from tests.helpers.refusals import Refused, assert_one_message, swept
from tests.helpers.rotation import rotating
from tests.helpers.small_sweep import N_ITEMS, N_MODELS, columns

TYPING_ERRORS = {
    "grid.rnus=3": "did you mean runs?",
    "+grid.foo=4": "where: grid.foo",
    "+grid.rnus=4": "did you mean runs?",
    "++grid.rnus=4": "did you mean runs?",
    "benchmark.pth=x": "did you mean path?",
    "+benchmark.pth=x": "did you mean path?",
    "seeed=1": "did you mean seed?",
    "engine.wrokers=2": "did you mean workers?",
    "+engine.wrokers=2": "did you mean workers?",
    "targets.wher=x": "did you mean where?",
    "+targets.wher=x": "did you mean where?",
    "+foo=1": "valid: baseline, benchmark, benchmarks, ci",
    "thresold=[.8]": "did you mean thresholds?",
    "benchmrk=scores": "did you mean benchmark?",
    "hydra.rnu.dir=x": "where: hydra.rnu",
    "benchmark=scroes": "did you mean scores? valid: bbh, gpqa, ingested, mmlu, mmlu_pro, release, scores, suite, synthetic",
    "benchmark=[scroes]": "did you mean scores?",
    "engine=spark": "valid: auto, cluster, local, serial",
    "grid=papre": "did you mean paper?",
    "targets=gruop": "did you mean group?",
    "experiment=papre_gpqa": "did you mean paper_gpqa?",
    "methods=[randm]": "did you mean random? valid: ",
    "methods=[{method: randm}]": "did you mean random? valid: ",
    "methods=[{method: random, lable: x}]": "did you mean label?",
    "methods=[{method: random, selector: {strata: 3}}]": "strata",
    "methods=[{method: stratified_confidence, selector: {srata: 3}}]": "did you mean strata?",
    "methods=[{method: random, selector: {name: randon}}]": "did you mean random?",
    "methods=[{method: random, estimator: {sginal: confidence}}]": "did you mean signal?",
    "methods=[{method: random, estimator: {signal: confidense}}]": "correctness, confidence",
    "methods=[{method: random, estimator: {name: maen}}]": "did you mean mean?",
    "tie_policy=worng": "did you mean wrong?",
    "ci=models": "pairs, runs",
    "benchmark.reader=csv": "valid: ingested, release, scores, suite, synthetic",
    "grid={rnus: 3}": "did you mean runs?",
    "benchmark={pth: x}": "did you mean path?",
    "word": "key=value",
    "": "key=value",
    "a b=c": "key=value",
    "grid.sizes=[5,10": "key=value",
    "--unknown-option": "see microbench --help",
    "--multirun": "see microbench --help",
    "--config-dir=/no/such/folder": "no such folder",
}


@pytest.mark.slow
@pytest.mark.parametrize("argument", rotating(TYPING_ERRORS, 3))
def test_a_typing_error_is_reported_with_valid_names(argument: str, board: Path, tmp_path: Path, refused: Refused) -> None:
    refused(swept(board, tmp_path / "out", argument), TYPING_ERRORS[argument])


WRONG_ENGINES = {
    "engine=cluster engine.resources.randm.memory=2e9": "did you mean random?",
    "engine=cluster engine.resources.default.cpus=2": "keys: num_cpus, memory, custom",
    "engine=cluster engine.resources.default.num_cpus=0": "num_cpus: 1",
    "engine=cluster engine.resources=3": "a mapping in braces",
    "engine=cluster engine.workers=2": "engine=local",
    "engine=cluster engine.timeout=0": "engine.timeout",
    "engine=cluster engine.patience=-1": "engine.patience",
    "engine=local engine.address=127.0.0.1:6379": "engine.address",
    "engine=local engine.resources.default.num_cpus=2": "engine.resources",
    "engine=local engine.deadline=0": "engine.deadline",
    "engine=local engine.deadline=inf": "engine.deadline",
}


@pytest.mark.parametrize("arguments", WRONG_ENGINES)
def test_an_invalid_engine_is_reported(arguments: str, board: Path, tmp_path: Path, refused: Refused) -> None:
    refused(swept(board, tmp_path / "out", *arguments.split()), WRONG_ENGINES[arguments])


WRONG_VALUES = {
    "grid.runs=abc": ("grid.runs", "'abc'", "an integer"),
    "grid.runs=null": ("grid.runs", "an integer"),
    "grid.runs=0": ("grid.runs", "at least 1"),
    "grid.sizes=10": ("grid.sizes", "brackets"),
    "grid.sizes=5,10": ("grid.sizes", "grid.sizes=[5,10]"),
    "grid.sizes=[a]": ("grid.sizes[0]", "an integer"),
    "grid.sizes=[]": ("grid.sizes",),
    "grid.sizes=[0]": ("grid.sizes", "at least 1"),
    "grid.sizes=[5,5]": ("grid.sizes", "duplicate values"),
    "grid.fractions=[2]": ("grid.fractions", "(0, 1]"),
    "grid.n_source=[]": ("grid.n_source",),
    "grid.n_target=1": ("grid.n_target", "at least 2"),
    "grid.subtasks=sideways": ("pooled or separate",),
    "grid.unseen=all": ("half or none",),
    "grid=null": (),
    "grid=[{runs: 3}]": ("key=NAME",),
    "~grid": ("~grid", "key=value"),
    "+experiment=signals": ("experiment=NAME", "+experiment=NAME"),
    "+grid=paper": ("grid=NAME", "+grid=NAME"),
    "+seed=1": ("seed=VALUE", "+seed=VALUE"),
    "seed=-1": ("seed", "at least 0", "-1"),
    "seed=1.5": ("seed", "an integer"),
    "thresholds=[2]": ("thresholds", "(0, 1]", "[2.0]"),
    "thresholds=0.8": ("thresholds", "brackets"),
    "confidence_level=2": ("between 0 and 1",),
    "n_resamples=3": ("at least 100",),
    "keep_estimates=maybe": ("keep_estimates", "true or false"),
    "engine.workers=0": ("at least 1",),
    "engine.max_retries=-1": ("at least 0",),
    "benchmark.max_missing=2": ("max_missing", "[0, 1]"),
    "benchmark.path=": ("benchmark.path", "value is needed"),
    "benchmark.sizes=[]": ("benchmark.sizes", "[]"),
    "benchmark.sizes=[5,5]": ("benchmark.sizes", "duplicate values"),
    "benchmark.sizes=[5,1000]": (f"size 1000 > {N_ITEMS // 2} seen items of 'board'", "benchmark.sizes=[5]"),
    "benchmark.sizes=5": ("benchmark.sizes", "brackets"),
    "out=": ("out", "value is needed"),
    "out=${foo}": ("out", "foo"),
    "benchmark=scores": ("benchmark.path", "value is needed"),
    "benchmark=[scores,synthetic]": ("benchmark.path", "value is needed"),
    "benchmark=[]": ("benchmark=[NAME",),
    "methods=[]": ("methods=[random]",),
    "methods=random": ("methods", "brackets"),
    "methods=[3]": ("methods", "mapping", "3"),
    "methods=[{method: random, selector: 3}]": ("selector", "mapping", "methods, random"),
    "methods=[{label: x}]": ("methods.x.selector",),
    "methods=[random,random]": ("label", "random"),
    "methods=[{method: stratified_confidence, label: random},random]": ("label", "random"),
    "methods=[fixed]": ("items", "path"),
    "methods=[{method: fixed, selector: {items: [zzz]}}]": ("zzz",),
    "methods=[{method: fixed, selector: {path: /no/list.txt}}]": ("/no/list.txt",),
    "targets=group": ("targets.names", "targets.regex", "targets.where"),
    "targets.names=[m01,m02]": ("targets.label", "names"),
    "grid.sizes=[5,1000]": (f"size 1000 > {N_ITEMS // 2} seen items of 'board'", "grid.sizes=[5]"),
    "grid.n_source=[100]": (f"15 target and 100 source models > {N_MODELS} models", "n_source of at most 25"),
    "grid.n_target=40": (f"> {N_MODELS} models",),
}


@pytest.mark.slow
@pytest.mark.parametrize("argument", rotating(WRONG_VALUES, 3))
def test_an_invalid_value_is_reported(argument: str, board: Path, tmp_path: Path, refused: Refused) -> None:
    refused(swept(board, tmp_path / "out", argument, "log_level=warning"), *WRONG_VALUES[argument])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "words"),
    [
        (["targets.label=g"], ["targets.names", "none of names"]),
        (["targets.label=random", "targets.names=[m01,m02]"], ["targets.label", "label: random"]),
        (["targets.label=g", "targets.names=[m01,m02]", "targets.regex=m"], ["names, regex"]),
        (["targets.label=g", "targets.best=20"], ["targets.best", "20", "targets.best=0.2"]),
        (["targets.label=g", "targets.best=.2", "targets.regex=m"], ["regex, best"]),
        (["targets.label=g", "targets.best=.2", "extra_targets=[bset]"], ["did you mean best?"]),
        (["targets.label=g", "targets.best=.2", "extra_targets=[{label: h, wher: x}]"], ["did you mean where?"]),
        (["targets.label=g", "targets.best=.2", "extra_targets=[{label: h}]"], ["label: h", "none of names"]),
        (["targets.label=g", "targets.best=.2", "extra_targets=[7]"], ["name or a mapping", "extra_targets", "7"]),
        (["targets.label=best", "targets.best=.2", "extra_targets=[best]"], ["label", "best"]),
        (["targets.label=g", "targets.names=[m01,zzz]"], ["'zzz'", "targets.names"]),
        (["targets.label=g", "targets.names=[m01]"], ["at least 2", "board"]),
        (["targets.label=g", "targets.regex='('"], ["targets.regex", "'('"]),
        (["targets.label=g", "targets.where='params > 3'"], ["targets.where", "model_id"]),
    ],
)
def test_a_group_of_targets_needs_a_label_and_one_selection(
    group: list[str], words: list[str], board: Path, tmp_path: Path, refused: Refused
) -> None:
    refused(swept(board, tmp_path / "out", "targets=group", *group), *words)


def test_unknown_jobs_and_options_are_refused(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["sweap"], "Unknown job", "sweap", "did you mean sweep?", "microbench --help")
    assert refused(["sweap", "--help"], "sweap") == refused(["sweap"], "sweap")
    assert main(["sweep", "--config-dir"]) == 1
    assert "--config-dir VALUE" in capsys.readouterr().err
    assert main([]) == 1
    assert "microbench JOB" in capsys.readouterr().out


def scores(**changes: object) -> pa.Table:
    return pa.table(columns() | changes)


def write(content: pa.Table | bytes, path: Path) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    return path


ONE = np.ones(N_ITEMS)
IDS = [f"i{k}" for k in range(N_ITEMS)]
BAD_TABLES: dict[str, tuple[str, Callable[[bytes], pa.Table | bytes], list[str]]] = {
    "empty": ("x.parquet", lambda whole: b"", ["The file is empty", "0 bytes"]),
    "empty CSV": ("x.csv", lambda whole: b"", ["The file is empty"]),
    "cut short": ("x.parquet", lambda whole: whole[: len(whole) // 2], ["truncated"]),
    "cut inside the footer": ("x.parquet", lambda whole: whole[:-20], ["truncated"]),
    "not a table": ("x.feather", lambda whole: b"hello, this is no table at all", ["truncated or not a Feather"]),
    "a suffix of another program": ("x.xls", lambda whole: b"PK", [".parquet, .feather"]),
    "text for a score": (
        "x.csv",
        lambda whole: b"item_id,a,b\nq1,1,0\nq2,wrong,1\n",
        ["text where a score should be", "column 'a', line 3, item 'q2'", "'wrong'"],
    ),
    "a score of 85 percent": ("x.parquet", lambda whole: scores(m03=85 * ONE), ["m03", "85", "[0, 1]"]),
    "a negative score": ("x.parquet", lambda whole: scores(m03=-ONE), ["m03", "-1", "[0, 1]"]),
    "an item twice": ("x.parquet", lambda whole: scores(item_id=[*IDS[:-1], "i0"]), ["'i0'", "unique"]),
    "a model twice": ("x.csv", lambda whole: b"item_id,a,b,a\nq1,1,0,1\n", ["'a'", "unique"]),
    "rows of items or of models": ("x.csv", lambda whole: b"name,a,b\nx,1,0\n", ["items or the models", "shape=items"]),
    "no models": ("x.csv", lambda whole: b"item_id,subtask\nq1,s\n", ["no column with a model"]),
    "no rows": ("x.csv", lambda whole: b"item_id,a,b\n", ["no rows"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_an_invalid_score_table_is_reported(case: str, board: Path, tmp_path: Path, refused: Refused) -> None:
    name, content, words = BAD_TABLES[case]
    path = write(content(board.read_bytes()), tmp_path / name)
    refused(swept(path, tmp_path / "out"), str(path), *words)


def test_a_missing_file_is_reported(board: Path, tmp_path: Path, refused: Refused) -> None:
    refused(swept(tmp_path / "nope.parquet", tmp_path / "out"), "no such file", "nope.parquet")
    refused(swept(tmp_path, tmp_path / "out"), str(tmp_path))
    refused(swept(board, tmp_path / "out", "benchmark=ingested", f"benchmark.path={board}"), "is a file", "benchmark=scores")
    (tmp_path / "ingested/models").mkdir(parents=True)
    refused(swept(tmp_path / "ingested", tmp_path / "out"), "ingested", "benchmark=ingested benchmark.path=")
    refused(["ingest", "source=table", "path=s3://bucket/x.csv", "out=b"], "where: path", "s3://bucket/x.csv", "hf://")
    refused(["plan", f"results={tmp_path}/gone"], "where: results", "gone")
    refused(swept(tmp_path, tmp_path / "out", "benchmark=release", f"benchmark.path={tmp_path}/x"), "layout is missing")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"item_id": [*IDS[:-1], "other"]}, ["same items", "'other'"]),
        ({"m99": ONE}, ["same model columns", "'m99'"]),
        ({"m01": 3 * ONE}, ["m01", "[0, 1]"]),
        ({"m01": np.full(N_ITEMS, np.nan)}, ["m01"]),
    ],
)
def test_a_confidence_table_that_does_not_match_is_reported(
    changes: dict[str, object], words: list[str], tmp_path: Path, refused: Refused
) -> None:
    path = write(scores(), tmp_path / "x.parquet")
    write(scores(**changes), tmp_path / "x.confidence.parquet")
    refused(swept(path, tmp_path / "out"), "x.confidence.parquet", *words)


def test_a_broken_file_in_the_users_folder_is_reported(board: Path, tmp_path: Path, refused: Refused) -> None:
    own = tmp_path / "own"
    (own / "method").mkdir(parents=True)
    (own / "benchmark").mkdir()
    (own / "method" / "broken.yaml").write_text("selector: [")
    (own / "method" / "flat.yaml").write_text("selector: random")
    (own / "method" / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (own / "benchmark" / "broken.yaml").write_text("reader: [")
    for name in ("broken", "flat", "binary"):
        refused(swept(board, tmp_path / "out", f"methods=[{name}]", f"--config-dir={own}"), f"{name}.yaml")
    refused(swept(board, tmp_path / "out", "benchmark=broken", "--config-dir", str(own)), "broken.yaml")


PROGRAM = """
import json, sys, time
from microbench_ray.cli.main import main
codes, seconds = [], [0.0]
for arguments in json.loads(sys.argv[1]):
    codes.append(main(arguments))
    seconds.append(time.process_time())
print(json.dumps([codes, "ray" in sys.modules, [after - before for before, after in zip(seconds, seconds[1:])]]))
"""
REFUSED_BY = {"grid.rnus=3": "runs", "benchmark.path=nope.parquet": "nope.parquet", "out=/proc/nope": "/proc/nope"}
"""Changes that the configuration, the benchmark and the store refuse, each with a word of the message."""


def test_commands_are_refused_at_once_and_without_ray(board: Path, tmp_path: Path) -> None:
    """In one new process. The first command imports the package, whose time benchmarks/test_perf_start.py bounds."""
    commands = [swept(board, tmp_path / "out", change, "-q") for change in (*REFUSED_BY, *REFUSED_BY)]
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    codes, has_ray, cpu_seconds = json.loads(completed.stdout)
    assert codes == [1] * len(commands)
    assert not has_ray
    assert max(cpu_seconds[len(REFUSED_BY) :]) < 0.5
    assert not list(tmp_path.iterdir())
    messages = re.split(r"\n(?=\S)", completed.stderr.strip())
    for message, word in zip(messages, [*REFUSED_BY.values()] * 2, strict=True):
        assert_one_message(1, message, (word,))


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["score", "micro=m", "responses=r.csv", "items=i.csv"], "microbench export"),
        (["score", "micro=m", "responses=r.csv", "benchmark.items=i.csv"], "microbench export"),
        (["score", "micro=m", "responses=r.csv", "truth=macro"], "microbench export"),
        (["ingest", "source=table", "path=t.csv", "out=b", "benchmark.items=i.csv"], "benchmark=ingested"),
        (["ingest", "source=table", "path=t.csv", "out=b", "items=i.csv"], "benchmark.items=FILE"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_keys_of_benchmarks_elsewhere(command: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that reads no benchmark says where what items count is given."""
    assert main(command) == 1
    assert hint in capsys.readouterr().err.partition("hint:")[2]
