"""Models unlike the sources: `python -m studies.extrapolation FOLDER_OR_FILE... [--splits best time group random]`.

The targets of a split are held out of the sources:

- `best`: the best fifth of a board's models;
- `time`: the newest fifth, on boards whose models' names begin with a date (YYYYMMDD);
- `group`: all models of one maker or scaffold, the first word of a name behind its date, for each of the `--groups` largest ones;
- `random`: targets drawn in every run, for comparison.

Sources and halves are drawn in every run. Printed as Markdown: for every split and board the measures of the checked method
(agreement, Kendall's tau, error in points), and how much better it is than each other method, as the mean of paired differences
with Student's 95 % interval over runs; `!` marks those where the checked method is worse by more than that interval, and the last
row of a split is the mean over its boards. Fixed targets are the same in all runs: intervals are of these targets. Of equal
methods, 2.5 % of the comparisons would be marked. The exit code is 1 if the checked method orders the targets of any split worse
than `random`, beyond the interval of the mean over boards; 2 for bad input.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, MicrobenchError
from microbench_ray.data import Benchmark
from studies.tournament import DIGITS, HALVES, numbers
from studies.tournament_regret import MIN_RUNS, Interval, Place, mean_over_places, scores_of
from studies.tournament_runs import MEASURES, MIN_ITEMS, N_TARGET, Part, measure, named_method, read_boards

SPLITS = ("best", "time", "group", "random")
METHODS = ("random", "random_kernel_ridge", "mdad_guided")
SHARE = 0.2
MIN_HELD = 8
"""Fewer targets are not ordered."""
DATE = re.compile(r"^(\d{8})[_-]")


class Split(NamedTuple):
    """A kind of split, the place's name, and the targets; None if they are drawn."""

    kind: str
    label: str
    targets: mb.Targets | None


def splits_of(board: Benchmark, kinds: Sequence[str], n_groups: int) -> Iterator[Split]:
    """The splits that a board's names allow."""
    names = [str(name) for name in board.model_ids]
    if "best" in kinds:
        yield Split("best", board.name, mb.Targets("best", best=SHARE))
    dated = sorted((found[1], name) for name in names if (found := DATE.match(name)))
    if "time" in kinds and len(dated) == len(names):
        first_held = dated[len(dated) - round(SHARE * len(dated))][0]  # models of one day are on one side
        yield Split("time", board.name, mb.Targets("newest", names=tuple(name for day, name in dated if day >= first_held)))
    if "group" in kinds:
        group_of = {name: first_word(name) for name in names}
        sizes = Counter(group_of.values())
        for group, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:n_groups]:
            if MIN_HELD <= size < len(names):
                held = tuple(name for name in names if group_of[name] == group)
                yield Split("group", f"{board.name}: {group}", mb.Targets(f"group {group}", names=held))
    if "random" in kinds:
        yield Split("random", board.name, None)


def first_word(name: str) -> str:
    """The first word of a name behind its date, in lower case: a maker, family or scaffold."""
    return re.split(r"[^0-9A-Za-z]", DATE.sub("", name))[0].lower()


def parts_of(
    board: Benchmark, split: Split, sources: Sequence[int], fractions: Sequence[float], halves: Sequence[str]
) -> list[Part]:
    """The sweeps of a split that the board has models and items for."""
    held = split.targets.positions(board) if split.targets is not None else None
    parts = []
    for n_source in sources:
        n_target = min(N_TARGET, board.n_models - n_source) if held is None else len(held)
        if n_target >= MIN_HELD and n_source + n_target <= board.n_models:
            for unseen in halves:
                n_seen = board.n_items // 2 if unseen == "half" else board.n_items
                sizes = tuple(each for each in fractions if MIN_ITEMS <= round(each * board.n_items) < n_seen)
                if sizes:
                    parts.append(Part(board, n_source, n_target, unseen, sizes, split.targets))
    return parts


