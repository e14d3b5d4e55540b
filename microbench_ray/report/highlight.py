"""Which methods a chart of many shows in colour: the baseline, and those not worse than the best by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from microbench_ray.report.answer import answers, headlines

MAX_COLOURED = 6
"""Up to so many methods all have a colour; of more, at most so many."""


class Highlight(NamedTuple):
    """Methods in colour, in the order of their colours, and the others, which are grey; why, in words (empty without others)."""

    coloured: list[str]
    grey: list[str]
    reason: str

    @property
    def methods(self) -> list[str]:
        """All methods, those in colour first."""
        return [*self.coloured, *self.grey]


def highlight(tables: Mapping[str, pa.Table], methods: Sequence[str]) -> Highlight:
    """Divide the methods.

    Parameters
    ----------
    tables
        `mdad`, and `standings` and `paired` where there are any.
    methods
        Their labels. Those that share the best are in colour in the order of their p-values, so that with many none is left out by
        its name alone; where the runs cannot tell, those with the lowest MDADs at the size of the headline are.
    """
    if len(methods) <= MAX_COLOURED:
        return Highlight(list(methods), [], "")
    found = [answer for answer in headlines(answers(tables)) if answer.n_methods > 1]
    ranked: dict[str, tuple[float, ...]] = {}
    for answer in found:
        for method, mdad, p_value in zip(answer.methods, answer.mdads, answer.p_values, strict=True):
            place = (-p_value, 1.0 if mdad is None else mdad) if answer.compared else (1.0 if mdad is None else mdad,)
            ranked[method] = min(place, ranked.get(method, place))
    baselines = sorted(set(tables["paired"]["baseline"].to_pylist())) if "paired" in tables else []
    named = baselines if len(baselines) == 1 else []
    best = [method for method in sorted(ranked, key=lambda each: ranked[each]) if method not in named]
    room = MAX_COLOURED - len(named)
    chosen = [method for method in (*named, *best[:room]) if method in methods]
    grey = [method for method in methods if method not in chosen]
    compared = bool(found) and all(answer.compared for answer in found)
    of_best = (
        "methods not worse than the best by more than chance" if compared else "methods with the lowest MDADs, which may be chance"
    )
    count = f"{room} of {len(best)} " if len(best) > room and compared else ""
    return Highlight(chosen, grey, f"In colour: {'the baseline, and ' if named else ''}{count}{of_best}.")
