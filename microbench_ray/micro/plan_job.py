"""`microbench plan`: answer the questions of one command line, as JSON or as sentences and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.shown import escape_controls, shell_quote
from microbench_ray.data import Benchmark
from microbench_ray.data.names import show_name
from microbench_ray.micro.sample_size import (
    Criterion,
    SweptCurve,
    detectable_difference,
    items_needed,
    pairs_of,
    posterior_ranking_probability,
    ranking_probability,
    regression_gate,
)

if TYPE_CHECKING:
    from rich.console import Console

JsonObject = dict[str, Any]
"""Plain values for JSON; differences and probabilities are fractions."""

ACCEPTABLE_RATE = 0.1
"""Rate of false alarms or misses of the recommended gate above which more items are advised."""


class BenchmarkSource(Protocol):
    """The configuration of a benchmark."""

    def read(self) -> Benchmark:
        """Read the benchmark."""


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
    as_json: bool


def run_plan(job: PlanJob) -> JsonObject:
    """The answers as a JSON object; errors as for reading the benchmark and for the functions of `sample_size`."""
    benchmark = job.benchmark.read()
    pairs = pairs_of(benchmark)
    curves = None if job.results is None else swept_curves(job.results, benchmark, job.criterion)
    answers: JsonObject = {
        "benchmark": benchmark.name,
        "n_models": benchmark.n_models,
        "n_items": benchmark.n_items,
        "threshold": job.criterion.threshold,
        "tie_policy": job.criterion.tie_policy,
        "notes": list(benchmark.notes),
        "items": [answer._asdict() for answer in items_needed(pairs, job.differences, job.criterion, curves)],
    }
    if job.size is not None:
        answers["told_apart"] = detectable_difference(pairs, job.size, job.criterion)._asdict()
        if job.models:
            answers["order_of_models"] = ranking_probability(benchmark, job.models, job.size)._asdict()
        if job.scores:
            answers["order_of_scores"] = posterior_ranking_probability(pairs, job.scores, job.size)._asdict()
        if job.drop is not None:
            rows = [row._asdict() for row in regression_gate(benchmark, pairs, job.drop, job.size)]
            answers["gate"] = {"drop": job.drop, "size": job.size, "rows": rows}
    return answers


def swept_curves(results: str, benchmark: Benchmark, criterion: Criterion) -> dict[str, SweptCurve]:
    """MDADs on the seen half of a finished sweep, by method with its number of source models and its targets.

    Raises
    ------
    ConfigError
        The sweep has no MDADs for this benchmark, threshold and tie policy.
    StoreError
        The folder has no such table.
    """
    from microbench_ray.core.storage.store import Store  # slow to import, and needed only here

    of_benchmark = [row for row in Store(results).read_table("mdad").to_pylist() if row["split"] == "seen"]
    swept = sorted({str(row["benchmark"]) for row in of_benchmark})
    of_benchmark = [row for row in of_benchmark if row["benchmark"] == benchmark.name]
    if not of_benchmark:
        raise ConfigError(
            "The sweep is not of this benchmark.",
            where=f"results={results}",
            got=show_name(f"benchmark {benchmark.name}; the sweep is of {', '.join(swept) or 'none'}"),
            hint=show_name(f"if they are one benchmark under two names: benchmark.name={shell_quote((swept or ['NAME'])[0])}"),
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


def show(answers: JsonObject, console: Console) -> None:
    """Print the answers as sentences and tables."""
    benchmark = escape_controls(answers["benchmark"])
    for note in answers["notes"]:
        console.print(f"{benchmark}: {escape_controls(note)}")
    console.print(
        f"{benchmark}: {answers['n_models']} models, {answers['n_items']:,} items. A difference counts as detected if "
        f"{_percent(answers['threshold'])} of the pairs with it are ordered as by all items (ties: {answers['tie_policy']})."
    )
    if answers["items"]:
        header = ("difference, points", "method", "items")
        rows = [(_points(row["difference"]), escape_controls(row["method"]), _size(row["size"])) for row in answers["items"]]
        _table(console, header, rows)
    if "told_apart" in answers:
        console.print(_detectable_sentence(answers["told_apart"]))
    if "order_of_models" in answers:
        console.print(_ranking_sentence(answers["order_of_models"], answers["n_items"]))
    if "order_of_scores" in answers:
        console.print(_posterior_sentence(answers["order_of_scores"]))
    if "gate" in answers:
        _show_gate(answers["gate"], console)


def _detectable_sentence(answer: JsonObject) -> str:
    detects = (
        "detect no difference reliably"
        if answer["mdad"] is None
        else f"detect differences of {_points(answer['mdad'])} points or more"
    )
    return (
        f"{answer['size']} random items {detects}: {_percent(answer['share_of_pairs'])} of the pairs of this leaderboard. "
        f"They order {_percent(answer['mean_agreement'])} of all pairs correctly."
    )


def _ranking_sentence(answer: JsonObject, n_items: int) -> str:
    if answer["better"] is None:
        return "The two models are tied on all items, so neither order is right."
    sample = (
        f"{answer['size']} random items rank them in this order with probability {answer['right']:.3f}, and tie them with "
        f"probability {answer['tied']:.3f}."
    )
    if answer["size"] == n_items:
        sample = f"These {n_items} items are the whole benchmark."
    return (
        f"{escape_controls(answer['better'])} is {_points(answer['difference'], 2)} points better than "
        f"{escape_controls(answer['worse'])} on all items. {sample} "
        f"On other items like these {n_items}, the order is the same with probability {answer['right_beyond']:.3f}."
    )


def _posterior_sentence(answer: JsonObject) -> str:
    higher, lower = sorted(answer["scores"], reverse=True)
    if answer["right"] is None:
        return f"{higher:g} and {lower:g} on {answer['size']} items are tied, which says nothing about the order."
    return (
        f"{higher:g} against {lower:g} on {answer['size']} random items: the order is right with probability "
        f"{answer['right']:.3f}. Such models differ by {_points(answer['expected_difference'])} points on average."
    )


def _show_gate(gate: JsonObject, console: Console) -> None:
    console.print(
        f"A gate on {gate['size']} items, for a true drop of {_points(gate['drop'])} points. It alarms if the micro-score falls "
        "by more than the tolerance. Pairs of models of this leaderboard stand for two versions of a model:"
    )
    rates = ("false_alarm", "miss", "false_alarm_fresh", "miss_fresh")
    header = ("tolerance", "false alarms, same items", "misses", "false alarms, fresh items", "misses")
    rows = [(_points(row["tolerance"], 2), *(_percent(row[rate]) for rate in rates)) for row in gate["rows"]]
    _table(console, header, rows)
    console.print(_gate_advice(next(row for row in gate["rows"] if row["recommended"])))


def _gate_advice(recommended: Mapping[str, float]) -> str:
    advice = (
        f"Recommended tolerance: {_points(recommended['tolerance'], 2)} points. On the same items it has "
        f"{_percent(recommended['false_alarm'])} false alarms and {_percent(recommended['miss'])} misses; no other tolerance has a "
        "smaller maximum of the two."
    )
    if max(recommended["false_alarm"], recommended["miss"]) <= ACCEPTABLE_RATE:
        return advice
    return f"{advice} That is above {_percent(ACCEPTABLE_RATE)}: to detect such a drop, use more items."


def _table(console: Console, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(name, justify="left" if name == "method" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table, soft_wrap=False)


def _points(fraction: float, decimals: int = 1) -> str:
    return f"{fraction * 100:.{decimals}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _size(size: int | None) -> str:
    return "never" if size is None else f"{size:,}"
