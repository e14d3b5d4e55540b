"""`microbench plan`: from a question to answers, and to sentences and tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from microbench_ray.micro.sample_size import (
    Answer,
    Criterion,
    Curve,
    detectable_difference,
    items_needed,
    pairs_of,
    posterior_ranking_probability,
    ranking_probability,
    regression_gate,
)

if TYPE_CHECKING:
    from rich.console import Console


FEW = 0.1
"""The largest rate of false alarms and misses that is passed over in silence."""


class Readable(Protocol):
    """The configuration of a benchmark."""

    def read(self) -> Benchmark:
        """Read it."""


@dataclass(frozen=True)
class PlanJob:
    """What is asked of a benchmark; what is None or empty is not asked. Keys as in conf/plan.yaml."""

    benchmark: Readable
    differences: tuple[float, ...]
    results: str | None
    size: int | None
    models: tuple[str, ...]
    scores: tuple[float, ...]
    drop: float | None
    rule: Criterion
    as_json: bool


def run_plan(job: PlanJob) -> Answer:
    """All answers, as plain values; errors as for the functions of `sample_size` and for reading."""
    benchmark = job.benchmark.read()
    pairs = pairs_of(benchmark)
    made: Answer = {
        "benchmark": benchmark.name,
        "n_models": benchmark.n_models,
        "n_items": benchmark.n_items,
        "threshold": job.rule.threshold,
        "tie_policy": job.rule.tie_policy,
        "notes": list(benchmark.notes),
    }
    curves = None if job.results is None else swept_curves(job.results, benchmark, job.rule)
    made["items"] = items_needed(pairs, job.differences, job.rule, curves)
    if job.size is not None:
        made["told_apart"] = detectable_difference(pairs, job.size, job.rule)
        if job.models:
            made["order_of_models"] = ranking_probability(benchmark, job.models, job.size)
        if job.scores:
            made["order_of_scores"] = posterior_ranking_probability(pairs, job.scores, job.size)
        if job.drop is not None:
            rows = regression_gate(benchmark, pairs, job.drop, job.size)
            made["gate"] = {"drop": job.drop, "size": job.size, "rows": rows}
    return made


def swept_curves(results: str, benchmark: Benchmark, rule: Criterion) -> dict[str, Curve]:
    """MDADs on the seen half of a finished sweep, by method (and number of source models, where there are several).

    Raises
    ------
    ConfigError
        The sweep holds nothing for this benchmark, threshold and tie policy.
    StoreError
        The folder holds no such table.
    """
    from microbench_ray.core.storage.store import Store  # slow to import, and asked for by this alone

    rows = [
        row
        for row in Store(results).read_table("mdad").to_pylist()
        if row["benchmark"] == benchmark.name
        and row["split"] == "seen"
        and row["threshold"] == rule.threshold
        and row["tie_policy"] == rule.tie_policy
    ]
    if not rows:
        raise ConfigError(
            "The sweep has no MDAD for this question.",
            where=f"results={results}",
            got=f"benchmark {benchmark.name}, threshold {rule.threshold}, tie_policy {rule.tie_policy}",
            hint=f"microbench reduce out={results} thresholds=[{rule.threshold}] tie_policy={rule.tie_policy}",
        )
    names = {(row["method"], row["n_source"], row["targets"], row["unseen"]) for row in rows}
    curves = {}
    for method, n_source, targets, unseen in sorted(names):
        key = {"method": method, "n_source": n_source, "targets": targets, "unseen": unseen}
        mine = [row for row in rows if all(row[name] == value for name, value in key.items())]
        n_items = (benchmark.n_items + 1) // 2 if unseen == "half" else benchmark.n_items
        label = f"{method} ({n_source} sources, {targets})" if n_source else f"{method} ({targets})"
        curves[label] = Curve(n_items, tuple((row["size"], row["mdad_monotone"]) for row in mine))
    return curves


def show(made: Answer, console: Console) -> None:
    """Print answers as sentences and tables."""
    for note in made["notes"]:
        console.print(f"{made['benchmark']}: {note}")
    console.print(
        f"{made['benchmark']}: {made['n_models']} models, {made['n_items']:,} items. Models are told apart where "
        f"{_percent(made['threshold'])} of pairs so far apart are ordered as by all items (ties: {made['tie_policy']})."
    )
    if made["items"]:
        header = ("points apart", "method", "items")
        rows = [(_points(row["difference"]), row["method"], _count(row["size"])) for row in made["items"]]
        _table(console, header, rows)
    if told := made.get("told_apart"):
        least = "no difference reliably" if told["mdad"] is None else f"models {_points(told['mdad'])} points apart and more"
        console.print(
            f"{told['size']} random items tell apart {least}: {_percent(told['share_of_pairs'])} of the pairs of this leaderboard; "
            f"they order {_percent(told['mean_agreement'])} of all pairs right."
        )
    if order := made.get("order_of_models"):
        if order["better"] is None:
            console.print("The two models are tied on all items: there is no order to find.")
        else:
            console.print(
                f"{order['better']} is {_points(order['difference'], 2)} points better than {order['worse']} on all items; "
                f"{order['size']} random items order them so with probability {order['right']:.3f}, "
                f"and tie them with {order['tied']:.3f}."
            )
    if order := made.get("order_of_scores"):
        console.print(_sure(order))
    if alarm := made.get("gate"):
        console.print(
            f"A gate on {alarm['size']} items, for a true fall of {_points(alarm['drop'])} points. Alarm where the micro-score "
            "falls by more than the tolerance; pairs of models of this leaderboard stand for versions of one:"
        )
        names = ("false_alarm", "miss", "false_alarm_fresh", "miss_fresh")
        titles = ("tolerance", "false alarms, same items", "misses", "false alarms, fresh items", "misses")
        _table(console, titles, [(_points(row["tolerance"], 2), *(_percent(row[name]) for name in names)) for row in alarm["rows"]])
        console.print(_advice(next(row for row in alarm["rows"] if row["recommended"])))


def _advice(row: Answer) -> str:
    said = (
        f"Let it alarm at a fall above {_points(row['tolerance'], 2)} points: no tolerance on the same items keeps both rates "
        f"below its {_percent(row['false_alarm'])} of false alarms and {_percent(row['miss'])} of misses."
    )
    return said if max(row["false_alarm"], row["miss"]) <= FEW else f"{said} That is many: such a fall needs more items."


def _sure(order: Answer) -> str:
    higher, lower = sorted(order["scores"], reverse=True)
    if order["right"] is None:
        return f"{higher:g} and {lower:g} on {order['size']} items are tied: they say nothing of the order."
    return (
        f"{higher:g} against {lower:g} on {order['size']} random items: the order is right with probability {order['right']:.3f}; "
        f"such models are {_points(order['expected_difference'])} points apart on average."
    )


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


def _count(size: int | None) -> str:
    return "never" if size is None else f"{size:,}"
