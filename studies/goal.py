"""Whether a method is as good as it is meant to be: `python -m studies.goal OUT_DIR [--method LABEL]`.

OUT_DIR is the folder of a finished `microbench sweep experiment=better baseline=LABEL`. With 50, 100 and 300 source models, on
every benchmark and at every size:

1. on the seen half no method has a smaller MDAD; with few sources (50) and many items (100 and more), where any choice that is
   learnt from the sources overfits, stratified sampling has none;
2. on the unseen half, random items with the method's estimator have none;
3. on targets better than every source, plain random items have none, on either half.

A smaller MDAD is one beyond the paired 95 % interval: the method's less the other's lies above 0, and so does its interval. MDAD is
the first crossing at agreement 0.8, as published; the monotone one is printed beside it. Every miss is printed, and what is better
with few sources and many items is noted. The exit code is 1 where anything is missed, 2 where the tables do not say.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError

KEY = ["benchmark", "n_source", "size", "split", "targets"]
RULES = {
    "seen": "lowest MDAD on the seen half",
    "few": "with few sources and many items, not worse than stratified sampling on the seen half",
    "unseen": "not worse than random items and its estimator on the unseen half",
    "better": "not worse than random items on targets better than every source",
    "note": "lowest MDAD on the seen half, with few sources and many items (not asked for)",
}
LEVEL = 0.8


@dataclass(frozen=True)
class Goal:
    """What is compared: labels of methods and of groups of targets, numbers of sources, and what few and many are."""

    method: str = "mdad_guided"
    with_estimator: str = "random_ridge_remainder"
    stratified: str = "stratified_confidence"
    random: str = "random"
    targets: str = "random"
    better: str = "best"
    sources: tuple[int, ...] = (50, 100, 300)
    few: int = 50
    many: int = 100


class Check(NamedTuple):
    """The method against another in one place.

    MDADs are fractions, infinite where never reached; the difference and its interval are ours less theirs.
    """

    rule: str
    benchmark: str
    n_source: int
    size: int
    split: str
    targets: str
    other: str
    ours: float
    theirs: float
    difference: float
    lo: float
    hi: float
    ours_monotone: float
    theirs_monotone: float
    compared: bool = True

    @property
    def met(self) -> bool:
        """Not worse: equal, better, or within the paired interval. NaN is a difference of two that are never reached."""
        return self.compared and not (self.difference > 0 and self.lo > 0)


def checks(mdad: pd.DataFrame, paired: pd.DataFrame, goal: Goal) -> list[Check]:
    """All comparisons that the goal asks for, and those that are noted.

    Parameters
    ----------
    mdad, paired
        The tables of a sweep; `paired` with the method as its baseline.

    Raises
    ------
    ConfigError
        The tables lack a method, a number of sources, a group of targets or the baseline.
    """
    mdad, paired = (table[table["threshold"] == LEVEL] for table in (mdad, paired))
    _need("methods", {goal.method, goal.with_estimator, goal.stratified, goal.random}, mdad["method"])
    _need("n_source", goal.sources, mdad["n_source"])
    _need("targets", {goal.targets, goal.better}, mdad["targets"])
    _need("baseline", {goal.method}, paired["baseline"])
    mdad = mdad[mdad["n_source"].isin(goal.sources)]
    values = {(*row[:-3], row[-3]): row[-2:] for row in mdad[[*KEY, "method", "mdad", "mdad_monotone"]].itertuples(index=False)}
    columns = [*KEY, "method", "mdad_difference", "mdad_ci_lo", "mdad_ci_hi"]
    of_baseline = paired[paired["baseline"] == goal.method]
    differences = {tuple(row[:-3]): row[-3:] for row in of_baseline[columns].itertuples(index=False)}
    made = []
    for *place, method in values:
        if method == goal.method:
            others = (other for *same, other in values if same == place and other != method)
            for rule, other in _asked(place, others, goal):
                key = (*place, other)
                # The table has the other's less ours, NaN where undefined.
                theirs_less, lo, hi = differences.get(key, (math.nan, math.nan, math.nan))
                ours, theirs = ([_or_never(each) for each in values[*place, label]] for label in (method, other))
                ends = (-theirs_less, -hi, -lo)
                made.append(Check(rule, *place, other, ours[0], theirs[0], *ends, ours[1], theirs[1], key in differences))
    return sorted(made, key=lambda check: (list(RULES).index(check.rule), check[1:7]))


def _asked(place: Sequence[object], others: Iterable[str], goal: Goal) -> Iterator[tuple[str, str]]:
    """The rules that hold in a place, and the method that each compares with."""
    _, n_source, size, split, targets = place
    for other in others:
        if targets == goal.targets and split == "seen":
            exempt = int(str(n_source)) <= goal.few and int(str(size)) >= goal.many
            if exempt and other == goal.stratified:
                yield "few", other
            else:
                yield ("note" if exempt else "seen"), other
        elif targets == goal.targets and split == "unseen" and other == goal.with_estimator:
            yield "unseen", other
        elif targets == goal.better and other == goal.random:
            yield "better", other


def _need(column: str, wanted: Iterable[object], there: pd.Series) -> None:
    lacking = sorted(str(each) for each in set(wanted) - set(there))
    if lacking:
        hint = f"microbench reduce out=DIR baseline={lacking[0]}" if column == "baseline" else "microbench sweep experiment=better"
        raise ConfigError("The tables do not say whether the goal is met.", where=column, got=f"no {', '.join(lacking)}", hint=hint)


def _or_never(value: float) -> float:
    return math.inf if math.isnan(value) else float(value)


def text(found: Sequence[Check], goal: Goal) -> str:
    """Every miss and note with its figures, in points, and a summary line per rule."""
    lines = []
    for rule, words in RULES.items():
        of_rule = [check for check in found if check.rule == rule]
        missed = [check for check in of_rule if not check.met]
        if missed:
            lines += [f"{words}:", f"  {HEAD}", *(f"  {_line(check)}" for check in missed)]
    lines.append("")
    for rule, words in RULES.items():
        of_rule = [check for check in found if check.rule == rule]
        lines.append(f"{sum(check.met for check in of_rule):>6,} of {len(of_rule):,} {words}")
    asked = [check for check in found if check.rule != "note"]
    missed = sum(not check.met for check in asked)
    verdict = "the goal is met" if not missed else f"the goal is missed in {missed:,}"
    lines.append(f"{goal.method}: {len(asked):,} comparisons, {verdict}")
    if any(check.rule == "better" for check in asked if not check.met):
        lines.append("What `microbench score` does with better targets, which it tells by itself: studies/fallback.py")
    return "\n".join(lines)


HEAD = (
    f"{'benchmark':<12}{'sources':>8}{'items':>7} {'half':<7}{'targets':<8} {'other':<32}{'ours':>6}{'other':>7}"
    f"{'difference and 95 % interval':>31}   monotone"
)


def _line(check: Check) -> str:
    between = f"{_points(check.difference)} ({_points(check.lo)} to {_points(check.hi)})" if check.compared else "not compared"
    return (
        f"{check.benchmark:<12}{check.n_source:>8}{check.size:>7} {check.split:<7}{check.targets:<8} {check.other:<32}"
        f"{_points(check.ours):>6}{_points(check.theirs):>7}{between:>31}   "
        f"{_points(check.ours_monotone)}, {_points(check.theirs_monotone)}"
    )


def _points(value: float) -> str:
    return f"{100 * value:.1f}".replace("inf", "∞").replace("-", "−").replace("nan", "?")


def read(out: Path, name: str) -> pd.DataFrame:
    """A table of the sweep; StoreError where it is not there."""
    path = out / f"{name}.parquet"
    if not path.exists():
        hint = "microbench reduce out=DIR baseline=METHOD" if name == "paired" else "microbench sweep experiment=better out=DIR"
        raise StoreError("A table of the sweep is missing.", where=str(path), got="no such file", hint=hint)
    return pq.read_table(path).to_pandas()


def main(arguments: Sequence[str]) -> int:
    """Print every miss; 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("method", "with_estimator", "stratified", "random", "better"):
        flag = "--random-with-estimator" if name == "with_estimator" else f"--{name}"
        parser.add_argument(flag, dest=name, default=getattr(Goal, name))
    parser.add_argument("--sources", type=int, nargs="+", default=list(Goal.sources))
    parser.add_argument("--few", type=int, default=Goal.few, help="up to so many sources are few")
    parser.add_argument("--many", type=int, default=Goal.many, help="from so many items on, few sources are too few")
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    goal = Goal(**(given | {"sources": tuple(given["sources"])}))
    try:
        found = checks(read(out, "mdad"), read(out, "paired"), goal)
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(text(found, goal))
    return int(any(not check.met for check in found if check.rule != "note"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
