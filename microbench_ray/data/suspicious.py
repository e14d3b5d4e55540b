"""Signs that scores are not what they are taken for: a mean or a difficulty among the models or items, or a transposed table.

Such a table is read as it is. The signs become `DataWarning`s, and notes of the benchmark.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from string import digits

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataWarning
from microbench_ray.data.names import first_few
from microbench_ray.data.score_grid import Rows

AGGREGATES = frozenset({"average", "avg", "mean", "overall", "total", "macro", "micro"})
"""Words that an aggregate is called by."""
STATISTICS = frozenset({"median", "std", "stdev", "stddev", "difficulty", "discrimination", "rank"})
"""Words that a column about the items is called by."""
FURTHER_WORDS = frozenset(
    {"score", "scores", "accuracy", "acc", "item", "items", "all", "model", "models", "of", "the", "weighted"}
)
"""Words that may stand beside one of the former, as in `Average score`."""
FAMILIES = ("gpt", "llama", "qwen", "claude", "gemini", "gemma", "mistral", "mixtral", "falcon", "deepseek", "olmo", "pythia")
"""Words in names of models."""
SAMPLE = 24
"""Number of items that the content of models is judged by, and of models for items."""
MIN_EVIDENCE = 5
"""Number of cells that must agree with a mean before a column or row is taken for it."""
ROUNDING = 0.0051
"""How far a mean may be from the mean of the table: means are often rounded to two digits."""
INFORMATIVE = (0.02, 0.98)
"""Means that no score of 0 or 1 is near."""
MIN_MODELS, MIN_RATIO = 20, 2
"""Number of models, and models per item, from which on numbered models are suspicious."""
RARE = 0.02
"""Share of the models, or items, up to which fractions among scores of 0 and 1 are suspicious."""


def named_like_aggregates(names: Sequence[str], kind: str) -> list[str]:
    """The names of models (or items) that are words for an aggregate, such as `Average`, `mean_score` or `difficulty`."""
    known = AGGREGATES | STATISTICS if kind == "model" else AGGREGATES
    return [name for name in names if _is_aggregate(name, known)] if _any_has(names, known) else []


def _any_has(names: Sequence[str], words: Iterable[str]) -> bool:
    """Whether any of the names may contain any of the words, which have no digits: quick for 100,000 names, mostly numbered."""
    text = "\n".join({name.rstrip(digits) for name in names}).casefold()
    return any(word in text for word in words)


def _is_aggregate(name: str, known: frozenset[str]) -> bool:
    words = set(re.split(r"[\W_]+", name.casefold())) - {""} if len(name) < 60 else set()
    return bool(words & known) and words <= known | FURTHER_WORDS


def aggregate_warning(kind: str, names: Sequence[str], where: str | None, reason: str) -> DataWarning:
    """The warning about models (or items) that are probably aggregates."""
    article, part, others = ("a", "column", "items") if kind == "model" else ("an", "row", "models")
    return DataWarning(
        f"What counts as {article} {kind} looks like an aggregate, or a property of the {others}.",
        where=where,
        got=f"{first_few(names)}: {reason}",
        hint=f"if it is not {article} {kind}, remove the {part} from the table",
    )


def find_suspicious(
    scores: Rows, models: Sequence[str], items: Sequence[str], *, where: str | None = None, shape: bool = True
) -> list[DataWarning]:
    """Look for aggregates among the models and items, and for models and items exchanged.

    Parameters
    ----------
    scores
        (n_models, n_items) in [0, 1], NaN for missing responses.
    models, items
        Their ids.
    where
        The place of the scores, for the messages.
    shape
        Whether the whole benchmark is given, so that its shape tells something.
    """
    found = []
    if shape and (reason := _exchanged(models, items)):
        found.append(
            DataWarning(
                "The models and the items seem to be exchanged.",
                where=where,
                got=f"{len(models):,} models × {len(items):,} items: {reason}",
                hint="an array has a row per model (pass its transpose, scores.T), a table a row per item and a column per model; "
                "nothing has to be done if the numbers above are right",
            )
        )
    for kind, names in (("model", models), ("item", items)):
        by_name = named_like_aggregates(names, kind)
        if by_name:
            found.append(aggregate_warning(kind, by_name, where, "by name"))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite scores are reported elsewhere
            by_content = _by_content(_sample(scores, kind), names, by_name)
        found += [
            aggregate_warning(kind, [name for name, given in by_content if given == reason], where, reason)
            for reason in dict.fromkeys(reason for _, reason in by_content)
        ]
    return found


def warn(found: Iterable[DataWarning]) -> None:
    """Issue the warnings for the line outside this package that the data came from; the command line shows notes instead."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("microbench_ray."):
        level, frame = level + 1, frame.f_back
    for each in found:
        warnings.warn(each, stacklevel=level)


