"""How often does the default policy alarm on clean nights, and what does it find?

    python -m studies.drift_study DATA_DIR clean|planted [--histories 200] [--nights 30] [--baseline 250] [--resamples 500]

Leaderboards are drawn from the factors fitted to MMLU-Pro (`mmlu_pro_factors.npz` in DATA_DIR): 250 models are the baseline,
and 0 to 6 other models are added every night. Two lists of 60 and 200 items are audited. The responses are of 1,400 items.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from microbench_ray.audit.drift import drift
from microbench_ray.audit.drift_rules import METRICS, Policy
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed

N_BASELINE, N_ITEMS, MAX_ADDED = 250, 1400, 6
LISTS = {"short": 60, "long": 200}
POLICY = Policy(n_resamples=500)


@dataclass(frozen=True)
class World:
    """A drawn leaderboard; `of_night` tells when each model comes, −1 with the baseline."""

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


def draw(known: dict[str, np.ndarray], seed: int, nights: int, n_baseline: int = N_BASELINE) -> World:
    rng = np.random.default_rng(seed)
    added = rng.integers(0, MAX_ADDED + 1, nights)
    models = rng.choice(len(known["U"]), n_baseline + int(added.sum()), replace=False)
    chosen = np.sort(rng.choice(len(known["V"]), N_ITEMS, replace=False))
    logits = known["U"][models].astype("f4") @ known["V"][chosen].astype("f4").T
    right = logits + rng.logistic(size=logits.shape).astype("f4") > 0
    items = [str(item) for item in known["item_id"][chosen]]
    lists = {label: Fixed(items=tuple(rng.choice(items, size, replace=False))) for label, size in LISTS.items()}
    of_night = np.concatenate([np.full(n_baseline, -1), np.repeat(np.arange(nights), added)])
    return World(right, items, [str(name) for name in known["subtask"][chosen]], lists, of_night, seed)


def audit(world: World, everything: Profile, nights: int, policy: Policy) -> Iterator[tuple[int, list[dict[str, object]]]]:
    """The rows of every night, from the profile of all models that ever come."""
    baseline = everything.take(np.flatnonzero(world.of_night < 0))
    earlier: pa.Table | None = None
    for night in range(nights):
        tonight = everything.take(np.flatnonzero(world.of_night <= night))
        new = everything.model_ids[world.of_night == night]
        earlier = drift(baseline, tonight, new, night=f"{night:02d}", policy=policy, earlier=earlier, seed=world.seed)
        yield night, earlier.to_pylist()


def alarms(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in rows if row["severity"] == "fail"]


def clean(
    known: dict[str, np.ndarray], histories: int, nights: int, policy: Policy = POLICY, n_baseline: int = N_BASELINE
) -> tuple[np.ndarray, Counter[str]]:
    """(histories, nights) whether each clean night alarms, and what about."""
    found, about = np.zeros((histories, nights), bool), Counter[str]()
    for k in range(histories):
        world = draw(known, k, nights, n_baseline)
        for night, rows in audit(world, world.profile(), nights, policy):
            false = alarms(rows)
            found[k, night] = bool(false)
            about.update({str(row["metric"]) for row in false})
    return found, about


@dataclass(frozen=True)
class Found:
    """A planted event: its size over the half-width of the interval on every night, and the night that found it."""

    event: str
    strength: float
    ratios: list[float]
    due: int | None
    found: int | None


def plant(
    event: str,
    strength: float,
    known: dict[str, np.ndarray],
    seed: int,
    nights: int,
    policy: Policy = POLICY,
    n_baseline: int = N_BASELINE,
) -> Found:
    """Plant an event and audit.

    corrupted: on night 12 a share `strength` of the new models' right answers to the largest subtask becomes wrong.
    rescored: from night 12 on that happens to every model that there is.
    drift: of the answers to the listed items (`long`) that would be wrong, a share growing by `strength` per night is right.
    """
    world = draw(known, seed, nights, n_baseline)
    rng = np.random.default_rng([seed, 1])
    of_night, right = world.of_night.copy(), world.right.copy()
    subtask, night = max(set(world.subtasks), key=lambda name: (world.subtasks.count(name), name)), 12
    if not (of_night == night).any():
        of_night[np.flatnonzero(of_night > night)[0]] = night
    world = World(right, world.items, world.subtasks, world.lists, of_night, seed)
    draws = rng.random(right.shape)
    columns = world.columns(subtask)
    if event == "drift":
        leaked = np.isin(world.items, world.lists["long"].items)
        right = right | (leaked & (draws < strength * np.maximum(of_night + 1, 0)[:, None]))
        watched, of_list, key = ("bias_new", "bias_added"), True, ("long", "")
    else:
        models = of_night == night if event == "corrupted" else np.ones(len(right), bool)
        right = right & ~(models[:, None] & columns & (draws < strength))
        watched, of_list, key = ("residual_new",) if event == "corrupted" else ("accuracy_change",), False, ("", subtask)
    clean_, bad = world.profile(), world.profile(right)
    ratios, due, found = [0.0] * nights, None, None
    baseline = clean_.take(np.flatnonzero(of_night < 0))
    earlier: list[pa.Table] = []
    for now in range(nights):
        there = np.flatnonzero(of_night <= now)
        after = event != "rescored" or now >= night
        tonight = (bad if after else clean_).take(there)
        new = tonight.model_ids[of_night[there] == now]
        table = drift(
            baseline,
            tonight,
            new,
            night=f"{now:02d}",
            policy=policy,
            earlier=pa.concat_tables(earlier) if earlier else None,
            seed=seed,
        )
        earlier.append(table)
        for row in table.to_pylist():
            if row["metric"] in watched and (row["subject"], row["subtask"]) == key:
                models_ = {"new": of_night == now, "added": (of_night >= 0) & (of_night <= now), "same": of_night < 0}
                who = models_[METRICS[row["metric"]].family]
                size = abs(_shift(clean_, bad, who, of_list, 1 + clean_.subtasks.index(subtask))) if after else 0.0
                ratios[now] = max(ratios[now], size / ((row["bound_hi"] - row["bound_lo"]) / 2))
                if row["severity"] == "fail" and found is None and size > 0:
                    found = now
        if due is None and ratios[now] >= 2:
            due = now
    return Found(event, strength, ratios, due, found)


def _shift(clean_: Profile, bad: Profile, who: np.ndarray, of_list: bool, column: int) -> float:
    """How far the event moves the mean over some models."""
    if of_list:
        before, after = (each.estimates["long"][who, 0] - each.accuracy[who, 0] for each in (clean_, bad))
    else:
        before, after = (each.accuracy[who, column] for each in (clean_, bad))
    return float((after - before).mean())


PLANTED = {
    "corrupted": (0.2, 0.4, 0.6, 0.8, 1.0),
    "rescored": (0.01, 0.02, 0.05, 0.2),
    "drift": (0.003, 0.006, 0.012, 0.025),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("part", choices=["clean", "planted"])
    parser.add_argument("--histories", type=int, default=200, help="clean ones, or of each planted strength")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--baseline", type=int, default=N_BASELINE)
    parser.add_argument("--resamples", type=int, default=POLICY.n_resamples)
    options = parser.parse_args()
    known, started = factors(options.data), time.process_time()
    policy = Policy(n_resamples=options.resamples)
    if options.part == "planted":
        print("size / half-width of the interval at its largest, first night of twice that, night found")
        for event, strengths in PLANTED.items():
            for strength in strengths:
                for seed in range(10_000, 10_000 + options.histories):
                    one = plant(event, strength, known, seed, options.nights, policy, options.baseline)
                    print(f"{event:<10}{strength:<7}{max(one.ratios):7.2f}  due {one.due}  found {one.found}", flush=True)
        return
    found, about = clean(known, options.histories, options.nights, policy, options.baseline)
    print(f"{options.histories} histories of {options.nights} nights, {time.process_time() - started:.0f} s of CPU")
    print(
        f"nights with an alarm: {found.sum()} of {found.size} = {found.mean():.4f}; histories with any: {found.any(axis=1).sum()}"
    )
    print("by metric:", dict(about.most_common()))


if __name__ == "__main__":
    main()
