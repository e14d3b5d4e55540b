"""The questions of `microbench plan`, asked of a benchmark: answered in closed form, without a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import PairMoments
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro import sample_size as answers
from microbench_ray.micro.sample_size import Answer, Criterion

if TYPE_CHECKING:
    import pandas as pd

_PAIRS: WeakKeyDictionary[Benchmark, PairMoments] = WeakKeyDictionary()
"""The pairs of benchmarks that were asked about, as long as these live."""


def items_needed(
    benchmark: Benchmark, differences: float | Sequence[float], *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong"
) -> pd.DataFrame:
    """How many random items tell models so far apart?

    Parameters
    ----------
    benchmark
        Any.
    differences
        True differences, fractions above 0: 0.02 is two points.
    threshold, tie_policy
        Told apart means that agreement, with ties counted `wrong`, `half` or `drop` (left out), reaches the threshold.

    Returns
    -------
    pandas.DataFrame
        `difference` and `size`, a row each; `size` is missing where not even all items reach it.
    """
    import pandas as pd

    wanted = [differences] if isinstance(differences, float | int) else list(differences)
    rows = answers.items_needed(_pairs(benchmark), wanted, Criterion(threshold, tie_policy))
    return pd.DataFrame({"difference": wanted, "size": pd.array([row["size"] for row in rows], dtype="Int64")})


def detectable_difference(benchmark: Benchmark, size: int, *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong") -> Answer:
    """What do `size` random items tell apart?

    Returns
    -------
    dict
        `mdad` (a fraction, None where it is never reached), `share_of_pairs` that differ by it, `mean_agreement` over all pairs.
    """
    return answers.detectable_difference(_pairs(benchmark), size, Criterion(threshold, tie_policy))


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int) -> Answer:
    """How often do `size` random items order two models of the benchmark as all items do?

    Returns
    -------
    dict
        `better`, `worse`, their `difference`, and the probabilities `right` and `tied`.
    """
    return answers.ranking_probability(benchmark, models, size)


def posterior_ranking_probability(benchmark: Benchmark, scores: Sequence[float], size: int) -> Answer:
    """How sure is the order of two micro-scores, fractions, on `size` random items? Any pair of the benchmark is as likely before.

    Returns
    -------
    dict
        `right`, the probability (None for equal scores), and `expected_difference` of such models.
    """
    return answers.posterior_ranking_probability(_pairs(benchmark), scores, size)


def regression_gate(benchmark: Benchmark, drop: float, size: int) -> pd.DataFrame:
    """At which fall of a micro-score should a gate alarm that is to see a true fall of `drop`, a fraction, on `size` items?

    Returns
    -------
    pandas.DataFrame
        Per `tolerance`: rates `false_alarm` and `miss` on the same fixed items, and both on fresh ones; one row is
        `recommended`. See `microbench_ray.micro.sample_size.regression_gate`.
    """
    import pandas as pd

    return pd.DataFrame(answers.regression_gate(benchmark, _pairs(benchmark), drop, size))


def _pairs(benchmark: Benchmark) -> PairMoments:
    if benchmark not in _PAIRS:
        _PAIRS[benchmark] = answers.pairs_of(benchmark)
    return _PAIRS[benchmark]
