"""The job `ingest`: find logs, skip those already ingested, and write one file of responses per model."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import DataError, DataWarning, MicrobenchError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.progress import WorkProgress
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import Store
from microbench_ray.data.columns import text_array
from microbench_ray.data.names import escape_controls, first_few
from microbench_ray.data.responses import MODELS, LogRecord, ModelRecord, list_model_files, model_file, pack, read_responses
from microbench_ray.ingest.base import LOGGED, ModelLog, Options, Reader, Tally, for_terminal, refuse_unreadable
from microbench_ray.ingest.columns import ColumnReader
from microbench_ray.ingest.documents import forget_documents
from microbench_ray.ingest.fold import OnConflict, fold, merge
from microbench_ray.ingest.folder_settings import SETTINGS_FILE, check_settings, settings_of
from microbench_ray.ingest.hub import fetch, is_hub
from microbench_ray.ingest.identity import check_one_identity, find_logs
from microbench_ray.ingest.join import VERSIONS, Examples, Seen, joined, versions
from microbench_ray.ingest.last_run import logs_stamp, read_last_run, write_last_run
from microbench_ray.ingest.log_names import (
    FoundLog,
    check_names,
    file_stamps,
    log_name,
    moved_logs,
    rename_log,
    same_files,
    same_responses,
)
from microbench_ray.ingest.metrics import check_metrics, say_metrics
from microbench_ray.ingest.overall import Comparison, OverallReader, compare, compare_log, told
from microbench_ray.ingest.registry import get_reader
from microbench_ray.ingest.repeats import count_reduced, repeats_apart, told_reduced

logger = logging.getLogger(__name__)

DOWNLOADS = "downloads"
MEGABYTE = 10**6
MAX_CHOICES = 10
"""Lines of the summary on metrics and filters."""
MAX_NAMED = 10
"""Logs without a response that the summary names."""


@dataclass(frozen=True)
class IngestJob:
    """Which logs to read, and the folder to write.

    Attributes
    ----------
    source
        A key of `registry.READERS`.
    path
        A log, a folder of logs, or `hf://datasets/…`.
    out
        The folder of responses, a path or a URL. Existing responses are kept.
    options
        Which parts of the logs to read.
    on_conflict
        What to do if two logs of one model score an item differently: see `fold.merge`.
    wait_for_out
        Seconds to wait for another process that holds `out`.
    """

    source: str
    path: str
    out: Path | str
    options: Options = field(default_factory=Options)
    on_conflict: OnConflict = "error"
    wait_for_out: float = 0.0


@dataclass
class IngestSummary:
    """What `run_ingest` read.

    Attributes
    ----------
    added, updated, unchanged
        Models that are new in the folder, that have new or changed logs, and all others.
    logs
        Number of logs read.
    items, subtasks
        Items and subtasks of the models with logs read.
    responses, missing
        Responses of these models with and without a score.
    dropped, choices, suspicious, left_out
        As in `base.Tally`.
    empty
        Logs that were read and hold no response with a score, by model and task.
    reduced
        Of responses with repeats that are not reduced to their mean: their number, the sums of their scores and of their means, and
        the number of those without a score.
    failed
        Errors by model, whose file is left unchanged, or by the path that could not be read.
    compared, weighs
        The tool's own scores of models or logs, and what they are, where the reader tells.
    seen
        A few items as models saw them.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    logs: int = 0
    items: set[str] = field(default_factory=set)
    subtasks: set[str] = field(default_factory=set)
    responses: int = 0
    missing: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)
    failed: dict[str, DataError] = field(default_factory=dict)
    suspicious: dict[str, DataWarning] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    left_out: dict[str, set[str]] = field(default_factory=dict)
    compared: dict[str, Comparison] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    weighs: str = ""
    reduced: Counter[Any] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """The summary as lines for the terminal."""
        models = f"models: {len(self.added):,} added, {len(self.updated):,} updated, {len(self.unchanged):,} unchanged"
        lines = [models + (f", {len(self.failed):,} failed" if self.failed else "")]
        if self.logs:
            lines.append(
                f"logs read: {self.logs:,} (items: {len(self.items):,}, subtasks: {len(self.subtasks):,}, "
                f"responses: {self.responses:,}, missing: {self.missing:,})"
            )
        choices = [f"used: {choice}" for choice in sorted(self.choices)]
        lines += choices[:MAX_CHOICES]
        if len(choices) > MAX_CHOICES:
            lines.append(f"… and {len(choices) - MAX_CHOICES:,} more tasks")
        lines += told(self.weighs, self.compared)
        lines += [f"left out: {count:,} {reason}" for reason, count in sorted(self.dropped.items())]
        if self.reduced:
            lines.append(told_reduced(self.reduced))
        if self.empty:
            lines.append(f"without a response: {first_few(self.empty, MAX_NAMED)}")
        ingested = {*self.added, *self.updated, *self.unchanged, *self.failed}
        lines += [
            f"model without a log: {model!r} ({', '.join(sorted(reasons))})"
            for model, reasons in sorted(self.left_out.items())
            if model not in ingested
        ]
        lines += [f"warning: {note}" for note in self.suspicious]
        return [escape_controls(line) for line in lines]


