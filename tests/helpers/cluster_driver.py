"""The command with a method that fails as a file instructs."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit
from microbench_ray.sweeps.engine.ray_start import import_ray
from tests.helpers.processes import console_script


@dataclasses.dataclass(frozen=True)
class Faulty(SelectorWithoutFit):
    """Selects random items after following the instructions in the file at `path`, see `cluster.inject`."""

    path: str = ""

    fit_key = "faulty"  # its shards hold no other method

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        instructions = json.loads(Path(self.path).read_text())
        time.sleep(instructions.get("sleep", 0.0))
        attempts = Path(self.path).with_suffix(".attempts")
        if instructions.get("size") == size and (not attempts.exists() or len(attempts.read_text()) < instructions["times"]):
            with attempts.open("a") as file:
                file.write("x")
            fail(instructions["how"])
        return Selection(rng.permutation(seen.n_items)[:size])


def fail(how: str) -> None:
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
        eaten: list[np.ndarray] = []
        while len(eaten) < 120:
            eaten.append(np.ones(50 * 2**20, np.uint8))
            time.sleep(0.05)
        raise RuntimeError("six gigabytes did not exceed the limit")


def run_with_faults(arguments: list[str]) -> None:
    """Run the command with the method `faulty` registered."""
    from microbench_ray.methods.registry import SELECTORS

    SELECTORS["faulty"] = Faulty
    if "engine=cluster" in arguments:
        import_ray()
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers cannot import it
    console_script(arguments)
