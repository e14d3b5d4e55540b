"""Paired differences to a baseline, in words: rows of the table `paired` for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.report.answer import main_rows

MINUS = "−"


class Shown(NamedTuple):
    """A difference in points as text.

    Attributes
    ----------
    value, interval
        `+1.5` and `+0.5 to +2.5`; the interval is empty where there are too few runs for one.
    better
        True and False where the interval excludes 0, for a better and a worse method; else None.
    """

    value: str
    interval: str
    better: bool | None


class Compared(NamedTuple):
    """A method compared with the baseline at one size."""

    method: str
    baseline: str
    size: int
    agreement: Shown
    mdad: Shown


def compared(paired: pa.Table) -> Iterator[tuple[str, list[Compared]]]:
    """Each benchmark with its comparisons, by size and method, in the panel that the answer is about (`answer.main_rows`)."""
    for benchmark, of_board in main_rows(paired.to_pandas()).groupby("benchmark", sort=False):
        in_order = of_board.sort_values(["size", "method"], kind="stable").to_dict("records")
        yield str(benchmark), [_compared(row) for row in in_order]


def _compared(row: dict[Any, Any]) -> Compared:
    return Compared(
        method=row["method"],
        baseline=row["baseline"],
        size=int(row["size"]),
        agreement=_shown(row, "mean_agreement", larger_is_better=True),
        mdad=_shown(row, "mdad_monotone", larger_is_better=False),
    )


def _shown(row: dict[Any, Any], name: str, *, larger_is_better: bool) -> Shown:
    value, low, high = (float(row[f"{name}_{end}"]) for end in ("difference", "ci_lo", "ci_hi"))
    has_interval = not (math.isnan(low) or math.isnan(high))
    beyond = has_interval and (low > 0 or high < 0)
    return Shown(
        value="neither reached" if math.isnan(value) else signed(value),
        interval=f"{signed(low)} to {signed(high)}" if has_interval else "",
        better=(low > 0) == larger_is_better if beyond else None,
    )


def signed(value: float) -> str:
    """A fraction in points with its sign; ±∞ where one of two MDADs is never reached."""
    if math.isinf(value):
        return "+∞" if value > 0 else f"{MINUS}∞"
    rounded = round(100 * value, 1)
    return f"+{rounded:.1f}" if rounded > 0 else "0.0" if rounded == 0 else f"{MINUS}{-rounded:.1f}"


def baseline_text(rows: Sequence[Compared]) -> str:
    """The baseline of some comparisons, in words."""
    labels = sorted({row.baseline for row in rows})
    return labels[0] if len(labels) == 1 else "the method with the lowest MDAD at each size"
