"""Groups of target models unlike the source models: better, newer, or of another family."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.model_groups import best_models, match_models

logger = logging.getLogger(__name__)

MIN_TARGETS = 20
"""Targets that an MDAD needs, for enough pairs."""

MIN_SOURCES = 10

Positions = NDArray[np.intp]


class ShiftedGroup(NamedTuple):
    """Targets of one kind; all other models are sources."""

    label: str
    targets: Positions
    """Positions among the benchmark's models, ascending; empty if the group is skipped."""
    names: tuple[str, ...]
    """Ids of the targets, as for a sweep's group of targets."""
    skipped: str
    """Why the group is skipped, as a sentence; empty if it is not."""


def shifted_groups(
    benchmark: Benchmark,
    *,
    best: float | None = 0.2,
    newer_than: str | None = None,
    families: int = 0,
    min_targets: int = MIN_TARGETS,
) -> list[ShiftedGroup]:
    """Find the groups that a benchmark's models and metadata support.

    Parameters
    ----------
    benchmark
        The leaderboard. Metadata columns: `release_date` (a date or a text such as 2024-05-31), `family`.
    best
        Share of the models, the most accurate ones on all items; models tied with the last of them are included. None for no such
        group.
    newer_than
        A date, such as 2024-06-01: models released on it or later are targets, all others are sources, including those with an
        unknown date.
    families
        Number of the largest families, each a group.
    min_targets
        Targets that a group needs.

    Returns
    -------
    list of ShiftedGroup
        Best, newer, then families from the largest on, by name if equally large. Skipped groups are included, with the reason.

    Raises
    ------
    ConfigError
        A share outside (0, 1), a negative number of families, or an invalid date.
    """
    if (best is not None and not 0 < best < 1) or families < 0:
        raise ConfigError(
            "best must be a share between 0 and 1, and families must not be negative.",
            where="extrapolation",
            got=f"best={best}, families={families}",
        )
    groups = []
    if best is not None:
        groups.append(_group(benchmark, f"best {100 * best:g} %", best_models(benchmark, best), min_targets))
    if newer_than is not None:
        groups.append(_newer(benchmark, newer_than, min_targets))
    if families:
        groups += _families(benchmark, families, min_targets)
    return groups


def _group(benchmark: Benchmark, label: str, targets: Positions, min_targets: int) -> ShiftedGroup:
    if targets.size < min_targets:
        return _skipped(label, f"Too few target models: {targets.size}, at least {min_targets} are needed.")
    n_sources = benchmark.n_models - targets.size
    if n_sources < MIN_SOURCES:
        return _skipped(label, f"Too few source models: {n_sources}, at least {MIN_SOURCES} are needed.")
    names = tuple(str(name) for name in benchmark.model_ids[targets])
    return ShiftedGroup(label=label, targets=targets, names=names, skipped="")


def _skipped(label: str, reason: str) -> ShiftedGroup:
    return ShiftedGroup(label=label, targets=np.empty(0, np.intp), names=(), skipped=reason)


def _newer(benchmark: Benchmark, date: str, min_targets: int) -> ShiftedGroup:
    import pandas as pd  # slow to import

    start = pd.to_datetime(date, errors="coerce")
    if pd.isna(start):
        raise ConfigError("newer_than is not a date.", where="newer_than", got=repr(date), hint="write it as 2024-06-01")
    label = f"released since {start:%Y-%m-%d}"
    if "release_date" not in benchmark.metadata.columns:
        return _skipped(label, "The metadata have no column release_date.")
    try:
        targets = match_models(benchmark, where=f"release_date >= '{start:%Y-%m-%d}'")
    except DataError as error:
        logger.debug("No models for the group '%s': %s", label, error)
        targets = np.empty(0, np.intp)
    return _group(benchmark, label, targets, min_targets)


def _families(benchmark: Benchmark, n_families: int, min_targets: int) -> list[ShiftedGroup]:
    if "family" not in benchmark.metadata.columns:
        return [_skipped("family", "The metadata have no column family.")]
    family = benchmark.metadata["family"].astype(object).to_numpy()
    named = [str(name) for name in family if isinstance(name, str)]
    if not named:
        return [_skipped("family", "No model has a known family.")]
    largest = sorted(set(named), key=lambda name: (-named.count(name), name))[:n_families]
    return [_group(benchmark, f"family {name}", np.flatnonzero(family == name), min_targets) for name in largest]
