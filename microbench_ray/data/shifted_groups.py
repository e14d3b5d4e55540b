"""Groups of target models unlike the source models: better, newer, or of another family."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.model_groups import best_models, match_models

MIN_TARGETS = 20
"""Fewer targets have too few pairs for an MDAD."""

MIN_SOURCES = 10

Positions = NDArray[np.intp]


class Group(NamedTuple):
    """Targets of one kind; the sources are all others."""

    label: str
    targets: Positions
    """Positions among the benchmark's models, ascending; none where the group is left out."""
    names: tuple[str, ...]
    """Their ids, as a sweep's group of targets takes them."""
    left_out: str
    """Why, as a sentence; empty where it is not."""


def shifted_groups(
    benchmark: Benchmark,
    *,
    best: float | None = 0.2,
    newer_than: str | None = None,
    families: int = 0,
    least: int = MIN_TARGETS,
) -> list[Group]:
    """The groups that a benchmark's models and metadata allow for.

    Parameters
    ----------
    benchmark
        The leaderboard. Metadata columns: `release_date` (a date or a text such as 2024-05-31), `family`.
    best
        Share of the models that are the best, by accuracy on all items; those as good as the last one are in it too. None for no
        such group.
    newer_than
        A date, such as 2024-06-01: targets are the models released on it or later, sources the others, those of unknown date
        among them.
    families
        How many of the largest families are each a group.
    least
        Models that a group needs.

    Returns
    -------
    list of Group
        Best, newer, families from the largest on (equally large ones by name); also those that are left out, with the reason.

    Raises
    ------
    ConfigError
        A share outside (0, 1), a negative number of families, or no date.
    """
    if (best is not None and not 0 < best < 1) or families < 0:
        raise ConfigError(
            "The best models are a share between 0 and 1, and the number of families is not negative.",
            where="extrapolation",
            got=f"best={best}, families={families}",
        )
    found = []
    if best is not None:
        found.append(_group(benchmark, f"best {100 * best:g} %", best_models(benchmark, best), least))
    if newer_than is not None:
        found.append(_newer(benchmark, newer_than, least))
    if families:
        found += _families(benchmark, families, least)
    return found


def _group(benchmark: Benchmark, label: str, targets: Positions, least: int) -> Group:
    if targets.size < least:
        return _left_out(label, f"{targets.size} models are too few: at least {least} are needed.")
    others = benchmark.n_models - targets.size
    if others < MIN_SOURCES:
        return _left_out(label, f"{others} models are left as sources: at least {MIN_SOURCES} are needed.")
    return Group(label, targets, tuple(str(name) for name in benchmark.model_ids[targets]), "")


def _left_out(label: str, why: str) -> Group:
    return Group(label, np.empty(0, np.intp), (), why)


def _newer(benchmark: Benchmark, date: str, least: int) -> Group:
    import pandas as pd  # slow to import

    start = pd.to_datetime(date, errors="coerce")
    if pd.isna(start):
        raise ConfigError("This is no date.", where="newer_than", got=repr(date), hint="write it as 2024-06-01")
    label = f"released since {start:%Y-%m-%d}"
    if "release_date" not in benchmark.metadata.columns:
        return _left_out(label, "The models' metadata have no column release_date.")
    try:
        targets = match_models(benchmark, where=f"release_date >= '{start:%Y-%m-%d}'")
    except DataError:
        # No model matches, or the column holds no dates.
        targets = np.empty(0, np.intp)
    return _group(benchmark, label, targets, least)


def _families(benchmark: Benchmark, most: int, least: int) -> list[Group]:
    if "family" not in benchmark.metadata.columns:
        return [_left_out("family", "The models' metadata have no column family.")]
    family = benchmark.metadata["family"].astype(object).to_numpy()
    named = [str(name) for name in family if isinstance(name, str)]
    if not named:
        return [_left_out("family", "No model's family is known.")]
    largest = sorted(set(named), key=lambda name: (-named.count(name), name))[:most]
    return [_group(benchmark, f"family {name}", np.flatnonzero(family == name), least) for name in largest]
