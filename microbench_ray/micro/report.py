"""The report of `microbench score`: a table for the terminal, or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

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
    benchmark = micro.benchmark
    title = (
        f"{benchmark['name']}: {micro.size} of {benchmark['n_items']:,} items by {micro.method['label']}, "
        f"{len(micro.models):,} known models"
    )
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
    return "\n".join(map(escape_controls, [*notes, title, "", *table, *([""] if sentences else []), *sentences])) + "\n"


def write(path: Path, report: str) -> None:
    """Write the report atomically, and remove what killed writes have left; StoreError where that fails."""
    try:
        remove_leftovers(path)
        LocalFolder(path.parent).write(path.name, report.encode())
    except OSError as error:
        raise StoreError("The report cannot be written.", where=str(path), got=str(error), hint="out=FILE elsewhere") from None


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
