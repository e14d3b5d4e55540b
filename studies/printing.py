"""How a study prints a Markdown table whose rows take long."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from microbench_ray.core.errors import MicrobenchError


def print_rows(names: Sequence[str], rows: Iterable[str]) -> int:
    """Print the head of a table and each row when it is there, cells between bars; return the exit code, 2 for bad input."""
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    try:
        for row in rows:
            print(row, flush=True)
    except MicrobenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
