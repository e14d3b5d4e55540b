"""Compare methods over a folder of boards: `python -m studies.tournament FOLDER_OR_FILE... [--methods A B] [--check METHOD]`.

Every wide table of a folder is a board. With each number of sources, methods choose 5, 10 and 15 % of the items and estimate up to
50 target models, once with half of the items kept unseen (places `seen` and `unseen`) and once with all items seen (`all`). Printed
as Markdown: every method's regret against the best method of each place, by mean agreement (all pairs, ties wrong), Kendall's
tau-b and root mean squared error, as a mean with its 95 % interval and in the worst place; and, by number of sources, which methods
are not worse than the best one by more than chance (`*`). `studies.tournament_regret` says how the choice of the best method is
corrected for.

A method is a preset of conf/method, or PRESET+ESTIMATOR: the preset's selector with another estimator.

With `--check METHOD`, every place is printed where this method is worse than `random`, than `random_kernel_ridge` or than the best
other method by more than the paired 95 % interval over runs. Of the comparisons of equal methods, 2.5 % would be printed by chance;
those marked `!` are beyond chance among all comparisons (Holm, 5 %). The exit code is 1 if any place is printed, 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from microbench_ray.core.errors import ConfigError, MicrobenchError
from studies.tournament_regret import MIN_RUNS, Comparison, Interval, Place, Standing, comparisons, scores_of, standings
from studies.tournament_runs import MEASURES, PLACE, all_methods, measure, named_method, parts_of, read_boards

SOURCES = (10, 15, 30, 50, 100, 300)
FRACTIONS = (0.05, 0.1, 0.15)
OTHERS = ("random", "random_kernel_ridge")
HALVES = ("half", "none")
WORDS = {"agreement": "agreement", "tau": "Kendall's tau", "rmse": "error (RMSE, points)"}
DIGITS = {"agreement": 3, "tau": 3, "rmse": 2}


def text(table: pd.DataFrame) -> str:
    """The Markdown tables of a tournament."""
    boards = table.groupby("board", sort=True)["n_source"].agg(lambda values: ", ".join(map(str, sorted(set(values)))))
    lines = [
        f"{table['run'].nunique()} runs; {len(table[PLACE].drop_duplicates())} places; boards with their numbers of sources: "
        + "; ".join(f"{board} ({sources})" for board, sources in boards.items()),
        "",
        "Regret against the best method of each place: mean with its 95 % interval, and in the worst place.",
        "",
        "| method | " + " | ".join(f"{WORDS[name]} | worst | not worse" for name in MEASURES) + " |",
        "|---|" + "---|" * 3 * len(MEASURES),
    ]
    found = {name: {each.method: each for each in standings(scores_of(table, name))} for name in MEASURES}
    for method in found["agreement"]:
        cells = []
        for name in found:
            own = found[name][method]
            cells.append(f"{_with_interval(name, own.regret)} | {_worst(name, own)} | {own.share:.0%}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    for name in MEASURES:
        lines += ["", *_by_sources(table, name)]
    return "\n".join(lines)


def _by_sources(table: pd.DataFrame, name: str) -> list[str]:
    """Mean regret in one measure, by number of sources."""
    scores = scores_of(table, name)
    groups: dict[str, list[Place]] = {}
    for place in scores.places:
        groups.setdefault(str(place[1]), []).append(place)
    groups = dict(sorted(groups.items(), key=lambda item: int(item[0]))) | {"all": list(scores.places)}
    columns = {key: {each.method: each for each in standings(scores.only(places))} for key, places in groups.items()}
    lines = [
        f"Mean regret in {WORDS[name]}, by number of sources; `*`: not worse than the best mean by more than chance.",
        "",
        "| method | " + " | ".join(groups) + " |",
        "|---|" + "---:|" * len(groups),
    ]
    for method in columns["all"]:
        row = [columns[key][method] for key in groups]
        cells = [f"{_number(name, each.regret.mean)}{' *' if each.among_best else ''}" for each in row]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def _with_interval(name: str, found: Interval) -> str:
    return f"{_number(name, found.mean)} ({_number(name, found.lo)} to {_number(name, found.hi)})"


def _worst(name: str, standing: Standing) -> str:
    board, n_source, fraction, half = standing.worst_place
    return f"{_number(name, standing.worst)} ({board}, {n_source}, {float(str(fraction)):.0%}, {half})"


def _number(name: str, value: float) -> str:
    shown = f"{abs(value):.{DIGITS[name]}f}"
    sign = "−" if value < 0 and float(shown) > 0 else ""
    return sign + shown.removeprefix("0")


def misses_text(found: Sequence[Comparison], checked: str) -> str:
    """Every missed comparison, and how many there are."""
    missed = [each for each in found if each.missed]
    lines = []
    if missed:
        lines.append(
            f"{'measure':<10}{'board':<26}{'sources':>8}{'items':>6} {'half':<7}{checked:>12}  {'other':<22}{'':>8}  better by"
        )
    for each in missed:
        board, n_source, fraction, half = each.place
        own, other = (_number(each.measure, value) for value in (each.own_mean, each.other_mean))
        lines.append(
            f"{each.measure:<10}{board!s:<26}{n_source!s:>8}{float(str(fraction)):>6.0%} {half!s:<7}{own:>12}  {each.other:<22}"
            f"{other:>8}  {_with_interval(each.measure, each.better)}{' !' if each.beyond_all else ''}"
        )
    beyond = sum(each.beyond_all for each in missed)
    lines.append(
        f"{checked}: {len(missed):,} of {len(found):,} comparisons missed, {beyond:,} of them beyond chance among all; "
        f"{0.025 * len(found):.0f} are expected of equal methods"
    )
    return "\n".join(lines)


def numbers(words: str) -> list[float]:
    """The numbers of a list such as `10,15`."""
    return [float(word) for word in words.split(",")]


def main(words: Sequence[str] | None = None) -> int:
    """Run the tournament, print its tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="folders of boards, or files")
    parser.add_argument("--methods", nargs="+", help="default: every preset")
    parser.add_argument("--sources", type=numbers, default=SOURCES, help="numbers of source models, such as 10,30")
    parser.add_argument("--fractions", type=numbers, default=FRACTIONS, help="sizes as shares of the items, such as .05,.1")
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES, help="items kept unseen")
    parser.add_argument("--runs", type=int, default=20, help=f"at least {MIN_RUNS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", help="a method whose misses are printed")
    parser.add_argument("--figure", type=Path, help="write this PNG")
    parser.add_argument("--table", type=Path, help="write the measures of every run to this Parquet file")
    parser.add_argument("--cache", type=Path, help="a folder of finished parts, so that a tournament can be interrupted")
    given = parser.parse_args(words)
    try:
        table = run(given)
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if given.table is not None:
        table.to_parquet(given.table)
    print(text(table))
    if given.figure is not None:
        from studies.tournament_figure import draw

        draw(table).savefig(given.figure, dpi=120)
    if given.check is None:
        return 0
    found = comparisons(table, given.check, OTHERS)
    print(f"\n{misses_text(found, given.check)}")
    return int(any(each.missed for each in found))


