"""Check whether a method meets its goal: `python -m studies.goal OUT_DIR [--method LABEL]`.

OUT_DIR is the folder of a finished `microbench sweep experiment=better baseline=LABEL`. The goal, with 50, 100 and 300 source
models, on every benchmark and at every size:

1. On the seen half, no other method has a smaller MDAD. With few sources (50) and many items (100 or more), where any selection
   learnt from the sources overfits, only stratified sampling is compared.
2. On the unseen half, random items with the method's estimator do not have a smaller MDAD.
3. On targets better than every source, plain random items do not have a smaller MDAD, on either half.

An MDAD counts as smaller if the method's MDAD minus the other's is above 0, and so is its whole paired 95 % interval. MDAD is the
first crossing at agreement 0.8, as published; the monotone one is printed beside it. Every miss is printed, as are methods that
are better with few sources and many items. The exit code is 1 if any part of the goal is missed, and 2 if the tables lack what is
compared.
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
    "note": "lowest MDAD on the seen half, with few sources and many items (not part of the goal)",
}
LEVEL = 0.8


@dataclass(frozen=True)
class Goal:
    """Labels of the compared methods and groups of targets, numbers of sources, and limits of few sources and many items."""

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
    """Comparison of the method with another one on one benchmark, number of sources, size, half and group of targets.

    MDADs are fractions, infinite where never reached. The difference and its interval are the method's MDAD minus the other's.
    """

    rule: str
    benchmark: str
    n_source: int
    size: int
    split: str
    targets: str
    other: str
    mdad: float
    other_mdad: float
    difference: float
    lo: float
    hi: float
    monotone: float
    other_monotone: float
    compared: bool = True

    @property
    def met(self) -> bool:
        """Whether the method is equal, better, or worse only within the paired interval; NaN stands for two MDADs never reached."""
        return self.compared and not (self.difference > 0 and self.lo > 0)


def checks(mdad: pd.DataFrame, paired: pd.DataFrame, goal: Goal) -> list[Check]:
    """Return all comparisons of the goal, and those that are only noted.

    Parameters
    ----------
    mdad, paired
        Tables of a sweep; `paired` with the method as its baseline.
    goal
        The comparisons to make.

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
    found = []
    for *place, method in values:
        if method == goal.method:
            others = (other for *same, other in values if same == place and other != method)
            for rule, other in _rules(place, others, goal):
                key = (*place, other)
                # The table has the other method's MDAD minus this one's, NaN where undefined.
                negated, lo, hi = differences.get(key, (math.nan, math.nan, math.nan))
                (own, own_monotone), (its, its_monotone) = (
                    [_or_never(value) for value in values[*place, label]] for label in (method, other)
                )
                benchmark, n_source, size, split, targets = place
                found.append(
                    Check(
                        rule=rule,
                        benchmark=benchmark,
                        n_source=n_source,
                        size=size,
                        split=split,
                        targets=targets,
                        other=other,
                        mdad=own,
                        other_mdad=its,
                        difference=-negated,
                        lo=-hi,
                        hi=-lo,
                        monotone=own_monotone,
                        other_monotone=its_monotone,
                        compared=key in differences,
                    )
                )
    return sorted(found, key=lambda check: (list(RULES).index(check.rule), check[1:7]))


def _rules(place: Sequence[object], others: Iterable[str], goal: Goal) -> Iterator[tuple[str, str]]:
    """Yield the rules that apply at a benchmark, number of sources, size, half and group of targets, with the method compared."""
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


def _need(column: str, required: Iterable[object], values: pd.Series) -> None:
    missing = sorted(str(value) for value in set(required) - set(values))
    if missing:
        hint = f"microbench reduce out=DIR baseline={missing[0]}" if column == "baseline" else "microbench sweep experiment=better"
        raise ConfigError("The tables lack values that the goal compares.", where=column, got=f"no {', '.join(missing)}", hint=hint)


def _or_never(value: float) -> float:
    return math.inf if math.isnan(value) else float(value)


def text(found: Sequence[Check], goal: Goal) -> str:
    """Return every miss and note with its figures, in points, and one summary line per rule."""
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
    required = [check for check in found if check.rule != "note"]
    n_missed = sum(not check.met for check in required)
    verdict = "the goal is met" if not n_missed else f"the goal is missed in {n_missed:,}"
    lines.append(f"{goal.method}: {len(required):,} comparisons, {verdict}")
    if any(check.rule == "better" for check in required if not check.met):
        lines.append(
            "microbench score detects better targets and falls back to random items; for its figures: python -m studies.fallback"
        )
    return "\n".join(lines)


HEAD = (
    f"{'benchmark':<12}{'sources':>8}{'items':>7} {'half':<7}{'targets':<8} {'other':<32}{'MDAD':>6}{'other':>7}"
    f"{'difference and 95 % interval':>31}   monotone"
)


def _line(check: Check) -> str:
    between = f"{_points(check.difference)} ({_points(check.lo)} to {_points(check.hi)})" if check.compared else "not compared"
    return (
        f"{check.benchmark:<12}{check.n_source:>8}{check.size:>7} {check.split:<7}{check.targets:<8} {check.other:<32}"
        f"{_points(check.mdad):>6}{_points(check.other_mdad):>7}{between:>31}   "
        f"{_points(check.monotone)}, {_points(check.other_monotone)}"
    )


def _points(value: float) -> str:
    return f"{100 * value:.1f}".replace("inf", "∞").replace("-", "−").replace("nan", "?")


def read(out: Path, name: str) -> pd.DataFrame:
    """Read a table of the sweep; StoreError if it does not exist."""
    path = out / f"{name}.parquet"
    if not path.exists():
        hint = "microbench reduce out=DIR baseline=METHOD" if name == "paired" else "microbench sweep experiment=better out=DIR"
        raise StoreError("A table of the sweep is missing.", where=str(path), got="no such file", hint=hint)
    return pq.read_table(path).to_pandas()


def main(arguments: Sequence[str]) -> int:
    """Print every miss, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("method", "with_estimator", "stratified", "random", "better"):
        flag = "--random-with-estimator" if name == "with_estimator" else f"--{name}"
        parser.add_argument(flag, dest=name, default=getattr(Goal, name))
    parser.add_argument("--sources", type=int, nargs="+", default=list(Goal.sources))
    parser.add_argument("--few", type=int, default=Goal.few, help="largest number of sources that counts as few")
    parser.add_argument("--many", type=int, default=Goal.many, help="smallest number of items that is too many for few sources")
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
