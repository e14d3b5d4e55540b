"""The report of `microbench score`: a table for the terminal, Markdown, CSV, or JSON, and a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from microbench_ray.core.errors import StoreError
from microbench_ray.core.shown import escape_controls
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.folders import LocalFolder, remove_leftovers
from microbench_ray.core.table_formats import Format, csv_text, markdown_table, markdown_text
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.files import reserve_commands
from microbench_ray.micro.novelty import RATE
from microbench_ray.micro.score import Scored, ScoreInterval

THIS = Path("MICRO")
"""Stands for the micro-benchmark's folder where that is unknown."""
MAX_NEIGHBOURS = 3
"""Known models named in a row of the table."""
HEADER = ("model", "accuracy", "95 % interval", "rank", "of", "items", "indistinguishable from")
GAP = "  "
"""Between two columns."""
MIN_MODEL, MIN_NEIGHBOURS = 12, 10
"""Columns of the terminal that the names of the models keep, and below which the neighbours are left out."""


class Report(NamedTuple):
    """What is reported: the micro-benchmark, the scored models, the notes, and the micro-benchmark's folder."""

    micro: MicroBenchmark
    scored: Sequence[Scored]
    notes: Sequence[str]
    folder: Path = THIS

    def text(self, shown_as: Format, width: int | None = None) -> str:
        """The report in a format, with a newline at its end; `width` is that of the terminal, None where there is none."""
        if shown_as == "json":
            return json.dumps(self.to_json(), indent=1) + "\n"
        if shown_as == "csv":
            return csv_text([_flat(model) for model in self.ranked()])
        return self.markdown() if shown_as == "markdown" else self.table(width)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, with the models in the order of their ids."""
        return {
            "benchmark": dict(self.micro.benchmark),
            "method": self.micro.method["label"],
            "size": self.micro.size,
            "notes": list(self.notes),
            "reserve_commands": reserve_commands(self.micro, self.folder) if self._gains_by_reserve() else [],
            "models": [model.to_json() for model in self.scored],
        }

    def ranked(self) -> list[Scored]:
        """The models by their estimates, the best first; those without an estimate last."""
        return sorted(self.scored, key=lambda model: (model.estimate is None, -(model.estimate or 0.0), model.model))

    def table(self, width: int | None = None) -> str:
        """The report as a table of at most `width` columns where names allow it, with the models' warnings below it."""
        sentences = [*self.sentences(), *self._reserve_lines()]
        lines = [*self.notes, self.title(), "", *self._table_lines(width), *([""] if sentences else []), *sentences]
        return "\n".join(map(escape_controls, lines)) + "\n"

    def markdown(self) -> str:
        """The same in Markdown, with all names in full."""
        rows = [(model.model, *cells, _neighbours(model, MAX_NEIGHBOURS)) for model, cells in self._cells()]
        parts = [*self.notes, self.title(), markdown_table(HEADER, rows, left=(0, len(HEADER) - 1)).rstrip(), *self.sentences()]
        shown = [part if part.startswith("| ") else markdown_text(part) for part in parts]
        commands = self._reserve_lines()
        if commands:
            shown += [commands[0], "\n".join(["```sh", *(line.strip() for line in commands[1:]), "```"])]
        return "\n\n".join(shown) + "\n"

    def title(self) -> str:
        """The micro-benchmark in one line."""
        benchmark, label = self.micro.benchmark, self.micro.method["label"]
        known = f"{len(self.micro.models):,} known models"
        return f"{benchmark['name']}: {self.micro.size} of {benchmark['n_items']:,} items by {label}, {known}"

    def sentences(self) -> list[str]:
        """What is to be known about single models, and about the table."""
        models = self.ranked()
        sentences = [f"{model.model}: {sentence}" for model in models for sentence in model.sentences]
        if any(model.unlike for model in models):
            sentences.append(
                f"Of models drawn like the known ones, at most {RATE:.0%} are flagged as unlike them by their responses."
            )
        if any(model.by_reserve and not model.unlike for model in models):
            sentences.append(
                "The reserve's random items have a narrower 95 % interval than the other items, and are therefore used."
            )
        return sentences

    def _gains_by_reserve(self) -> bool:
        return any(model.gains_by_reserve for model in self.scored)

    def _reserve_lines(self) -> list[str]:
        if not self._gains_by_reserve():
            return []
        return ["To run the reserve, and score both lists:", *(f"  {each}" for each in reserve_commands(self.micro, self.folder))]

    def _cells(self) -> Iterator[tuple[Scored, tuple[str, ...]]]:
        """The ranked models with the cells between their names and their neighbours."""
        for model in self.ranked():
            yield model, _numbers(self.micro, model)

    def _table_lines(self, width: int | None) -> list[str]:
        models = self.ranked()
        names = [escape_controls(model.model) for model in models]
        numbers = [HEADER[1:-1], *(cells for _, cells in self._cells())]
        widths = [max(map(len, column)) for column in zip(*numbers, strict=True)]
        name_width = max(map(len, (HEADER[0], *names)))
        rest = None
        if width is not None:
            available = width - sum(widths) - len(GAP) * (len(widths) + 1)
            name_width = min(name_width, max(MIN_MODEL, available - MIN_NEIGHBOURS))
            rest = available - name_width
        lines = []
        last_column = [
            HEADER[-1] if rest is None or rest >= len(HEADER[-1]) else "similar to",
            *(_fitting(model, rest) for model in models),
        ]
        for name, cells, last in zip((HEADER[0], *names), numbers, last_column, strict=True):
            aligned = [cell.rjust(size) for cell, size in zip(cells, widths, strict=True)]
            shown = [
                shortened(name, name_width).ljust(name_width),
                *aligned,
                *([] if rest is not None and rest < MIN_NEIGHBOURS else [last]),
            ]
            lines.append(GAP.join(shown).rstrip())
        return lines


