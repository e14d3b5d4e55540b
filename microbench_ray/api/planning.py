"""The questions of `microbench plan`, asked of a benchmark in memory and answered in closed form, without a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import PairMoments
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro import sample_size
from microbench_ray.micro.sample_size import Criterion

if TYPE_CHECKING:
    import pandas as pd

_PAIRS: WeakKeyDictionary[Benchmark, PairMoments] = WeakKeyDictionary()
"""Pairs of the benchmarks asked about so far, for as long as these are in use."""


def items_needed(
    benchmark: Benchmark, differences: float | Sequence[float], *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong"
) -> pd.DataFrame:
    """Number of random items that detect a difference between models.

    Parameters
    ----------
    benchmark
        A benchmark of models like those to be compared.
    differences
        True differences, fractions above 0: 0.02 is two points.
    threshold, tie_policy
        A difference is detected where agreement, with ties counted as `wrong`, `half` or dropped (`drop`), reaches the threshold.

    Returns
    -------
    pandas.DataFrame
        `difference` and `size`, one row per difference; `size` is missing where not even all items detect it.
    """
    import pandas as pd

    given = [differences] if isinstance(differences, float | int) else list(differences)
    answers = sample_size.items_needed(_pairs(benchmark), given, Criterion(threshold=threshold, tie_policy=tie_policy))
    return pd.DataFrame({"difference": given, "size": pd.array([answer.size for answer in answers], dtype="Int64")})


def detectable_difference(
    benchmark: Benchmark, size: int, *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong"
) -> dict[str, Any]:
    """The smallest difference that `size` random items detect.

    Returns
    -------
    dict
        `size`; `mdad`, a fraction, None where no difference is detected; `share_of_pairs` that differ by at least the MDAD;
        `mean_agreement` over all pairs.
    """
    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    return sample_size.detectable_difference(_pairs(benchmark), whole_number("size", size, 1), criterion)._asdict()


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int) -> dict[str, Any]:
    """Probability that `size` random items order two models of the benchmark as all items do.

    Returns
    -------
    dict
        `size`, `better`, `worse`, their `difference`, and the probabilities `right` and `tied`; None for models tied on all items.
    """
    return sample_size.ranking_probability(check_benchmark(benchmark), models, whole_number("size", size, 1))._asdict()


def posterior_ranking_probability(benchmark: Benchmark, scores: Sequence[float], size: int) -> dict[str, Any]:
    """Posterior probability that two micro-scores, fractions on `size` random items, are in the right order.

    The prior is uniform over the ordered pairs of the benchmark's models.

    Returns
    -------
    dict
        `size`, `scores` and their `difference`; `right`, the probability, None for equal scores; `expected_difference` of such
        models.
    """
    answer = sample_size.posterior_ranking_probability(_pairs(benchmark), scores, whole_number("size", size, 1))
    return answer._asdict() | {"scores": list(answer.scores)}


def regression_gate(benchmark: Benchmark, drop: float, size: int) -> pd.DataFrame:
    """Error rates, by tolerance, of a gate on `size` items that should alarm at a true fall of `drop`, a fraction.

    Returns
    -------
    pandas.DataFrame
        By `tolerance`: the rates `false_alarm` and `miss` on the same fixed items, and `false_alarm_fresh` and `miss_fresh` on
        items drawn anew for each version; one row is `recommended`. See `microbench_ray.micro.sample_size.regression_gate`.
    """
    import pandas as pd

    return pd.DataFrame(sample_size.regression_gate(benchmark, _pairs(benchmark), drop, whole_number("size", size, 1)))


def _pairs(benchmark: Benchmark) -> PairMoments:
    check_benchmark(benchmark)
    if benchmark not in _PAIRS:
        _PAIRS[benchmark] = sample_size.pairs_of(benchmark)
    return _PAIRS[benchmark]
