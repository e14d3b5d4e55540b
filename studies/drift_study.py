"""How often does the default drift policy raise an alarm on clean nights, and which planted events does it find?

    python -m studies.drift_study DATA_DIR clean|planted [--histories 200] [--nights 30] [--baseline 250] [--resamples 500]

Leaderboards are simulated from factors fitted to MMLU-Pro (`mmlu_pro_factors.npz` in DATA_DIR): 250 models and 1,400 items are
the baseline, and 0 to 6 models are added every night. Two lists of 60 and 200 items are audited.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.drift_rules import METRICS, DriftPolicy
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed

N_BASELINE, N_ITEMS, MAX_ADDED = 250, 1400, 6
LISTS = {"short": 60, "long": 200}
POLICY = DriftPolicy(n_resamples=500)


@dataclass(frozen=True)
class SimulatedLeaderboard:
    """A simulated leaderboard; `of_night` is the night on which each model is added, −1 for the baseline."""

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


def draw(known: dict[str, np.ndarray], seed: int, nights: int, n_baseline: int = N_BASELINE) -> SimulatedLeaderboard:
    rng = np.random.default_rng(seed)
    added = rng.integers(0, MAX_ADDED + 1, nights)
    models = rng.choice(len(known["U"]), n_baseline + int(added.sum()), replace=False)
    chosen = np.sort(rng.choice(len(known["V"]), N_ITEMS, replace=False))
    logits = known["U"][models].astype("f4") @ known["V"][chosen].astype("f4").T
    right = logits + rng.logistic(size=logits.shape).astype("f4") > 0
    items = [str(item) for item in known["item_id"][chosen]]
    lists = {label: Fixed(items=tuple(rng.choice(items, size, replace=False))) for label, size in LISTS.items()}
    of_night = np.concatenate([np.full(n_baseline, -1), np.repeat(np.arange(nights), added)])
    return SimulatedLeaderboard(right, items, [str(name) for name in known["subtask"][chosen]], lists, of_night, seed)


def audit(
    world: SimulatedLeaderboard, all_models: Profile, nights: int, policy: DriftPolicy
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the rows of each night."""
    baseline = all_models.take(np.flatnonzero(world.of_night < 0))
    earlier: pa.Table | None = None
    for night in range(nights):
        tonight = all_models.take(np.flatnonzero(world.of_night <= night))
        new = all_models.model_ids[world.of_night == night]
        earlier = detect_drift(baseline, tonight, new, night=f"{night:02d}", policy=policy, earlier=earlier, seed=world.seed)
        yield night, earlier.to_pylist()


def alarms(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["severity"] == "fail"]


def clean(
    known: dict[str, np.ndarray], histories: int, nights: int, policy: DriftPolicy = POLICY, n_baseline: int = N_BASELINE
) -> tuple[np.ndarray, Counter[str]]:
    """(histories, nights) whether each clean night raises an alarm; and the number of alarms by metric."""
    alarmed, by_metric = np.zeros((histories, nights), bool), Counter[str]()
    for k in range(histories):
        world = draw(known, k, nights, n_baseline)
        for night, rows in audit(world, world.profile(), nights, policy):
            false_alarms = alarms(rows)
            alarmed[k, night] = bool(false_alarms)
            by_metric.update({row["metric"] for row in false_alarms})
    return alarmed, by_metric


