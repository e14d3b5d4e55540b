"""Audits of a synthetic leaderboard, for tests of `run_audit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.drift_rules import DriftPolicy
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.run import AuditOutcome, run_audit
from microbench_ray.data import Benchmark
from microbench_ray.methods import ESTIMATORS, Fixed, Method
from microbench_ray.sweeps.grid import Grid
from microbench_ray.sweeps.reduce import Rules

SUBTASKS = 4
MODELS, ITEMS = 90, 320


def responses(n_models: int = MODELS, n_items: int = ITEMS, seed: int = 0) -> NDArray[np.float64]:
    """(n_models, n_items) 0 or 1, with abilities that differ between models and between subtasks, and item difficulties."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(0.3, 0.8, (n_models, 1)) + rng.normal(0, 0.3, (n_models, SUBTASKS))[:, np.arange(n_items) % SUBTASKS]
    chance = 1 / (1 + np.exp(rng.normal(0, 1, n_items) - ability))
    return (rng.random((n_models, n_items)) < chance).astype(float)


def board(scores: NDArray[np.float64], models: Sequence[str] | None = None, name: str = "board") -> Benchmark:
    n_models, n_items = scores.shape
    names = [f"m{k:03}" for k in range(n_models)] if models is None else list(models)
    items = [f"i{k:03}" for k in range(n_items)]
    return Benchmark.from_arrays(name, scores, items, names, subtasks=[f"s{k % SUBTASKS}" for k in range(n_items)], max_missing=0.5)


def fixed(label: str = "tiny", every: int = 5) -> Method:
    return Method(label, Fixed([f"i{k:03}" for k in range(0, ITEMS, every)]), ESTIMATORS["weighted_mean"]())


def audit(out: Path, night: str, benchmark: Benchmark | Callable[[], Benchmark], **changes: Any) -> AuditJob:
    """An audit of one list without a page, with few resamples."""
    job = AuditJob(
        read=benchmark if callable(benchmark) else lambda: benchmark,
        out=out,
        night=night,
        lists=(fixed(),),
        grid=Grid(sizes=(20, 40), n_source=(30,), n_target=20, runs=4),
        rules=Rules(n_resamples=100),
        drift=DriftPolicy(n_resamples=300),
        report=False,
        figures=False,
    )
    return replace(job, **changes)


def run(out: Path, night: str, benchmark: Benchmark | Callable[[], Benchmark], **changes: Any) -> AuditOutcome:
    return run_audit(audit(out, night, benchmark, **changes))


def kinds(outcome: AuditOutcome) -> list[str]:
    return [finding["kind"] for finding in outcome.verdict["findings"]]


def files(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder, except locks, manifests (which hold times), and files set aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name != "manifest.json" and "set_aside" not in path.parts
    }
