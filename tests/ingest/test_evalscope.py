from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.evalscope import PREDICTIONS, UNUSABLE, EvalscopeReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

READER = EvalscopeReader()


def review(sample: int, value: dict[str, Any], group: int | None = None, main: str | None = None, **score: Any) -> dict[str, Any]:
    return {
        "index": sample,
        "target": "4",
        "messages": [
            {"id": f"random {sample}", "role": "user", "content": f"question {sample if group is None else group}"},
            {"id": "y", "role": "assistant", "content": "4"},
        ],
        "sample_score": {
            "score": {"value": value, "main_score_name": main, **score},
            "sample_id": sample,
            "group_id": sample if group is None else group,
        },
    }


def write(folder: Path, lines: list[Any], model: str = "m", name: str = "gsm8k_main") -> Path:
    return write_json(folder / "run/reviews" / model / f"{name}.jsonl", lines)


def test_reviews(tmp_path: Path) -> None:
    write(tmp_path, [review(0, {"acc": 1.0}), review(1, {"acc": 0.0}, group=0), review(2, {"acc": 0.0})])
    write(tmp_path, [review(2, {"acc": 1.0})], model="org/n")
    write(tmp_path, [review(0, {"loose": 1.0, "strict": 0.5}, main="strict")], name="ifeval_default")
    write_json(tmp_path / "run/predictions/m/gsm8k_main.jsonl", [{"index": 0, "model_output": {}}])
    samples, tally = read_all(READER, tmp_path)
    assert scores(samples["m"]) == {"gsm8k_main/0": [0, 1], "gsm8k_main/2": [0], "ifeval_default/0": [0.5]}
    assert scores(samples["org/n"]) == {"gsm8k_main/2": [1]}
    assert tally.metrics == {"gsm8k_main": "acc", "ifeval_default": "strict"}
    contents = {sample.item_id: sample.content for sample in samples["m"]}
    assert contents["gsm8k_main/2"] == samples["org/n"][0].content != contents["gsm8k_main/0"]
    loose, _ = read_all(READER, tmp_path, Options(metric="loose", tasks=("ifeval*",)))
    assert scores(loose["m"]) == {"ifeval_default/0": [1]}


def test_scores_that_are_not_usable_are_missing(tmp_path: Path) -> None:
    lines = [review(0, {}, status="parse_error"), review(1, {"acc": 1}, status="success"), review(2, {"acc": 0}, status="fallback")]
    samples, tally = read_all(READER, write(tmp_path, lines))
    assert scores(samples["m"]) == {"gsm8k_main/0": [None], "gsm8k_main/1": [1], "gsm8k_main/2": [0]}
    assert tally.dropped == {UNUSABLE: 1}


def test_older_reviews_hold_the_input_as_one_text(tmp_path: Path) -> None:
    line = review(0, {"acc": 1.0}) | {"input": "question"}
    del line["messages"]
    (sample,) = read_all(READER, write(tmp_path, [line]))[0]["m"]
    (other,) = read_all(READER, write(tmp_path, [line | {"input": "another"}]))[0]["m"]
    assert sample.content != other.content


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (review(0, {"f1": 1.0}), "metric"),
        (review(0, {}), "metric"),
        (review(0, {"acc": 7}), "outside"),
        (review(0, {"acc": "x"}), "not a number"),
        ({"sample_score": 3}, "type"),
        ({"index": 1}, "field"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path: Path, line: Any, word: str) -> None:
    file = write(tmp_path, [review(0, {"acc": 1.0}), line])
    with refuses(DataError, word, where=str(file)):
        read_all(READER, file, Options(metric="acc"))


def test_paths_of_files_of_other_kinds(tmp_path: Path) -> None:
    write_json(tmp_path / "run/predictions/m/gsm8k_main.jsonl", [{"index": 0, "model_output": {}}])
    with refuses(DataError, "EvalScope", where=str(tmp_path), got=PREDICTIONS, hint="*.jsonl"):
        EvalscopeReader().find(tmp_path, Options(), Tally())
    (tmp_path / "results.csv").write_text("a,b\n")
    with refuses(DataError, "JSON", where=str(tmp_path / "results.csv"), hint="*.jsonl"):
        EvalscopeReader().find(tmp_path / "results.csv", Options(), Tally())
