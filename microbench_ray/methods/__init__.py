"""Methods: selectors that choose items and estimators that read them. Numpy in, numpy out."""

from microbench_ray.methods.base import SIGNALS, Estimator, SeenItems, Selection, Selector, Signal
from microbench_ray.methods.fixed import Fixed
from microbench_ray.methods.registry import ESTIMATORS, SELECTORS, Method, build_method

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
