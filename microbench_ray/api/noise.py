"""The noise of a benchmark whose answers were repeated, and what it leaves of a micro-benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microbench_ray.api.arguments import check_benchmark, whole_numbers
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.core.presented import Presented
from microbench_ray.data import Benchmark
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro import noise as of_benchmark
from microbench_ray.micro.noise import BenchmarkNoise
from microbench_ray.micro.plan_report import noise_sentences
from microbench_ray.micro.sample_size import Criterion

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Noise(Presented):
    """What `mb.noise` found.

    Attributes
    ----------
    found
        All numbers: see `microbench_ray.micro.noise.BenchmarkNoise`.
    """

    found: BenchmarkNoise

    @property
    def floor(self) -> float:
        """Smallest true difference that one run of all items orders right with the threshold's probability; a fraction."""
        return self.found.floor

    @property
    def floor_without_effect(self) -> float:
        """The same without the effects that runs have on all items; a fraction."""
        return self.found.floor_without_effect

    def headline(self) -> str:
        """The answer in sentences."""
        return " ".join(noise_sentences(of_benchmark.summary(self.found)))

    def table(self) -> pd.DataFrame:
        """One row per model.

        Columns: `model`, `accuracy`, `n_repeats`; `share_between_items`, `share_within_items` and `share_runs` of the variance of a
        single answer; `run_effect`, the standard deviation of an effect that a run has on all items, and `run_effect_p`, the
        p-value of there being none; `run_deviation` and `run_deviation_without_effect`, the standard deviation of the accuracy of
        one run of all items. Accuracies and deviations are fractions.
        """
        import pandas as pd

        return pd.DataFrame([row._asdict() for row in self.found.models])

    def mdads(self, sizes: int | Sequence[int], n_repeats: int | Sequence[int] = 1) -> pd.DataFrame:
        """What micro-scores of these numbers of random items and of repeats of each order right.

        Columns: `size`, `n_repeats`, `answers` (their product), `deviation` of the difference of two micro-scores, `mdad`,
        `mean_agreement`. Truth is the order of the models' expectations over repeats.

        Raises
        ------
        ConfigError
            A size outside the benchmark, or fewer than one repeat.
        """
        import pandas as pd

        sizes, repeats = whole_numbers("sizes", sizes), whole_numbers("n_repeats", n_repeats)
        return pd.DataFrame([row._asdict() for row in of_benchmark.table_rows(sizes, repeats, self.found)])

    def split(self, budgets: int | Sequence[int]) -> pd.DataFrame:
        """The best split of a budget of answers of each model: more items, or more repeats?

        Columns: `budget`, `size` and `n_repeats` of the best split, its `deviation`, `mdad` and `mean_agreement`, and `equal`:
        other splits, as (size, n_repeats), whose deviation is larger by less than 2 %.

        Raises
        ------
        ConfigError
            A budget below 1.
        """
        import pandas as pd

        given = whole_numbers("budgets", budgets)
        return pd.DataFrame([of_benchmark.split_row(self.found.split(budget)) for budget in given])


def noise(benchmark: Benchmark, *, threshold: float = 0.8, tie_policy: TiePolicy = "wrong") -> Noise:
    """How much of a benchmark's scores is noise between repeats, and what one run of it can tell apart.

    Parameters
    ----------
    benchmark
        A benchmark with repeats (`Benchmark.repeats`).
    threshold, tie_policy
        A difference is detected where agreement, with ties counted as `wrong`, `half` or dropped (`drop`), reaches the threshold.

    Returns
    -------
    Noise
        `floor`; `table()` has the variance components of each model; `mdads(sizes, n_repeats)` and `split(budgets)`.

    Raises
    ------
    ConfigError
        A threshold outside (0.5, 1).
    DataError
        The benchmark has no repeats.

    Notes
    -----
    Components are estimated by mean squares, model by model (Searle, Casella and McCulloch 1992, "Variance Components"): between
    items, between the repeats of an item, and of an effect that a run has on all items, which more items do not lessen. The last
    needs repeats in the order of their runs.

    Examples
    --------
    >>> import numpy as np
    >>> import microbench_ray as mb
    >>> rng = np.random.default_rng(0)
    >>> chances = rng.random((10, 200, 1))
    >>> board = mb.benchmark((rng.random((10, 200, 5)) < chances).astype(float), name="drawn")
    >>> 0.02 < mb.noise(board).floor < 0.05
    True
    """
    if not 0.5 < threshold < 1:
        what = "A noise floor needs a threshold above 0.5 and below 1."
        raise ConfigError(what, where="threshold", got=f"{threshold:g}", hint=fraction_hint("threshold", threshold, "0.8"))
    criterion = Criterion(threshold=threshold, tie_policy=tie_policy)
    return Noise(of_benchmark.measure_noise(check_benchmark(benchmark), criterion))
