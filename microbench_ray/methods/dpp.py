"""Public functions of `microbench_ray.methods.kernels.dpp`."""

from microbench_ray.methods.kernels.dpp import exponents, inclusion_probabilities, polynomial_basis, sample_projection_dpp

__all__ = ["exponents", "inclusion_probabilities", "polynomial_basis", "sample_projection_dpp"]
