"""How reliably does a micro-benchmark rank two models?

For a notebook, without Ray or Hydra: `benchmark` and the readers bring scores in, `sweep` measures methods on them, `items_for` and
its kin answer a planner's questions, `export` builds a micro-benchmark and `score` reads new models off it. `pair_counts`,
`agreement_curve` and `mdad` are the measures themselves, on arrays of accuracies.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microbench_ray.api.methods import method, method_names
    from microbench_ray.api.micro import export, load_micro, score
    from microbench_ray.api.planning import gate, items_for, order_of_models, order_of_scores, told_apart
    from microbench_ray.api.sweep import Result, sweep
    from microbench_ray.core.errors import MicrobenchError
    from microbench_ray.data import Benchmark, read_ingested, read_release, read_scores, synthetic
    from microbench_ray.data.memory import benchmark
    from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, SelectorWithoutFit
    from microbench_ray.metrics import AgreementCurve, Mdad, PairCounts, agreement_curve, mdad, pair_counts
    from microbench_ray.micro.artifact import Exported
    from microbench_ray.sweeps.grid import Targets

_HOMES = {
    "data": ("Benchmark", "read_ingested", "read_release", "read_scores", "synthetic"),
    "data.memory": ("benchmark",),
    "core.errors": ("MicrobenchError",),
    "micro.artifact": ("Exported",),
    "sweeps.grid": ("Targets",),
    "api.methods": ("method", "method_names"),
    "api.micro": ("export", "load_micro", "score"),
    "api.planning": ("gate", "items_for", "order_of_models", "order_of_scores", "told_apart"),
    "api.sweep": ("Result", "sweep"),
    "methods.base": ("EstimatorWithoutFit", "SeenItems", "Selection", "SelectorWithoutFit"),
    "metrics": ("AgreementCurve", "Mdad", "PairCounts", "agreement_curve", "mdad", "pair_counts"),
}

__all__ = [
    "AgreementCurve",
    "Benchmark",
    "EstimatorWithoutFit",
    "Exported",
    "Mdad",
    "MicrobenchError",
    "PairCounts",
    "Result",
    "SeenItems",
    "Selection",
    "SelectorWithoutFit",
    "Targets",
    "agreement_curve",
    "benchmark",
    "export",
    "gate",
    "items_for",
    "load_micro",
    "mdad",
    "method",
    "method_names",
    "order_of_models",
    "order_of_scores",
    "pair_counts",
    "read_ingested",
    "read_release",
    "read_scores",
    "score",
    "sweep",
    "synthetic",
    "told_apart",
]


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` when it is asked for: the numerical libraries take longer than `microbench --help` should."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"microbench_ray.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
