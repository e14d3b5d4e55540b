"""How reliably does a micro-benchmark rank two models?

For a notebook, without Ray or Hydra: `pair_counts` compares estimates with true accuracies, `agreement_curve` and `mdad` read the
answer off the counts. A sweep over benchmarks, methods and sizes is `microbench sweep` on the command line.
"""

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