def run_ingest(job: IngestJob) -> IngestSummary:
    """Read logs into a folder of responses, skipping unchanged logs that are already ingested.

    If the logs of a model are malformed or conflict, the model keeps its existing file and is listed in the summary, and the other
    models are ingested.

    Raises
    ------
    DataError
        No log was found, or no model could be ingested.
    ConfigError
        The folder was written with another `source`, `metric` or `filter`.
    StoreError
        The folder cannot be written, or another process holds it.
    """
    try:
        summary = _ingest(job)
    except MicrobenchError as error:
        raise for_terminal(error) from None
    finally:
        forget_documents()
    summary.failed = {name: for_terminal(failure) for name, failure in summary.failed.items()}
    return summary


def _ingest(job: IngestJob) -> IngestSummary:
    reader = get_reader(job.source)
    store = Store(job.out, folders=(MODELS,))
    with store.locked(job.wait_for_out):
        check_settings(store, settings_of(job.source, job.options))
        path = fetch(job.path, Path(store.at(DOWNLOADS)), job.options) if is_hub(job.path) else Path(job.path)
        stamp = logs_stamp(store, job.source, path, {"options": asdict(job.options), "on_conflict": job.on_conflict})
        if store.has(SETTINGS_FILE) and (last := read_last_run(store, stamp)) is not None:
            return IngestSummary(**last._asdict())
        tally = Tally(scale=job.options.scale)
        if job.options.scale != LOGGED:
            best, worst = (value * job.options.table.scale for value in (job.options.scale.best, job.options.scale.worst))
            tally.choose(f"scale: {best:g} is a score of 1, {worst:g} a score of 0")
        known = [each.record for each in list_model_files(store.folder)]
        logs = find_logs(reader, path, job.options, tally, known)
        store.write(SETTINGS_FILE, (json.dumps(settings_of(job.source, job.options), indent=2) + "\n").encode())
        summary = IngestSummary(dropped=tally.dropped, choices=tally.choices, failed=tally.failed, suspicious=tally.suspicious)
        summary.left_out = tally.left_out
        ingest_models(job, reader, store, logs, known, summary)
        if not summary.added and not summary.updated:
            write_last_run(store, stamp, summary.unchanged, tally)
    if summary.failed and not (summary.added or summary.updated or summary.unchanged):
        raise next(iter(summary.failed.values()))
    return summary


