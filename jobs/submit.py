"""`python jobs/submit.py key=value …`, the same as `microbench submit key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("submit")
