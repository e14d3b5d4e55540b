"""The measures on arrays, whose results show themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microbench_ray import metrics
from microbench_ray.core.presented import Presented
from microbench_ray.metrics import IntervalKind, PairCounts, TiePolicy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("diff_lo", "diff_hi", "n_pairs", "n_agree", "n_tied", "agreement", "ci_lo", "ci_hi")


class AgreementCurve(Presented, metrics.AgreementCurve):
    """Agreement per half-point bin of the true difference, from bin 0 to the last one that holds a pair.

    Attributes
    ----------
    diff_lo, diff_hi
        (n_bins,) edges of each bin, as fractions.
    n_pairs, n_agree, n_tied
        (n_bins,) pairs, those ordered as the truth, and those tied in the estimates, before the tie policy is applied; under
        `paper` as that code counts.
    agreement
        (n_bins,) share agreeing under the tie policy, NaN in an empty bin.
    ci_lo, ci_hi
        (n_bins,) bounds of its interval, NaN in an empty bin.
    """

    def headline(self) -> str:
        """The numbers of bins and pairs."""
        return f"AgreementCurve of {int(self.n_pairs.sum()):,} pairs in {len(self.n_pairs)} bins of their difference, fractions"

    def table(self) -> pd.DataFrame:
        """A row per bin, with a column per attribute."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in COLUMNS})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw agreement against the difference in points, with the band of its interval; on new axes by default."""
        from microbench_ray.report.plots import axes_or_new, plot_curve

        axes = axes_or_new(ax)
        plot_curve(self.table(), axes)
        return axes


def agreement_curve(
    counts: PairCounts,
    *,
    tie_policy: TiePolicy = "wrong",
    ci: IntervalKind = "runs",
    level: float = 0.95,
    resampled: PairCounts | None = None,
) -> AgreementCurve:
    """Agreement per half-point bin of true difference, pooled over runs, with a confidence interval.

    Parameters
    ----------
    counts
        Of shape (n_runs, n_bins), or (n_bins,) for one run, as `mb.pair_counts` returns them.
    tie_policy
        How tied estimates count: `wrong`, `half`, `drop` (left out) or `paper`.
    ci
        What the interval resamples: `runs`, `pairs` (as the paper does; too narrow) or `models`.
    level
        Confidence level of the interval.
    resampled
        Counts with resamples of the models as leading axis, for `ci="models"`.

    Raises
    ------
    ConfigError, DataError
        As for `microbench_ray.metrics.agreement_curve`.

    Notes
    -----
    Section 3 of Yauney, Warraich and Swayamdipta (ICLR 2026, arXiv 2510.08730) defines agreement.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> counts = mb.pair_counts([0.5, 0.75, 1.0], [0.2, 0.4, 0.3], n_items=4)
    >>> mb.agreement_curve(counts).agreement[[50, 100]]
    array([0.5, 1. ])
    """
    curve = metrics.agreement_curve(counts, tie_policy=tie_policy, ci=ci, level=level, resampled=resampled)
    return AgreementCurve(**vars(curve))
