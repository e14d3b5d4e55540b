"""What a message about logs advises is done, as it would be typed, and works."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from microbench_ray import ingest
from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import MicrobenchError
from microbench_ray.ingest.run import run_ingest
from tests.helpers import many_models, tool_logs
from tests.helpers.lm_eval_logs import line, write, write_results
from tests.helpers.tool_logs import write_json, write_lines

Write = Callable[[Path], object]
TIME_1, TIME_2 = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"


def nothing(folder: Path) -> None:
    """Write nothing."""


@dataclass(frozen=True)
class Case:
    """Logs that are refused, and what is advised.

    Attributes
    ----------
    source, write
        The format, and what writes the logs into a folder.
    typed
        The keys of the command that is refused.
    follow
        Commands by the hint, each of which must read the logs.
    before, then
        The keys of a command that has read them before, None for none, and what is written after it.
    mend
        What else the hint asks for, in the folder of the logs.
    """

    source: str
    write: Write
    typed: str
    follow: tuple[str, ...]
    before: str | None = None
    then: Write = nothing
    mend: Write = nothing


def small(name: str, change: Callable[[Any], object] | None = None) -> Write:
    """Logs of two models and four items; `change` changes each JSON document."""

    def into(folder: Path) -> None:
        tool_logs.WRITERS[name][1](folder, 2, 4)
        if change:
            for file in folder.rglob("*.json*"):
                documents = [json.loads(text) for text in file.read_text().splitlines()]
                for document in documents:
                    change(document)
                write_lines(file, documents)

    return into


def evalplus_of_two(folder: Path) -> None:
    """Logs of two models, of which one ran without the extra tests."""
    for model, plus in (("a", "pass"), ("b", None)):
        completion = {"task_id": "HumanEval/0", "solution": "", "base_status": "pass", "plus_status": plus}
        write_json(folder / f"{model}_vllm_temp_0.0_eval_results.json", {"eval": {"HumanEval/0": [completion]}})


def lm_eval(*lines: dict[str, Any], **results: Any) -> Write:
    """A log of one task with these lines."""

    def into(folder: Path) -> None:
        write(folder / "org__a", "t", lines)
        write_results(folder / "org__a", "org/a", **results)

    return into


def lm_eval_runs(*runs: tuple[str, str, dict[str, Any], dict[str, Any]]) -> Write:
    """Runs of one model: a task, a time, the fields of the only line, and those of the results."""

    def into(folder: Path) -> None:
        for task, time, fields, results in runs:
            write(folder / "org__a", task, [line(0, **fields)], time)
            write_results(folder / "org__a", "org/a", time, **results)

    return into


def every_eval_ever(change: Callable[[dict[str, Any]], object], twice: bool = False) -> Write:
    """Logs with other settings of their metrics; `twice` has two metrics of every sample."""

    def into(folder: Path) -> None:
        many_models.every_eval_ever(folder, None, 2, 4)
        for file in folder.rglob("*.json"):
            document = json.loads(file.read_text())
            for result in document["evaluation_results"]:
                change(result["metric_config"])
            file.write_text(json.dumps(document))
        for file in folder.rglob("*.jsonl") if twice else ():
            lines = [json.loads(text) for text in file.read_text().splitlines()]
            others = [one | {"evaluation_result_id": one["evaluation_result_id"].replace("accuracy", "f1")} for one in lines]
            write_lines(file, lines + others)

    return into


def inspect(*scores: Any) -> Write:
    """A log whose samples have these scores."""

    def into(folder: Path) -> None:
        samples = [
            {
                "id": k,
                "epoch": 1,
                "input": f"{k}?",
                "target": "2",
                "scores": {name: {"value": value} for name, value in each.items()},
            }
            for k, each in enumerate(scores)
        ]
        about = {"created": "2026-01-01T00:00:00+00:00", "task": "sums", "model": "maker/one", "dataset": {}, "config": {}}
        write_json(folder / "log.json", {"version": 2, "status": "success", "eval": about, "samples": samples})

    return into


def lighteval(folder: Path) -> None:
    for task in ("a", "b"):
        rows = [{"doc": {"query": "?", "id": "1"}, "metric": {f"acc_{task}": 1.0, "other": 0.5}, "model_response": {"text": [""]}}]
        run = folder / "details/org/m" / TIME_1
        run.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), run / f"details_{task}|0_{TIME_1}.parquet")


def lighteval_runs(folder: Path) -> None:
    """Runs of two times, whose results files are missing."""
    for task, time in (("a", TIME_1), ("b", TIME_2)):
        run = folder / "details/org/m" / time
        run.mkdir(parents=True)
        rows = [{"doc": {"query": "?", "id": "1"}, "metric": {"acc": 1.0}, "model_response": {"text": [""]}}]
        pq.write_table(pa.Table.from_pylist(rows), run / f"details_{task}|0_{time}.parquet")


def resolved_only(folder: Path) -> None:
    write_json(folder / "a.run.json", {"resolved_ids": ["x__y-1"]})
    (folder.parent / "ids.txt").write_text("x__y-1\nx__y-2\n")


def submissions(*totals: int) -> Write:
    def into(folder: Path) -> None:
        for number, total in enumerate(totals):
            results = folder / f"evaluation/verified/s{number}/results"
            write_json(results / "results.json", {"no_generation": [], "no_logs": [], "resolved": [f"x__y-{number}"]})
            write_json(results / "resolved_by_repo.json", {"x/y": {"resolved": 1, "total": total}})
        (folder.parent / "ids.txt").write_text("".join(f"x__y-{number}\n" for number in range(9)))

    return into


def helm(folder: Path) -> None:
    """Two runs, which have no metric in common."""
    for task in ("a", "b"):
        run = folder / f"{task}:model=m"
        write_json(run / "run_spec.json", {"name": run.name, "adapter_spec": {"model": "m", "method": "generation"}})
        stats = [{"name": {"name": f"odd_{task}", "split": "test"}, "mean": 0.5, "count": 1, "sum": 0.5}]
        write_json(run / "per_instance_stats.json", [{"instance_id": "id1", "trial_index": 0, "stats": stats}])


def of_two(value: float) -> dict[str, Any]:
    return {"metrics": ["acc", "f1"], "acc": value, "f1": 0.5}


RATE = line(0, metrics=["likelihood_diff", "ter"], acc=None, likelihood_diff=3.0, ter=0.25)
ADAPTERS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("t", TIME_1, {}, {"config": {"model_args": "pretrained=org/a,peft=one"}}),
    ("u", TIME_2, {}, {"config": {"model_args": "pretrained=org/a,peft=two"}}),
]

CASES: dict[str, Case] = {
    "another format, file": Case("evalplus", lambda f: small("promptfoo")(f), "path=results.json", ("source=promptfoo",)),
    "another format, folder": Case("harbor", small("livebench"), "", ("source=livebench",)),
    "models that no log has": Case("livebench", small("livebench"), "models=[x]", ("", "models=[maker-*]")),
    "tasks that no log has": Case("evalscope", small("evalscope"), "tasks=[x]", ("", "tasks=[sums_*]")),
    "a line that is too long": Case("livebench", small("livebench"), "max_line_bytes=20", ("max_line_bytes=1000000",)),
    "no such metric of evalplus": Case("evalplus", small("evalplus"), "metric=x", ("metric=plus", "metric=base")),
    "extra tests not run": Case(
        "evalplus",
        small("evalplus", lambda d: [c.update(plus_status=None) for each in d["eval"].values() for c in each]),
        "metric=plus",
        ("metric=base",),
    ),
    "no such metric of evalscope": Case("evalscope", small("evalscope"), "metric=x", ("metric=acc",)),
    "no such metric of lmms-eval": Case("lmms_eval", small("lmms_eval"), "metric=x", ("metric=exact_match",)),
    "a rate of lmms-eval": Case(
        "lmms_eval",
        small("lmms_eval", lambda d: d.update(wer=d.pop("exact_match")) if "exact_match" in d else None),
        "",
        ("metric=wer scale=0 offset=1",),
    ),
    "no such metric of promptfoo": Case("promptfoo", small("promptfoo"), "metric=x", ("metric=pass", "metric=score")),
    "several rewards": Case(
        "harbor",
        small("harbor", lambda d: d.update(verifier_result={"rewards": {"a": 1, "b": 0}}) if "task_name" in d else None),
        "",
        ("metric=a",),
    ),
    "no such column of VLMEvalKit": Case("vlmevalkit", small("vlmevalkit"), "metric=x", ("metric=hit",)),
    "a list without failures": Case("swe_bench", resolved_only, "", ("items=ids.txt",)),
    "few submissions": Case("swe_bench", submissions(9, 9), "", ("items=ids.txt",)),
    "no known metric of HELM": Case("helm", helm, "", ("metric=odd_a tasks=[a]", "metric=odd_b tasks=[b]")),
    "no such metric of HELM": Case("helm", helm, "metric=odd_a", ("metric=odd_a tasks=[a]",)),
    "no such metric of lighteval": Case("lighteval", lighteval, "metric=acc_a", ("metric=acc_a tasks=[a*]", "metric=other")),
    "several metrics": Case(
        "every_eval_ever", every_eval_ever(lambda c: None, twice=True), "", ("metric=*.accuracy", "metric=*.f1")
    ),
    "an error rate": Case(
        "every_eval_ever",
        every_eval_ever(lambda c: c.update(lower_is_better=True)),
        "",
        ("metric=accuracy scale=0 offset=1", "scale=0 offset=1"),
    ),
    "no such scorer": Case("inspect", inspect({"a": 1}), "metric=x", ("metric=a", "metric=a tasks=[sums]")),
    "a scorer of several values": Case("inspect", inspect({"a": {"x": 1, "y": 0}}), "", ("metric=a/x", "metric=a/y")),
    "a scorer of lists": Case("inspect", inspect({"a": [1, 0], "b": 1}), "", ("metric=b",)),
    "words instead of scores": Case("inspect", inspect({"a": "good", "b": 1}), "", ("metric=b",)),
    "too few repeats for a reducer": Case("inspect", inspect({"a": 1}), "reduce=pass@5", ("",)),
    "marks of a judge": Case("inspect", inspect({"a": 7, "b": 1}), "", ("metric=b", "metric=a scale=10 offset=1")),
    "no such filter": Case("lm_eval", lm_eval(line(0)), "filter=x", ("filter=none", "")),
    "no filters": Case("lm_eval", lm_eval(line(0, filter=None)), "filter=x", ("",)),
    "no such metric of lm-eval": Case("lm_eval", lm_eval(line(0, **of_two(1.0))), "metric=x", ("metric=acc", "metric=f1")),
    "no metrics": Case("lm_eval", lm_eval(line(0), line(1)), "metric=x", ("",)),
    "tasks and models that no log has": Case("lm_eval", lm_eval(line(0)), "tasks=[x] models=[y]", ("tasks=[t]", "models=[org/a]")),
    "marks in a log": Case("lm_eval", lm_eval(line(0, **of_two(7.0))), "metric=acc", ("metric=f1", "metric=acc scale=10 offset=0")),
    "no score in any log": Case(
        "lm_eval", lm_eval(line(0, metrics=["mark"], acc=None, mark=7.0)), "", ("metric=mark scale=10 offset=1",)
    ),
    "a rate only": Case("lm_eval", lm_eval(line(0, metrics=["ter"], acc=None, ter=0.25)), "", ("metric=ter scale=0 offset=1",)),
    "a rate that was chosen": Case("lm_eval", lm_eval(RATE), "metric=ter", ("metric=ter scale=0 offset=1",)),
    "one task without metrics": Case(
        "lm_eval", lm_eval_runs(("t", TIME_1, {}, {}), ("u", TIME_2, {"metrics": [], "acc": None}, {})), "", ("tasks=[t]",)
    ),
    "two scores of an item": Case(
        "lm_eval",
        lm_eval_runs(("t", TIME_1, {"acc": 1.0}, {}), ("t", TIME_2, {"acc": 0.0}, {})),
        "",
        ("on_conflict=last", "on_conflict=repeats"),
    ),
    "two adapters": Case("lm_eval", lm_eval_runs(*ADAPTERS), "", ("identify=[name,adapter]", "identify=[name] out=OTHER")),
    "unknown revisions": Case("lighteval", lighteval_runs, "", ("identify=[name]",)),
    "identity without the name": Case("lm_eval", lm_eval(line(0)), "identify=[revision]", ("identify=[name,revision]",)),
    "no logs of lm-eval": Case(
        "lm_eval", lambda folder: (folder / "empty").mkdir(parents=True), "path=empty", ("path=.",), mend=lm_eval(line(0))
    ),
    "another metric than before": Case(
        "lm_eval", lm_eval(line(0, **of_two(1.0))), "metric=f1", ("metric=f1 out=OTHER", "metric=acc"), before="metric=acc"
    ),
    "another metric in a later log": Case(
        "lm_eval",
        lm_eval(line(0, **of_two(1.0))),
        "",
        ("models=[org/a]", "metric=f1 out=OTHER"),
        before="",
        then=lambda folder: write(folder / "org__b", "t", [line(0, metrics=["f1"], acc=None, f1=0.5)]),
    ),
    "extra tests in one of two logs": Case("evalplus", evalplus_of_two, "", ("metric=base out=OTHER",)),
    "repeats that come later": Case(
        "lm_eval",
        lambda folder: [write(folder / f"run{k}/org__a", "t", [line(0)], time) for k, time in ((1, TIME_1), (2, TIME_2))],
        "on_conflict=repeats path=run2",
        ("on_conflict=repeats path=.", "on_conflict=repeats path=run2 out=OTHER"),
        before="on_conflict=repeats path=run1",
    ),
    "another revision": Case("lm_eval", lm_eval(line(0)), "models=[org/a@x]", ("models=[org/a]",)),
    "a path that does not exist": Case("promptfoo", small("promptfoo"), "path=x.json", ("path=results.json",)),
    "no score at all": Case(
        "livebench",
        small("livebench", lambda d: d.update(score=-1) if d["model"] == "maker-0/model-00" else None),
        "",
        ("models=[maker-1/*]",),
    ),
}


def read(case: Case, typed: str, folder: Path, out: Path) -> str | None:
    """The first error of a command; None if it reads everything."""
    pairs = (pair.split("=", 1) for pair in typed.split())
    keys: dict[str, Any] = {name: value if value.startswith("*") else yaml.safe_load(value) for name, value in pairs}
    keys["path"] = str(folder / keys.get("path", "."))
    if "items" in keys:
        keys["items"] = str(folder.parent / keys["items"])
    keys["out"] = str(out.with_name(keys["out"]) if "out" in keys else out)
    try:
        summary = run_ingest(IngestConf(**{"source": case.source, **keys}).job())
    except MicrobenchError as error:
        return str(error)
    return str(next(iter(summary.failed.values()))) if summary.failed else None


@pytest.mark.parametrize("name", CASES)
def test_following_the_hint_reads_the_logs(name: str, tmp_path: Path) -> None:
    case, logs = CASES[name], tmp_path / "logs"
    case.write(logs)
    if case.before is not None:
        assert read(case, case.before, logs, tmp_path / "out") is None
    case.then(logs)
    error = read(case, case.typed, logs, tmp_path / "out")
    assert error is not None
    case.mend(logs)
    for number, typed in enumerate(case.follow):
        for key in re.findall(r"(\w+)=", typed):
            assert f"{key}=" in error, f"{key}= is not advised by: {error}"
        out = tmp_path / ("out" if case.before is not None else f"followed_{number}")
        assert (left := read(case, typed, logs, out)) is None, f"{typed!r} gives {left}"


OTHER_TESTS = ("hub.py", "tables.py")
"""Readers whose advice `test_hub` and `data/test_table_advice` follow."""
OF_PLUGINS = ("choose another metric with metric=NAME if the log has several",)
"""Advice for readers of other packages, which may check nothing."""


def advice_in(tree: ast.AST) -> set[str]:
    """The texts of hints that name a key, each up to its first value that is filled in."""
    hints = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "hint"]
    hints += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AugAssign)
        and any(isinstance(each, ast.Name) and each.id == "hint" for each in ast.walk(node))
    ]
    texts = [each.value for hint in hints for each in ast.walk(hint) if isinstance(each, ast.Constant)]
    return {text.strip() for text in texts if isinstance(text, str) and re.search(r"\b[a-z_]+=", text)}


@pytest.mark.slow
def test_all_advice_of_readers_is_followed(tmp_path: Path) -> None:
    files = [file for file in Path(ingest.__path__[0]).glob("*.py") if file.name not in OTHER_TESTS]
    advice = {text for file in files for text in advice_in(ast.parse(file.read_text(encoding="utf-8")))}
    assert len(advice) > 20
    seen = []
    for number, case in enumerate(CASES.values()):
        logs, out = tmp_path / f"{number}/logs", tmp_path / f"{number}/out"
        case.write(logs)
        if case.before is not None:
            read(case, case.before, logs, out)
        case.then(logs)
        seen.append(read(case, case.typed, logs, out) or "")
    left = {text for text in advice if not any(text in each for each in seen)}
    assert left <= set(OF_PLUGINS), left
