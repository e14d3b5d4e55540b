"""`python jobs/next.py key=value …`, for schedulers: the same as `microbench next key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("next")