def figure(micro: MicroBenchmark, scored: Sequence[Scored], kind: str) -> bytes:
    """A picture of the models that are scored, with their intervals: the content of a `png` or `svg` file."""
    from microbench_ray.report.score_figure import ScoredModel, score_figure  # slow to import

    models = [
        ScoredModel(
            model=each.model,
            estimate=each.estimate,
            low=None if each.interval is None else each.interval.low,
            high=None if each.interval is None else each.interval.high,
            unlike=each.unlike,
        )
        for each in scored
        if each.estimate is not None
    ]
    known = micro.accuracy[~np.isnan(micro.accuracy)].tolist()
    return score_figure(models, known, Report(micro, scored, []).title(), kind)


def write(path: Path, content: bytes, key: str) -> None:
    """Write a file atomically, and remove what killed writes have left; StoreError, naming the key, where that fails."""
    try:
        remove_leftovers(path)
        LocalFolder(path.parent).write(path.name, content)
    except OSError as error:
        raise StoreError(
            "The file cannot be written.", where=str(path), got=one_line(error), hint=f"{key}=FILE elsewhere"
        ) from None


def shortened(name: str, width: int) -> str:
    """A name of at most `width` characters: the middle of a longer one is replaced by `…`, as ends tell versions apart."""
    if len(name) <= width:
        return name
    start = (width - 1) // 2
    return f"{name[:start]}…{name[len(name) - (width - 1 - start) :]}"


def _numbers(micro: MicroBenchmark, model: Scored) -> tuple[str, ...]:
    items = f"{model.answered} of {micro.size}" if model.missing else f"{model.answered}"
    if model.estimate is None:
        return "–", "–", "–", "–", items
    interval, known = model.interval, f"{len(micro.models) + 1:,}"
    points, ranks = ("–", "–") if interval is None else (_points(interval), f"{interval.rank_low}–{interval.rank_high}")
    return f"{model.estimate * 100:.1f}", points, ranks, known, items


def _fitting(model: Scored, width: int | None) -> str:
    """The neighbours with as many names as fit."""
    texts = [escape_controls(_neighbours(model, count)) for count in range(MAX_NEIGHBOURS, -1, -1)]
    return next((text for text in texts if width is None or len(text) <= width), "…")


def _neighbours(model: Scored, count: int) -> str:
    """Up to `count` names from the middle, and how many more there are."""
    if model.estimate is None:
        return "not scored"
    if model.interval is None:
        return "run the reserve" if model.needs_reserve else "no interval"
    names = model.neighbours
    if not names:
        return "no known model" if count else "none"
    if count == 0:
        return f"{len(names):,} models" if len(names) > 1 else "1 model"
    n_more = len(names) - count
    if n_more <= 0:
        return ", ".join(names)
    start = max(0, len(names) // 2 - count // 2)
    return f"{', '.join(names[start : start + count])} and {n_more} more"


def _points(interval: ScoreInterval) -> str:
    return f"{interval.low * 100:.1f}–{interval.high * 100:.1f}"


def _flat(model: Scored) -> Mapping[str, Any]:
    """The entry of a model in the JSON report with columns for the ends of its intervals."""
    row = model.to_json()
    ends = [f"{name}_{end}" for name in ("interval", "beyond") for end in ScoreInterval._fields if end != "kind"]
    intervals = {name: row.pop(name) or {} for name in ("interval", "beyond")}
    return row | {key: intervals[key.split("_", 1)[0]].get(key.split("_", 1)[1]) for key in ends}
