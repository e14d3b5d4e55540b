"""The MDADs of what is audited: of lists on all models and on those unlike the others, of methods from a sweep's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.audit.findings import Row, finding
from microbench_ray.methods import Method
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics import Mdad


@dataclass(frozen=True)
class Detectable:
    """An MDAD with its interval, fractions; None: never reached, or for `hi` unbounded."""

    value: float | None
    lo: float | None
    hi: float | None


def fitting(method: Method, item_ids: Sequence[str]) -> tuple[Method | None, list[str]]:
    """A list without the items that tonight's benchmark has not, and these; None where none of its items is there."""
    selector = method.selector
    assert isinstance(selector, Fixed)
    there = set(item_ids)
    kept = [k for k, item in enumerate(selector.items) if item in there]
    gone = [item for item in selector.items if item not in there]
    if not gone:
        return method, []
    weights = None if selector.weights is None else [selector.weights[k] for k in kept]
    if not kept or (weights is not None and sum(weights) <= 0):
        return None, gone
    less = Fixed([selector.items[k] for k in kept], weights, built_from=selector.built_from)
    return Method(method.label, less, method.estimator), gone


def lacking_items(label: str, gone: Sequence[str], n_items: int) -> Row:
    """The finding that items of a list are not in tonight's benchmark."""
    named = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
    text = f"{len(gone)} of the {n_items} items of '{label}' are not in tonight's benchmark: {named}"
    return finding("list_items", text, subject=label, value=float(len(gone)))


def among(found: Mdad) -> Detectable:
    """The monotone MDAD of `metrics.mdad`."""
    values = (found.mdad_monotone, found.mdad_monotone_ci_lo, found.mdad_monotone_ci_hi)
    return Detectable(*(None if np.isnan(value) else float(value) for value in values))


def table_mdads(table: pa.Table, threshold: float) -> list[dict[str, Any]]:
    """Rows of `mdad` at a threshold, on the seen half: what a verdict looks at."""
    return [row for row in table.to_pylist() if row["split"] == "seen" and row["threshold"] == threshold]


def detectable(row: dict[str, Any]) -> Detectable:
    """The monotone MDAD of a row of `mdad`."""
    return Detectable(row["mdad_monotone"], row["mdad_monotone_ci_lo"], row["mdad_monotone_ci_hi"])
