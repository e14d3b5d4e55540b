"""The driver of reading logs: find them, skip those that are known, fold the others, write a file per model."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.progress import WorkProgress
from microbench_ray.core.storage.folders import Folder, io_error
from microbench_ray.core.storage.store import Store
from microbench_ray.data.responses import MODELS, About, LogRecord, each_about, model_file, pack, read_responses
from microbench_ray.ingest.base import Log, Options, Reader, Tally
from microbench_ray.ingest.fold import OnConflict, fold, merge
from microbench_ray.ingest.hub import fetch, is_hub
from microbench_ray.ingest.registry import reader

READ_AS = "ingest.json"
DOWNLOADS = "downloads"
MEGABYTE = 10**6
MAX_TAKEN = 10


@dataclass(frozen=True)
class IngestJob:
    """What is read, and into which folder.

    Attributes
    ----------
    source
        A key of `registry.READERS`.
    path
        A log, a folder of logs, or `hf://datasets/…`.
    out
        The folder of responses: a path or a URL. What is there stays.
    options
        What of the logs is wanted.
    on_conflict
        What happens where two logs of one model score an item differently: see `fold.merge`.
    wait_for_out
        Seconds to wait for another process at work in `out`.
    """

    source: str
    path: str
    out: Path | str
    options: Options = field(default_factory=Options)
    on_conflict: OnConflict = "error"
    wait_for_out: float = 0.0


@dataclass
class Summary:
    """What was read.

    Attributes
    ----------
    added, updated, unchanged
        Models: new in the folder, with new or changed logs, and neither.
    logs
        Logs that were read.
    items, subtasks
        Those that the logs which were read hold.
    responses, missing
        Responses with a score, and without one.
    dropped, taken
        What was left out, counted by reason; and what was taken where a log leaves a choice, counted by logs.
    failed
        By model: why its logs could not be taken in, its file being as it was; or by path: why it could not be read.
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
    taken: Counter[str] = field(default_factory=Counter)
    failed: dict[str, DataError] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """For the terminal."""
        models = f"models: {len(self.added):,} added, {len(self.updated):,} updated, {len(self.unchanged):,} unchanged"
        lines = [models + (f", {len(self.failed):,} failed" if self.failed else "")]
        if self.logs:
            lines.append(
                f"logs read: {self.logs:,} (items: {len(self.items):,}, subtasks: {len(self.subtasks):,}, "
                f"responses: {self.responses:,}, missing: {self.missing:,})"
            )
        taken = [f"taken: {what}" for what in sorted(self.taken)]
        lines += taken[:MAX_TAKEN] + ([f"… and {len(taken) - MAX_TAKEN} more such choices"] if len(taken) > MAX_TAKEN else [])
        return lines + [f"left out: {count:,} {reason}" for reason, count in sorted(self.dropped.items())]


def run_ingest(job: IngestJob) -> Summary:
    """Read logs into a folder of responses; logs that are there already, unchanged, are not read again.

    A model whose logs cannot be taken in is left as it was and named in the summary; the others go on.

    Raises
    ------
    DataError
        No log was found, or not one model could be taken in.
    ConfigError
        The folder was read in another way before.
    StoreError
        The folder cannot be written, or another process is at work there.
    """
    chosen = reader(job.source)
    store = Store(job.out, folders=(MODELS,))
    with store.held(job.wait_for_out):
        check_read_as(store, job)
        path = fetch(job.path, Path(store.at(DOWNLOADS)), job.options) if is_hub(job.path) else Path(job.path)
        tally = Tally()
        logs = chosen.find(path, job.options, tally)
        store.write(READ_AS, (json.dumps(read_as(job), indent=2) + "\n").encode())
        summary = Summary(dropped=tally.dropped, taken=tally.taken, failed=tally.failed)
        read_models(job, chosen, store, logs, summary)
    if summary.failed and not (summary.added or summary.updated or summary.unchanged):
        raise next(iter(summary.failed.values()))
    return summary


