"""The questions of `microbench plan`, asked of a benchmark in memory and answered in closed form, without a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.data import Benchmark
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro import gate, posterior, sample_size
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
        `difference`, `size`, `low`, `high` and `reference`, one row per difference. `size` is missing where not even all items
        detect it; `low` and `high` are its 95 % interval over models, `high` missing where more than all items would be needed;
        `reference` is `benchmark`, or for benchmarks of fewer than 200 items `population`: pairs are then to be ordered as by the
        population of items that these are a sample of.
    """
    import pandas as pd

    given = [differences] if isinstance(differences, float | int) else list(differences)
    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    answers = sample_size.items_needed(_pairs(benchmark), given, criterion, name=benchmark.name)
    columns: dict[str, Any] = {"difference": given}
    columns |= {name: pd.array([getattr(row, name) for row in answers], dtype="Int64") for name in ("size", "low", "high")}
    return pd.DataFrame(columns | {"reference": [answer.reference for answer in answers]})


def detectable_difference(
    benchmark: Benchmark, size: int, *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong"
) -> dict[str, Any]:
    """The smallest difference that `size` random items detect.

    Returns
    -------
    dict
        `size`; `mdad`, a fraction, None where no difference is detected; `share_of_pairs` that differ by at least the MDAD;
        `mean_agreement` over all pairs; `mdad_low` and `mdad_high`, the 95 % interval of the MDAD over models; `reference`, as for
        `ranking_probability`.
    """
    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    answer = sample_size.detectable_difference(_pairs(benchmark), whole_number("size", size, 1), criterion, name=benchmark.name)
    return answer._asdict()


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int) -> dict[str, Any]:
    """Probability that `size` random items order two models of the benchmark as all items do.

    Where the benchmark has fewer than 200 items, or `size` is all of them, the order to be found is not that of these items but of
    the population that they are a sample of.

    Returns
    -------
    dict
        `size`, `better`, `worse`, their `difference` on the benchmark, and the probabilities `right` and `tied`; `right_beyond`,
        the probability that the order on all items is that of the population; `difference_low` and `difference_high`, the 95 %
        interval of the difference on the population; `reference`, `benchmark` or `population`: what `right` refers to;
        `n_answered`, the items that the better and the worse model answered. For models tied on all items, names and probabilities
        are None.
    """
    answer = sample_size.ranking_probability(check_benchmark(benchmark), models, whole_number("size", size, 1))
    return answer._asdict() | {"n_answered": list(answer.n_answered)}


def posterior_ranking_probability(benchmark: Benchmark, scores: Sequence[float], size: int) -> dict[str, Any]:
    """Posterior probability that two micro-scores, fractions on `size` random items, are in the right order.

    The prior is uniform over the pairs of the benchmark's models at the level of these scores.

    Returns
    -------
    dict
        `size`, `scores` and their `difference`; `right`, the probability, None for equal scores; `expected_difference` of such
        models; `n_pairs`, the number of pairs at that level, and `accuracy_low` and `accuracy_high`, the range of their accuracies;
        `reference`, as for `ranking_probability`.
    """
    answer = posterior.posterior_ranking_probability(_pairs(benchmark), scores, whole_number("size", size, 1))
    return answer._asdict() | {"scores": list(answer.scores)}


def regression_gate(benchmark: Benchmark, drop: float, size: int) -> pd.DataFrame:
    """Error rates, by tolerance, of a gate on `size` items that should alarm at a true fall of `drop`, a fraction.

    Returns
    -------
    pandas.DataFrame
        By `tolerance`: the rates `false_alarm` and `miss` on the same fixed items, and `false_alarm_fresh` and `miss_fresh` on
        items drawn anew for each version; one row is `recommended`; `reference`, as for `ranking_probability`. See
        `microbench_ray.micro.gate.regression_gate`.
    """
    import pandas as pd

    return pd.DataFrame(gate.regression_gate(benchmark, _pairs(benchmark), drop, whole_number("size", size, 1)))


def _pairs(benchmark: Benchmark) -> PairMoments:
    check_benchmark(benchmark)
    if benchmark not in _PAIRS:
        _PAIRS[benchmark] = sample_size.pairs_of(benchmark)
    return _PAIRS[benchmark]
