"""`microbench plan`: answer the questions of one command line, as a JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.shown import shell_quote
from microbench_ray.core.table_formats import Format
from microbench_ray.data import Benchmark
from microbench_ray.data.names import show_name
from microbench_ray.metrics.run_difference import Reference
from microbench_ray.micro.affordable import affordable_items
from microbench_ray.micro.gate import regression_gate
from microbench_ray.micro.noise import measure_noise, split_row, summary
from microbench_ray.micro.plan_report import JsonObject
from microbench_ray.micro.posterior import posterior_ranking_probability
from microbench_ray.micro.ranks import ranks_of, spread_of
from microbench_ray.micro.sample_size import (
    Criterion,
    SweptCurve,
    detectable_difference,
    items_needed,
    pairs_of,
    ranking_probability,
)


class BenchmarkSource(Protocol):
    """The configuration of a benchmark."""

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Read the benchmark, with `repeats` also those of its responses."""


@dataclass(frozen=True)
class PlanJob:
    """The questions about a benchmark; None and empty values ask nothing. Keys as in conf/plan.yaml."""

    benchmark: BenchmarkSource
    differences: tuple[float, ...]
    results: str | None
    size: int | None
    models: tuple[str, ...]
    scores: tuple[float, ...]
    drop: float | None
    criterion: Criterion
    format: Format
    n_repeats: int | None = None
    budget: tuple[int, ...] = ()
    cost: float | None = None
    """A budget, in the place of `size`."""
    ranks: Reference | None = None
    """What ranks of all models are for."""
    leave_out: bool = False
    """Whether to ask what leaving out each board of a suite does."""


def run_plan(job: PlanJob) -> JsonObject:
    """The answers as a JSON object; errors as for reading the benchmark, and for the functions that answer."""
    benchmark = job.benchmark.read(repeats=True)
    pairs = pairs_of(benchmark, job.n_repeats)
    curves = None if job.results is None else swept_curves(job.results, benchmark, job.criterion)
    needed = items_needed(pairs, job.differences, job.criterion, curves, name=benchmark.name)
    answers: JsonObject = {
        "benchmark": benchmark.name,
        "n_models": benchmark.n_models,
        "n_items": benchmark.n_items,
        "threshold": job.criterion.threshold,
        "tie_policy": job.criterion.tie_policy,
        "notes": list(benchmark.notes),
        "items": [answer._asdict() for answer in needed],
    }
    if benchmark.truth != "micro":
        answers["truth"] = benchmark.truth
    drawn = pairs.simulated or (pairs.noise and pairs.noise.draws)
    if drawn:
        answers["drawn_samples"] = drawn.n_samples
    if benchmark.repeats is not None or job.budget:
        noise = measure_noise(benchmark, job.criterion)
        answers["noise"] = summary(noise) | {"answers_for": job.n_repeats or 1}
        answers["budget"] = [split_row(noise.split(budget)) for budget in job.budget]
    size = job.size
    if job.cost is not None:
        bought = affordable_items(benchmark, job.cost, job.n_repeats)
        size, answers["affordable"] = bought.size, bought._asdict()
    if size is not None:
        answers["told_apart"] = detectable_difference(pairs, size, job.criterion, name=benchmark.name)._asdict()
        if job.models:
            answers["order_of_models"] = ranking_probability(benchmark, job.models, size, job.n_repeats)._asdict()
        if job.scores:
            answers["order_of_scores"] = posterior_ranking_probability(pairs, job.scores, size)._asdict()
        if job.drop is not None:
            rows = [row._asdict() for row in regression_gate(benchmark, pairs, job.drop, size)]
            answers["gate"] = {"drop": job.drop, "size": size, "rows": rows}
    if job.ranks is not None:
        spread, over = spread_of(benchmark, job.ranks)
        ranks = ranks_of(benchmark, spread)
        answers["ranks"] = {"over": over, "rows": [row._asdict() for row in ranks]}
    if job.leave_out:
        from microbench_ray.micro.left_out_boards import leave_out_boards  # imports the methods

        left_out = leave_out_boards(benchmark, size if job.cost is None else None, job.cost)
        answers["left_out"] = left_out._asdict() | {"boards": [row._asdict() for row in left_out.boards]}
    return answers


def swept_curves(results: str, benchmark: Benchmark, criterion: Criterion) -> dict[str, SweptCurve]:
    """MDADs on the seen half of a finished sweep, by method with its number of source models and its targets.

    Raises
    ------
    ConfigError
        There is no sweep; or it has no MDADs for this benchmark, threshold and tie policy, or ranks its models by another number.
    StoreError
        The table of MDADs cannot be read.
    """
    from microbench_ray.core.storage.store import Store  # slow to import, and needed only here
    from microbench_ray.sweeps.results import SweepStore

    store = Store(results)
    if not store.has("mdad.parquet"):
        hint = "results=FOLDER of a finished microbench sweep"
        raise ConfigError("No results of a sweep found in this folder.", where="results", got=results, hint=hint)
    of_benchmark = [row for row in store.read_table("mdad").to_pylist() if row["split"] == "seen"]
    swept = sorted({str(row["benchmark"]) for row in of_benchmark})
    of_benchmark = [row for row in of_benchmark if row["benchmark"] == benchmark.name]
    if not of_benchmark:
        raise ConfigError(
            "The sweep is not of this benchmark.",
            where=f"results={results}",
            got=show_name(f"benchmark {benchmark.name}; the sweep is of {', '.join(swept) or 'none'}"),
            hint=show_name(f"if they are one benchmark under two names: benchmark.name={shell_quote((swept or ['NAME'])[0])}"),
        )
    about = ((SweepStore(results).manifest() or {}).get("benchmarks") or {}).get(benchmark.name) or {}
    swept_truth = about.get("truth", "micro")
    if about and swept_truth != benchmark.truth:
        raise ConfigError(
            "The sweep ranks models by another number than the benchmark.",
            where=f"results={results}",
            got=f"truth={swept_truth} in the sweep, {benchmark.truth} here",
            hint=f"benchmark.truth={swept_truth}" if swept_truth != "weights" else "the sweep's benchmark.columns",
        )
    rows = [row for row in of_benchmark if row["threshold"] == criterion.threshold and row["tie_policy"] == criterion.tie_policy]
    if not rows:
        raise ConfigError(
            "The sweep has no MDADs for this threshold and tie policy.",
            where=f"results={results}",
            got=f"threshold {criterion.threshold}, tie_policy {criterion.tie_policy}",
            hint=f"microbench reduce out={shell_quote(results)} thresholds=[{criterion.threshold}] "
            f"tie_policy={criterion.tie_policy}",
        )
    curve_keys = ("method", "n_source", "targets", "unseen")
    curves = {}
    for method, n_source, targets, unseen in sorted({tuple(row[key] for key in curve_keys) for row in rows}):
        points = tuple(
            (row["size"], row["mdad_monotone"])
            for row in rows
            if tuple(row[key] for key in curve_keys) == (method, n_source, targets, unseen)
        )
        n_items = (benchmark.n_items + 1) // 2 if unseen == "half" else benchmark.n_items
        label = f"{method} ({n_source} sources, {targets})" if n_source else f"{method} ({targets})"
        curves[label] = SweptCurve(n_items=n_items, points=points)
    return curves