def ingest_models(
    job: IngestJob,
    reader: Reader,
    store: Store,
    logs: Sequence[ModelLog],
    ingested_models: Sequence[ModelRecord],
    summary: IngestSummary,
) -> None:
    """Ingest the new and changed logs of every model, one model at a time."""
    known = {record.model: record for record in ingested_models}
    by_model: dict[str, list[FoundLog]] = defaultdict(list)
    for log in logs:
        try:
            with refuse_unreadable(str(log.files[0])):
                record = LogRecord(
                    files=file_stamps(log), revision=log.revision, name=log.read_as, tasks=log.tasks or (log.part,), sets=log.sets
                )
                found = FoundLog(name=log_name(log), log=log, record=record)
                check_names(found)
        except DataError as error:
            summary.failed[str(log.files[0])] = error
        else:
            by_model[log.model].append(found)
    pending: dict[str, list[FoundLog]] = {}
    moved: dict[str, dict[str, list[str]]] = {}
    for model, model_logs in sorted(by_model.items()):
        ingested = known[model].logs if model in known else {}
        changed = [each for each in model_logs if each.name not in ingested or ingested[each.name].files != each.record.files]
        moved[model] = moved_logs(model_logs, ingested)
        if changed and job.on_conflict == "repeats":  # repeats are in one row, whichever log they are from
            changed = model_logs
            absent = sorted(set(ingested) - {each.name for each in model_logs})
            if absent:
                summary.failed[model] = repeats_apart(model, absent)
                continue
        if changed:
            pending[model] = sorted(changed, key=lambda each: each.name)
        else:
            summary.unchanged.append(model)
    metrics = kept_metrics(known.values(), pending)
    logs_per_file = Counter(path for model_logs in pending.values() for each in model_logs for path in each.record.files)

    def megabytes(model_logs: Sequence[FoundLog]) -> float:
        """Size of logs; a file that holds several logs is shared equally between them."""
        files = (file for each in model_logs for file in each.record.files.items())
        return sum(n_bytes / logs_per_file[path] for path, (n_bytes, _) in files) / MEGABYTE

    with WorkProgress(sum(map(megabytes, pending.values())), unit="MB") as progress:
        for model, model_logs in pending.items():
            try:
                ingest_model(job, reader, store, model, model_logs, known.get(model), moved[model], metrics, summary)
            except DataError as error:
                logger.debug("model %r could not be ingested: %s", model, for_terminal(error))
                summary.failed[model] = error
            progress.advance(megabytes(model_logs), failed=model in summary.failed)


