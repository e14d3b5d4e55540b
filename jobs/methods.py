"""`python jobs/methods.py key=value …`, for schedulers: the same as `microbench methods key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("methods")
