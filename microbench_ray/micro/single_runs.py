"""The noise of single runs of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.seeding import plan_stream
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import mean_one_weights
from microbench_ray.metrics.answer_draws import AnswerDraws
from microbench_ray.metrics.run_noise import RunNoise


def check_repeats(n_repeats: int) -> None:
    """Raise ConfigError for fewer than one repeat."""
    if n_repeats < 1:
        raise ConfigError("An item is answered at least once.", where="n_repeats", got=str(n_repeats), hint="n_repeats=1")


def run_noise_of(benchmark: Benchmark, n_repeats: int | None = None, models: Sequence[int] | None = None) -> RunNoise | None:
    """The noise of the benchmark's repeats, for micro-scores of `n_repeats`, by default 1; None where it has none.

    With `models`, of the models at these positions, which are then counted from 0.

    Raises
    ------
    ConfigError
        Fewer than one repeat; several, of a benchmark without repeats.
    """
    if n_repeats is not None:
        check_repeats(n_repeats)
    if benchmark.repeats is None:
        if n_repeats is not None and n_repeats > 1:
            raise ConfigError(
                "The benchmark has no repeats, so their noise is not known.",
                where="n_repeats",
                got=str(n_repeats),
                hint="read a board with several answers to an item: epochs, repeats, or a table with a column of repeats",
            )
        return None
    noise = RunNoise.of(benchmark.repeats, n_repeats or 1, mean_one_weights(benchmark))
    return with_draws(noise if models is None else noise.take(np.array(models)), benchmark, models)


def with_draws(noise: RunNoise, benchmark: Benchmark, models: Sequence[int] | None = None) -> RunNoise:
    """The noise with samples of answers, where these are graded or items count differently, and there are as many repeats."""
    repeats, weights = benchmark.repeats, mean_one_weights(benchmark)
    if repeats is not None and models is not None:
        repeats = repeats[list(models)]
    if repeats is None or noise.n_repeats > repeats.shape[2] or (noise.steps == 1 and weights is None):
        return replace(noise, draws=None)
    rng = plan_stream(0, benchmark.name, "answers")
    return replace(noise, draws=AnswerDraws(repeats, noise.n_repeats, noise.steps, rng, weights))
