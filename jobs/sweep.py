"""`python jobs/sweep.py key=value …`, for `ray job submit` and schedulers: the same as `microbench sweep key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("sweep")
