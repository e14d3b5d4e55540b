"""Inspect AI logs, `.eval` and `.json`; all but the plain ones are validated by the classes of the inspect-ai library."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.core.extras import require_extra
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches, selects
from microbench_ray.ingest.identity import effort, few_shot, settings_of_arguments
from microbench_ray.ingest.inspect_fields import Header, InspectSample, header_of, plain_header, plain_sample, sample_of
from microbench_ray.ingest.jsonl import json_file, parse, too_large
from microbench_ray.ingest.metrics import check_higher_is_better, most_common_metric
from microbench_ray.ingest.revisions import name_with_revision, revision_argument
from microbench_ray.ingest.values import ENDED_IN_ERROR, files_below, item_digest, parse_score, require_logs, shorten, value_at

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_SKIPPED_FIELDS = ("messages", "events", "events_data", "store", "attachments", "output", "timelines")  # long, and not needed
_ZSTANDARD = 93  # which inspect-ai adds to zipfile
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, _ZSTANDARD}
_CHUNK = 4096  # compressed bytes that zipfile decompresses at once: at most 128 MiB of output in Zstandard


class InspectReader:
    """Reads one log per file: one model's run of one task. The task is the subtask; epochs are repetitions.

    The metric is the name of a scorer, or `scorer/key` if its values are dictionaries. The default is the scorer that most logs of
    the task have, and have first.

    Items that differ only in the order of their choices are the same item. A model loaded with a revision is named `name@revision`.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the successful logs, reading the header of each; other logs and unrelated JSON files are dropped with a reason."""
        logs = []
        scorers: dict[str, list[list[str]]] = {}
        for file in files_below(path, ("*.eval", "*.json"), tally):
            with tally.collect_error(file):
                if file != path and file.suffix == ".json" and not _is_log(file):
                    tally.drop("JSON files of another kind")  # such as the listings that Inspect keeps beside its logs
                    continue
                header = _header(file, options.max_line_bytes, _document(file, options.max_line_bytes))
                task, name = header.task, header.model
                model = name_with_revision(name, revision_argument(header.model_args))
                if not (matches(task, options.tasks) and selects(options.models, model, name)):
                    continue
                if header.status != "success":
                    tally.drop(f"logs with status {header.status}", model=model)
                elif header.invalidated:
                    tally.drop("invalidated logs", model=model)
                else:
                    logs.append(ModelLog(model=model, name=name, files=(file,), part=task, sets=_sets(header)))
                    scorers.setdefault(task, []).append(list(header.scorers))
        main = {task: most_common_metric(lists) or "" for task, lists in scorers.items()}
        logs = [replace(log, metric=main[log.part]) for log in logs]
        return require_logs(logs, path, "Inspect", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, reading `.eval` one sample at a time; `.json` is one document of at most `max_line_bytes`."""
        (file,) = log.files
        document = _document(file, options.max_line_bytes)
        header = _header(file, options.max_line_bytes, document)
        listed = header.scorers
        default = options.metric is None
        scorer, key = log.metric or next(iter(listed), ""), ""
        if options.metric is not None:
            scorer, _, key = options.metric.partition("/")
        check_higher_is_better(options.metric or scorer, log.part, options.scale)
        if scorer:
            tally.choose(f"{log.part}: scorer {options.metric or scorer}{_reducer(header, options.reduce)}")
        count = 0
        for count, sample in enumerate(samples_of(file, options.max_line_bytes, document), 1):  # noqa: B007
            item = f"{log.part}/{sample.id}"
            if sample.failed:
                tally.drop(ENDED_IN_ERROR)
                score = None
            else:
                if default and sample.values and (not scorer or (len(listed) == len(sample.values) == 1)):
                    scorer = next(iter(sample.values))  # the header may name an only scorer differently, or none
                value, metric = _value(sample, scorer, key, default or scorer in listed, file)
                score = parse_score(value, tally, file=file, item=item, metric=metric)
                if sample.values:
                    tally.read_by(log.part, scorer.rpartition("/")[2])
            content = item_digest(f"{file}: {item}", input=sample.input, **_answers(sample))
            text = {"input": sample.input, "choices": sample.choices} if sample.choices else sample.input
            yield Sample(item_id=item, subtask=log.part, score=score, content=content, position=str(sample.id), text=text)
        if not count:
            tally.drop("logs without samples")