def ingest_model(
    job: IngestJob,
    reader: Reader,
    store: Store,
    model: str,
    changed: Sequence[FoundLog],
    existing: ModelRecord | None,
    moved: Mapping[str, Sequence[str]],
    metrics: dict[str, str],
    summary: IngestSummary,
) -> None:
    """Read a model's new and changed logs, merge them with its other responses, and write its file.

    Parameters
    ----------
    job, reader, store
        As in `run_ingest`.
    model
        The model's id.
    changed
        The new and changed logs.
    existing
        The metadata of the model's existing file; None if the model is new.
    moved
        For new logs the names of ingested ones that they may be, as `moved_logs` returns them.
    metrics
        The metric of each task that was read so far; those of the model's tasks are added once its file is written.
    summary
        Updated only after the file is written, except for `choices`.
    """
    file = model_file(model)
    tables = []
    responses = pa.Table.from_batches([], SCHEMAS["responses"]) if existing is None else read_responses(store.folder, file)
    facts: dict[str, Any] = dict(existing.facts) if existing else {}
    records: dict[str, LogRecord] = dict(existing.logs) if existing else {}
    examples = Examples(existing.examples if existing else {})
    renamed: dict[str, str] = {}
    empty: list[str] = []
    compared: dict[str, Comparison | None] = {}
    for each in changed:
        same = next((old for old in moved.get(each.name, ()) if old in records and same_files(records[old], each.record)), None)
        if same is not None:
            renamed[same] = each.name
            records[each.name] = replace(records.pop(same), files=each.record.files)
    changed = [each for each in changed if each.name not in renamed.values()]
    responses = rename_log(responses, renamed) if renamed else responses
    outdated = {each.name for each in changed}
    for name, log, record in changed:
        tally = Tally(choices=summary.choices, suspicious=summary.suspicious, scale=job.options.scale)
        with refuse_unreadable(name):
            table = _read(reader, log, job.options, tally, examples, name)
        for old in moved.get(name, ()):
            if old in records and same_responses(responses, old, table):
                outdated.add(old)
                del records[old]
        say_metrics(tally, table, job.options.reduce)
        tables.append(table)
        compared[f"{model}: {log.part}" if log.part and log.part != model else model] = compare_log(table, tally.own)
        if table["score"].null_count == len(table):
            empty.append(f"{model}: {log.part or log.files[0].name}")
        facts |= log.facts
        records[name] = replace(record, dropped=dict(tally.dropped), metrics=dict(tally.metrics))
        check_metrics(name, tally.metrics, metrics)
    if not job.options.identify:
        check_one_identity(model, records)
    tables.append(responses.filter(pc.invert(pc.is_in(responses["log"], text_array(sorted(outdated))))))
    table = merge(tables, model, job.on_conflict, job.options.reduce)
    if table["score"].null_count == len(table):
        raise nothing_read(model, records, job.options.reduce)
    said = versions(summary.seen, examples.texts, table)
    if said is not None and not any(choice.startswith(VERSIONS) for choice in summary.choices):
        summary.choices[said] += 1
    if job.options.reduce != "mean":
        count_reduced(table, summary.reduced)
    store.write(file, pack(table, ModelRecord(model=model, facts=facts, logs=records, examples=examples.texts)))
    if empty:
        summary.empty += empty
    for each in changed:
        metrics |= records[each.name].metrics
    (summary.added if not existing else summary.updated if changed else summary.unchanged).append(model)
    if not changed:
        return
    if isinstance(reader, OverallReader):
        compared = {model: compare(reader, table)}
    summary.compared |= {name: each for name, each in compared.items() if each is not None}
    summary.weighs = getattr(reader, "weighs", "")
    summary.logs += len(changed)
    for each in changed:
        summary.dropped.update(records[each.name].dropped)
    summary.items.update(table["item_id"].to_pylist())
    summary.subtasks.update(table["subtask"].unique().to_pylist())
    summary.missing += table["score"].null_count
    summary.responses += len(table) - table["score"].null_count


def _read(reader: Reader, log: ModelLog, options: Options, tally: Tally, examples: Examples, name: str) -> pa.Table:
    """The responses of a log, by columns where the reader can."""
    if options.join == "content" and options.reduce == "mean" and isinstance(reader, ColumnReader):
        table = reader.responses(log, options, tally, name)
        if table is not None:
            return table
    return fold(joined(reader.read(log, options, tally), options.join, examples), name, options.reduce)


def kept_metrics(known: Iterable[ModelRecord], pending: Mapping[str, Sequence[FoundLog]]) -> dict[str, str]:
    """The metric of each task in the logs that are kept as they are."""
    metrics: dict[str, str] = {}
    for model in known:
        replaced = {each.name for each in pending.get(model.model, ())}
        for name, record in model.logs.items():
            if name not in replaced:
                metrics |= record.metrics
    return metrics


def nothing_read(model: str, records: Mapping[str, LogRecord], reduce: str = "mean") -> DataError:
    """The error for a model whose logs hold no response, or for none of which `reduce` makes a score of its repeats."""
    reasons = Counter[str]()
    for record in records.values():
        reasons.update(record.dropped)
    return DataError(
        "The logs of a model hold no responses with a score.",
        where=f"model {model!r}, {first_few(records, 1)}",
        got=f"left out: {'; '.join(f'{count:,} {reason}' for reason, count in sorted(reasons.items()))}" if reasons else None,
        hint=("" if reduce == "mean" else f"reduce={reduce} may need more repeats of an item; ")
        + "check source=, tasks= and metric=, or exclude the model with models=[…]",
    )
