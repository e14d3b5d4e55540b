"""The noise of single runs of a benchmark, or why its answers are for the means of its repeats."""

from __future__ import annotations

from microbench_ray.core.errors import ConfigError, DataWarning
from microbench_ray.data import Benchmark
from microbench_ray.data.suspicious import warn
from microbench_ray.metrics.run_noise import RunNoise


def check_repeats(n_repeats: int) -> None:
    """Raise ConfigError for fewer than one repeat."""
    if n_repeats < 1:
        raise ConfigError("An item is answered at least once.", where="n_repeats", got=str(n_repeats), hint="n_repeats=1")


def noise_left_out(benchmark: Benchmark) -> DataWarning | None:
    """Why the noise of a benchmark's repeats is not used; None where it is, and without repeats.

    The closed forms of single runs (`metrics.run_noise`) are for items that all count the same and are independent.
    """
    kept = [f"truth={benchmark.truth}"] if benchmark.truth == "macro" else []
    kept += ["weights of items"] if benchmark.weights is not None else []
    kept += ["clusters of items"] if benchmark.cluster_codes is not None else []
    if benchmark.repeats is None or not kept:
        return None
    return DataWarning(
        "Answers are for means of all repeats of each item, not for single runs.",
        where="benchmark",
        got=f"repeats beside {' and '.join(kept)}",
        hint="the noise of single runs is known with truth=micro, without weights and clusters of items",
    )


def run_noise_of(benchmark: Benchmark, n_repeats: int | None = None) -> RunNoise | None:
    """The noise of the benchmark's repeats, for micro-scores of `n_repeats`, by default 1; None where it has none or is left out.

    Raises
    ------
    ConfigError
        Fewer than one repeat; several, of a benchmark without repeats; any number where the noise is left out.

    Warns
    -----
    DataWarning
        The benchmark has repeats, and their noise is left out (`noise_left_out`). The command line shows a note instead.
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
    left_out = noise_left_out(benchmark)
    if left_out is None:
        return RunNoise.of(benchmark.repeats, n_repeats or 1)
    if n_repeats is not None:
        got = f"{n_repeats}, and {left_out.got}"
        raise ConfigError("Numbers of repeats are not available here.", where="n_repeats", got=got, hint=left_out.hint)
    warn([left_out])
    return None
