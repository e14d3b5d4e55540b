"""What holds for every format of `tests/helpers/tool_logs.py`: the scores that were written, and the checks for all readers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Scale
from microbench_ray.ingest.reader_checks import READER_CHECKS, Check
from microbench_ray.ingest.registry import get_reader
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.ingest.separated import separated_rows
from tests.helpers import further_logs, tool_logs
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, values

WRITERS = tool_logs.WRITERS | further_logs.WRITERS
LAYOUTS = sorted(WRITERS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_scores_that_were_written(layout: str, tmp_path: Path) -> None:
    source, write = WRITERS[layout]
    truth = write(tmp_path, 3, 7)
    samples, tally = read_all(get_reader(source), tmp_path)
    assert {model: values(list({sample.item_id: sample for sample in found}.values())) for model, found in samples.items()} == truth
    assert not tally.failed
    assert set(tally.dropped) <= {"files of another format"}
    chosen = sorted(truth)[1]
    assert list(read_all(get_reader(source), tmp_path, Options(models=(chosen,)))[0]) == [chosen]


@pytest.mark.parametrize("check", READER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_checks_for_all_readers(layout: str, check: Check, tmp_path: Path) -> None:
    source, write = WRITERS[layout]
    write(tmp_path / "logs", 2, 4)
    check(get_reader(source), tmp_path / "logs")


def test_a_table_of_long_texts_leaves_the_limit_of_the_process_alone(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    file = tmp_path / "model_bench.tsv"
    file.write_text("index\tprediction\thit\n1\t" + "x" * (limit + 1) + "\t1\n", encoding="utf-8")
    assert [row["hit"] for row in separated_rows(file, "\t", 1 << 20)] == ["1"]
    assert csv.field_size_limit() == limit


SAID = {
    "alpaca_eval": "annotator", "arena_hard": "judge", "files_of_models": "scores in", "opencompass_cascade": "cascade",
    "bfcl": "mean over tests",
}  # fmt: skip
"""What is said instead of a metric."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_metric_is_said(layout: str, tmp_path: Path) -> None:
    source, write = WRITERS[layout]
    write(tmp_path / "logs", 2, 4)
    lines = run_ingest(IngestJob(source=source, path=str(tmp_path / "logs"), out=tmp_path / "out")).lines()
    assert any(line.startswith("used: ") and SAID.get(layout, "metric") in line for line in lines), lines
    repeated = layout in ("tau_bench", "livecodebench", "arena_hard")
    assert any("mean of repeated" in line for line in lines) == repeated


@pytest.mark.parametrize("layout", ["evalscope", "lmms_eval"])
def test_a_metric_of_which_lower_values_are_better(layout: str, tmp_path: Path) -> None:
    source, write = WRITERS[layout]
    write(tmp_path / "logs", 2, 4)
    old, new = ("acc", "wer") if layout == "evalscope" else ("exact_match", "wer")
    for file in (tmp_path / "logs").rglob("*.jsonl"):
        file.write_text(file.read_text().replace(f'"{old}"', f'"{new}"'))
    job = IngestJob(source=source, path=str(tmp_path / "logs"), out=tmp_path / "out")
    with refuses(DataError, "lower", where="sums"):
        run_ingest(job)
    summary = run_ingest(replace(job, options=Options(scale=Scale(best=0.0, worst=1.0))))
    assert summary.responses == 8


def test_marks_of_lmms_eval_have_a_scale(tmp_path: Path) -> None:
    tool_logs.lmms_eval(tmp_path / "logs", 2, 4)
    for file in (tmp_path / "logs").rglob("*.jsonl"):
        file.write_text(file.read_text().replace('"exact_match": 1.0', '"judge": 10').replace('"exact_match": 0.0', '"judge": 1'))
    scale = Scale(best=10.0, worst=1.0)
    summary = run_ingest(IngestJob("lmms_eval", str(tmp_path / "logs"), tmp_path / "out", options=Options(scale=scale)))
    assert (summary.responses, summary.missing) == (8, 0)
    assert "sums: metric judge" in summary.choices
