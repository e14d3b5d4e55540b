"""Logs of many models with known scores, in the format of each evaluation tool.

Inspect, HELM and lm-evaluation-harness logs are derived from real logs by changing the model's name and the scores. The other
layouts follow the public sources and schemas of the tools: evaleval/every_eval_ever (MIT), huggingface/lighteval (MIT), and
open-compass/opencompass (Apache-2.0). No data from these projects is included.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Truth = dict[str, list[float]]
"""Scores of every model, in the order of the items."""

N_MODELS, N_ITEMS = 10, 40


def answers_correctly(model: int, item: int, n_models: int) -> bool:
    """A pseudo-random outcome, the same on every machine; later models are better."""
    uniform = int.from_bytes(blake2b(f"{model}/{item}".encode(), digest_size=4).digest(), "big") / 2**32
    return uniform < 0.25 + 0.6 * model / (n_models - 1)


def model_names(n_models: int) -> list[str]:
    return [f"maker-{model % 3}/model-{model:02d}" for model in range(n_models)]


def truth(n_models: int, n_items: int) -> Truth:
    rows = ([float(answers_correctly(model, item, n_models)) for item in range(n_items)] for model in range(n_models))
    return dict(zip(model_names(n_models), rows, strict=True))


def inspect(folder: Path, test_data: Path, n_models: int = N_MODELS) -> Truth:
    """`.eval` files with the ten samples of a real log."""
    (source,) = (test_data / "formats/inspect_ai").glob("*_popularity_*.eval")
    with zipfile.ZipFile(source) as archive:
        members = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    items = sorted((name for name in members if name.startswith("samples/")), key=lambda name: members[name]["id"])
    scores = truth(n_models, len(items))
    folder.mkdir(parents=True, exist_ok=True)
    for number, (model, values) in enumerate(scores.items()):
        members["header.json"]["eval"]["model"] = model
        members["header.json"]["status"] = "success"
        for name, value in zip(items, values, strict=True):
            members[name]["scores"] = {"match": {"value": "C" if value else "I", "answer": "Yes"}}
        with zipfile.ZipFile(folder / f"2025-02-11T15-17-{number:02d}_popularity.eval", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, document in members.items():
                archive.writestr(name, json.dumps(document))
    return scores


def helm(folder: Path, test_data: Path, n_models: int = N_MODELS) -> Truth:
    """Run folders with the ten instances of a real HellaSwag run."""
    (source,) = (test_data / "formats/helm").glob("commonsense-dataset=hellaswag*")
    spec = json.loads((source / "run_spec.json").read_text())
    stats = json.loads((source / "per_instance_stats.json").read_text())
    scores = truth(n_models, len(stats))
    for model, values in scores.items():
        run = folder / f"commonsense-dataset=hellaswag,method=multiple_choice_joint,model={model.replace('/', '_')}"
        run.mkdir(parents=True)
        spec["name"] = f"commonsense:dataset=hellaswag,method=multiple_choice_joint,model={model.replace('/', '_')}"
        spec["adapter_spec"]["model"] = spec["adapter_spec"]["model_deployment"] = model
        for record, value in zip(stats, values, strict=True):
            for stat in record["stats"]:
                if stat["name"]["name"] == "exact_match":
                    stat.update(sum=value, sum_squared=value, min=value, max=value, mean=value)
        (run / "run_spec.json").write_text(json.dumps(spec))
        (run / "per_instance_stats.json").write_text(json.dumps(stats))
        (run / "scenario_state.json").write_bytes((source / "scenario_state.json").read_bytes())
    return scores


def every_eval_ever(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """`data/<collection>/<developer>/<model>/<uuid>_samples.jsonl` with their aggregates, of two evaluations."""
    scores = truth(n_models, n_items)
    for number, (model, values) in enumerate(scores.items()):
        run_folder, name = folder / "data/sums" / model, str(uuid.UUID(int=number, version=4))
        run_folder.mkdir(parents=True)
        evaluation_id = f"sums/{model.replace('/', '_')}/1750000000"
        lines = [_instance(model, evaluation_id, item, value) for item, value in enumerate(values)]
        (run_folder / f"{name}_samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run_folder / f"{name}.json").write_text(json.dumps(_aggregate(model, evaluation_id, values)))
    return scores


def _instance(model: str, evaluation_id: str, item: int, value: float) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0",
        "evaluation_id": evaluation_id,
        "model_id": model,
        "evaluation_name": f"sums.{'even' if item % 2 == 0 else 'odd'}",
        "evaluation_result_id": f"sums.{'even' if item % 2 == 0 else 'odd'}.accuracy",
        "sample_id": f"sum_{item:04d}",
        "interaction_type": "single_turn",
        "input": {"raw": f"What is {item} + {item}?", "reference": [str(2 * item)]},
        "output": {"raw": [str(2 * item if value else 0)]},
        "answer_attribution": [],
        "evaluation": {"score": value, "is_correct": bool(value)},
    }


def _aggregate(model: str, evaluation_id: str, values: list[float]) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0",
        "evaluation_id": evaluation_id,
        "retrieved_timestamp": "1750000001",
        "source_metadata": {
            "source_name": "sums",
            "source_type": "evaluation_run",
            "source_organization_name": "sums",
            "evaluator_relationship": "third_party",
        },
        "eval_library": {"name": "unknown", "version": "unknown"},
        "model_info": {
            "name": model.rpartition("/")[2],
            "id": model,
            "developer": model.partition("/")[0],
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "evaluation_results": [
            {
                "evaluation_result_id": f"sums.{half}.accuracy",
                "evaluation_name": f"sums.{half}",
                "source_data": {"dataset_name": "sums", "source_type": "other"},
                "metric_config": {"metric_id": "accuracy", "lower_is_better": False, "min_score": 0.0, "max_score": 1.0},
                "score_details": {"score": float(np.mean(values[start::2]))},
            }
            for start, half in enumerate(("even", "odd"))
        ],
    }


LETTERS = ["A", "B", "C", "D"]


def _logprobs(value: float, gold: int) -> list[float]:
    """Log-likelihoods of four answers; the most probable one is the correct one, or the next one if `value` is 0."""
    best = gold if value else (gold + 1) % 4
    return [-0.5 if answer == best else -2.5 for answer in range(4)]


def lighteval(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Details of a multiple-choice task in the columns of versions since mid-2025: `doc`, `metric` and `model_response`."""
    scores, time = truth(n_models, n_items), "2026-05-05T17-54-23.203304"
    for model, values in scores.items():
        rows = [
            {
                "doc": {"query": f"Which letter is number {item}?", "choices": LETTERS, "gold_index": item % 4, "id": str(item)},
                "metric": {"acc": value},
                "model_response": {"logprobs": _logprobs(value, item % 4), "text": []},
            }
            for item, value in enumerate(values)
        ]
        run_folder = folder / "details" / model / time
        run_folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), run_folder / f"details_letters|0_{time}.parquet")
    return scores


