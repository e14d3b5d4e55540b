"""Readouts of `auto`'s items for models unlike every source: `python -m studies.beyond_sources FOLDER_OR_FILE... [--runs N]`.

What should the estimator `auto` say of a model that is better or worse than its sources? The best or the worst fifth of a board's
models are the targets, and sources are drawn from the others (`best`, `worst`); or both are drawn from all models (`alike`). All
items are seen. The items that `auto` chooses are read in several ways:

- `auto`: two predictions stacked, but above the accuracies of all sources it moves to the p-IRT estimate with a wider prior, and
  far below them to that with the prior of the sources;
- `narrow`: above the sources too it is the prior of these, and the stack alone decides what is above them;
- `stack`, `ridge`, `p_irt`, `wide`: always the stack, one of its two predictions, or the p-IRT estimate with the wider prior;
- `mean`: the plain mean of the items;
- `random`: the plain mean of as many random items instead.

Printed as Markdown are, for every readout, the share of pairs in the right order with ties as one half, Kendall's tau-b, and the
root mean squared error in points; for all but `auto` with the mean of paired differences over runs and boards and Student's 95 %
interval (positive: better than `auto`). `flagged` is the share of targets that `auto` moves. The exit code
is 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from microbench_ray.core.errors import ConfigError, MicrobenchError
from microbench_ray.data import Benchmark
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.auto import BETTER_VARIANCE, WORSE_ERRORS
from microbench_ray.methods.kernels import irt
from microbench_ray.methods.kernels.auto import fit_auto, fit_stack, predictors
from microbench_ray.methods.kernels.irt_term import RAMP
from microbench_ray.methods.readout import filled_responses
from studies.score_coverage import accuracies, best_models
from studies.tournament_regret import MIN_RUNS, Interval, mean_over_places
from studies.tournament_runs import read_boards

KINDS = ("best", "worst", "alike")
MAX_TARGETS, MIN_TARGETS = 50, 8
MEASURES = {"order": (1, 3), "tau": (1, 3), "rmse": (-1, 2)}
"""Sign of an improvement, and digits."""


def readouts(
    responses: np.ndarray, subtask: np.ndarray, sources: np.ndarray, targets: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], float]:
    """(n_target,) estimates by each readout, from (n_models, n_items) responses, and the share of flagged targets."""
    n_items = responses.shape[1]
    ids = np.array([str(k) for k in range(n_items)], object)
    fit = fit_auto(SeenItems(ids, subtask, responses[sources].astype(np.float32)), rng)
    selection = Selection(fit.learned.order[:size])
    both, stack = predictors(fit.learned, selection, "correctness"), fit_stack(fit, selection, "correctness")
    answered = responses[np.ix_(targets, selection.items)]
    observed, rest = both.observed_and_rest(answered)
    stacked = observed + stack.level + (rest - stack.level) @ stack.weights
    ridge, p_irt = observed + rest[:, 0], observed + rest[:, 1]
    assert fit.learned.irt is not None
    with_wide_prior = fit.learned.irt._replace(discrimination=math.sqrt(BETTER_VARIANCE) * fit.learned.irt.discrimination)
    wide = irt.p_irt(with_wide_prior, answered, selection.items)
    accuracy = fit.learned.known.accuracy
    better, narrowly = (np.clip((judged - accuracy.max()) / RAMP, 0, 1) for judged in ((stacked + wide) / 2, stacked))
    below = -np.inf if stack.error is None else accuracy.min() - WORSE_ERRORS * stack.error
    worse = np.clip((below - (stacked + p_irt) / 2) / RAMP, 0, 1)
    filled = filled_responses(answered, both.means)
    random = rng.choice(n_items, size, replace=False)
    return {
        "auto": stacked + better * (wide - stacked) + worse * (p_irt - stacked),
        "narrow": stacked + (narrowly + worse) * (p_irt - stacked),
        "stack": stacked,
        "ridge": ridge,
        "p_irt": p_irt,
        "wide": wide,
        "mean": filled.mean(axis=1),
        "random": np.nanmean(responses[np.ix_(targets, random)], axis=1),
    }, float((better + worse > 0).mean())


def order(estimates: np.ndarray, truth: np.ndarray) -> float:
    """The share of pairs of different accuracies in the right order; a tie counts one half."""
    one, other = np.triu_indices(len(truth), 1)
    right = np.sign(estimates[one] - estimates[other]) * np.sign(truth[one] - truth[other])
    return float(np.mean((right[truth[one] != truth[other]] + 1) / 2))


def draws(board: Benchmark, kind: str, n_source: int, runs: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.random.Generator]]:
    """Sources and targets of each run; none where the board has too few models."""
    best = best_models(board)
    held = {"best": best, "worst": np.argsort(accuracies(board), kind="stable")[: best.size]}.get(kind)
    for run in range(runs):
        rng = np.random.default_rng([run, n_source, kind == "best"])
        pool = rng.permutation(np.arange(board.n_models) if held is None else np.setdiff1d(np.arange(board.n_models), held))
        targets = pool[n_source:][:MAX_TARGETS] if held is None else held
        if pool.size >= n_source and targets.size >= MIN_TARGETS:
            yield np.sort(pool[:n_source]), np.sort(targets), rng


def measured(boards: Sequence[Benchmark], n_source: int, fraction: float, runs: int) -> pd.DataFrame:
    """A row per kind, board, run and readout."""
    rows = []
    for board in boards:
        truth = accuracies(board)
        responses = np.where(board.scores == board.missing, np.nan, board.scores / board.units)
        for kind in KINDS:
            for run, (sources, targets, rng) in enumerate(draws(board, kind, n_source, runs)):
                size = round(fraction * board.n_items)
                found, flagged = readouts(responses, board.subtask_codes, sources, targets, size, rng)
                for name, estimates in found.items():
                    tau = float(kendalltau(estimates, truth[targets]).statistic)
                    error = float(100 * np.sqrt(np.mean(np.square(estimates - truth[targets]))))
                    row = {"kind": kind, "board": board.name, "run": run, "readout": name, "flagged": flagged}
                    values = {"order": order(estimates, truth[targets]), "tau": 0.0 if math.isnan(tau) else tau, "rmse": error}
                    rows.append(row | values)
    if not rows:
        raise ConfigError("No board has enough models.", where="--sources", got=str(n_source))
    return pd.DataFrame(rows)


def better(table: pd.DataFrame, measure: str, readout: str) -> Interval:
    """How much better a readout is than `auto`, on average over boards, from the runs' paired differences."""
    places = []
    for board, rows in table.groupby("board"):
        wide = rows.pivot(index="run", columns="readout", values=measure)
        places.append(((board, 0, 0.0, "all"), MEASURES[measure][0] * (wide[readout] - wide["auto"]).to_numpy(float)))
    return mean_over_places(places)


