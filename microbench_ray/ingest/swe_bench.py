"""Reports of SWE-bench and its relatives (Multi-SWE-bench, OpenHands): `<model>.<run>.json` with lists of resolved instances.

Submissions to the leaderboard are read too: see `swe_experiments`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.columns import text_array
from microbench_ray.data.names import first_few
from microbench_ray.ingest import swe_experiments
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.columns import ItemColumns, are_storable, table_of
from microbench_ray.ingest.documents import find_logs, has_fields, read_document
from microbench_ray.ingest.values import WRITE_AGAIN_OR_CHECK, value_at

_FAILED = ("unresolved_ids", "error_ids", "empty_patch_ids")
_ALL = ("submitted_ids", "completed_ids")
"""Lists that older reports have instead of `unresolved_ids`; they hold the resolved instances too."""
_REPOSITORY = re.compile(r".+/.+:pr|.+__.+")
METRIC = "metric: whether an instance is resolved"
NOT_PREDICTED = "instances without a prediction, which a leaderboard counts as not resolved"
_NAMES_OF_NO_MODEL = ("report", "final_report", "output.report", "results", "summary")


class SweBenchReader:
    """Reads one log per report. An instance is an item, its repository the subtask; a resolved instance has score 1.

    The model is named by the file, without the run's name after the last dot, or else by the folder. Instances without a prediction
    are missing.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the reports."""
        logs = find_logs(path, ("*.json",), "SWE-bench", options, tally, _logs)
        submissions = [log for log in logs if log.part]
        return [*(log for log in logs if not log.part), *swe_experiments.with_instances(submissions, options, tally)]

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per instance."""
        (file,) = log.files
        tally.choose(METRIC)
        if log.part:
            tally.choose(swe_experiments.NOT_LISTED)
            found: Iterable[tuple[str, float | None]] = swe_experiments.scores_in(file, options)
        else:
            found = _scores_in(file, options, tally)
        for name, score in found:
            subtask = _subtask(name)
            if matches(subtask, options.tasks):
                if score is None:
                    tally.drop(NOT_PREDICTED)
                yield Sample(item_id=name, subtask=subtask, score=score, position=name)

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """The instances of a report."""
        if log.part or options.tasks:
            return None
        own = Tally()
        scores = dict(_scores_in(log.files[0], options, own))
        try:
            items, subtasks = text_array(list(scores)), text_array([_subtask(each) for each in scores])
        except UnicodeEncodeError:
            return None
        if not are_storable(items, subtasks):
            return None
        about = ItemColumns(items=items, subtasks=subtasks, positions=items)
        tally.choices.update([METRIC, *own.choices])
        if missing := sum(score is None for score in scores.values()):
            tally.drop(NOT_PREDICTED, missing)
        return table_of(about, np.array(list(scores.values()), np.float64), name)


def _scores_in(file: Path, options: Options, tally: Tally) -> Iterator[tuple[str, float | None]]:
    """Yield the instances of a report with their scores, None for those without a prediction."""
    report = value_at(read_document(file, options.max_line_bytes), dict, str(file))
    resolved = dict.fromkeys(_ids(report, "resolved_ids", file))
    lists = [name for name in _FAILED if name in report]
    if "unresolved_ids" not in lists:
        lists += [name for name in _ALL if name in report]
    if not lists and not options.items:
        raise DataError(
            "The report does not list the instances that were not resolved.",
            where=str(file),
            got=f"fields {first_few(report)}",
            hint=f"give a report with unresolved_ids or submitted_ids, or {swe_experiments.GIVE_LIST}",
        )
    failed = dict.fromkeys(name for each in lists for name in _ids(report, each, file) if each in _FAILED or name not in resolved)
    if not lists:
        swe_experiments.check_given(resolved, options, file)
        failed = {name: None for name in options.items if name not in resolved}
    _check(report, resolved, failed, file)
    if any(_ids(report, name, file) for name in _FAILED[1:] if name in report):
        tally.choose("instances in error or without a patch: not resolved, as in the report")
    incomplete = _ids(report, "incomplete_ids", file) if "incomplete_ids" in report else ()
    missing = dict.fromkeys(name for name in incomplete if name not in resolved and name not in failed)
    yield from ((name, 1.0) for name in resolved)
    yield from ((name, 0.0) for name in failed)
    yield from ((name, None) for name in missing)


def _logs(file: Path, document: Any) -> Sequence[ModelLog] | None:
    if swe_experiments.is_submission(file, document):
        return [swe_experiments.log_of(file)]
    if swe_experiments.is_count(file):
        return ()
    if not has_fields(document, "resolved_ids") or "results" in document:  # Terminal-Bench has `results`
        return None
    stem = file.stem
    named = stem.rpartition(".")[0] or stem if stem not in _NAMES_OF_NO_MODEL else file.absolute().parent.name
    return [ModelLog(model=named.replace("__", "/"), files=(file,))]


def _ids(report: dict[str, Any], name: str, file: Path) -> list[str]:
    ids = value_at(report, list, str(file), name)
    for each in ids:
        if type(each) is not str:
            value_at(each, str, f"{file}: {name}")
    return ids


def _check(report: dict[str, Any], resolved: dict[str, None], failed: dict[str, None], file: Path) -> None:
    """Check that the report does not contradict itself."""
    both = [name for name in failed if name in resolved]
    count = report.get("resolved_instances", len(resolved))
    if both or count != len(resolved):
        got = (
            f"{both[0]!r} is resolved and not resolved" if both else f"{len(resolved)} resolved_ids, resolved_instances: {count!r}"
        )
        raise DataError("The report contradicts itself.", where=str(file), got=got, hint=WRITE_AGAIN_OR_CHECK)


def _subtask(name: str) -> str:
    repository, _, number = name.rpartition("-")
    return _repository(repository) if number.isdecimal() else "all"


@lru_cache(maxsize=1024)
def _repository(name: str) -> str:
    return name.removesuffix(":pr") if _REPOSITORY.fullmatch(name) else "all"
