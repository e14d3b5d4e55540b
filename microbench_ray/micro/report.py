"""The report of `microbench score`: a table for the terminal, or JSON, and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microbench_ray.core.errors import StoreError
from microbench_ray.core.shown import escape_controls
from microbench_ray.core.storage.folders import LocalFolder, remove_leftovers
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.files import reserve_commands
from microbench_ray.micro.novelty import RATE
from microbench_ray.micro.score import Scored, ScoreInterval

THIS = Path("MICRO")
"""Stands for the micro-benchmark's folder where that is unknown."""
MAX_NEIGHBOURS = 3
"""Known models named in a row of the table."""
HEADER = ("model", "accuracy", "95 % interval", "rank", "of", "items", "indistinguishable from")


def text(micro: MicroBenchmark, scored: Sequence[Scored], notes: Sequence[str], *, as_json: bool, folder: Path = THIS) -> str:
    """The report, with a newline at its end; `folder` is that of the micro-benchmark."""
    report = json_report if as_json else table_report
    return report(micro, scored, notes, folder)


def json_report(micro: MicroBenchmark, scored: Sequence[Scored], notes: Sequence[str], folder: Path = THIS) -> str:
    """The report as JSON."""
    content = {
        "benchmark": dict(micro.benchmark),
        "method": micro.method["label"],
        "size": micro.size,
        "notes": list(notes),
        "reserve_commands": reserve_commands(micro, folder) if any(model.gains_by_reserve for model in scored) else [],
        "models": [model.to_json() for model in scored],
    }
    return json.dumps(content, indent=1) + "\n"


def table_report(micro: MicroBenchmark, scored: Sequence[Scored], notes: Sequence[str], folder: Path = THIS) -> str:
    """The report as a table, with the models' warnings below it."""
    rows = [HEADER, *(tuple(map(escape_controls, _row(micro, model))) for model in scored)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left_aligned = {0, len(HEADER) - 1}
    table = [
        "  ".join(
            cell.ljust(width) if k in left_aligned else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    sentences = [f"{model.model}: {sentence}" for model in scored for sentence in model.sentences]
    if any(model.unlike for model in scored):
        sentences.append(f"Of models drawn like the known ones, at most {RATE:.0%} are flagged as unlike them by their responses.")
    if any(model.by_reserve and not model.unlike for model in scored):
        sentences.append("The reserve's random items have a narrower 95 % interval than the other items, and are therefore used.")
    if any(model.gains_by_reserve for model in scored):
        sentences += ["To run the reserve, and score both lists:", *(f"  {each}" for each in reserve_commands(micro, folder))]
    return "\n".join(map(escape_controls, [*notes, _title(micro), "", *table, *([""] if sentences else []), *sentences])) + "\n"


def _title(micro: MicroBenchmark) -> str:
    benchmark = micro.benchmark
    return (
        f"{benchmark['name']}: {micro.size} of {benchmark['n_items']:,} items by {micro.method['label']}, "
        f"{len(micro.models):,} known models"
    )


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
    return score_figure(models, known, _title(micro), kind)


def write(path: Path, content: bytes, key: str) -> None:
    """Write a file atomically, and remove what killed writes have left; StoreError, naming the key, where that fails."""
    try:
        remove_leftovers(path)
        LocalFolder(path.parent).write(path.name, content)
    except OSError as error:
        raise StoreError("The file cannot be written.", where=str(path), got=str(error), hint=f"{key}=FILE elsewhere") from None


def _row(micro: MicroBenchmark, model: Scored) -> tuple[str, ...]:
    items = f"{model.answered} of {micro.size}" if model.missing else f"{model.answered}"
    if model.estimate is None:
        return model.model, "–", "–", "–", "–", items, "not scored"
    if model.interval is None:
        advice = "run the reserve" if model.needs_reserve else "no interval"
        return model.model, f"{model.estimate * 100:.1f}", "–", "–", f"{len(micro.models) + 1:,}", items, advice
    return (
        model.model,
        f"{model.estimate * 100:.1f}",
        _points(model.interval),
        _ranks(model.interval),
        f"{len(micro.models) + 1:,}",
        items,
        _neighbours(model.neighbours),
    )


def _neighbours(names: Sequence[str]) -> str:
    """Up to `MAX_NEIGHBOURS` names from the middle, and how many more there are."""
    if not names:
        return "no known model"
    n_more = len(names) - MAX_NEIGHBOURS
    if n_more <= 0:
        return ", ".join(names)
    start = max(0, len(names) // 2 - MAX_NEIGHBOURS // 2)
    return f"{', '.join(names[start : start + MAX_NEIGHBOURS])} and {n_more} more"


def _points(interval: ScoreInterval) -> str:
    return f"{interval.low * 100:.1f}–{interval.high * 100:.1f}"


def _ranks(interval: ScoreInterval) -> str:
    return f"{interval.rank_low}–{interval.rank_high}"
