"""Logs of Inspect AI, `.eval` and `.json`, through the classes of its own library."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.jsonl import json_file, parse, too_long
from microbench_ray.ingest.values import ENDED_IN_ERROR, checked_score, files_below, found, item_digest, part, shortened

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Value

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_UNREAD = ("messages", "events", "events_data", "store", "attachments", "output", "timelines")  # long, and no part of a score
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 93}  # 93: Zstandard, which the library teaches zipfile
_STEP = 4096  # zipfile decompresses as many compressed bytes at once, in Zstandard to at most 128 MiB


class InspectReader:
    """A log is one model's run of one task: the task is the subtask, epochs are repetitions. The metric is the name of a scorer, or
    `scorer/key` where its values are dictionaries; by default the first scorer."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The finished logs; others, and JSON files that are none, are dropped with a reason. Reads the header of each."""
        logs = []
        for file in files_below(path, ("*.eval", "*.json")):
            with tally.going_on(file):
                if file != path and file.suffix == ".json" and not _is_log(file):
                    tally.drop("JSON file that is no log of Inspect")  # as listings, which Inspect keeps beside its logs
                    continue
                header = _header(file, options.max_line_bytes)
                if not (wanted(header.eval.task, options.tasks) and wanted(header.eval.model, options.models)):
                    continue
                if header.status != "success":
                    tally.drop(f"log with status {header.status}")
                elif header.invalidated:
                    tally.drop("log that was invalidated")
                else:
                    logs.append(Log(header.eval.model, (file,), header.eval.task))
        return found(logs, path, "Inspect", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """One sample at a time from `.eval`; `.json` is one document, of at most `max_line_bytes`."""
        (file,) = log.files
        header = _header(file, options.max_line_bytes)
        scorer, _, key = (options.metric or _main_scorer(header)).partition("/")
        count = 0
        for count, sample in enumerate(_samples(file, options.max_line_bytes), 1):  # noqa: B007
            item = f"{log.part}/{sample.id}"
            if sample.error is not None:
                tally.drop(ENDED_IN_ERROR)
                score = None
            else:
                value, metric = _value(sample, scorer, key, options.metric is None, file)
                score = checked_score(value, tally, file=file, item=item, metric=metric)
            content = item_digest(f"{file}: {item}", input=_texts(sample), choices=sample.choices, target=sample.target)
            yield Sample(item, log.part, score, content=content, position=str(sample.id))
        if not count:
            tally.drop("log without samples")


def _value(sample: EvalSample, scorer: str, key: str, default: bool, file: Path) -> tuple[Any, str]:
    """The sample's score as a number (or what is none), and its metric's full name."""
    scores = sample.scores or {}
    if not scores:
        return None, scorer
    if not scorer or (default and scorer not in scores):
        scorer = next(iter(scores))
    where = f"{file}: sample {shortened(sample.id)}, scorer {shortened(scorer)}"
    if scorer not in scores:
        hint = "choose one of them: metric=SCORER, or the tasks that have it: tasks=[…]"
        raise DataError("The sample has no score of that name.", where=where, got=f"scores {first_few(scores)}", hint=hint)
    value: Value = scores[scorer].value
    if isinstance(value, dict):
        key = key or (next(iter(value)) if len(value) == 1 else "")
        if key not in value:
            hint = f"choose one: metric={scorer}/KEY"
            raise DataError("The scorer gives several values.", where=where, got=f"keys {first_few(value)}", hint=hint)
        return _number(value[key]), f"{scorer}/{key}"
    if isinstance(value, list):
        raise DataError(
            "The scorer gives a list of values.", where=where, got=f"{len(value)} values", hint="choose another: metric=SCORER"
        )
    return _number(value), scorer


def _number(value: Any) -> Any:
    if isinstance(value, str):
        return _LETTERS.get(value, _LETTERS.get(value.lower(), value) if len(value) > 1 else value)
    return value


def _main_scorer(header: EvalLog) -> str:
    scores = header.results.scores if header.results is not None else []
    return scores[0].scorer if scores else ""


def _texts(sample: EvalSample) -> Any:
    """The input without what differs from run to run, as the ids of messages."""
    if isinstance(sample.input, str):
        return sample.input
    return [[message.role, message.text] for message in sample.input]


def _is_log(file: Path) -> bool:
    """Whether a JSON file begins as a log of Inspect does: its status comes before anything long."""
    try:
        with file.open("rb") as opened:
            start = opened.read(400)
    except OSError as error:
        raise _no_log(file, "file", error) from None
    return b'"status"' in start and b'"eval"' in start


def _library() -> Any:
    try:
        import inspect_ai.log
    except ImportError:
        raise DataError(
            "Logs of Inspect are read by its own library, which is not installed.",
            where="source=inspect",
            hint="pip install 'microbench-ray[inspect]'",
        ) from None
    return inspect_ai.log


def _header(file: Path, most: int) -> EvalLog:
    """All of a log but its samples. Not by the library's own streaming, whose memory grows with the square of the nesting."""
    library = _library()
    if file.suffix == ".eval":
        with _Archive(file, most) as archive:
            if "header.json" in archive.names:
                document = part(archive.read("header.json"), dict, f"{file}: header.json")
            else:  # still running, or killed
                document = part(archive.read("_journal/start.json"), dict, f"{file}: _journal/start.json")
                document["status"] = "started"
    else:
        document = part(json_file(file, most), dict, str(file))
        part(document, dict, str(file), "eval")
    header: EvalLog = _validated(library.EvalLog, {**document, "samples": None, "reductions": None}, file, "header")
    return header


def _samples(file: Path, most: int) -> Iterator[EvalSample]:
    kind = _library().EvalSample
    if file.suffix == ".eval":
        with _Archive(file, most) as archive:
            for name in archive.samples():
                yield _validated(kind, part(archive.read(name), dict, f"{file}: {name}"), file, name)
        return
    document = part(json_file(file, most), dict, str(file))
    samples = part(document, list, str(file), "samples") if document.get("samples") is not None else []
    for number, sample in enumerate(samples, 1):
        yield _validated(kind, part(sample, dict, f"{file}: sample {number}"), file, f"sample {number}")


def _validated(kind: Any, document: dict[str, Any], file: Path, what: str) -> Any:
    """A document as the library's own class, which also reads what older versions wrote."""
    try:
        return kind.model_validate({name: value for name, value in document.items() if name not in _UNREAD})
    except Exception as error:  # validators of the library may raise anything
        raise _no_log(file, what, error) from None


def _no_log(file: Path, what: str, error: Exception) -> DataError:
    return DataError(
        "The file is cut short, or no log of Inspect.",
        where=f"{file}: {what}",
        got=" ".join(str(error).split())[:200] or type(error).__name__,
        hint="write or copy it again, or read it with a newer inspect-ai",
    )


class _Archive:
    """A `.eval` file: members are read into memory one at a time, by name, never more of one than `most` bytes."""

    def __init__(self, file: Path, most: int) -> None:
        self.file, self.most = file, most
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _no_log(file, "archive", error) from None
        self.names = dict.fromkeys(self.zip.namelist())  # a member that was written again counts once, its last form

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.zip.close()

    def samples(self) -> list[str]:
        """The members that are samples, in the order of the archive; one in pieces (`samples/…/sample.json`) by its first."""
        return [
            name
            for name in self.names
            if name.startswith("samples/") and (name.endswith("/sample.json") or (name.endswith(".json") and name.count("/") == 1))
        ]

    def read(self, name: str) -> Any:
        """A member as JSON; its size is checked as the archive tells it, and again while it is decompressed."""
        where = f"{self.file}: {name}"
        try:
            info = self.zip.getinfo(name)
            if info.file_size > self.most:
                raise too_long("A member of the archive is too large.", where, f"{info.file_size:,} bytes")
            if info.compress_type not in _METHODS:
                raise NotImplementedError(f"compression method {info.compress_type}")
            pieces, size = [], 0
            with self.zip.open(info) as member:
                while piece := member.read(_STEP):
                    size += len(piece)
                    if size > self.most:
                        raise too_long("A member of the archive is too large.", where, f"more than {self.most:,} bytes")
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError, NotImplementedError) as error:
            raise _no_log(self.file, name, error) from None
        return parse(b"".join(pieces), where)
