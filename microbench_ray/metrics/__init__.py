"""Pair counts, agreement curves, MDAD and their intervals: pure functions of arrays."""

from microbench_ray.metrics.accuracies import pair_counts
from microbench_ray.metrics.best import best_p_values, holm
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS, PairCounts
from microbench_ray.metrics.curve import AgreementCurve, agreement_curve
from microbench_ray.metrics.intervals import INTERVAL_KINDS, IntervalKind
from microbench_ray.metrics.mdad import Mdad, mdad, mdads, share_reliable
from microbench_ray.metrics.model_bootstrap import bootstrap_models, expanded_level
from microbench_ray.metrics.paired import (
    BootstrapCrossings,
    Difference,
    PairedDifferences,
    bootstrap_crossings,
    paired_differences,
    paired_run_weights,
)
from microbench_ray.metrics.pairs import (
    TIE_TOLERANCE,
    Comparison,
    TruePairs,
    compare,
    count_pairs,
    kendall_tau,
    mean_abs_error,
    true_pairs,
)
from microbench_ray.metrics.ties import TIE_POLICIES, TiePolicy, agreeing, mean_agreement

__all__ = [
    "BINS_PER_UNIT",
    "INTERVAL_KINDS",
    "N_BINS",
    "TIE_POLICIES",
    "TIE_TOLERANCE",
    "AgreementCurve",
    "BootstrapCrossings",
    "Comparison",
    "Difference",
    "IntervalKind",
    "Mdad",
    "PairCounts",
    "PairedDifferences",
    "TiePolicy",
    "TruePairs",
    "agreeing",
    "agreement_curve",
    "best_p_values",
    "bootstrap_crossings",
    "bootstrap_models",
    "compare",
    "count_pairs",
    "expanded_level",
    "holm",
    "kendall_tau",
    "mdad",
    "mdads",
    "mean_abs_error",
    "mean_agreement",
    "pair_counts",
    "paired_differences",
    "paired_run_weights",
    "share_reliable",
    "true_pairs",
]
