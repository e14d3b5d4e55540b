"""`python tests/cluster_driver.py sweep …`: the command, with a method that does what a file says, so that faults can be made."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from microbench_ray.cli.main import main
from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit
from microbench_ray.methods.registry import SELECTORS


@dataclasses.dataclass(frozen=True)
class Told(SelectorWithoutFit):
    """Random items, after whatever the file at `path` says (see `cluster.tell`)."""

    path: str = ""

    fit_key = "told"  # shards of its own

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        what = json.loads(Path(self.path).read_text())
        time.sleep(what.get("sleep", 0.0))
        attempts = Path(self.path).with_suffix(".attempts")
        if what.get("size") == size and (not attempts.exists() or len(attempts.read_text()) < what["times"]):
            with attempts.open("a") as file:
                file.write("x")
            befall(what["how"])
        return Selection(rng.permutation(seen.n_items)[:size])


def befall(how: str) -> None:
    if how == "raise":
        raise RuntimeError("no items today")
    if how == "exit":
        os._exit(1)
    if how == "hang":
        while True:
            time.sleep(0.1)
    if how == "hang in compiled code":
        sum(range(10**12))
    if how == "eat memory":
        eaten = []
        while len(eaten) < 120:
            eaten.append(np.ones(50 * 2**20, np.uint8))
            time.sleep(0.05)
        raise RuntimeError("six gigabytes were not too much")


SELECTORS["told"] = Told

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
