"""`python jobs/sweep.py key=value …`, for `ray job submit` and schedulers: the same as `microbench sweep key=value …`."""

import sys

from microbench_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
