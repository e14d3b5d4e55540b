"""One metric of a task, chosen over all its logs; metrics of which lower values are better, and ranges other than [0, 1]."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.ingested import read_ingested
from microbench_ray.data.tables.vocabulary import LOWER_IS_BETTER
from microbench_ray.ingest.base import LOGGED, Options, Scale
from microbench_ray.ingest.helm import HelmReader
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.metrics import most_common_metric
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import line, write, write_results
from tests.helpers.reading import read_all

TIME = "2026-05-01T10-00-00.000000"


def ingest(source: str, path: Path, out: Path, **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def fractions(out: Path) -> list[list[float]]:
    """The scores that were ingested, a row per model."""
    benchmark = read_ingested(out)
    rows: list[list[float]] = (benchmark.scores / benchmark.units).tolist()
    return rows


def helm(folder: Path, model: str, **means: float) -> None:
    folder.mkdir(parents=True)
    spec = {"name": f"s:model={model}", "adapter_spec": {"model": model, "method": "generation"}}
    (folder / "run_spec.json").write_text(json.dumps(spec))
    stats = [{"name": {"name": name, "split": "test"}, "mean": mean} for name, mean in means.items()]
    (folder / "per_instance_stats.json").write_text(json.dumps([{"instance_id": "id1", "stats": stats}]))


def lighteval(folder: Path, model: str, config: Any = None, **metrics: float) -> None:
    file = folder / "details" / model / TIME / f"details_t|0_{TIME}.parquet"
    file.parent.mkdir(parents=True)
    row = {
        "doc": {"query": "?", "choices": [], "gold_index": [0], "id": "0"},
        "metric": metrics,
        "model_response": {"logprobs": None},
    }
    pq.write_table(pa.Table.from_pylist([row]), file)
    if config is not None:
        results = folder / "results" / model / f"results_{TIME}.json"
        results.parent.mkdir(parents=True)
        results.write_text(json.dumps({"config_general": {}, "config_tasks": {"t|0": config}}))


def test_the_metric_that_most_logs_have() -> None:
    assert most_common_metric([["a", "b"], ["b", "a"], ["b"]]) == "b"
    assert most_common_metric([["a", "b"], ["b", "a"], ["a", "b"]]) == "a"
    assert most_common_metric([["a", "b"], ["a", "b"]], ("b", "a", "b")) == "b"
    assert most_common_metric([["a", "a"], ["b"], ["b"]]) == "b"
    assert most_common_metric([[], []]) is None


def test_helm_reads_one_metric_for_a_scenario(tmp_path: Path) -> None:
    helm(tmp_path / "a", "a", f1_score=0.25, exact_match=1.0)  # alone, it would be read by f1_score
    helm(tmp_path / "b", "b", exact_match=0.0)
    helm(tmp_path / "c", "c", exact_match=1.0)
    samples, tally = read_all(HelmReader(), tmp_path)
    assert {model: found[0].score for model, found in samples.items()} == {"a": 1.0, "b": 0.0, "c": 1.0}
    assert tally.choices == {"s: metric exact_match": 3}


def test_lighteval_reads_one_metric_for_a_task(tmp_path: Path) -> None:
    for model, metrics in (("a", {"em": 0.0, "f1": 0.5}), ("b", {"f1": 0.5, "em": 1.0}), ("c", {"em": 1.0})):
        lighteval(tmp_path, model, **metrics)
    samples, tally = read_all(LightevalReader(), tmp_path)
    assert {model: found[0].score for model, found in samples.items()} == {"a": 0.0, "b": 1.0, "c": 1.0}
    assert tally.choices == {"t|0: metric em": 3}


@pytest.mark.parametrize(
    "config",
    [
        {"metrics": [{"metric_name": "err", "higher_is_better": False}, {"metric_name": "em", "higher_is_better": True}]},
        {"metric": [{"metric_name": ["err", "em"], "higher_is_better": {"err": False, "em": True}}]},
    ],
)
def test_lighteval_says_of_which_metrics_lower_values_are_better(tmp_path: Path, config: Any) -> None:
    lighteval(tmp_path / "both", "a", config, err=0.0, em=1.0)
    samples, _ = read_all(LightevalReader(), tmp_path / "both")
    assert samples["a"][0].score == 1.0
    with refuses(DataError, "lower", where="t|0", got="'err'", hint="scale=0 offset=1"):
        read_all(LightevalReader(), tmp_path / "both", Options(metric="err"))
    lighteval(tmp_path / "one", "a", config, err=0.0)
    with refuses(DataError, "lower", got="higher_is_better: false"):
        read_all(LightevalReader(), tmp_path / "one")
    ingest("lighteval", tmp_path / "one", tmp_path / "out", scale=Scale(0, 1))


@pytest.mark.parametrize("metric", sorted(LOWER_IS_BETTER)[:4])
def test_metrics_known_to_be_better_when_lower_are_refused_or_reversed_in_every_format(tmp_path: Path, metric: str) -> None:
    lighteval(tmp_path / "lighteval", "a", **{metric: 0.25})
    helm(tmp_path / "helm" / "a", "a", **{metric: 0.25, "exact_match": 1.0})
    write(tmp_path / "lm_eval" / "a", "t", [line(0, acc=None, metrics=[metric], **{metric: 0.25})])
    for source in ("lighteval", "helm", "lm_eval"):
        with refuses(DataError, "lower", got=metric):
            ingest(source, tmp_path / source, tmp_path / "refused" / source, metric=metric)
        out = tmp_path / "reversed" / source
        summary = ingest(source, tmp_path / source, out, metric=metric, scale=Scale(0, 1))
        assert summary.responses == 1
        [file] = (out / "models").iterdir()
        assert pq.read_table(file)["score"].to_pylist() == [0.75]


def test_a_declared_direction_of_lm_eval_is_refused_or_reversed_for_a_named_metric(tmp_path: Path) -> None:
    for k in range(2):
        write(
            tmp_path / "logs" / f"{k}",
            "t",
            [line(0, acc=None, metrics=["rate"], rate=k / 4), line(1, acc=None, metrics=["rate"], rate=1)],
        )
        write_results(tmp_path / "logs" / f"{k}", f"org/{k}", higher_is_better={"t": {"rate": False}})
    for options in ({}, {"metric": "rate"}):
        with refuses(DataError, "lower", where="'t'", got="rate", hint="scale=0"):
            ingest("lm_eval", tmp_path / "logs", tmp_path / "out", **options)
    ingest("lm_eval", tmp_path / "logs", tmp_path / "out", scale=Scale(0, 1))
    assert [sorted(row) for row in fractions(tmp_path / "out")] == [[0, 1], [0, 0.75]]


@pytest.mark.parametrize(
    ("scale", "values", "scores"),
    [(Scale(10, 1), [1, 5.5, 10], [0, 0.5, 1]), (Scale(100, 0), [0, 25, 100], [0, 0.25, 1]), (Scale(0, 5), [5, 0, 1], [0, 1, 0.8])],
)
def test_judges_have_a_range(tmp_path: Path, scale: Scale, values: list[float], scores: list[float]) -> None:
    rows = [line(k, acc=None, metrics=["judge"], judge=value) for k, value in enumerate(values)]
    write(tmp_path / "logs", "t", rows)
    summary = ingest("lm_eval", tmp_path / "logs", tmp_path / "out", scale=scale)
    assert f"scale: {scale.best} is a score of 1, {scale.worst} a score of 0" in summary.choices
    [file] = (tmp_path / "out" / "models").iterdir()
    assert sorted(pq.read_table(file)["score"].to_pylist()) == pytest.approx(sorted(scores))
    with refuses(ConfigError, "settings", got="scale"):
        ingest("lm_eval", tmp_path / "logs", tmp_path / "out")


def test_a_value_outside_the_given_range_is_refused(tmp_path: Path) -> None:
    lighteval(tmp_path, "a", judge=11.0)
    with refuses(DataError, "outside [0, 1]", got="11.0", hint="scale="):
        ingest("lighteval", tmp_path, tmp_path / "out", scale=Scale(10, 1))
    with refuses(DataError, "outside [0, 1]", got="11", hint="scale=BEST offset=WORST"):
        ingest("lighteval", tmp_path, tmp_path / "out")


def test_the_keys_of_a_range(tmp_path: Path) -> None:
    def options(**keys: Any) -> Options:
        return IngestConf(path="x", out=str(tmp_path / "out"), **{"source": "lm_eval", **keys}).job().options

    assert options().scale == LOGGED
    assert options(scale=10, offset=1).scale == Scale(10, 1)
    assert options(scale=0, offset=1).scale.score(0.25) == 0.75
    table = options(source="table", scale=10, offset=1)  # the reader of tables divides by the scale
    assert [table.scale.score(value / table.table.scale) for value in (1, 10)] == pytest.approx([0, 1])
    with refuses(ConfigError, "scale", where="scale, offset", got="1, 1"):
        options(offset=1)


def test_a_table_of_judgments_from_1_to_10(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item_id,a,b\nq1,1,10\nq2,5.5,10\n")
    job = IngestConf(source="table", path=str(tmp_path / "t.csv"), out=str(tmp_path / "out"), scale=10, offset=1).job()
    assert "scale: 10 is a score of 1, 1 a score of 0" in run_ingest(job).choices
    assert fractions(tmp_path / "out") == [[0, 0.5], [1, 1]]


def test_a_dataset_judged_in_two_ways_is_refused(tmp_path: Path) -> None:
    for model, detail in (("a", {"correct": True}), ("b", {"prediction": "A"}), ("c", {"is_correct": True})):
        file = tmp_path / "results" / model / "t.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"accuracy": 100.0, "details": [detail]}))
    summary = ingest("opencompass", tmp_path, tmp_path / "out")
    assert (summary.added, list(summary.failed)) == (["a", "c"], ["b"])
    assert "'judge'" in str(summary.failed["b"])
    assert summary.choices == {"t: correct": 2, "t: judge": 1}


def test_inspect_says_the_scorer_and_how_epochs_are_reduced(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    spec = {"created": "2026-01-01T00:00:00+00:00", "task": "t", "model": "m", "dataset": {}}
    spec["config"] = {"epochs": 2, "epochs_reducer": ["max"]}
    results = {"scores": [{"name": "match", "scorer": "match", "metrics": {}}]}
    sample = {"id": 1, "input": "?", "target": "A"}
    samples = [sample | {"epoch": k + 1, "scores": {"match": {"value": value}}} for k, value in enumerate("CI")]
    document = {"version": 2, "status": "success", "eval": spec, "results": results, "samples": samples}
    (tmp_path / "a.json").write_text(json.dumps(document))
    [choice] = ingest("inspect", tmp_path, tmp_path / "out").choices
    assert choice.startswith("t: scorer match, mean over epochs")
    assert "max" in choice


def test_every_eval_ever_reads_one_filter_for_a_task(tmp_path: Path) -> None:
    for model, filters in (("a", ["strict", "loose"]), ("b", ["loose", "strict"]), ("c", ["strict", "loose"])):
        lines = [
            {
                "model_id": model,
                "evaluation_name": f"t/{name}",
                "sample_id": "0",
                "input": {"raw": "?"},
                "metadata": {"filter": name},
            }
            | {"evaluation": {"score": float(name == "strict")}}
            for name in filters
        ]
        (tmp_path / f"{model}_samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        config = [
            {"evaluation_name": f"t/{name}", "metric_config": {"evaluation_description": f"em (filter: {name})"}}
            for name in filters
        ]
        (tmp_path / f"{model}.json").write_text(json.dumps({"evaluation_results": config}))
    summary = ingest("every_eval_ever", tmp_path, tmp_path / "out")
    assert (summary.added, summary.failed) == (["a", "b", "c"], {})
    assert summary.choices["t: filter strict"] == 3


def test_a_folder_without_models_can_be_ingested_with_other_settings(tmp_path: Path) -> None:
    lighteval(tmp_path / "logs", "a", judge=7.75)
    with refuses(DataError, "outside [0, 1]", hint="scale="):
        ingest("lighteval", tmp_path / "logs", tmp_path / "out")
    assert ingest("lighteval", tmp_path / "logs", tmp_path / "out", scale=Scale(10, 1)).responses == 1
