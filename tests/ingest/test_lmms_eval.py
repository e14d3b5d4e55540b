from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.lmms_eval import LmmsEvalReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

READER = LmmsEvalReader()
TIME = "20250612_101010"


def line(number: int, run: str = "", **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": number,
        "target": "B",
        "filtered_resps": ["B"],
        "token_counts": [None],
        "doc_hash": f"{run}{number}",
        **metrics,
        "input": "…",
    }


def write(folder: Path, lines: list[Any], task: str = "ai2d", results: Any = None) -> Path:
    if results is not None:
        write_json(folder / f"{TIME}_results.json", results)
    return write_json(folder / f"{TIME}_samples_{task}.jsonl", lines)


def test_samples(tmp_path: Path) -> None:
    values = [1.0, 0.0, 0.0, 1.0, 1.0]
    lines = [line(number, submission={"id": number}, exact_match=value, anls=0.5) for number, value in enumerate(values)]
    results: Any = {"results": {"ai2d": {"exact_match,none": float(np.mean(values))}}, "model_name": "org/llava-1.5"}
    write(tmp_path / "org__llava-1.5", lines, results=results)
    write(tmp_path / "other__m", [line(0, "another run", exact_match=True)])
    samples, tally = read_all(READER, tmp_path)
    assert scores(samples["org/llava-1.5"]) == {f"ai2d/{number}": [value] for number, value in enumerate(values)}
    assert scores(samples["other/m"]) == {"ai2d/0": [1]}
    assert samples["other/m"][0].content == samples["org/llava-1.5"][0].content
    assert tally.metrics == {"ai2d": "exact_match"}
    mean = np.mean([sample.score for sample in samples["org/llava-1.5"]])
    assert mean == pytest.approx(results["results"]["ai2d"]["exact_match,none"], abs=1e-9)
    anls, _ = read_all(READER, tmp_path, Options(metric="anls", models=("org/*",)))
    assert {sample.score for sample in anls["org/llava-1.5"]} == {0.5}


def test_metrics_that_are_objects(tmp_path: Path) -> None:
    lines = [
        line(n, mme_score={"question_id": f"a/{n}", "category": "count", "score": value}) for n, value in enumerate((1.0, 0, None))
    ]
    samples, tally = read_all(READER, write(tmp_path / "m", lines, "mme"))
    assert scores(samples["m"]) == {"mme/0": [1], "mme/1": [0], "mme/2": [None]}
    (choice,) = tally.choices
    assert "aggregates" in choice


@pytest.mark.parametrize(
    ("metrics", "got"),
    [
        ({"mmmu_acc": {"id": 1, "parsed_pred": ["A"]}}, "mmmu_acc: an object without a score"),
        ({"bleu": [1, 2]}, "bleu: a list"),
        ({"CIDEr": 7.5}, "7.5 is outside"),
        ({"text": "A"}, "text: not a number"),
        ({"wer": 0.5}, "wer: lower is better"),
        ({}, "no metrics"),
    ],
)
def test_why_no_metric_fits(tmp_path: Path, metrics: Any, got: str) -> None:
    results = {"results": {}, "model_name": "m", "higher_is_better": {"ai2d": {"wer": False}}}
    file = write(tmp_path / "m", [line(0, **metrics)], results=results)
    with refuses(DataError, "no metric", where=f"{file}: line 1", got=got, hint="tasks="):
        read_all(READER, tmp_path)


def test_a_metric_that_does_not_fit(tmp_path: Path) -> None:
    file = write(tmp_path / "m", [line(0, acc=1.0, bleu=[1])])
    for metric in ("bleu", "missing"):
        with refuses(DataError, metric, where=str(file), hint="'acc'"):
            read_all(READER, tmp_path, Options(metric=metric))
