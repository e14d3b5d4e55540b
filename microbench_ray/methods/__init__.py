"""Methods: selectors that choose items, and estimators that compute accuracies from the responses to them. Pure numpy."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microbench_ray.methods.base import SIGNALS, Estimator, SeenItems, Selection, Selector, Signal
    from microbench_ray.methods.registry import ESTIMATORS, SELECTORS, Method, build_method
    from microbench_ray.methods.selectors.fixed import Fixed

__all__ = [
    "ESTIMATORS",
    "SELECTORS",
    "SIGNALS",
    "Estimator",
    "Fixed",
    "Method",
    "SeenItems",
    "Selection",
    "Selector",
    "Signal",
    "build_method",
]


def __getattr__(name: str) -> Any:
    """Import the names of `__all__` on first use: reading an exported micro-benchmark needs none of the methods."""
    if name in __all__:
        from microbench_ray.methods import base, registry
        from microbench_ray.methods.selectors import fixed

        for module in (base, fixed, registry):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
