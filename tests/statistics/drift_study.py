"""How often does the default policy alarm on clean nights, and what does it find?

    python tests/statistics/drift_study.py DATA_DIR [HISTORIES] [NIGHTS]

Leaderboards are drawn from the factors fitted to MMLU-Pro (`mmlu_pro_factors.npz` in DATA_DIR): 250 models are the baseline,
and 0 to 6 other models are added every night. Two lists of 60 and 200 items are audited. The responses are of 1,400 items.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from microbench_ray.audit.drift import drift
from microbench_ray.audit.policy import Policy
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.data import Benchmark
from microbench_ray.methods.fixed import Fixed

N_BASELINE, N_ITEMS, MOST_ADDED = 250, 1400, 6
LISTS = {"short": 60, "long": 200}
POLICY = Policy(n_resamples=500)


@dataclass(frozen=True)
class World:
    """A drawn leaderboard: the first `N_BASELINE` models are the baseline, `of_night` tells when the others come."""

    right: np.ndarray
    items: list[str]
    subtasks: list[str]
    lists: dict[str, Fixed]
    of_night: np.ndarray
    seed: int

    def profile(self, right: np.ndarray | None = None) -> Profile:
        right = self.right if right is None else right
        names = [f"m{k:04d}" for k in range(len(right))]
        return profile(
            Benchmark.from_arrays("drawn", right.astype(np.uint8), self.items, names, subtasks=self.subtasks), self.lists
        )

    def columns(self, subtask: str) -> np.ndarray:
        return np.array(self.subtasks) == subtask


def factors(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "mmlu_pro_factors.npz") as file:
        return {name: file[name] for name in ("U", "V", "item_id", "subtask")}


def draw(known: dict[str, np.ndarray], seed: int, nights: int) -> World:
    rng = np.random.default_rng(seed)
    added = rng.integers(0, MOST_ADDED + 1, nights)
    models = rng.choice(len(known["U"]), N_BASELINE + int(added.sum()), replace=False)
    chosen = np.sort(rng.choice(len(known["V"]), N_ITEMS, replace=False))
    logits = known["U"][models].astype("f4") @ known["V"][chosen].astype("f4").T
    right = logits + rng.logistic(size=logits.shape).astype("f4") > 0
    items = [str(item) for item in known["item_id"][chosen]]
    lists = {label: Fixed(items=tuple(rng.choice(items, size, replace=False))) for label, size in LISTS.items()}
    of_night = np.concatenate([np.full(N_BASELINE, -1), np.repeat(np.arange(nights), added)])
    return World(right, items, [str(name) for name in known["subtask"][chosen]], lists, of_night, seed)


def audit(world: World, everything: Profile, nights: int) -> Iterator[tuple[int, list[dict[str, object]]]]:
    """The rows of every night, from the profile of all models that ever come."""
    baseline = everything.take(np.flatnonzero(world.of_night < 0))
    earlier: pa.Table | None = None
    for night in range(nights):
        tonight = everything.take(np.flatnonzero(world.of_night <= night))
        new = everything.model_ids[world.of_night == night]
        earlier = drift(baseline, tonight, new, night=f"{night:02d}", policy=POLICY, earlier=earlier, seed=world.seed)
        yield night, earlier.to_pylist()


def alarms(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in rows if row["severity"] == "fail"]


def clean(known: dict[str, np.ndarray], histories: int, nights: int, first: int = 0) -> tuple[np.ndarray, Counter[str]]:
    """(histories, nights) whether each clean night alarms, and what about."""
    found, about = np.zeros((histories, nights), bool), Counter[str]()
    for k in range(histories):
        world = draw(known, first + k, nights)
        for night, rows in audit(world, world.profile(), nights):
            false = alarms(rows)
            found[k, night] = bool(false)
            about.update({str(row["metric"]) for row in false})
    return found, about


def main() -> None:
    known = factors(Path(sys.argv[1]))
    histories, nights = (int(value) for value in (*sys.argv[2:], *("200", "30")[len(sys.argv) - 2 :]))
    started = time.process_time()
    found, about = clean(known, histories, nights)
    print(f"clean: {histories} histories of {nights} nights, {time.process_time() - started:.0f} s of CPU")
    print(
        f"nights with an alarm: {found.sum()} of {found.size} = {found.mean():.4f}; histories with any: {found.any(axis=1).sum()}"
    )
    print("by metric:", dict(about.most_common()))


if __name__ == "__main__":
    main()
