"""`python jobs/reduce.py key=value …`, the same as `microbench reduce key=value …`."""

import sys

from microbench_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["reduce", *sys.argv[1:]]))
