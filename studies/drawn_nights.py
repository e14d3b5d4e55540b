"""Nine nights of a synthetic leaderboard, for the page in docs/how-to/leaderboard.md.

    python -m studies.drawn_nights DIR

Writes DIR/nights/2026-01-09/report.html. The leaderboard grows by four models a night; on the last night the new models get nearly
all items of one subtask wrong.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.run import run_audit
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import ESTIMATORS, SELECTORS, Fixed, Method
from microbench_ray.report.terminal import verdict_lines
from microbench_ray.sweeps.grid import Grid

if __name__ == "__main__":
    world, rng = synthetic("board", 440, 3000, 12, seed=1), np.random.default_rng(0)
    subtasks = [world.subtask_names[code] for code in world.subtask_codes]
    ids, names = list(world.item_ids), [str(name) for name in world.model_ids]
    lists = tuple(
        Method(label, Fixed(list(rng.choice(world.item_ids.astype(str), size, replace=False))), ESTIMATORS["weighted_mean"]())
        for label, size in (("tiny", 100), ("small", 250))
    )
    methods = (
        Method("random", SELECTORS["random"](), ESTIMATORS["mean"]()),
        Method("stratified_confidence", SELECTORS["stratified_confidence"](), ESTIMATORS["horvitz_thompson"]()),
    )
    grid = Grid(sizes=(10, 25, 50, 100, 250), n_source=(200,), n_target=50, runs=20)
    for day in range(9):
        scores = world.scores[: 400 + 4 * day].astype(float)
        if day == 8:
            scores[-4:, np.array(subtasks) == subtasks[0]] *= 0.15
        job = AuditJob(
            read=partial(Benchmark.from_arrays, "board", scores, ids, names[: len(scores)], subtasks=subtasks),
            out=Path(sys.argv[1]),
            night=f"2026-01-{day + 1:02}",
            lists=lists,
            methods=methods,
            grid=grid,
            figures=False,
            report=day == 8,
        )
        verdict = run_audit(job).verdict
    print("\n".join(verdict_lines(verdict)))