def lighteval_old(
    folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS, texts: bool = False
) -> Truth:
    """The same in the columns of versions before mid-2025; with `texts` as before February 2025, values as Python literals."""
    scores, time = truth(n_models, n_items), "2024-11-05T17-54-23.203304"
    for model, values in scores.items():
        rows = [
            {
                "example": f"Which letter is number {item}?",
                "full_prompt": f"Answer.\n\nWhich letter is number {item}?",
                "choices": LETTERS,
                "gold": [],
                "gold_index": [item % 4],
                "predictions": [[logprob, 0.0] for logprob in _logprobs(value, item % 4)],
                "metrics": {"acc": value},
                "truncated": [0],
            }
            for item, value in enumerate(values)
        ]
        if texts:
            rows = [{name: str(value) for name, value in row.items()} for row in rows]
        run_folder = folder / "details" / model / time
        run_folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), run_folder / f"details_lighteval|letters|0|0_{time}.parquet")
    return scores


def opencompass(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """`<time>/results/<model>/<dataset>.json` with details, and the predictions beside them."""
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        abbreviation = model.replace("/", "_")
        details = [
            {
                "example_abbr": f"None_{item}",
                "pred": [str(2 * item if value else 0)],
                "answer": [str(2 * item)],
                "correct": [bool(value)],
            }
            for item, value in enumerate(values)
        ]
        for kind, document in (("results", {"accuracy": 100 * float(np.mean(values)), "details": details}), ("predictions", {})):
            run_folder = folder / "20260819_121541" / kind / abbreviation
            run_folder.mkdir(parents=True)
            (run_folder / "sums.json").write_text(json.dumps(document))
    return {model.replace("/", "_"): values for model, values in scores.items()}


def scores(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """A wide table with two subtasks, and its confidences."""
    values = truth(n_models, n_items)
    folder.mkdir(parents=True, exist_ok=True)
    item_columns = {
        "item_id": [f"sum_{item:04d}" for item in range(n_items)],
        "subtask": ["even" if item % 2 == 0 else "odd" for item in range(n_items)],
    }
    pq.write_table(pa.table({**item_columns, **values}), folder / "sums.parquet")
    confidences = {model: [0.2 + 0.5 * value for value in row] for model, row in values.items()}
    pq.write_table(pa.table({**item_columns, **confidences}), folder / "sums.confidence.parquet")
    return values


def release(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """The paper's layout with four answers; the most probable answer is the correct one if the model is right."""
    values = truth(n_models, n_items)
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(n_items) % 4
    correct = np.array(list(values.values()))
    answers = np.full((n_models, n_items, 4), 0.1)
    best = np.where(correct == 1, labels, (labels + 1) % 4)
    np.put_along_axis(answers, best[:, :, None], 0.7, axis=2)
    np.save(folder / "sums_models-by-confidence_combined.npy", answers)
    np.save(folder / "sums_models-by-correctness_combined.npy", correct)
    np.save(folder / "sums_labels_combined.npy", labels)
    (folder / "sums_subtask-idx-ranges.json").write_text(json.dumps([[0, n_items // 2], [n_items // 2, n_items]]))
    (folder / "sums_model-names.json").write_text(json.dumps(list(values)))
    return values


def lm_eval(folder: Path, test_data: Path, n_models: int = N_MODELS) -> Truth:
    """Results and samples of ten documents of a real run."""
    (results_file,) = (test_data / "formats/lm_eval").glob("results_*.json")
    (samples_file,) = (test_data / "formats/lm_eval").glob("samples_*.jsonl")
    results = json.loads(results_file.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in samples_file.read_text(encoding="utf-8").splitlines()]
    values = truth(n_models, len(lines))
    for model, row in values.items():
        run_folder = folder / model.replace("/", "__")
        run_folder.mkdir(parents=True)
        model_results = results | {"model_name": model, "config": results["config"] | {"model_args": f"pretrained={model}"}}
        (run_folder / results_file.name).write_text(json.dumps(model_results), encoding="utf-8")
        scored = [line | {"exact_match": score} for line, score in zip(lines, row, strict=True)]
        (run_folder / samples_file.name).write_text("".join(f"{json.dumps(line)}\n" for line in scored), encoding="utf-8")
    return values


def open_llm_leaderboard(folder: Path, test_data: Path | None = None, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """One folder per model in the Hub's layout, with one GPQA task."""
    values = truth(n_models, n_items)
    for model, row in values.items():
        name = model.replace("/", "__")
        run_folder = folder / f"{name}-details" / name
        run_folder.mkdir(parents=True)
        lines = [
            {
                "doc_id": item,
                "doc": {"Question": f"question {item}", "choices": ["(A)", "(B)"], "answer": "(A)"},
                "target": "(A)",
                "arguments": {"gen_args_0": {"arg_0": "", "arg_1": " (A)"}, "gen_args_1": {"arg_0": "", "arg_1": " (B)"}},
                "resps": [[["-0.5", "True"]], [["-1.5", "False"]]],
                "filtered_resps": [["-0.5", "True"], ["-1.5", "False"]],
                "doc_hash": blake2b(f"{item}".encode(), digest_size=32).hexdigest(),
                "acc_norm": score,
            }
            for item, score in enumerate(row)
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (run_folder / "samples_leaderboard_gpqa_main_2024-11-30T01-02-03.jsonl").write_text(text, encoding="utf-8")
    return values


WRITERS: dict[str, Callable[[Path, Path], Truth]] = {
    "lm_eval": lm_eval,
    "open_llm_leaderboard": open_llm_leaderboard,
    "inspect": inspect,
    "helm": helm,
    "every_eval_ever": every_eval_ever,
    "lighteval": lighteval,
    "opencompass": opencompass,
    "scores": scores,
    "release": release,
}
"""Functions that write logs into a folder, by `source`; the second argument is the folder of real data."""