@dataclass(frozen=True)
class PlantedEvent:
    """The audit of a planted event.

    Attributes
    ----------
    event, strength
        As for `plant`.
    ratios
        By night, the size of the event over the half-width of the interval.
    due
        The first night with a ratio of at least 2; None if there is none.
    found
        The night of the first alarm; None if there is none.
    """

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
    policy: DriftPolicy = POLICY,
    n_baseline: int = N_BASELINE,
) -> PlantedEvent:
    """Plant an event, and audit all nights.

    corrupted: on night 12, a share `strength` of the new models' right answers to the largest subtask becomes wrong.
    rescored: from night 12 on, the same for all models.
    drift: a share of the wrong answers to the items of the list `long` becomes right, growing by `strength` per night.
    """
    world = draw(known, seed, nights, n_baseline)
    rng = np.random.default_rng([seed, 1])
    of_night, right = world.of_night.copy(), world.right.copy()
    subtask, night = max(set(world.subtasks), key=lambda name: (world.subtasks.count(name), name)), 12
    if not (of_night == night).any():
        of_night[np.flatnonzero(of_night > night)[0]] = night
    world = SimulatedLeaderboard(right, world.items, world.subtasks, world.lists, of_night, seed)
    draws = rng.random(right.shape)
    columns = world.columns(subtask)
    if event == "drift":
        leaked = np.isin(world.items, world.lists["long"].items)
        right = right | (leaked & (draws < strength * np.maximum(of_night + 1, 0)[:, None]))
        watched = ["bias_new", "bias_added"]
        of_list, key = True, ("long", "")
    else:
        models = of_night == night if event == "corrupted" else np.ones(len(right), bool)
        right = right & ~(models[:, None] & columns & (draws < strength))
        watched = ["residual_new" if event == "corrupted" else "accuracy_change"]
        of_list, key = False, ("", subtask)
    clean_profile, event_profile = world.profile(), world.profile(right)
    ratios, due, found = [0.0] * nights, None, None
    baseline = clean_profile.take(np.flatnonzero(of_night < 0))
    earlier: list[pa.Table] = []
    for now in range(nights):
        present = np.flatnonzero(of_night <= now)
        after = event != "rescored" or now >= night
        tonight = (event_profile if after else clean_profile).take(present)
        new = tonight.model_ids[of_night[present] == now]
        table = detect_drift(
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
                families = {"new": of_night == now, "added": (of_night >= 0) & (of_night <= now), "same": of_night < 0}
                members = families[METRICS[row["metric"]].family]
                column = 1 + clean_profile.subtasks.index(subtask)
                size = abs(_shift(clean_profile, event_profile, members, of_list, column)) if after else 0.0
                ratios[now] = max(ratios[now], size / ((row["bound_hi"] - row["bound_lo"]) / 2))
                if row["severity"] == "fail" and found is None and size > 0:
                    found = now
        if due is None and ratios[now] >= 2:
            due = now
    return PlantedEvent(event=event, strength=strength, ratios=ratios, due=due, found=found)


def _shift(clean_profile: Profile, event_profile: Profile, members: np.ndarray, of_list: bool, column: int) -> float:
    """The change of the mean over some models that the event causes."""
    sides = (clean_profile, event_profile)
    if of_list:
        before, after = (each.estimates["long"][members, 0] - each.accuracy[members, 0] for each in sides)
    else:
        before, after = (each.accuracy[members, column] for each in sides)
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
    parser.add_argument("--histories", type=int, default=200, help="clean histories, or histories per planted strength")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--baseline", type=int, default=N_BASELINE)
    parser.add_argument("--resamples", type=int, default=POLICY.n_resamples)
    options = parser.parse_args()
    known, started = factors(options.data), time.process_time()
    policy = DriftPolicy(n_resamples=options.resamples)
    if options.part == "planted":
        print("event, strength, largest size / half-width of the interval, first night with a ratio of 2 (due), night found")
        for event, strengths in PLANTED.items():
            for strength in strengths:
                for seed in range(10_000, 10_000 + options.histories):
                    result = plant(event, strength, known, seed, options.nights, policy, options.baseline)
                    print(f"{event:<10}{strength:<7}{max(result.ratios):7.2f}  due {result.due}  found {result.found}", flush=True)
        return
    alarmed, by_metric = clean(known, options.histories, options.nights, policy, options.baseline)
    print(f"{options.histories} histories of {options.nights} nights, {time.process_time() - started:.0f} s of CPU")
    print(
        f"nights with an alarm: {alarmed.sum()} of {alarmed.size} = {alarmed.mean():.4f}; "
        f"histories with an alarm: {alarmed.any(axis=1).sum()}"
    )
    print("by metric:", dict(by_metric.most_common()))


if __name__ == "__main__":
    main()
