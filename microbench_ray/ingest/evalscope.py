"""Reviews of EvalScope: `reviews/<model>/<benchmark>_<subset>.jsonl`, one line per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, OwnScore, Sample, Tally, finite_number, matches
from microbench_ray.ingest.documents import find_logs, has_fields, optional
from microbench_ray.ingest.jsonl import json_file, json_lines
from microbench_ray.ingest.values import item_digest, parse_score, value_at

_USABLE = ("success", "fallback")
UNUSABLE = "samples whose score EvalScope marks as not usable"
PREDICTIONS = "files of predictions, which have no scores"
_HALF_OF_LAST_DIGIT = 0.5e-4 + 1e-9  # reports have scores of four digits


class EvalscopeReader:
    """Reads one log per file. The subtask is the file's name: benchmark and subset. Samples of one group are repetitions.

    The metric is the main score that a sample names, or else the first. The content of an item is what the model was asked before
    its first answer, and the target. The mean over items is compared with the score of the subset in the model's report.
    """

    weighs = "the score in EvalScope's report"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files of reviews; the folder names the model."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, "sample_score"):
                if not has_fields(document, "model_output"):
                    return None
                tally.drop(PREDICTIONS)
                return ()
            model = file.absolute().relative_to(_reviews(file)).parent.as_posix()
            return [ModelLog(model=model, files=(file,), part=file.stem)] if matches(file.stem, options.tasks) else ()

        return find_logs(path, ("*.jsonl",), "EvalScope", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, reading one line at a time."""
        (file,) = log.files
        place = str(file)
        metrics: dict[str, None] = {}
        for number, line in json_lines(file, options.max_line_bytes):
            where = f"{place}: line {number}"
            about = value_at(line, dict, where, "sample_score")
            name = next(
                (str(value) for value in (about.get("group_id"), about.get("sample_id"), line.get("index")) if value is not None),
                "",
            )
            item = f"{log.part}/{name}"
            score = value_at(about, dict, where, "score")
            if score.get("status") not in (None, *_USABLE):
                tally.drop(UNUSABLE)
                value = None
            else:
                metric, found = _main(score, options.metric, where)
                metrics.setdefault(metric)
                tally.read_by(log.part, metric)
                value = parse_score(found, tally, file=file, item=item, metric=metric)
            content = item_digest(where, asked=_asked(line, where), target=line.get("target"))
            yield Sample(item_id=item, subtask=log.part, score=value, content=content, position=name)
        if len(metrics) == 1:
            own = _reported(file, *metrics, main=options.metric is None, max_bytes=options.max_line_bytes)
            tally.own = None if own is None else OwnScore(tally.scale.score(own), _HALF_OF_LAST_DIGIT)


def _reviews(file: Path) -> Path:
    """The folder `reviews` that holds a file, or else the folder above the file's own."""
    parents = file.absolute().parents
    return next((folder for folder in parents[1:] if folder.name == "reviews"), parents[min(1, len(parents) - 1)])


def _reported(file: Path, metric: str, *, main: bool, max_bytes: int) -> float | None:
    """The score of a file's subset in `reports/<model>/<benchmark>.json`, which is rounded; None where no report tells."""
    reviews = _reviews(file)
    folder = reviews.parent / "reports" / file.absolute().relative_to(reviews).parent
    for report_file in sorted(folder.glob("*.json")):
        subset = file.stem.removeprefix(f"{report_file.stem}_")
        with suppress(DataError, LookupError, AttributeError, TypeError):
            report = json_file(report_file, max_bytes)
            for each in report["metrics"]:
                if not _is_of(each, metric, report.get("primary_metric_identity") if main else None):
                    continue
                for found in (subset_of for category in each["categories"] for subset_of in category["subsets"]):
                    if found["name"] == subset:
                        return finite_number(found["score"])
    return None


def _is_of(reported: dict[str, Any], metric: str, primary: Any) -> bool:
    """Whether an entry of a report is of the metric that was read: the report's primary one, or the mean of one that was chosen."""
    identity = reported.get("identity")
    if identity is None:  # reports of version 1
        return reported.get("name") in (metric, f"mean_{metric}")
    return bool(identity == (primary or {"name": metric, "aggregation": "mean", "dimensions": {}}))


def _main(score: dict[str, Any], metric: str | None, where: str) -> tuple[str, Any]:
    values = value_at(score, dict, where, "value")
    name = metric or str(score.get("main_score_name") or next(iter(values), ""))
    if name not in values:
        got = f"metrics {first_few(values)}" if values else "no metrics"
        raise DataError(f"The sample has no metric {name!r}.", where=where, got=got, hint="choose a metric with metric=NAME")
    return name, values[name]


def _asked(line: dict[str, Any], where: str) -> Any:
    """The texts before the model's first answer; older reviews hold one text, `input`."""
    asked = []
    for message in optional(line, list, where, "messages"):
        if not isinstance(message, dict) or message.get("role") == "assistant":
            break
        asked.append([message.get("role"), message.get("content")])
    return asked or line.get("input")
