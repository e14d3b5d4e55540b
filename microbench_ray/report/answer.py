"""The answer of a sweep, in words: which differences its items detect, and which methods are not worse than the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.schemas import GROUP_KEY, SCHEMAS
from microbench_ray.metrics.paired import MIN_RUNS

if TYPE_CHECKING:
    import pandas as pd

MONOTONE = ("mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")
"""Columns of the MDAD that is shown and of its interval."""
USUAL_SIZE = 100
"""The headline is about the size nearest to this."""
MAX_NAMED = 3
"""Methods that a title names; lists and tables name all."""
NOT_WORSE = "not worse than the best by more than chance"


@dataclass(frozen=True)
class Answer:
    """What the items of one size detect on one benchmark.

    Attributes
    ----------
    benchmark, size, threshold
        As in the table `mdad`.
    n_runs
        Runs that all methods have.
    items
        The items that true accuracies are of, in words.
    n_methods
        How many methods were compared.
    methods
        Those not worse than the best by more than chance; all, where `compared` is false.
    compared
        Whether the runs allow a comparison.
    mdads
        Of `methods`, fractions; None where agreement never reaches the threshold.
    p_values
        Of `methods`, as in the table `standings`; 1 where there is none.
    interval
        Of the MDAD, of a single method; an end is None where it is unbounded.
    """

    benchmark: str
    size: int
    threshold: float
    n_runs: int
    items: str
    n_methods: int
    methods: tuple[str, ...]
    compared: bool
    mdads: tuple[float | None, ...]
    p_values: tuple[float, ...]
    interval: tuple[float | None, float | None] | None

    @property
    def all_equal(self) -> bool:
        """Whether several methods were compared, and none is better than another by more than chance."""
        return self.compared and self.n_methods > 1 and len(self.methods) == self.n_methods

    @property
    def names_best(self) -> bool:
        """Whether some methods are worse than others by more than chance."""
        return self.compared and len(self.methods) < self.n_methods


def answers(tables: Mapping[str, pa.Table]) -> list[Answer]:
    """An answer per benchmark and size, from `mdad` and `standings`: in the first group of targets, with the most source models, on
    the seen half, at the first threshold. Fixed lists, each of which has a size of its own, are one answer each."""
    mdad = main_rows(tables["mdad"].to_pandas())
    if not len(mdad):
        return []
    standings = tables.get("standings", SCHEMAS["standings"].empty_table()).to_pandas()
    key = [*GROUP_KEY, "split"]
    among_best = standings[[*key, "among_best", "p_best", "n_runs"]].rename(columns={"n_runs": "common_runs"})
    mdad = mdad.merge(among_best, "left", on=key)
    found = []
    for (_, n_source, _), rows in mdad.groupby(["benchmark", "n_source", "size"], sort=False):
        found += [_answer(part) for part in ([rows] if n_source else [rows.iloc[[k]] for k in range(len(rows))])]
    return found


def _answer(rows: pd.DataFrame) -> Answer:
    compared = len(rows) == 1 or bool(rows["among_best"].notna().any())
    # A method without pairs has no p-value, and is no candidate.
    best = rows[rows["among_best"].eq(True)] if compared and len(rows) > 1 else rows
    low, high = (best[name].iloc[0] for name in MONOTONE[1:])
    return Answer(
        benchmark=str(rows["benchmark"].iloc[0]),
        size=int(rows["size"].iloc[0]),
        threshold=float(rows["threshold"].iloc[0]),
        n_runs=int(rows["common_runs"].fillna(rows["n_runs"]).min()),
        items="all items" if rows["unseen"].iloc[0] == "none" else f"the whole {rows['split'].iloc[0]} half",
        n_methods=len(rows),
        methods=tuple(map(str, best["method"])),
        compared=compared,
        mdads=tuple(_fraction(value) for value in best[MONOTONE[0]]),
        p_values=tuple(best["p_best"].astype(float).fillna(1.0)),
        interval=(_fraction(low), _fraction(high)) if len(best) == 1 else None,
    )


def _fraction(value: Any) -> float | None:
    return None if np.isnan(float(value)) else float(value)


def main_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `mdad` or `paired` that an answer is about: one panel of each benchmark, and its fixed lists."""
    if not len(rows):
        return rows
    parts = []
    for _, board in rows.groupby("benchmark", sort=False):
        swept = board[board["n_source"] > 0]
        for group in (swept, board[board["n_source"] == 0]):
            if len(group):
                first = group.sort_values(["split", "n_source"], ascending=[True, False], kind="stable").iloc[0]
                same = ["targets", "n_target", "unseen", "n_source", "split"]
                parts.append(group[(group[same] == first[same]).all(axis=1) & (group["threshold"] == rows["threshold"].iloc[0])])
    import pandas as pd

    panels: pd.DataFrame = pd.concat(parts)
    return panels


def headlines(found: Sequence[Answer]) -> list[Answer]:
    """Of each benchmark the answer at the size nearest to `USUAL_SIZE`, and those of fixed lists."""
    chosen: dict[str, Answer] = {}
    for answer in found:
        other = chosen.get(answer.benchmark)
        if other is None or _distance(answer) < _distance(other):
            chosen[answer.benchmark] = answer
    return list(chosen.values())