def _exchanged(models: Sequence[str], items: Sequence[str]) -> str | None:
    """Why the models seem to be the items; None if they do not."""
    like_models = [name for name in items if _any_has([name], FAMILIES)] if _any_has(items, FAMILIES) else []
    if len(like_models) >= max(3, len(items) / 2):
        return f"items are called {first_few(like_models, 2)}"
    if len(models) >= max(MIN_MODELS, MIN_RATIO * len(items)) and _numbered(models):
        return f"models are called {first_few(models[:2], 2)}"
    return None


def _numbered(names: Sequence[str]) -> bool:
    """Whether the names are one prefix, maybe empty, and digits, or hexadecimal digests: names of items rather than of models."""
    if all(re.fullmatch(r"[0-9a-f]{8,64}", name) for name in names):
        return True
    prefix = names[0].rstrip("0123456789")
    return all(re.fullmatch(re.escape(prefix) + r"\d{1,18}", name) for name in names)


def _sample(scores: Rows, kind: str) -> NDArray[np.float64]:
    """(n, at most SAMPLE) scores: of all models on evenly spaced items, or of evenly spaced models on all items, transposed."""
    if kind == "model":
        columns = _spaced(len(scores[0]))
        return np.array([np.asarray(row)[columns] for row in scores], dtype=np.float64)
    return np.array([np.asarray(scores[int(row)]) for row in _spaced(len(scores))], dtype=np.float64).T


def _spaced(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.intp)


def _by_content(sample: NDArray[np.float64], names: Sequence[str], known: Sequence[str]) -> list[tuple[str, str]]:
    """Names with a reason: the mean of the others, its complement, or fractions where all others have 0 and 1."""
    others = np.flatnonzero(~np.isin(np.arange(len(names)), [names.index(name) for name in known]))
    if len(others) < 3 or sample.shape[1] < MIN_EVIDENCE:
        return []
    values = sample[others]
    means = _means_of_others(values)
    reasons = {int(row): "the mean of the others" for row in np.flatnonzero(_matches(values, means))}
    reasons |= {int(row): "1 minus the mean of the others" for row in np.flatnonzero(_matches(1 - values, means))}
    reasons = {int(row): "fractions, where the others have 0 and 1" for row in _alone_in_fractions(values)} | reasons
    return [(names[int(others[row])], reason) for row, reason in sorted(reasons.items())]


def _means_of_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) means over the other rows, NaN where no other row has a value."""
    valid = ~np.isnan(values)
    filled = np.where(valid, values, 0.0)
    counts = valid.sum(axis=0) - valid
    means = np.full(values.shape, np.nan)
    np.divide(filled.sum(axis=0) - filled, counts, out=means, where=counts > 0)
    return means


def _matches(values: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether all values of a row are the means, `MIN_EVIDENCE` of them where that tells something."""
    off = np.abs(values - means) > ROUNDING  # False for NaN
    informative = (means > INFORMATIVE[0]) & (means < INFORMATIVE[1]) & ~np.isnan(values)
    found: NDArray[np.bool_] = ~off.any(axis=1) & (informative.sum(axis=1) >= MIN_EVIDENCE)
    return found


def _alone_in_fractions(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of the few rows in which most values are fractions, if all values of all other rows are 0 or 1."""
    valid = ~np.isnan(values)
    fractional = valid & (np.minimum(np.abs(values), np.abs(values - 1)) > 1e-6)
    mostly = 2 * fractional.sum(axis=1) > np.maximum(valid.sum(axis=1), MIN_EVIDENCE)
    rows = np.flatnonzero(mostly)
    if not 1 <= len(rows) <= max(2, RARE * len(values)) or fractional[~mostly].any() or len(values) < len(rows) + 3:
        return rows[:0]
    return rows
