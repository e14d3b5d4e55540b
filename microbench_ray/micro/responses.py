"""New models' responses to the items of an exported micro-benchmark, from any format that `microbench ingest` reads."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.reduce import reducer
from microbench_ray.data.tables.keys import DEFAULT_KEYS, table_keys
from microbench_ray.ingest.base import LOGGED, ModelLog, Options, Sample, Scale, Tally
from microbench_ray.ingest.fold import TOLERANCE, OnConflict
from microbench_ray.ingest.identity import check_identify, find_logs
from microbench_ray.ingest.join import JOINS, joined
from microbench_ray.ingest.registry import get_reader
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.log_formats import source_of, without_keys_of_ingest
from microbench_ray.micro.score import no_matching_item

REPETITION = re.compile(r"#\d+$")
"""Suffix of the item id of a further document with the same content, in items of lm-evaluation-harness."""


@dataclass(frozen=True)
class ResponseInput:
    """Which responses to read, and how.

    Attributes
    ----------
    path
        A log, a folder of logs, or a wide table.
    source
        A format of `microbench ingest`; None for the one that the benchmark was read from, or that the file's suffix tells.
    options
        Which logs, tasks, models and scores to read; metric and filter default to those that the benchmark was read with.
    on_conflict
        What to do where two logs of one model score an item differently, as in `microbench ingest`.
    """

    path: str
    source: str | None
    options: Options
    on_conflict: OnConflict = "error"


class NewResponses(NamedTuple):
    """Responses of new models.

    Attributes
    ----------
    models
        Their ids, sorted.
    responses
        (n_models, n) in the order of `MicroBenchmark.all_item_ids`, NaN where missing.
    notes
        Sentences: which responses were left out, and what was read where a log offers a choice.
    failed
        Why a model or path could not be read, by its name.
    """

    models: list[str]
    responses: NDArray[np.float64]
    notes: list[str]
    failed: Mapping[str, DataError]


ADVICE = "correct the file, or ingest and export the benchmark with the keys: {}"
"""Around a hint with keys that `microbench score` does not have."""


def read_responses(given: ResponseInput, micro: MicroBenchmark) -> NewResponses:
    """Read responses to a micro-benchmark's items; nothing is written.

    Raises
    ------
    ConfigError
        The format is not given, nor known from the micro-benchmark or the file's suffix; or the path is a URL.
    DataError
        There are no logs, none can be read, or no response is to an item of the micro-benchmark.
    """
    try:
        read = _read(given, micro)
    except DataError as error:
        raise without_keys_of_ingest(error, "responses=…", ADVICE) from None
    return read._replace(failed={name: without_keys_of_ingest(error, "responses=…", ADVICE) for name, error in read.failed.items()})


def _read(given: ResponseInput, micro: MicroBenchmark) -> NewResponses:
    if "://" in given.path:
        hint = "fetch the logs with microbench ingest, and give the folder that it keeps them in"
        raise ConfigError("Responses must be files on this machine.", where="responses", got=given.path, hint=hint)
    path = Path(given.path)
    source = source_of(path, given.source or micro.source.get("source"))
    options, log_reader, tally = with_defaults(given.options, source, micro.source), get_reader(source), Tally()
    tally.scale = options.scale
    logs_by_model = defaultdict(list)
    for log in find_logs(log_reader, path, options, tally):
        logs_by_model[log.model].append(log)
    matcher, failed = _ItemMatcher(micro), dict(tally.failed)
    column_of = {item: column for column, item in enumerate(micro.all_item_ids)}
    rows: dict[str, NDArray[np.float64]] = {}
    for model, logs in sorted(logs_by_model.items()):
        try:
            samples = {_name(log): joined(log_reader.read(log, options, tally), options.join) for log in logs}
            if given.on_conflict == "repeats":
                samples = {"": chain.from_iterable(each for _, each in sorted(samples.items()))}
            by_log = {name: matcher.responses(each, model, options.reduce) for name, each in samples.items()}
            answers = _merged(by_log, model, given.on_conflict)
        except DataError as error:
            failed[model] = error
            continue
        row = rows[model] = np.full(len(column_of), np.nan)
        for item, value in answers.items():
            row[column_of[item]] = value
    if not rows and failed:
        raise next(iter(failed.values()))
    if all(np.isnan(row).all() for row in rows.values()):
        if matcher.n_matched:
            signal = "score" if micro.signal == "correctness" else "confidence"
            hint = "metric=NAME reads another score, where the logs have several"
            raise DataError(f"No response to the micro-benchmark's items has a {signal}.", where=str(path), hint=hint)
        raise no_matching_item(micro, matcher.others, str(path))
    notes = [f"read: {choice}" for choice in sorted(tally.choices)]
    notes += [f"left out: {count:,} {reason}" for reason, count in sorted(tally.dropped.items())]
    notes += [f"warning: {note}" for note in tally.suspicious]
    if matcher.n_repeated:
        notes.append(
            f"repeats: {matcher.n_repeated:,} items were answered more than once; the {options.reduce} of the scores counts"
        )
    if matcher.n_others:
        notes.append(f"ignored: {matcher.n_others:,} responses to items outside the micro-benchmark")
    return NewResponses(models=list(rows), responses=np.array(list(rows.values())), notes=notes, failed=failed)


def with_defaults(options: Options, source: str, benchmark: Mapping[str, Any]) -> Options:
    """The options, by default those that the benchmark was read with if its format is the same."""
    if source != benchmark.get("source"):
        return replace(options, table=replace(options.table, ids_needed=True))
    try:
        table = table_keys(**benchmark.get("table", {})) if options.table == DEFAULT_KEYS else options.table
        scale = Scale(**benchmark["scale"]) if options.scale == LOGGED and "scale" in benchmark else options.scale
        scale.score(1.0)
        identify = options.identify or check_identify(benchmark.get("identify", ()))
        reduce = options.reduce if options.reduce != "mean" else benchmark.get("reduce", "mean")
        reducer(reduce)
        join = options.join if options.join != "content" else benchmark.get("join", "content")
        if join not in JOINS:
            raise ValueError(f"join={join}")
    except (TypeError, ValueError, AttributeError, ArithmeticError, ConfigError) as error:
        hint = "run microbench export again, or copy the folder again"
        raise DataError(
            "How the benchmark's logs were read is malformed.", where="source", got=str(error)[:200], hint=hint
        ) from None
    return replace(
        options,
        metric=options.metric or benchmark.get("metric"),
        filter=options.filter or benchmark.get("filter"),
        join=join,
        reduce=reduce,
        scale=scale,
        identify=identify,
        table=replace(table, ids_needed=True),
    )


def _name(log: ModelLog) -> str:
    return f"{log.files[0]}" + (f"#{log.part}" if log.part else "")


def _merged(logs: Mapping[str, Mapping[str, float]], model: str, on_conflict: OnConflict) -> dict[str, float]:
    """One response to each item from all logs of a model, merged as in `ingest.fold.merge`: equal, or the last log's."""
    merged: dict[str, float] = {}
    log_of: dict[str, str] = {}
    for name, answers in sorted(logs.items()):
        for item, value in answers.items():
            if on_conflict == "error" and abs(merged.get(item, value) - value) > TOLERANCE:
                raise DataError(
                    "Two logs of one model score an item differently.",
                    where=f"model {model!r}, item {item!r}",
                    got=f"{merged[item]:g} in {log_of[item]}, {value:g} in {name}",
                    hint="give only one of the logs, or on_conflict=last to read the log whose name sorts last",
                )
            merged[item], log_of[item] = value, name
    return merged


