"""Results of EvalPlus (HumanEval+, MBPP+): `<model>_<backend>_temp_<temperature>_eval_results.json`, or `….eval_results.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields, read_document
from microbench_ray.ingest.values import WRITE_AGAIN_OR_CHECK, shorten, value_at

_STEM = re.compile(r"(?P<name>.+?)[._]eval_results")
_SETTINGS = re.compile(r"_[a-z0-9]+_temp_[\d.]+")
PASS = "pass"
BASE, PLUS = "base", "plus"


class EvalPlusReader:
    """Reads one log per file. A problem is an item, its benchmark (`HumanEval`, `Mbpp`) the subtask; completions are repetitions.

    The metric is `plus`: a completion is right if it passes both the base and the extra tests. `metric=base` reads the base tests.
    The score of an item is its pass@1.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the results; the file's name, or else its folder's, names the model."""
        return find_logs(path, ("*eval_results.json",), "EvalPlus", options, tally, _logs)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per completion."""
        (file,) = log.files
        place = str(file)
        problems = value_at(read_document(file, options.max_line_bytes), dict, place, "eval")
        metric = _metric(problems, options.metric, file)
        statuses = [f"{tests}_status" for tests in _tests(metric)]
        for name, completions in problems.items():
            subtask = name.rpartition("/")[0] or "all"
            if not matches(subtask, options.tasks):
                continue
            tally.read_by(subtask, metric)
            for number, completion in enumerate(value_at(completions, list, f"{place}: {name}"), 1):
                where = f"{place}: {name}, completion {number}"
                results = [value_at(completion, str, where, status) for status in statuses]
                yield Sample(item_id=name, subtask=subtask, score=float(results.count(PASS) == len(results)), position=name)


def _logs(file: Path, document: Any) -> Sequence[ModelLog] | None:
    if not (has_fields(document, "eval") and isinstance(document["eval"], dict)):
        return None
    stem = _STEM.fullmatch(file.stem)
    name = stem["name"] if stem else file.absolute().parent.name
    return [ModelLog(model=_SETTINGS.sub("", name).replace("--", "/"), files=(file,))]


def _tests(metric: str) -> tuple[str, ...]:
    return (BASE,) if metric == BASE else (BASE, PLUS)


def _metric(problems: dict[str, Any], metric: str | None, file: Path) -> str:
    """The metric: as asked for, or `plus` if the extra tests were run."""
    if metric not in (None, BASE, PLUS):
        raise DataError(
            "EvalPlus has no such metric.", where=str(file), got=shorten(metric), hint=f"metric={PLUS} or metric={BASE}"
        )
    first = next((completion for each in problems.values() if isinstance(each, list) for completion in each), None)
    ran = isinstance(first, dict) and first.get("plus_status") is not None
    if not ran and metric == PLUS:
        hint = f"run EvalPlus without base_only, or read the base tests with metric={BASE}"
        raise DataError("The extra tests were not run.", where=str(file), got="no plus_status", hint=hint)
    if first is not None and not has_fields(first, "base_status"):
        raise DataError("The results are of another version.", where=str(file), got="no base_status", hint=WRITE_AGAIN_OR_CHECK)
    return metric or (PLUS if ran else BASE)