def _distance(answer: Answer) -> tuple[bool, float, int]:
    """Answers about several methods come first, then sizes by their distance."""
    return answer.n_methods == 1, abs(float(np.log(answer.size / USUAL_SIZE))), answer.size


def title(found: Sequence[Answer]) -> str:
    """The headline, from the answers of `headlines`."""
    if not found:
        return "There are no results"
    if len(found) == 1:
        (answer,) = found
        if answer.all_equal:
            return "No method is better than another by more than chance"
        return f"{_items(answer)}{_of(answer)} {detects(answer)}"
    boards = f"{len(found)} benchmarks"
    several = [answer for answer in found if answer.n_methods > 1]
    if not several:
        return f"Results on {boards}"
    if not all(answer.compared for answer in several):
        return _too_few(several)
    if all(answer.all_equal for answer in several):
        return f"No method is better than another by more than chance, on any of {boards}"
    everywhere = _everywhere(several)
    if not everywhere:
        return f"No method is among the best on all {boards}"
    subject = joined(everywhere, "and") if len(everywhere) <= MAX_NAMED else f"{len(everywhere)} methods"
    return f"{subject} {'is' if len(everywhere) == 1 else 'are'} {NOT_WORSE} on all {boards}"


def explanation(found: Sequence[Answer]) -> str:
    """What the headline means, from the answers of `headlines`, in a few sentences."""
    if not found:
        return ""
    sentences = []
    several = [answer for answer in found if answer.n_methods > 1]
    if len(found) == 1:
        (answer,) = found
        if answer.all_equal:
            sentences.append(
                f"{_items(answer)} of any of the {answer.n_methods} methods {detects(answer)}. "
                f"They were compared over {answer.n_runs} runs; more runs show smaller differences between methods."
            )
        elif answer.names_best:
            sentences.append(f"Of {answer.n_methods} methods over {answer.n_runs} runs, {NOT_WORSE}: {', '.join(answer.methods)}.")
    elif several and all(answer.names_best for answer in several) and len(_everywhere(several)) > MAX_NAMED:
        sentences.append(f"They are {', '.join(_everywhere(several))}.")
    if several and not all(answer.compared for answer in several):
        if len(found) == 1:
            sentences.append(f"{_too_few(several)}.")
        if min(answer.n_runs for answer in several) < MIN_RUNS:
            sentences.append(f"A comparison of methods needs at least {MIN_RUNS} runs (grid.runs={MIN_RUNS}).")
    percent = f"{100 * found[0].threshold:g} %"
    items = found[0].items
    sentences.append(f"Detected: models that differ by this much are ranked as on {items} in at least {percent} of cases.")
    return " ".join(sentences)


def _everywhere(several: Sequence[Answer]) -> list[str]:
    return [name for name in several[0].methods if all(name in answer.methods for answer in several)]


def _too_few(several: Sequence[Answer]) -> str:
    n_runs = min(answer.n_runs for answer in several if not answer.compared)
    if n_runs >= MIN_RUNS:
        return "Methods are not compared"
    runs = f"{n_runs:,} run{'' if n_runs == 1 else 's'}"
    return f"With {runs}, differences between methods may be chance"


def line(answer: Answer, *, named: bool = True) -> str:
    """An answer in a line; `named`: with its benchmark."""
    start = f"{answer.benchmark}: " if named else ""
    if answer.all_equal:
        return f"{start}{_items(answer)} of any method {detects(answer)}; no method is better by more than chance"
    subject = f" of {joined(answer.methods, 'or')}" if answer.compared else ""
    return f"{start}{_items(answer)}{subject} {detects(answer)}"


def lines(found: Sequence[Answer]) -> Iterator[str]:
    """The answer for a terminal: the headline, its meaning, and a line for each size, or for each of several benchmarks."""
    chosen = headlines(found)
    yield title(chosen)
    for answer in found if len(chosen) == 1 else chosen:
        if len(found) > 1:
            yield f"  {line(answer, named=len(chosen) > 1)}"
    if chosen:
        yield explanation(chosen)


def detects(answer: Answer) -> str:
    """What its items detect, as a predicate; MDADs of several methods are a range, so that none of them is singled out."""
    reached = [value for value in answer.mdads if value is not None]
    verb = "detects" if answer.size == 1 else "detect"
    if not reached:
        return f"{verb} no difference: agreement never reaches {100 * answer.threshold:g} %"
    low, high = (f"{100 * end:.1f}" for end in (min(reached), max(reached)))
    ends = low if low == high else f"{low} to {high}"
    missing = len(answer.mdads) - len(reached)
    depending = "" if answer.compared else ", depending on the method"
    return (
        f"{verb} differences of {ends} points{depending}{f' ({missing} of {len(answer.mdads)} methods: none)' if missing else ''}"
    )


def _items(answer: Answer) -> str:
    return f"{answer.size:,} item{'' if answer.size == 1 else 's'}"


def _of(answer: Answer) -> str:
    if not answer.compared:
        return ""
    few = len(answer.methods) <= MAX_NAMED
    return f" of {joined(answer.methods, 'or')}" if few else f" of the {len(answer.methods)} best methods"


def joined(names: Sequence[str], word: str) -> str:
    """Names as a list in a sentence: `a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
