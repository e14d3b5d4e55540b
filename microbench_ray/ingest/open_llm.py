"""Open LLM Leaderboard v2: details that lm-evaluation-harness wrote, in one dataset repository per model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Log, Options, Sample, Tally
from microbench_ray.ingest.lm_eval import logs, samples
from microbench_ray.ingest.lm_eval_files import Described, checked, described

PREFIX = "leaderboard_"
METRICS = {
    "bbh": "acc_norm",
    "gpqa": "acc_norm",
    "musr": "acc_norm",
    "mmlu_pro": "acc",
    "math": "exact_match",
    "ifeval": "prompt_level_strict_acc",
}
"""The leaderboard's own metric, by the word of the task's name after the prefix."""
BY_CATEGORY = "leaderboard_mmlu_pro"
"""The one task that is not divided by subject into tasks: its documents hold the subject."""


@dataclass(frozen=True)
class OpenLlmReader:
    """Folders in the layout of the repositories `<org>__<model>-details`: `<org>__<model>/samples_leaderboard_<task>_<time>.jsonl`.

    Of a task that was run several times the latest is taken, as the leaderboard does (`latest` in its own configurations).
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """One log for each model and task."""
        latest: dict[tuple[str, str], Described] = {}
        for each in described(path, options.max_line_bytes, tally):
            key = (each.model, each.file.task)
            if not each.file.task.startswith(PREFIX):
                tally.drop("logs of tasks that are not the leaderboard's")
            elif key not in latest:
                latest[key] = each
            else:
                tally.drop("logs of earlier runs")
                latest[key] = max(latest[key], each, key=lambda run: run.file.time)
        return logs(latest.values(), path, options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples, by the metric of the leaderboard, unless another is asked for."""
        return samples(
            log, options, tally, options.metric or metric_of(log.part), lambda doc, where: subtask_of(log.part, doc, where)
        )


def metric_of(task: str) -> str | None:
    """The leaderboard's metric of a task; None where it has no such task (the reader's own choice is taken then)."""
    name = task.removeprefix(PREFIX)
    return next((metric for word, metric in METRICS.items() if name == word or name.startswith(f"{word}_")), None)


def subtask_of(task: str, doc: Mapping[str, Any], where: str) -> str:
    """The task, and for MMLU-Pro the subject too: `leaderboard_mmlu_pro_computer_science`."""
    if task != BY_CATEGORY:
        return task
    category = doc.get("category")
    if not isinstance(category, str) or not category.strip():
        raise DataError("A document of MMLU-Pro has no category.", where=where, got=repr(category)[:100], hint="download it again")
    return checked(f"{task}_{'_'.join(category.split())}", "subtask", where)