def text(table: pd.DataFrame, checked: str) -> tuple[str, bool]:
    """The Markdown tables, and whether the checked method orders any split worse than `random` on average."""
    lines, worse = [], False
    for kind in (each for each in SPLITS if each in set(table["split"])):
        rows = table[table["split"] == kind]
        others = [name for name in dict.fromkeys(rows["method"]) if name != checked]
        lines += ["", f"Targets held out by `{kind}`.", ""] if kind != "random" else ["", "Targets drawn at random.", ""]
        lines.append(f"| board | {checked}: agreement, tau, error | " + " | ".join(f"better than {name}" for name in others) + " |")
        lines.append("|---|---|" + "---|" * len(others))
        for label, chosen in [*rows.groupby("board", sort=True), ("**mean**", rows)]:
            cells = [", ".join(_number(name, chosen.loc[chosen["method"] == checked, name].mean()) for name in MEASURES)]
            for other in others:
                found = {name: better(chosen, name, checked, other) for name in MEASURES}
                cells.append("; ".join(_cell(name, each) for name, each in found.items()))
                if label == "**mean**" and other == "random":
                    worse |= any(found[name].hi < 0 for name in ("agreement", "tau"))
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:]), worse


def better(table: pd.DataFrame, name: str, checked: str, other: str) -> Interval:
    """How much better the checked method is by a measure, on average over places, from the runs' paired differences."""
    scores = scores_of(table, name)
    own, theirs = (scores.methods.index(method) for method in (checked, other))
    places: list[tuple[Place, NDArray[np.float64]]] = [
        (place, values[:, own] - values[:, theirs]) for place, values in scores.places.items()
    ]
    return mean_over_places(places)


def _cell(name: str, found: Interval) -> str:
    mark = " !" if found.hi < 0 else ""
    return f"{_number(name, found.mean)} ({_number(name, found.lo)} to {_number(name, found.hi)}){mark}"


def _number(name: str, value: float) -> str:
    shown = f"{abs(value):.{DIGITS[name]}f}"
    return ("−" if value < 0 and float(shown) > 0 else "") + shown.removeprefix("0")


def run(given: argparse.Namespace) -> pd.DataFrame:
    """The measures of all splits, with the kind of split in the column `split`."""
    if given.runs < MIN_RUNS:
        raise ConfigError("Too few runs for an interval.", where="--runs", got=str(given.runs), hint="--runs 10")
    methods = [named_method(name) for name in dict.fromkeys([given.check, *given.methods])]
    work = [
        (split, part)
        for board in read_boards(given.paths)
        for split in splits_of(board, given.splits, given.groups)
        for part in parts_of(board, split, [int(each) for each in given.sources], given.fractions, given.halves)
    ]
    if not work:
        raise ConfigError(
            "No board has such targets, and enough other models and items.", where="--splits", got=", ".join(given.splits)
        )
    tables = []
    for k, (split, part) in enumerate(work, 1):
        sys.stderr.write(f"{k} of {len(work)}: {split.kind}, {split.label}, {part.n_source} sources, unseen={part.unseen}\n")
        found = measure(part, methods, given.runs, given.seed, given.cache)
        tables.append(found.assign(split=split.kind, board=split.label))
    return pd.concat(tables, ignore_index=True)


def main(words: Sequence[str] | None = None) -> int:
    """Run the splits, print their tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="folders of boards, or files")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument("--groups", type=int, default=2, help="largest groups of a board that are held out, each in turn")
    parser.add_argument("--check", default="auto", help="the method compared with the others")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--sources", type=numbers, default=(30,), help="numbers of source models, such as 10,30")
    parser.add_argument("--fractions", type=numbers, default=(0.1,), help="sizes as shares of the items, such as .05,.1")
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=("none",), help="items kept unseen")
    parser.add_argument("--runs", type=int, default=10, help=f"at least {MIN_RUNS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="a folder of finished parts, so that a study can be interrupted")
    given = parser.parse_args(words)
    try:
        shown, worse = text(run(given), given.check)
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(shown)
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