def _value(sample: InspectSample, scorer: str, key: str, optional: bool, file: Path) -> tuple[Any, str]:
    """Return the sample's score, not yet checked, and the full name of its metric. A sample without the scorer has no score if the
    scorer is `optional`."""
    scores = sample.values or {}
    if not scores or (optional and scorer not in scores):
        return None, scorer
    where = f"{file}: sample {shorten(sample.id)}, scorer {shorten(scorer)}"
    if scorer not in scores:
        hint = "choose one with metric=SCORER, and the tasks that have it with tasks=[…]"
        raise DataError("The sample has no score by this scorer.", where=where, got=f"scores {first_few(scores)}", hint=hint)
    value = scores[scorer]
    if isinstance(value, dict):
        key = key or (next(iter(value)) if len(value) == 1 else "")
        if key not in value:
            hint = f"choose one with metric={scorer}/KEY"
            raise DataError("The scorer returns several values.", where=where, got=f"keys {first_few(value)}", hint=hint)
        return number_of(value[key]), f"{scorer}/{key}"
    if isinstance(value, list):
        raise DataError(
            "The scorer returns a list.", where=where, got=f"{len(value)} values", hint="choose another with metric=SCORER"
        )
    return number_of(value), scorer


def number_of(value: Any) -> Any:
    """The number of a grade such as `C` or `yes`; other values as they are."""
    if isinstance(value, str):
        return _LETTERS.get(value, _LETTERS.get(value.lower(), value) if len(value) > 1 else value)
    return value


def _sets(header: Header) -> dict[str, str]:
    """What the run sets: the solver is named only if it is not the task's own."""
    arguments = header.task_args
    shots = next((arguments[name] for name in ("num_fewshot", "fewshot", "few_shot", "n_shots") if name in arguments), None)
    return {
        **settings_of_arguments(header.model_args),
        "reasoning_effort": effort(header.generation) or effort(header.model_args),
        "scaffold": header.solver or "",
        **few_shot(int(shots) if isinstance(shots, bool) else shots),
    }


def _reducer(header: Header, reduce: str) -> str:
    """How repetitions become one score, for the summary; empty if there are none."""
    if header.epochs < 2:
        return ""
    reducers = [name for name in header.reducers if name.replace("pass_at_", "pass@") != reduce]
    return f", {reduce} over epochs{f' (the log itself has {first_few(reducers)})' if reducers else ''}"


def _answers(sample: InspectSample) -> dict[str, Any]:
    """The choices and the target for an item's digest. Choices are sorted, and letters in the target are replaced by their texts,
    because Inspect can shuffle the choices for each model."""
    if not sample.choices:
        return {"choices": sample.choices, "target": sample.target}
    targets = [sample.target] if isinstance(sample.target, str) else sample.target
    positions = [ord(each) - ord("A") if len(each) == 1 else -1 for each in targets]
    texts = [
        sample.choices[position] if 0 <= position < len(sample.choices) else target
        for position, target in zip(positions, targets, strict=True)
    ]
    return {"choices": sorted(sample.choices), "target": sorted(texts)}


def _is_log(file: Path) -> bool:
    """Whether a JSON file starts like an Inspect log, whose status comes before any long field."""
    try:
        with file.open("rb") as opened:
            start = opened.read(400)
    except OSError as error:
        raise _invalid_log(file, "file", error) from None
    return b'"status"' in start and b'"eval"' in start


def _library() -> Any:
    require_extra("inspect", "Reading Inspect logs", where="source=inspect", kind=DataError)
    import inspect_ai.log

    return inspect_ai.log


def _document(file: Path, max_bytes: int) -> dict[str, Any] | None:
    """The document of a `.json` log; None for an archive."""
    return None if file.suffix == ".eval" else value_at(json_file(file, max_bytes), dict, str(file))


