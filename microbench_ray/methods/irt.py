"""Public functions of `microbench_ray.methods.kernels.irt`."""

from microbench_ray.methods.kernels.irt import IrtFit, abilities, fit_irt, probabilities, sigmoid

__all__ = ["IrtFit", "abilities", "fit_irt", "probabilities", "sigmoid"]
