"""`python jobs/nightly.py MANIFEST`: what jobs/k8s/cronjob.yaml runs every night."""

import sys

from microbench_ray.errors import MicrobenchError
from microbench_ray.kubernetes import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], lambda text: print(text, flush=True)))
    except MicrobenchError as error:
        sys.exit(str(error))