class _ItemMatcher:
    """Matches samples with the micro-benchmark's items; remembers some of the other items for an error message."""

    def __init__(self, micro: MicroBenchmark) -> None:
        self._item_ids, self._signal = set(micro.all_item_ids), micro.signal
        # A log of only some documents numbers documents of the same content differently from a log of all documents.
        self._by_position: dict[tuple[str, str | None], str] = {
            (REPETITION.sub("", item.id), item.position): item.id
            for item in (*micro.items, *micro.reserve)
            if item.position is not None and REPETITION.search(item.id)
        }
        self.n_matched, self.n_others, self.n_repeated = 0, 0, 0
        self.others: list[str] = []

    def responses(self, samples: Iterable[Sample], model: str, reduce: str) -> dict[str, float]:
        """The response to each item: its repetitions that have a score reduced as by `ingest.fold.fold`.

        Where confidences are read, the mean confidence over the same repetitions; an item with a confidence missing is dropped.
        """
        values_of: dict[str, list[float]] = {}
        for sample in samples:
            item = self._match(sample)
            if item is None or sample.score is None:
                continue
            value = sample.score if self._signal == "correctness" else sample.confidence
            if value is not None and not -TOLERANCE <= value <= 1 + TOLERANCE:
                where = f"model {model!r}, item {sample.item_id!r}"
                raise DataError(
                    "A response is outside [0, 1].", where=where, got=f"{value:g}", hint="metric=NAME reads another score"
                )
            values_of.setdefault(item, []).append(math.nan if value is None else min(max(value, 0.0), 1.0))
        self.n_repeated += sum(len(values) > 1 for values in values_of.values())
        of_repeats = reducer(reduce if self._signal == "correctness" else "mean")
        found = {item: of_repeats(values) for item, values in values_of.items()}
        return {item: value for item, value in found.items() if value is not None and not math.isnan(value)}

    def _match(self, sample: Sample) -> str | None:
        """The id of a sample's item in the micro-benchmark; None for an item outside it."""
        item = self._by_position.get((REPETITION.sub("", sample.item_id), sample.position)) if self._by_position else None
        if item is None and sample.item_id in self._item_ids:
            item = sample.item_id
        if item is not None:
            self.n_matched += 1
            return item
        self.n_others += 1
        if len(self.others) < 3:
            self.others.append(sample.item_id)
        return None
