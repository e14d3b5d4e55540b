"""New models' responses to the items of an exported micro-benchmark, from any format that `microbench ingest` reads."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.ingest.base import Log, Options, Sample, Tally
from microbench_ray.ingest.fold import TOLERANCE, OnConflict
from microbench_ray.ingest.registry import reader
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.score import unmatched

AGAIN = re.compile(r"#\d+$")
"""How a second document of the same content is told from the first, in items of lm-evaluation-harness."""


@dataclass(frozen=True)
class Given:
    """Where responses are, and how they are read.

    Attributes
    ----------
    path
        A log, a folder of logs, or a wide table.
    source
        A format of `microbench ingest`; None for the one that the micro-benchmark's own benchmark was read from.
    options
        What of the logs is wanted; metric and filter are the benchmark's, where they are not given.
    on_conflict
        What happens where two logs of one model score an item differently, as in `microbench ingest`.
    """

    path: str
    source: str | None
    options: Options
    on_conflict: OnConflict = "error"


class Found(NamedTuple):
    """Responses of models.

    Attributes
    ----------
    models
        Their ids, sorted.
    responses
        (n_models, n_asked) in the order of `MicroBenchmark.asked`, NaN where missing.
    notes
        Sentences on what was left out, and on what was taken where a log leaves a choice.
    failed
        By model or path: why it could not be read.
    """

    models: list[str]
    responses: NDArray[np.float64]
    notes: list[str]
    failed: Mapping[str, DataError]


def read(given: Given, exported: MicroBenchmark) -> Found:
    """Read responses, without writing anything.

    Raises
    ------
    ConfigError
        The format is neither given nor known.
    DataError
        No log was found, none could be read, or no response is to an item of the micro-benchmark.
    """
    source = given.source or exported.source.get("source")
    if source is None:
        raise ConfigError(
            "The format of the responses is needed.", where="source", got="nothing", hint="source=scores, or lm_eval, …"
        )
    if "://" in given.path:
        hint = "microbench ingest fetches logs; give the folder that it keeps them in"
        raise ConfigError("Responses are read from this machine.", where="responses", got=given.path, hint=hint)
    options, chosen, tally = _as_before(given.options, source, exported.source), reader(source), Tally()
    path = Path(given.path)
    by_model = defaultdict(list)
    for log in chosen.find(path, options, tally):
        by_model[log.model].append(log)
    match, failed = _Items(exported), dict(tally.failed)
    places = {item: place for place, item in enumerate(exported.asked)}
    rows: dict[str, NDArray[np.float64]] = {}
    for model, logs in sorted(by_model.items()):
        try:
            each = {_name(log): match.responses(chosen.read(log, options, tally), log.model) for log in logs}
            answers = _merged(each, model, given.on_conflict)
        except DataError as error:
            failed[model] = error
            continue
        row = rows[model] = np.full(len(places), np.nan)
        for item, value in answers.items():
            row[places[item]] = value
    if not rows and failed:
        raise next(iter(failed.values()))
    if all(np.isnan(row).all() for row in rows.values()):
        if match.matched:
            what = "No response to the micro-benchmark's items has a " + (
                "score." if exported.signal == "correctness" else "confidence."
            )
            raise DataError(what, where=str(path), hint="metric=NAME chooses another score, where the log has several")
        raise unmatched(exported, match.others, str(path))
    notes = [f"taken: {what}" for what in sorted(tally.taken)]
    notes += [f"left out: {count:,} {reason}" for reason, count in sorted(tally.dropped.items())]
    if match.n_others:
        notes.append(f"not of the micro-benchmark: {match.n_others:,} responses")
    return Found(list(rows), np.array(list(rows.values())), notes, failed)


def _as_before(options: Options, source: str, before: Mapping[str, Any]) -> Options:
    """The metric and filter that the benchmark was read with, where it is the same format and none are given."""
    if source != before.get("source"):
        return options
    return replace(options, metric=options.metric or before.get("metric"), filter=options.filter or before.get("filter"))


def _name(log: Log) -> str:
    return f"{log.files[0]}" + (f"#{log.part}" if log.part else "")


def _merged(logs: Mapping[str, Mapping[str, float]], model: str, on_conflict: OnConflict) -> dict[str, float]:
    """One response to each item from all logs of a model, as `ingest.fold.merge` has it: they agree, or the last one counts."""
    found: dict[str, float] = {}
    said_by: dict[str, str] = {}
    for name, answers in sorted(logs.items()):
        for item, value in answers.items():
            if on_conflict == "error" and abs(found.get(item, value) - value) > TOLERANCE:
                raise DataError(
                    "Two logs of one model score an item differently.",
                    where=f"model {model!r}, item {item!r}",
                    got=f"{found[item]:g} in {said_by[item]}, {value:g} in {name}",
                    hint="score one of the two, or on_conflict=last: the log whose name sorts last counts",
                )
            found[item], said_by[item] = value, name
    return found


class _Items:
    """Finds the micro-benchmark's items among samples; keeps some of the others, for a message."""

    def __init__(self, exported: MicroBenchmark) -> None:
        self._wanted, self._signal = set(exported.asked), exported.signal
        # A log of some documents alone does not number the second of the same content as one of all does.
        self._by_position: dict[tuple[str, str | None], str] = {
            (AGAIN.sub("", item.id), item.position): item.id
            for item in (*exported.items, *exported.reserve)
            if item.position is not None and AGAIN.search(item.id)
        }
        self.matched, self.n_others = 0, 0
        self.others: list[str] = []

    def responses(self, samples: Iterable[Sample], model: str) -> dict[str, float]:
        """By item of the micro-benchmark: the mean over its repetitions that have a score, as `ingest.fold.fold` has it.

        Where confidences are read, these: of the repetitions with a score, all of which must have one.
        """
        found: dict[str, list[float]] = {}
        for sample in samples:
            item = self._known(sample)
            if item is None or sample.score is None:
                continue
            value = sample.score if self._signal == "correctness" else sample.confidence
            if value is not None and not -TOLERANCE <= value <= 1 + TOLERANCE:
                where = f"model {model!r}, item {sample.item_id!r}"
                raise DataError("A response must lie in [0, 1].", where=where, got=f"{value:g}", hint="metric=NAME chooses another")
            found.setdefault(item, []).append(math.nan if value is None else min(max(value, 0.0), 1.0))
        means = {item: math.fsum(values) / len(values) for item, values in found.items()}
        return {item: value for item, value in means.items() if not math.isnan(value)}

    def _known(self, sample: Sample) -> str | None:
        """The micro-benchmark's name of a sample's item; None for one that is not among its items."""
        item = self._by_position.get((AGAIN.sub("", sample.item_id), sample.position)) if self._by_position else None
        if item is None and sample.item_id in self._wanted:
            item = sample.item_id
        if item is not None:
            self.matched += 1
            return item
        self.n_others += 1
        if len(self.others) < 3:
            self.others.append(sample.item_id)
        return None