def read_models(job: IngestJob, chosen: Reader, store: Store, logs: Sequence[Log], summary: Summary) -> None:
    """Model by model: what is new of its logs, into its file."""
    known = {about.model: about for _, about in each_about(store.folder)}
    by_model: dict[str, list[tuple[str, Log, LogRecord]]] = defaultdict(list)
    for log in logs:
        by_model[log.model].append((log_name(log), log, LogRecord(stamps(log))))
    todo: dict[str, list[tuple[str, Log, LogRecord]]] = {}
    for model, found in sorted(by_model.items()):
        before = known[model].logs if model in known else {}
        fresh = [each for each in found if each[0] not in before or before[each[0]].files != each[2].files]
        if fresh:
            todo[model] = sorted(fresh, key=lambda each: each[0])
        else:
            summary.unchanged.append(model)
    parts = Counter(path for found in todo.values() for _, _, record in found for path in record.files)

    def size(record: LogRecord) -> float:
        return sum(bytes_ / parts[path] for path, (bytes_, _) in record.files.items()) / MEGABYTE

    total = sum(size(record) for found in todo.values() for _, _, record in found)
    with WorkProgress(total, unit="MB") as progress:
        for model, found in todo.items():
            try:
                take_in(job, chosen, store, model, found, known.get(model), summary)
            except DataError as error:
                summary.failed[model] = error
            progress.advance(sum(size(record) for _, _, record in found), failed=model in summary.failed)


def take_in(
    job: IngestJob,
    chosen: Reader,
    store: Store,
    model: str,
    fresh: Sequence[tuple[str, Log, LogRecord]],
    before: About | None,
    summary: Summary,
) -> None:
    """Read a model's new and changed logs, lay them beside those that were read before, and write its file."""
    file = model_file(model)
    tables = []
    if before is not None:
        old = read_responses(store.folder, file)
        tables.append(old.filter(pc.invert(pc.is_in(old["log"], pa.array([name for name, _, _ in fresh], pa.string())))))
    facts: dict[str, Any] = dict(before.facts) if before else {}
    records: dict[str, LogRecord] = dict(before.logs) if before else {}
    for name, log, record in fresh:
        tally = Tally(taken=summary.taken)
        tables.append(fold(chosen.read(log, job.options, tally), name))
        facts |= log.facts
        records[name] = replace(record, dropped=dict(tally.dropped))
    table = merge(tables, model, job.on_conflict)
    store.write(file, pack(table, About(model, facts, records)))
    (summary.updated if before else summary.added).append(model)
    summary.logs += len(fresh)
    for name, _, _ in fresh:
        summary.dropped.update(records[name].dropped)
    summary.items.update(table["item_id"].to_pylist())
    summary.subtasks.update(table["subtask"].unique().to_pylist())
    summary.missing += table["score"].null_count
    summary.responses += len(table) - table["score"].null_count


def log_name(log: Log) -> str:
    """Where a log is, and which part of its file it is."""
    return log.files[0].resolve().as_posix() + (f"#{log.part}" if log.part else "")


def stamps(log: Log) -> dict[str, tuple[int, int]]:
    """By path: bytes and modification time of a log's files."""
    found = {}
    for path in log.files:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError("A log cannot be read.", where=str(path), got=str(error)) from None
        found[path.resolve().as_posix()] = (status.st_size, status.st_mtime_ns)
    return found


def read_as(job: IngestJob) -> dict[str, Any]:
    """What must be the same for all logs of a folder, or its scores could not be compared."""
    return {"source": job.source, "metric": job.options.metric, "filter": job.options.filter}


def check_read_as(store: Store, job: IngestJob) -> None:
    """Raise ConfigError where a folder was read in another way before: its scores would be of two kinds."""
    before = earlier(store.folder)
    now = read_as(job)
    if before is not None and before != now:
        said = ", ".join(f"{key}={before.get(key)}" for key in now if before.get(key) != now[key])
        raise ConfigError(
            "The folder holds responses that were read in another way.",
            where=store.at(),
            got=f"{said} before, {', '.join(f'{key}={now[key]}' for key in now if before.get(key) != now[key])} now",
            hint="out=DIR with a new folder, or the same keys as before",
        )


def earlier(folder: Folder) -> Mapping[str, Any] | None:
    """How a folder was read, or None for a new one."""
    try:
        content: Mapping[str, Any] = json.loads(folder.read(READ_AS))
        if not isinstance(content, dict):
            raise TypeError("no object")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise io_error(folder, READ_AS, error, "A folder of responses cannot be read.", "give another folder") from None
    except (ValueError, TypeError):
        raise DataError("The file is damaged.", where=folder.at(READ_AS), hint="remove it: it is written anew") from None
    return content
