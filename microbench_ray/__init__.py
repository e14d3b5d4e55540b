"""How reliably does a micro-benchmark rank two models?

The API for notebooks needs neither Ray nor Hydra. `benchmark` and the `read_…` functions take in scores, and `sweep` measures
methods on them. `compare` says whether one run is better than another, and `Sequential` says so with as few items as it takes.
`items_needed`, `affordable_items`, `detectable_difference`, `ranking_probability`, `posterior_ranking_probability` and
`regression_gate` plan a micro-benchmark, `export` builds one, and `score` estimates new models with it. `pair_counts`,
`agreement_curve` and `mdad` are the measures themselves, on arrays of accuracies.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from microbench_ray.core import deprecation as _deprecation

if TYPE_CHECKING:
    from microbench_ray.api.boards import leave_out_boards
    from microbench_ray.api.comparing import RunComparison, compare
    from microbench_ray.api.costs import read_inspect_costs
    from microbench_ray.api.measures import AgreementCurve, agreement_curve
    from microbench_ray.api.methods import method, method_names
    from microbench_ray.api.micro import export, load_micro, score
    from microbench_ray.api.noise import Noise, noise
    from microbench_ray.api.planning import (
        affordable_items,
        detectable_difference,
        items_needed,
        posterior_ranking_probability,
        ranking_probability,
        regression_gate,
    )
    from microbench_ray.api.ranks import rank_intervals
    from microbench_ray.api.sequential import Sequential, SequentialVerdict
    from microbench_ray.api.sweep import sweep
    from microbench_ray.api.swept import Result
    from microbench_ray.core.errors import DataWarning, MicrobenchError
    from microbench_ray.data import Benchmark, read_ingested, read_release, read_scores, suite, synthetic
    from microbench_ray.data.memory import benchmark
    from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, SelectorWithoutFit
    from microbench_ray.metrics import Mdad, PairCounts, mdad, pair_counts
    from microbench_ray.micro.artifact import MicroBenchmark
    from microbench_ray.micro.sequential.inspect_stopping import InspectStopping
    from microbench_ray.sweeps.grid import Targets

__version__: str  # of the installed package, looked up on first use

logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "api.boards": ("leave_out_boards",),
    "api.measures": ("AgreementCurve", "agreement_curve"),
    "api.comparing": ("RunComparison", "compare"),
    "api.costs": ("read_inspect_costs",),
    "api.methods": ("method", "method_names"),
    "api.micro": ("export", "load_micro", "score"),
    "api.noise": ("Noise", "noise"),
    "api.planning": (
        "affordable_items",
        "detectable_difference",
        "items_needed",
        "posterior_ranking_probability",
        "ranking_probability",
        "regression_gate",
    ),
    "api.ranks": ("rank_intervals",),
    "api.sequential": ("Sequential", "SequentialVerdict"),
    "api.swept": ("Result",),
    "api.sweep": ("sweep",),
    "core.errors": ("DataWarning", "MicrobenchError"),
    "data": ("Benchmark", "read_ingested", "read_release", "read_scores", "suite", "synthetic"),
    "data.memory": ("benchmark",),
    "methods.base": ("EstimatorWithoutFit", "SeenItems", "Selection", "SelectorWithoutFit"),
    "metrics": ("Mdad", "PairCounts", "mdad", "pair_counts"),
    "micro.artifact": ("MicroBenchmark",),
    "micro.sequential.inspect_stopping": ("InspectStopping",),
    "sweeps.grid": ("Targets",),
}
__all__ = [
    "AgreementCurve",
    "Benchmark",
    "DataWarning",
    "EstimatorWithoutFit",
    "InspectStopping",
    "Mdad",
    "MicroBenchmark",
    "MicrobenchError",
    "Noise",
    "PairCounts",
    "Result",
    "RunComparison",
    "SeenItems",
    "Selection",
    "SelectorWithoutFit",
    "Sequential",
    "SequentialVerdict",
    "Targets",
    "affordable_items",
    "agreement_curve",
    "benchmark",
    "compare",
    "detectable_difference",
    "export",
    "items_needed",
    "leave_out_boards",
    "load_micro",
    "mdad",
    "method",
    "method_names",
    "noise",
    "pair_counts",
    "posterior_ranking_probability",
    "rank_intervals",
    "ranking_probability",
    "read_ingested",
    "read_inspect_costs",
    "read_release",
    "read_scores",
    "regression_gate",
    "score",
    "suite",
    "sweep",
    "synthetic",
]


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` on first use, so that `microbench --help` does not wait for the numerical libraries."""
    if name == "__version__":
        from importlib.metadata import version

        return version("microbench-ray")
    if name in _deprecation.RENAMED_API:
        new = _deprecation.RENAMED_API[name]
        _deprecation.report_deprecated(f"microbench_ray.{name}", f"microbench_ray.{new}", stacklevel=1)
        name = new
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"microbench_ray.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