def text(table: pd.DataFrame) -> str:
    """The Markdown table."""
    lines = ["| targets | readout | order | tau | error |", "|---|---|---|---|---|"]
    for kind, rows in table.groupby("kind", sort=False):
        flagged = f"{kind}, {rows['board'].nunique()} boards, flagged {rows['flagged'].mean():.2f}"
        for readout in dict.fromkeys(rows["readout"]):
            cells = []
            for measure, (_, digits) in MEASURES.items():
                mean = f"{rows.loc[rows['readout'] == readout, measure].mean():.{digits}f}"
                found = better(rows, measure, readout)
                interval = f": {found.mean:+.{digits}f} ({found.lo:+.{digits}f} to {found.hi:+.{digits}f})"
                cells.append(mean + (interval if readout != "auto" else ""))
            lines.append(f"| {flagged} | {readout} | " + " | ".join(cells) + " |")
            flagged = ""
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="folders of boards, or files")
    parser.add_argument("--sources", type=int, default=30)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=10, help=f"at least {MIN_RUNS}")
    given = parser.parse_args(words)
    try:
        if given.runs < MIN_RUNS:
            raise ConfigError("Too few runs for an interval.", where="--runs", got=str(given.runs), hint="--runs 10")
        print(text(measured(read_boards(given.paths), given.sources, given.fraction, given.runs)))
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
