"""Agreement curves, and MDAD against size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from microbench_ray.report.page import charts
from microbench_ray.report.page.parts import Chart, Column, choice, choices, legend, notes, options_of, plain, section
from microbench_ray.report.page.text import Html
from microbench_ray.report.terminal import MONOTONE

PANEL = {
    "benchmark": "Benchmark",
    "group": "Target models",
    "sources": "Source models",
    "items": "Differences on",
    "threshold": "Agreement",
}
MIN_REACH = 0.04
"""No curve is shown to less."""
MAX_SIZES = 4
"""Of curves, where there are too many."""


def curves_section(tables: Mapping[str, pa.Table], budget: int) -> Html | None:
    """The two charts and their choices; None where there is no MDAD. At most about `budget` rows are in each."""
    found = with_panel(tables["mdad"].to_pandas())
    if not len(found):
        return None
    found, left_out = _fit_mdad(found, budget)
    curves, cut = _fit_curves(_near(_occupied(tables["agreement"]), found), found, budget)
    curves = with_panel(curves)
    methods = list(dict.fromkeys(found["method"]))
    first = _first_panel(found)
    made = [choice(name, label, _options(found, name), plain(first[name])) for name, label in PANEL.items()]
    charted = [_mdad_chart(found, methods)]
    if len(curves):
        sizes = sorted(curves["size"].unique())
        if _sizes_vary(curves):
            chosen = min(sizes, key=lambda size: abs(np.log(size / 100)))
            made.append(choice("size", "Items in the curves", [(plain(size), f"{size:,}") for size in sizes], plain(chosen)))
        charted.insert(0, _agreement_chart(curves, methods, found))
    figures = Html(f'<div class="pair">{"".join(chart.html() for chart in charted)}</div>')
    return section("curves", "How well models are told apart", choices(*made), legend(methods), figures, notes([*left_out, *cut]))


def with_panel(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the choices are called: group of targets, source models, items."""
    labels = {"random": "drawn at random", "all": "all of them"}
    target = rows["targets"].map(lambda label: labels.get(label, label))
    half = np.where(rows["unseen"] == "none", "all items", rows["split"] + " half of the items")
    return rows.assign(
        group=[f"{count:,} ({label})" for count, label in zip(rows["n_target"], target, strict=True)],
        sources=[f"{count:,}" if count else "none: a fixed list" for count in rows["n_source"]],
        items=half,
    )


def _first_panel(found: pd.DataFrame) -> pd.Series:
    """What is shown first: the first benchmark, most source models, the seen half, the first threshold."""
    here = found[found["benchmark"] == found["benchmark"].iloc[0]]
    first: pd.Series = here.sort_values(["split", "n_source"], ascending=[True, False], kind="stable").iloc[0]
    return first


def _options(rows: pd.DataFrame, name: str) -> list[tuple[str, str]]:
    if name == "threshold":
        return [(plain(value), f"at least {100 * value:g} %") for value in sorted(rows[name].unique())]
    if name == "sources":
        rows = rows.sort_values("n_source", kind="stable")
    return options_of(rows, name)


def _mdad_chart(found: pd.DataFrame, methods: list[str]) -> Chart:
    value, low, high = (100 * found[name].astype(float) for name in MONOTONE)
    by = [found[name] for name in (*list(PANEL),)]
    highest = pd.concat([value, low, high], axis=1).max(axis=1)
    top = 1.15 * highest.groupby(by).transform("max").fillna(10.0)
    reached, unbounded = value.notna(), low.notna() & high.isna()
    place = {method: k for k, method in enumerate(methods)}
    spread = 1.0 + 0.012 * (found["method"].map(place) - (len(methods) - 1) / 2)
    fractions = found["fraction"].notna().all()
    size = (100 * found["fraction"]).round(6) if fractions else found["size"].astype(float)
    rows = pd.DataFrame(
        {
            **{name: found[name] for name in (*PANEL, "method")},
            "n_items": found["size"],
            "tick": size,
            "x": size * spread,
            "value": value,
            "lo": low,
            "hi": high,
            "y": value.fillna(top),
            "lo_y": low.fillna(value).fillna(top),
            "hi_y": high.where(~unbounded, top).fillna(value).fillna(top),
            "reached": reached,
            "unbounded": reached & unbounded,
            "n_runs": found["n_runs"],
        }
    )
    columns = [
        Column("method", "method"),
        Column("n_items", "items", "number", 0),
        Column("value", "MDAD", "number", 1, " points", missing="never reached"),
        Column("value", f"interval over {' or '.join(sorted(set(found['ci'])))}", "interval", 1),
        Column("n_runs", "runs", "number", 0),
    ]
    label = "items selected (%)" if fractions else "items selected"
    about = (
        "The smallest difference between two models that is seen in enough cases: lower is better. "
        "Bars are intervals, ▲ an unbounded one; × says that agreement is never high enough."
    )
    described = f"MDAD in points against the number of items selected, for {', '.join(methods)}; values in the table below."
    return Chart("mdad", "MDAD against size", about, {"": charts.mdad(methods, label)}, rows, columns, described)


