"""Open LLM Leaderboard v2: logs of lm-evaluation-harness, in one dataset repository per model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally
from microbench_ray.ingest.lm_eval import read_samples, select_logs
from microbench_ray.ingest.lm_eval_files import ModelSamples, check_name, find_samples

PREFIX = "leaderboard_"
METRICS = {
    "bbh": "acc_norm",
    "gpqa": "acc_norm",
    "musr": "acc_norm",
    "mmlu_pro": "acc",
    "math": "exact_match",
    "ifeval": "prompt_level_strict_acc",
}
"""The leaderboard's metric, by the first word of the task's name after the prefix."""
BY_CATEGORY = "leaderboard_mmlu_pro"
"""The only task with several subjects: its documents hold the subject."""


@dataclass(frozen=True)
class OpenLlmReader:
    """Reads the layout of the repositories `<org>__<model>-details`: `<org>__<model>/samples_leaderboard_<task>_<time>.jsonl`.

    If a task was run several times, only the latest run is read, like the leaderboard's own `latest` configuration.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return one log per model and task."""
        latest: dict[tuple[str, str], ModelSamples] = {}
        for run in find_samples(path, options.max_line_bytes, tally):
            key = (run.model, run.file.task)
            if not run.file.task.startswith(PREFIX):
                tally.drop("logs of tasks outside the leaderboard")
            elif key not in latest:
                latest[key] = run
            else:
                tally.drop("logs of earlier runs")
                latest[key] = max(latest[key], run, key=lambda each: each.file.time)
        return select_logs(_of_latest_revision(latest.values(), tally), path, options, tally, fixed_metric=metric_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, scored by the leaderboard's metric unless `options` names another."""
        return read_samples(
            log, options, tally, options.metric or metric_of(log.part), lambda doc, where: subtask_of(log.part, doc, where)
        )


def _of_latest_revision(runs: Iterable[ModelSamples], tally: Tally) -> list[ModelSamples]:
    """The runs whose model is of the revision of its latest run, and those that do not record the revision."""
    latest: dict[str, ModelSamples] = {}
    runs = list(runs)
    for run in runs:
        if revision_of(run):
            latest[run.model] = max(latest.get(run.model, run), run, key=lambda each: each.file.time)
    kept = [run for run in runs if not revision_of(run) or revision_of(run) == revision_of(latest[run.model])]
    if len(kept) < len(runs):
        tally.drop("logs of earlier revisions of a model", len(runs) - len(kept))
    return kept


def revision_of(run: ModelSamples) -> str:
    """The commit of the model, or else the revision that it was loaded by; empty if neither is recorded."""
    return str(run.facts.get("revision") or run.revision)


def metric_of(task: str) -> str | None:
    """The leaderboard's metric for a task; None for a task outside the leaderboard, which is read by its main metric."""
    name = task.removeprefix(PREFIX)
    return next((metric for word, metric in METRICS.items() if name == word or name.startswith(f"{word}_")), None)


def subtask_of(task: str, doc: Mapping[str, Any], where: str) -> str:
    """The task, followed by the subject for MMLU-Pro: `leaderboard_mmlu_pro_computer_science`."""
    if task != BY_CATEGORY:
        return task
    category = doc.get("category")
    if not isinstance(category, str) or not category.strip():
        raise DataError(
            "An MMLU-Pro document has no category.", where=where, got=repr(category)[:100], hint="download the log again"
        )
    return check_name(f"{task}_{'_'.join(category.split())}", "subtask", where)
