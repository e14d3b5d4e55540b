"""Deprecated names with their current ones. They go on working until `REMOVED_IN`, and every use is reported."""

from __future__ import annotations

import logging
import warnings

SINCE, REMOVED_IN = "0.2", "0.3"
"""The release that deprecated the names below, and the one that removes them."""

RENAMED_API = {
    "Exported": "MicroBenchmark",
    "gate": "regression_gate",
    "items_for": "items_needed",
    "order_of_models": "ranking_probability",
    "order_of_scores": "posterior_ranking_probability",
    "told_apart": "detectable_difference",
}
"""Names in `microbench_ray`."""
RENAMED_KEYS = {
    "audit": {"wanted": "target_difference", "limits": "max_mdad"},
    "sweep": {"also_targets": "extra_targets"},
    "submit": {"also_targets": "extra_targets"},
}
"""By job, top-level configuration keys."""
RENAMED_SUBTASKS = {"together": "pooled", "apart": "separate"}
"""Values of `grid.subtasks`."""


def report_deprecated(old: str, new: str, *, logger: logging.Logger | None = None, stacklevel: int | None = None) -> None:
    """Report that a deprecated name was used.

    Parameters
    ----------
    old, new
        What was used, and what replaces it, as a user writes them.
    logger
        Where a user of the command line sees it; None for names that only programs use.
    stacklevel
        How many frames above the caller of this function the program is that used the name, for a `DeprecationWarning` that points
        to it; None for names that no program uses.
    """
    text = f"{old} is deprecated and will be removed in {REMOVED_IN}; use {new}"
    if logger is not None:
        logger.warning("%s", text)
    if stacklevel is not None:
        warnings.warn(text, DeprecationWarning, stacklevel=stacklevel + 2)
