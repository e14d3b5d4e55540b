"""Trimmed files of real runs of promptfoo, EvalScope, HELM, Inspect and lighteval: their own totals are those that are read.

The runs had mock models and a few sums. `tool_runs` keeps the fields that matter, and the totals as the tools wrote them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from microbench_ray.ingest.base import Options
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.overall import Comparison
from microbench_ray.ingest.promptfoo import PromptfooReader
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

RUNS = Path(__file__).parent / "tool_runs"
PROMPTFOO = PromptfooReader()
COLUMNS = ("strong (question)", "strong (order)", "weak (question) (column 3)", "weak (question) (column 4)")


def ingest(source: str, path: Path, tmp_path: Path, **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=tmp_path / "out", options=Options(**options)))


def differing(summary: IngestSummary) -> dict[str, Comparison]:
    return {name: each for name, each in summary.compared.items() if each.difference}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RUNS / "promptfoo.json").read_text())["results"]
    return document


def promptfoos_own(metrics: dict[str, Any], metric: str) -> float:
    """The total that promptfoo wrote for a column, as a mean."""
    counts = {name: metrics[f"test{name}Count"] for name in ("Pass", "Fail", "Error")}
    if metric == "pass":
        return float(counts["Pass"] / sum(counts.values()))
    if metric == "score":
        return float(metrics["score"] / sum(counts.values()))
    return float(metrics["namedScores"][metric] / metrics["namedScoreWeights"][metric])


@pytest.mark.parametrize("metric", ["pass", "score", "has", "close"])
def test_totals_of_promptfoo(metric: str, results: dict[str, Any], tmp_path: Path) -> None:
    summary = ingest("promptfoo", RUNS / "promptfoo.json", tmp_path, metric=metric)
    own = {name: promptfoos_own(prompt["metrics"], metric) for name, prompt in zip(COLUMNS, results["prompts"], strict=True)}
    assert {name: each.own for name, each in summary.compared.items()} == pytest.approx(own, abs=1e-9)
    for column, name in enumerate(COLUMNS):
        items: dict[str, list[float]] = {}
        for row in results["results"]:
            value = {"pass": row["success"], "score": row["score"]}.get(metric, row["namedScores"].get(metric))
            if row["promptIdx"] == column and row["failureReason"] != 2 and value is not None:
                items.setdefault(json.dumps([row["vars"], row["testCase"]["assert"]]), []).append(value)
        assert summary.compared[name].mean == pytest.approx(np.mean([np.mean(values) for values in items.values()]), abs=1e-9)


def test_means_are_those_of_promptfoo_where_each_test_has_one_result(results: dict[str, Any], tmp_path: Path) -> None:
    rows = [row for row in results["results"] if row["testIdx"] < 6]  # the seventh result of a column is a repeat
    file = write_json(tmp_path / "results.json", {"results": {"results": rows}})
    summary = ingest("promptfoo", file, tmp_path)
    assert set(summary.compared) == set(COLUMNS)
    assert differing(summary) == {COLUMNS[2]: (pytest.approx(4 / 5), pytest.approx(4 / 6), 1e-9)}  # an error of six results
    (said,) = [line for line in summary.lines() if "promptfoo's mean" in line]
    assert "0.8000 and 0.6667" in said


def test_columns_of_promptfoo_with_one_name_are_several_models_and_tests_with_the_same_variables_several_items() -> None:
    samples, tally = read_all(PROMPTFOO, RUNS / "promptfoo.json")
    assert set(samples) == set(COLUMNS)
    (warning,) = tally.suspicious.values()
    assert "'weak (question)'" in str(warning.got)
    assert [len(each) for each in scores(samples[COLUMNS[0]]).values()] == [1, 1, 1, 1, 1, 2]
    first, second = (sample.item_id for sample in samples[COLUMNS[0]][:2])
    assert second == f"{first}#2"


def test_promptfoo_writes_the_same_results_as_lines(results: dict[str, Any], tmp_path: Path) -> None:
    file = write_json(tmp_path / "results.jsonl", results["results"][::-1])
    lines, document = (read_all(PROMPTFOO, path)[0] for path in (file, RUNS / "promptfoo.json"))
    assert {name: sorted(scores(found).items()) for name, found in lines.items()} == {
        name: sorted(scores(found).items()) for name, found in document.items()
    }


def test_scores_in_reports_of_evalscope(tmp_path: Path) -> None:
    """Reports have four digits. A generation that ended in an error is in no review, so that its question has fewer repeats."""
    summary = ingest("evalscope", RUNS / "evalscope", tmp_path)
    reported = {}
    for model in ("good-70", "outage-50"):
        report = json.loads((RUNS / f"evalscope/reports/{model}/general_mcq.json").read_text())
        for subset in report["metrics"][0]["categories"][0]["subsets"]:
            name = f"general_mcq_{subset['name']}"
            reviews = (RUNS / f"evalscope/reviews/{model}/{name}.jsonl").read_text().splitlines()
            values = [json.loads(line)["sample_score"]["score"]["value"]["accuracy"] for line in reviews]
            assert round(np.mean(values), 4) == subset["score"]
            reported[f"{model}: {name}"] = subset["score"]
    assert {name: each.own for name, each in summary.compared.items()} == reported
    assert differing(summary) == {"outage-50: general_mcq_hard": (pytest.approx(2 / 9), 0.2857, pytest.approx(0.5e-4, rel=1e-3))}
    assert any("0.2222 and 0.2857" in line for line in summary.lines())
    for name in set(reported) - {"outage-50: general_mcq_hard"}:
        assert round(summary.compared[name].mean, 4) == reported[name]


def test_older_reports_of_evalscope_and_reports_of_other_metrics(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "evalscope", tmp_path / "run")
    file = tmp_path / "run/reports/good-70/general_mcq.json"
    report = json.loads(file.read_text())
    (metric,) = report["metrics"]
    assert len(ingest("evalscope", tmp_path / "run", tmp_path / "chosen", metric="accuracy").compared) == 4
    write_json(file, report | {"metrics": [{"name": "mean_accuracy", "categories": metric["categories"]}]})
    assert len(ingest("evalscope", tmp_path / "run", tmp_path / "older").compared) == 4
    write_json(file, report | {"metrics": [metric | {"identity": metric["identity"] | {"aggregation": "pass_at_k"}}, 3]})
    assert len(ingest("evalscope", tmp_path / "run", tmp_path / "other").compared) == 2


@pytest.mark.parametrize("metric", ["exact_match", "quasi_exact_match"])
def test_means_of_helm(metric: str, tmp_path: Path) -> None:
    """Two trials, two splits and perturbed copies of the instances."""
    summary = ingest("helm", RUNS / "helm", tmp_path, metric=metric)
    for skill in (45, 80):
        stats = json.loads((RUNS / f"helm/skill-{skill}/stats.json").read_text())
        (own,) = [stat["mean"] for stat in stats if stat["name"] == {"name": metric, "split": "test"}]
        compared = summary.compared[f"mock/skill-{skill}: two_splits:data_augmentation=robustness"]
        assert compared == (pytest.approx(own, abs=1e-9), own, 1e-9)
    assert not [line for line in summary.lines() if "stats.json" in line]


@pytest.mark.parametrize("stats", ["{", "3", '[{"name": {"name": "exact_match", "split": "test"}, "mean": "x"}, 3]', "[]", None])
def test_runs_of_helm_without_readable_totals(stats: str | None, tmp_path: Path) -> None:
    shutil.copytree(RUNS / "helm/skill-45", tmp_path / "run")
    (tmp_path / "run/stats.json").unlink()
    if stats is not None:
        (tmp_path / "run/stats.json").write_text(stats)
    assert not ingest("helm", tmp_path / "run", tmp_path).compared


def test_another_total_of_helm_is_said(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "helm/skill-45", tmp_path / "run")
    write_json(tmp_path / "run/stats.json", [{"name": {"name": "exact_match", "split": "test"}, "mean": 0.5}])
    summary = ingest("helm", tmp_path / "run/stats.json", tmp_path, metric="exact_match")  # a file of a run stands for the run
    assert any("0.4000 and 0.5000" in line for line in summary.lines())


@pytest.mark.parametrize(("name", "reduce"), [("mean", "mean"), ("max", "max"), ("mode", "mode"), ("pass2", "pass@2")])
def test_metrics_of_inspect(name: str, reduce: str, tmp_path: Path) -> None:
    """Three epochs and a reducer; some samples ended in an error, and scorers gave letters, NaN, mappings, or nothing."""
    log = RUNS / f"inspect/{name}.json"
    totals = json.loads(log.read_text())["results"]["scores"]
    assert len(totals) == 5
    for total in totals:
        metric = total["scorer"] if total["scorer"] == total["name"] else f"{total['scorer']}/{total['name']}"
        out = tmp_path / total["name"]
        run_ingest(IngestJob(source="inspect", path=str(log), out=out, options=Options(metric=metric, reduce=reduce)))
        (file,) = (out / "models").glob("*.parquet")
        read = pq.read_table(file, columns=["score"])["score"]
        (value,) = [each["value"] for each in total["metrics"].values()]
        assert pc.mean(read).as_py() == pytest.approx(value, abs=1e-9)
        assert len(read) - read.null_count == total["scored_samples"]


@pytest.mark.parametrize(
    ("task", "metric"),
    [("echo", "em"), ("echo", "f1"), ("echo", "avg@n:n=4"), ("echo", "pass@k:k=2&n=4"), ("sums", "acc"), ("sums", "mrr")],
)
def test_results_of_lighteval(task: str, metric: str, tmp_path: Path) -> None:
    """Generations of which one or four count, and likelihoods of choices; the rows are written as Parquet again."""
    rows = [json.loads(line) for line in (RUNS / f"lighteval/{task}.jsonl").read_text().splitlines()]
    time = "2026-11-29T14-18-00.616402"
    file = tmp_path / f"details/org/mock-30/{time}/details_{task}|0_{time}.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), file)
    samples, _ = read_all(LightevalReader(), tmp_path, Options(metric=metric))
    total = json.loads((RUNS / "lighteval/results.json").read_text())["results"][f"{task}|0"][metric]
    assert np.mean([sample.score for sample in samples["org/mock-30"]]) == pytest.approx(total, abs=1e-9)