def _agreement_chart(curves: pd.DataFrame, methods: list[str], found: pd.DataFrame) -> Chart:
    rows = pd.DataFrame(
        {
            **{name: curves[name] for name in PANEL if name != "threshold"},
            "size": curves["size"],
            "method": curves["method"],
            "difference": (50 * (curves["diff_lo"] + curves["diff_hi"])).round(3),
            "value": 100 * curves["agreement"].astype(float),
            "lo": 100 * curves["ci_lo"].astype(float),
            "hi": 100 * curves["ci_hi"].astype(float),
            "n_pairs": curves["n_pairs"],
        }
    )
    columns = [
        Column("method", "method"),
        Column("difference", "difference", "number", 2, " points"),
        Column("value", "agreement", "number", 1, " %"),
        Column("value", f"interval over {' or '.join(sorted(set(found['ci'])))}", "interval", 1, " %"),
        Column("n_pairs", "pairs of models", "number", 0),
    ]
    about = "How often the chosen items order two models as all items do, by how far apart they are. Dashed: what is asked for."
    described = f"Agreement in percent against the difference in points, for {', '.join(methods)}; values in the table below."
    return Chart("agreement", "Agreement", about, {"": charts.agreement(methods)}, rows, columns, described)


def _sizes_vary(curves: pd.DataFrame) -> bool:
    """A method has several sizes, so that one has to be chosen; published lists have one each."""
    return bool(curves.groupby("method")["size"].nunique().max() > 1)


def _occupied(agreement: pa.Table) -> pd.DataFrame:
    """Bins with pairs, and of their columns those that are shown: a large sweep's table would fill the memory as Python texts."""
    table = agreement.drop_columns(["fraction", "tie_policy", "ci", "n_agree", "n_tied"])
    table = table.filter(pc.greater(table["n_pairs"], 0))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _near(curves: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Bins up to a little more than twice the last crossing of their benchmark and size."""
    if not len(curves):
        return curves
    pairs = curves.groupby("diff_lo")["n_pairs"].sum().cumsum()
    most = max(MIN_REACH, float(pairs.index[pairs <= 0.999 * pairs.iloc[-1]].max()))
    key = ["benchmark", "size"] if _sizes_vary(curves) else ["benchmark"]
    last = found.groupby(key)[MONOTONE[0]].agg(lambda values: np.inf if values.isna().any() else values.max())
    reach = (2.2 * last).clip(lower=MIN_REACH, upper=most)
    return curves[curves["diff_lo"] <= curves[key].merge(reach.rename("reach"), "left", on=key)["reach"].fillna(most).to_numpy()]


def _fit_mdad(found: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """The rows of as many benchmarks as fit, and a note on the others."""
    return _first_benchmarks(found, budget, "rows of MDAD")


def _fit_curves(curves: pd.DataFrame, found: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """Fewer sizes, source models, bins and benchmarks, until the curves fit; and notes on what was left out."""
    cut: list[str] = []
    curves = curves[curves["benchmark"].isin(set(found["benchmark"]))]
    for name, label in (("size", "sizes"), ("n_source", "numbers of source models")):
        values = sorted(curves[name].unique())
        if len(curves) > budget and len(values) > MAX_SIZES:
            kept = [values[k] for k in np.linspace(0, len(values) - 1, MAX_SIZES).round().astype(int)]
            curves = curves[curves[name].isin(kept)]
            cut.append(f"Agreement curves are of {MAX_SIZES} of {len(values)} {label}: {', '.join(f'{each:,}' for each in kept)}.")
    if len(curves) > budget:
        step = int(min(4, np.ceil(len(curves) / budget)))
        curves = curves[(curves["diff_lo"] / 0.005).round().astype(int) % step == 0]
        cut.append(f"Agreement curves have one of {step} half-point bins.")
    curves, more = _first_benchmarks(curves, budget, "agreement curves")
    return curves, [*cut, *more, *(["All of it is in agreement.parquet."] if cut or more else [])]


def _first_benchmarks(rows: pd.DataFrame, budget: int, what: str) -> tuple[pd.DataFrame, list[str]]:
    if len(rows) <= budget:
        return rows, []
    counts = rows["benchmark"].value_counts(sort=False).reindex(rows["benchmark"].unique())
    kept = counts.index[: max(1, int((counts.cumsum() <= budget).sum()))]
    here = rows[rows["benchmark"].isin(kept)]
    note = [f"Not on this page: {what} of {len(counts) - len(kept):,} more benchmarks."] if len(kept) < len(counts) else []
    if len(here) > budget:
        note.append(f"Not on this page: {len(here) - budget:,} more rows of {kept[0]}.")
        here = here.iloc[:budget]
    return here, note
