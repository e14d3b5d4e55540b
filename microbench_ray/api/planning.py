"""The questions of `microbench plan`, asked of a benchmark in memory and answered in closed form, without a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.core.shown import escape_controls
from microbench_ray.data import Benchmark
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro import gate, posterior, sample_size
from microbench_ray.micro.affordable import affordable_items as affordable
from microbench_ray.micro.plan_report import affordable_sentence, detectable_sentence, posterior_sentence, ranking_sentence
from microbench_ray.micro.sample_size import Criterion

if TYPE_CHECKING:
    from microbench_ray.api.answers import Answer, GateTable, ItemsNeeded

_PAIRS: WeakKeyDictionary[Benchmark, dict[int | None, PairMoments]] = WeakKeyDictionary()
"""Pairs of the benchmarks asked about so far, by numbers of repeats, for as long as these are in use."""


def items_needed(
    benchmark: Benchmark,
    differences: float | Sequence[float],
    *,
    threshold: float = 0.8,
    tie_policy: TiePolicy = "wrong",
    n_repeats: int | None = None,
) -> ItemsNeeded:
    """Number of random items that detect a difference between models.

    Parameters
    ----------
    benchmark
        A benchmark of models like those to be compared.
    differences
        True differences, fractions above 0: 0.02 is two points.
    threshold, tie_policy
        A difference is detected where agreement, with ties counted as `wrong`, `half` or dropped (`drop`), reaches the threshold.
    n_repeats
        Of a benchmark with repeats: how many repeats of each item a micro-score is the mean of, 1 by default. The order to be found
        is then that of the models' expectations over repeats.

    Returns
    -------
    pandas.DataFrame
        `difference`, `size`, `low`, `high` and `reference`, one row per difference. `size` is missing where not even all items
        detect it; `low` and `high` are its 95 % interval over models, `high` missing where more than all items would be needed;
        `reference` is `benchmark`, or for benchmarks of fewer than 200 items `population`: pairs are then to be ordered as by the
        population of items that these are a sample of. `plot()` draws the sizes, `to_markdown()` and `to_latex()` write them.

    Raises
    ------
    ConfigError
        A difference outside (0, 1], or an invalid threshold or tie policy.
    DataError
        The benchmark has fewer than two models.

    Notes
    -----
    Agreement and its threshold are those of Yauney, Warraich and Swayamdipta (ICLR 2026, arXiv 2510.08730); the closed form for
    uniform random items is in `microbench_ray.metrics.closed_form`.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=100, n_items=1000)
    >>> needed = mb.items_needed(board, [0.05, 0.1])
    >>> bool(needed["size"][0] > needed["size"][1])
    True
    """
    import pandas as pd

    from microbench_ray.api.answers import ItemsNeeded

    given = [differences] if isinstance(differences, float | int) else list(differences)
    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    answers = sample_size.items_needed(_pairs(benchmark, n_repeats), given, criterion, name=benchmark.name)
    columns: dict[str, Any] = {"difference": given}
    columns |= {name: pd.array([getattr(row, name) for row in answers], dtype="Int64") for name in ("size", "low", "high")}
    frame = pd.DataFrame(columns | {"reference": [answer.reference for answer in answers]})
    result: ItemsNeeded = ItemsNeeded.of(
        frame, f"Random items of {_named(benchmark)} that detect a difference (agreement {threshold:g}, ties {tie_policy})"
    )
    return result


def affordable_items(benchmark: Benchmark, cost: float, *, n_repeats: int | None = None) -> Answer:
    """How many random items a budget buys.

    Parameters
    ----------
    benchmark
        A benchmark whose items have costs.
    cost
        The budget, in the unit of these costs.
    n_repeats
        How often each item is asked; once by default.

    Returns
    -------
    dict
        `cost`, the budget; `size`, the number of random items that cost no more on average; `mean_cost` of an item and `total_cost`
        of all, with all repeats; `high`, what 19 of 20 draws of `size` items cost at most. Its `repr` is a sentence, and `table()`
        a DataFrame of one row.

    Raises
    ------
    ConfigError
        The budget is not a positive number or is below the mean cost of an item, or the benchmark has no costs.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.benchmark([[1, 0, 1, 1], [0, 0, 1, 0]], cost=[100, 200, 300, 400])
    >>> mb.affordable_items(board, 600)["size"]
    2
    """
    from microbench_ray.api.answers import Answer

    answer = affordable(check_benchmark(benchmark), cost, _repeats(n_repeats))._asdict()
    return Answer(answer, affordable_sentence(answer))


def detectable_difference(
    benchmark: Benchmark,
    size: int,
    *,
    threshold: float = 0.8,
    tie_policy: TiePolicy = "wrong",
    n_repeats: int | None = None,
) -> Answer:
    """The smallest difference that `size` random items detect.

    Parameters
    ----------
    benchmark
        A benchmark of models like those to be compared.
    size
        Number of random items, at most all.
    threshold, tie_policy, n_repeats
        As for `items_needed`.

    Returns
    -------
    dict
        `size`; `mdad`, a fraction, None where no difference is detected; `share_of_pairs` that differ by at least the MDAD;
        `mean_agreement` over all pairs; `mdad_low` and `mdad_high`, the 95 % interval of the MDAD over models; `reference`, as for
        `ranking_probability`. Its `repr` is a sentence, and `table()` a DataFrame of one row.

    Raises
    ------
    ConfigError
        A size outside the benchmark, or an invalid threshold or tie policy.
    DataError
        All models are tied.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=100, n_items=1000)
    >>> answer = mb.detectable_difference(board, 100)
    >>> 0 < answer["mdad"] < 0.2
    True
    """
    from microbench_ray.api.answers import Answer

    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    answer = sample_size.detectable_difference(
        _pairs(benchmark, n_repeats), whole_number("size", size, 1), criterion, name=benchmark.name
    )
    return Answer(answer._asdict(), detectable_sentence(answer._asdict()))


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int, *, n_repeats: int | None = None) -> Answer:
    """Probability that `size` random items order two models of the benchmark as all items do.

    Where the benchmark has fewer than 200 items, or `size` is all of them, the order to be found is not that of these items but of
    the population that they are a sample of.

    Parameters
    ----------
    benchmark
        The benchmark.
    models
        Ids of two of its models.
    size
        Number of random items, at most all.
    n_repeats
        As for `items_needed`.

    Returns
    -------
    dict
        `size`, `better`, `worse`, their `difference` on the benchmark, and the probabilities `right` and `tied`; `right_beyond`,
        the probability that the order on all items is that of the population; `difference_low` and `difference_high`, the 95 %
        interval of the difference on the population; `reference`, `benchmark` or `population`: what `right` refers to;
        `n_answered`, the items that the better and the worse model answered; `power`, the probability that `mb.compare` on such
        items finds the better model (its 95 % interval is above 0), None where items count differently, are in clusters or were not
        all answered by both. For models tied on all items, names and probabilities are None. Its `repr` is a sentence, and
        `table()` a DataFrame of one row.

    Raises
    ------
    ConfigError
        The models are not two different models of the benchmark, or the size is outside it.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=100, n_items=1000)
    >>> answer = mb.ranking_probability(board, board.model_ids[:2], 100)
    >>> 0 <= answer["right"] <= 1
    True
    """
    from microbench_ray.api.answers import Answer

    answer = sample_size.ranking_probability(
        check_benchmark(benchmark), list(models), whole_number("size", size, 1), _repeats(n_repeats)
    )
    content = answer._asdict() | {"n_answered": list(answer.n_answered)}
    return Answer(content, ranking_sentence(content, benchmark.n_items))


def posterior_ranking_probability(
    benchmark: Benchmark, scores: Sequence[float], size: int, *, n_repeats: int | None = None
) -> Answer:
    """Posterior probability that two micro-scores, fractions on `size` random items, are in the right order.

    The prior is uniform over the pairs of the benchmark's models at the level of these scores.

    Parameters
    ----------
    benchmark
        A benchmark of models like the two.
    scores
        The two micro-scores, fractions.
    size
        Number of random items that they were measured on.
    n_repeats
        As for `items_needed`.

    Returns
    -------
    dict
        `size`, `scores` and their `difference`; `right`, the probability, None for equal scores; `expected_difference` of such
        models; `n_pairs`, the number of pairs at that level, and `accuracy_low` and `accuracy_high`, the range of their accuracies;
        `reference`, as for `ranking_probability`. Its `repr` is a sentence, and `table()` a DataFrame of one row.

    Raises
    ------
    ConfigError
        The scores are not two fractions in [0, 1], or the size is outside the benchmark.
    DataError
        No two models of the benchmark would show such scores.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=100, n_items=1000)
    >>> mb.posterior_ranking_probability(board, [0.7, 0.5], 100)["right"] > 0.9
    True
    """
    from microbench_ray.api.answers import Answer

    answer = posterior.posterior_ranking_probability(_pairs(benchmark, n_repeats), scores, whole_number("size", size, 1))
    content = answer._asdict() | {"scores": list(answer.scores)}
    return Answer(content, posterior_sentence(content))


def regression_gate(benchmark: Benchmark, drop: float, size: int, *, n_repeats: int | None = None) -> GateTable:
    """Error rates, by tolerance, of a gate on `size` items that should alarm at a true fall of `drop`, a fraction.

    Parameters
    ----------
    benchmark
        A benchmark of models like the one whose versions are to be compared.
    drop
        The true fall that should alarm, a fraction of at least 0.005.
    size
        Number of items of the gate.
    n_repeats
        As for `items_needed`.

    Returns
    -------
    pandas.DataFrame
        By `tolerance`: the rates `false_alarm` and `miss` on the same fixed items, and `false_alarm_fresh` and `miss_fresh` on
        items drawn anew for each version; one row is `recommended`; `reference`, as for `ranking_probability`. `plot()` draws the
        rates. See `microbench_ray.micro.gate.regression_gate`.

    Raises
    ------
    ConfigError
        An invalid drop, or a size outside the benchmark.
    DataError
        No pairs of the benchmark differ so much, or so little, that they could stand for two versions.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=100, n_items=1000)
    >>> gate = mb.regression_gate(board, drop=0.05, size=200)
    >>> int(gate["recommended"].sum())
    1
    """
    import pandas as pd

    from microbench_ray.api.answers import GateTable

    rows = pd.DataFrame(gate.regression_gate(benchmark, _pairs(benchmark, n_repeats), drop, whole_number("size", size, 1)))
    result: GateTable = GateTable.of(rows, f"A gate on {size} items of {_named(benchmark)}, for a true fall of {drop:g}")
    return result


def _pairs(benchmark: Benchmark, n_repeats: int | None) -> PairMoments:
    check_benchmark(benchmark)
    of_benchmark, repeats = _PAIRS.setdefault(benchmark, {}), _repeats(n_repeats)
    if repeats not in of_benchmark:
        of_benchmark[repeats] = sample_size.pairs_of(benchmark, repeats)
    return of_benchmark[repeats]


def _repeats(given: int | None) -> int | None:
    return None if given is None else whole_number("n_repeats", given, 1)


def _named(benchmark: Benchmark) -> str:
    return f"{escape_controls(benchmark.name)} ({benchmark.n_models:,} models, {benchmark.n_items:,} items)"
