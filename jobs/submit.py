"""`python jobs/submit.py key=value …`, the same as `microbench submit key=value …`."""

import sys

from microbench_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["submit", *sys.argv[1:]]))
