"""Scored models as a table for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.score import Scored, ScoreInterval

MAX_NEIGHBOURS = 3


def text(made: MicroBenchmark, scored: Sequence[Scored], notes: Sequence[str], *, as_json: bool) -> str:
    """What `microbench score` prints, the last line ended."""
    if as_json:
        about = {"benchmark": dict(made.benchmark), "method": made.method["label"], "size": made.size}
        return json.dumps(about | {"notes": list(notes), "models": [each.plain() for each in scored]}, indent=1) + "\n"
    of = made.benchmark
    lines = [
        *notes,
        f"{of['name']}: {made.size} of {of['n_items']:,} items by {made.method['label']}, {len(made.models):,} known models",
        "",
    ]
    header = ("model", "accuracy", "95 % interval", "rank", "of", "items", "not told apart from")
    rows = [header, *(_row(made, each) for each in scored)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    for row in rows:
        left = {0, len(header) - 1}
        cells = (
            cell.ljust(width) if k in left else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    said = [f"{each.model}: {sentence}" for each in scored for sentence in _sentences(each)]
    return "\n".join(lines + ([""] if said else []) + said) + "\n"


def write(path: Path, report: str) -> None:
    """Write the report, whole or not at all; StoreError where that fails."""
    try:
        LocalFolder(path.parent).write(path.name, report.encode())
    except OSError as error:
        raise StoreError("The report cannot be written.", where=str(path), got=str(error), hint="out=FILE elsewhere") from None


def _row(made: MicroBenchmark, each: Scored) -> tuple[str, ...]:
    items = f"{each.answered}" + (f" of {made.size}" if each.missing else "")
    if each.estimate is None or each.interval is None:
        return each.model, "–", "–", "–", "–", items, "refused"
    near = each.neighbours
    more = f" and {len(near) - MAX_NEIGHBOURS} more" if len(near) > MAX_NEIGHBOURS else ""
    middle = max(0, len(near) // 2 - MAX_NEIGHBOURS // 2) if more else 0
    names = ", ".join(near[middle : middle + MAX_NEIGHBOURS]) + more if near else "no known model"
    ranks = f"{each.interval.rank_low}–{each.interval.rank_high}"
    return each.model, f"{each.estimate * 100:.1f}", _points(each.interval), ranks, f"{len(made.models) + 1:,}", items, names


def _points(interval: ScoreInterval) -> str:
    return f"{interval.low * 100:.1f}–{interval.high * 100:.1f}"


def _sentences(each: Scored) -> list[str]:
    if each.refused:
        return [each.refused]
    wider = (
        []
        if each.beyond is None
        else [f"Wider interval: {_points(each.beyond)}, ranks {each.beyond.rank_low}–{each.beyond.rank_high}."]
    )
    return [*each.warnings, *wider]
