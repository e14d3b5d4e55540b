"""Public functions of `microbench_ray.methods.kernels.fasterpam`."""

from microbench_ray.methods.kernels.fasterpam import KMedoids, fasterpam

__all__ = ["KMedoids", "fasterpam"]
