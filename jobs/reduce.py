"""`python jobs/reduce.py key=value …`, the same as `microbench reduce key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("reduce")
