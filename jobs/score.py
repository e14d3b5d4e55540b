"""`python jobs/score.py key=value …`, for schedulers: the same as `microbench score key=value …`."""

from microbench_ray.cli.main import entry_point

if __name__ == "__main__":
    entry_point("score")
