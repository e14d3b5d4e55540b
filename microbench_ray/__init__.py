"""How reliably does a micro-benchmark rank two models?

For a notebook, without Ray or Hydra: `pair_counts` compares estimates with true accuracies, `agreement_curve` and `mdad` read the
answer off the counts. A sweep over benchmarks, methods and sizes is `microbench sweep` on the command line.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microbench_ray.data import Benchmark, read_release, read_scores, synthetic
    from microbench_ray.errors import MicrobenchError
    from microbench_ray.metrics import AgreementCurve, Mdad, PairCounts, agreement_curve, mdad, pair_counts

__all__ = [
    "AgreementCurve",
    "Benchmark",
    "Mdad",
    "MicrobenchError",
    "PairCounts",
    "agreement_curve",
    "mdad",
    "pair_counts",
    "read_release",
    "read_scores",
    "synthetic",
]


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` when it is asked for: the numerical libraries take longer than `microbench --help` should."""
    if name in __all__:
        from microbench_ray import data, errors, metrics

        for module in (data, errors, metrics):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
