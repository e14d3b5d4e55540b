"""Our methods beside a peer's figures: `python -m studies.peers BOARDS PEERS.csv [--methods A B] [--check METHOD]`.

PEERS.csv has the columns board, n_source, fraction, method, rmse_points and kendall_tau; BOARDS is a folder with a wide table per
board. For every board, number of sources and fraction of the items in the file, our methods are run on the same kind of splits: all
models but the sources are targets, all items are seen, five seeds. Printed are root mean squared error in points and Kendall's
tau-b, means over seeds with their standard errors, and below each board their means over its splits. The draws are not those of the
file, whose standard errors are not known: its figures for `random` show how much that matters.

With `--check METHOD`, the exit code is 1 if, in the mean over the splits of a board, this method has a larger error than the file's
`--error-of`, or a smaller tau than the file's `--tau-of`; splits where it has are marked `!`. Below each board, the method is
compared with our other methods on the same draws: how much better it is, as the mean over splits of paired differences with
Student's 95 % interval over seeds. 2 stands for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from microbench_ray.core.errors import ConfigError, MicrobenchError
from studies.tournament_regret import interval
from studies.tournament_runs import Part, measure, named_method, read_boards

METHODS = ("random", "random_ridge_remainder", "random_kernel_ridge", "mrmr_kernel_ridge", "mdad_guided", "mdad_guided+p_irt")
COLUMNS = ("board", "n_source", "fraction", "method", "rmse_points", "kendall_tau")
SPLIT = ["board", "n_source", "fraction"]
VALUES = ("rmse_points", "kendall_tau")


class Wanted(NamedTuple):
    """The method to check, and the rows of the file that it is compared with."""

    method: str | None
    error_of: str
    tau_of: str


def measured(boards: Path, peers: pd.DataFrame, methods: Sequence[str], seeds: int, cache: Path | None = None) -> pd.DataFrame:
    """Our methods' rows, in the columns of the file and `run`, the seed."""
    built = [named_method(name) for name in methods]
    paths = [boards / f"{name}.parquet" for name in dict.fromkeys(peers["board"])]
    tables = []
    for board in read_boards(paths):
        of_board = peers[peers["board"] == board.name]
        for n_source in sorted(set(of_board["n_source"])):
            fractions = tuple(sorted(set(of_board["fraction"])))
            part = Part(board, int(n_source), board.n_models - int(n_source), "none", fractions)
            tables.append(measure(part, built, seeds, 0, cache))
    return pd.concat(tables).rename(columns={"rmse": "rmse_points", "tau": "kendall_tau"})[[*COLUMNS, "run"]]


def compared(peers: pd.DataFrame, ours: pd.DataFrame, wanted: Wanted) -> tuple[str, bool]:
    """The printed table, and whether the checked method meets both limits in the mean over every board's splits."""
    table = pd.concat([ours.assign(own=True), peers.assign(own=False, run=0)], ignore_index=True)
    lines, met = [], True
    for board, of_board in table.groupby("board", sort=True):
        splits = [(f"{n} sources, {fraction:.0%}", rows) for (n, fraction), rows in of_board.groupby(SPLIT[1:], sort=True)]
        for title, rows in [*splits, ("mean over splits", of_board)]:
            by_run = rows.groupby(["method", "own", "run"], sort=False)[[*VALUES]].mean()
            limits = [
                by_run[column].to_dict()[name, False, 0]
                for name, column in zip((wanted.error_of, wanted.tau_of), VALUES, strict=True)
            ]
            lines += ["", f"{board}, {title}", f"  {'method':<36}{'RMSE':>7}{'':>8}{'tau':>8}"]
            groups = by_run.groupby(level=["method", "own"], sort=False)
            found = groups.mean().join(groups.sem().add_suffix("_error")).sort_values(VALUES[0]).reset_index()
            for row in found.to_dict("records"):
                method, own, error, tau, of_error, of_tau = row.values()
                checked = own and method == wanted.method
                missed = [checked and error > limits[0], checked and tau < limits[1]]
                marks = ["!" if each else " " for each in missed]
                shown = (f"± {of_error:.2f}", f"± {of_tau:.3f}") if of_error >= 0 else ("", "")  # NaN for a single seed
                label = method if own else f"[{method}]"
                lines.append(f"  {label:<36}{error:>7.2f}{marks[0]}{shown[0]:<7}{tau:>8.3f}{marks[1]}{shown[1]}".rstrip())
                if rows is of_board:
                    met = met and not any(missed)
        if wanted.method is not None:
            lines += ["", *_paired(of_board[of_board["own"]], wanted.method)]
    return "\n".join(lines[1:]), met


def _paired(ours: pd.DataFrame, checked: str) -> list[str]:
    """How much better the checked method is than our others on the same draws, in the mean over splits."""
    by_run = ours.groupby(["run", "method"])[[*VALUES]].mean().unstack("method")
    if len(by_run) < 2:
        return []
    lines = [f"  {checked} is better than"]
    for other in (name for name in dict.fromkeys(ours["method"]) if name != checked):
        better = {column: np.asarray(by_run[column, checked] - by_run[column, other], np.float64) for column in VALUES}
        error, tau = interval(-better[VALUES[0]]), interval(better[VALUES[1]])
        lines.append(
            f"  {other:<36}{error.mean:>7.2f} ({error.lo:.2f} to {error.hi:.2f}){tau.mean:>9.3f} ({tau.lo:.3f} to {tau.hi:.3f})"
        )
    return lines


def read_peers(file: Path, wanted: Wanted) -> pd.DataFrame:
    """The file's rows; ConfigError where it lacks columns, or the rows that the check needs."""
    try:
        peers = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise ConfigError("The file of peers cannot be read.", where=str(file), got=str(error)) from None
    if missing := sorted(set(COLUMNS) - set(peers.columns)):
        raise ConfigError(
            "The file of peers lacks columns.", where=str(file), got=f"no {', '.join(missing)}", hint=",".join(COLUMNS)
        )
    for name in (wanted.error_of, wanted.tau_of):
        without = [split for split, rows in peers.groupby(SPLIT) if name not in set(rows["method"])]
        if without:
            raise ConfigError(
                "The file of peers lacks a method to compare with.", where=str(file), got=f"no {name!r} in {without[0]}"
            )
    return peers[[*COLUMNS]]


def main(words: Sequence[str] | None = None) -> int:
    """Print the comparison, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", type=Path)
    parser.add_argument("peers", type=Path)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--check")
    parser.add_argument("--error-of", default="peer: random + kernel ridge")
    parser.add_argument("--tau-of", default="ours: mdad_guided items, p_irt")
    parser.add_argument("--cache", type=Path, help="a folder of finished parts, so that a study can be interrupted")
    given = parser.parse_args(words)
    wanted = Wanted(given.check, given.error_of, given.tau_of)
    methods = list(dict.fromkeys([*given.methods, *([given.check] if given.check else [])]))
    try:
        peers = read_peers(given.peers, wanted)
        shown, met = compared(peers, measured(given.boards, peers, methods, given.seeds, given.cache), wanted)
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(shown)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