def _header(file: Path, max_bytes: int, document: dict[str, Any] | None) -> Header:
    """Read a log without its samples. The library's own streaming is not used: its memory grows with the square of the nesting."""
    if document is None:
        with _Archive(file, max_bytes) as archive:
            if "header.json" in archive.names:
                document = value_at(archive.read("header.json"), dict, f"{file}: header.json")
            else:  # still running, or interrupted
                document = value_at(archive.read("_journal/start.json"), dict, f"{file}: _journal/start.json")
                document["status"] = "started"
    else:
        value_at(document, dict, str(file), "eval")
    header = plain_header(document)
    if header is None:
        library = _library()
        header = header_of(_validated(library.EvalLog, {**document, "samples": None, "reductions": None}, file, "header"))
    return header


def samples_of(file: Path, max_bytes: int, document: dict[str, Any] | None = None) -> Iterator[InspectSample]:
    """The samples of a log, one at a time; its document may be known."""
    document = document or _document(file, max_bytes)
    if document is None:
        with _Archive(file, max_bytes) as archive:
            for name in archive.samples():
                yield _sample(archive.read(name), file, name)
        return
    samples = value_at(document, list, str(file), "samples") if document.get("samples") is not None else []
    for number, sample in enumerate(samples, 1):
        yield _sample(sample, file, f"sample {number}")


def _sample(document: Any, file: Path, place: str) -> InspectSample:
    fields = value_at(document, dict, f"{file}: {place}")
    return plain_sample(fields) or sample_of(_validated(_library().EvalSample, fields, file, place))


def _validated(model_class: Any, document: dict[str, Any], file: Path, place: str) -> Any:
    """Validate a document as a class of the library, which also accepts the forms of older versions."""
    try:
        return model_class.model_validate({name: value for name, value in document.items() if name not in _SKIPPED_FIELDS})
    except Exception as error:  # validators of the library may raise any exception
        raise _invalid_log(file, place, error) from None


def _invalid_log(file: Path, place: str, error: Exception) -> DataError:
    return DataError(
        "The file is truncated or not an Inspect log.",
        where=f"{file}: {place}",
        got=" ".join(str(error).split())[:200] or type(error).__name__,
        hint="write or copy the log again, or install a newer inspect-ai",
    )


class _Archive:
    """A `.eval` file. Members are read by name, one at a time, and limited to `max_bytes` bytes each."""

    def __init__(self, file: Path, max_bytes: int) -> None:
        self.file, self.max_bytes = file, max_bytes
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _invalid_log(file, "archive", error) from None
        self.names = dict.fromkeys(self.zip.namelist())  # a member written twice counts once, with its last content

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.zip.close()

    def samples(self) -> list[str]:
        """Names of the sample members in archive order; a sample stored in pieces is represented by `samples/…/sample.json`."""
        return [
            name
            for name in self.names
            if name.startswith("samples/") and (name.endswith("/sample.json") or (name.endswith(".json") and name.count("/") == 1))
        ]

    def read(self, name: str) -> Any:
        """Parse a member as JSON. Its size is checked twice: as recorded in the archive, and during decompression."""
        where = f"{self.file}: {name}"
        try:
            info = self.zip.getinfo(name)
            if info.file_size > self.max_bytes:
                raise too_large("An archive member is too large.", where, f"{info.file_size:,} bytes")
            if info.compress_type not in _METHODS:
                raise NotImplementedError(f"compression method {info.compress_type}")
            if info.compress_type == _ZSTANDARD:
                _library()
            pieces, size = [], 0
            with self.zip.open(info) as member:
                while piece := member.read(_CHUNK):
                    size += len(piece)
                    if size > self.max_bytes:
                        raise too_large("An archive member is too large.", where, f"more than {self.max_bytes:,} bytes")
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError, NotImplementedError) as error:
            raise _invalid_log(self.file, name, error) from None
        return parse(b"".join(pieces), where)