def run(given: argparse.Namespace) -> pd.DataFrame:
    """The measures of all parts; ConfigError for values that no tournament can have."""
    if given.runs < MIN_RUNS:
        raise ConfigError(
            "Too few runs to choose the best method and to judge it.", where="--runs", got=str(given.runs), hint="--runs 20"
        )
    names = list(dict.fromkeys([*(given.methods or all_methods()), *([given.check] if given.check else [])]))
    if given.check is not None and len(names) < 2:
        raise ConfigError("A checked method needs others.", where="--methods", got=", ".join(names), hint="--methods random …")
    methods = [named_method(name) for name in names]
    boards = read_boards(given.paths)
    parts = parts_of(boards, [int(each) for each in given.sources], given.fractions, given.halves)
    tables = []
    for k, part in enumerate(parts, 1):
        sys.stderr.write(f"{k} of {len(parts)}: {part.board.name}, {part.n_source} sources, unseen={part.unseen}\n")
        tables.append(measure(part, methods, given.runs, given.seed, given.cache))
    table = pd.concat(tables, ignore_index=True)
    if table[[*MEASURES]].isna().to_numpy().any():
        where = table[table[[*MEASURES]].isna().any(axis=1)][["board", "method"]].drop_duplicates()
        raise ConfigError("A measure is undefined.", where=", ".join("/".join(row) for row in where.to_numpy()), got="NaN")
    return table


if __name__ == "__main__":
    sys.exit(main())
