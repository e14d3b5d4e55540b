"""Checks of a part of a method inside of a small sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microbench_ray.api.sweep import sweep
from microbench_ray.api.swept import Result
from microbench_ray.data import Benchmark
from microbench_ray.methods.base import SeenItems, Selection
from microbench_ray.methods.estimators.means import Mean
from microbench_ray.methods.registry import Method
from microbench_ray.methods.selectors.random import Random
from microbench_ray.testing.boards import N_TARGET, Board
from microbench_ray.testing.common import boards_for, is_selector, require
from microbench_ray.testing.selector_checks import same

N_SOURCE = 20
"""Source models that a run draws from those of the board."""


class Recorder:
    """A selector that keeps what it selects.

    Parameters
    ----------
    selector
        The selector that chooses.
    """

    def __init__(self, selector: Any) -> None:
        self.selector = selector
        self.selections: list[Selection] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.selector, name)

    def select(self, seen: SeenItems, fit: Any, size: int, rng: np.random.Generator) -> Selection:
        """Select as the selector does."""
        self.selections.append(self.selector.select(seen, fit, size, rng))
        return self.selections[-1]


def check_sweeps_do_not_show_targets(part: Any, sizes: Sequence[int]) -> None:
    """A sweep gives tables with finite errors, equal when it is repeated; other responses of the targets change no selection."""
    for board in boards_for(part):
        once, again, other = (_swept(part, board, flipped, sizes) for flipped in (False, False, True))
        require(once[0].tables["cells"].equals(again[0].tables["cells"]), "The same sweep gives two tables.")
        errors = once[0].tables["cells"].column("mean_abs_error").to_pylist()
        require(errors and all(error is not None and 0 <= error < 1 for error in errors), f"The errors are not finite: {errors}.")
        require(len(once[1]) == len(other[1]) > 0, "The number of selections depends on the targets.")
        require(all(map(same, once[1], other[1])), "Other responses of the targets change what is selected.")


def _swept(part: Any, board: Board, flipped: bool, sizes: Sequence[int]) -> tuple[Result, list[Selection]]:
    """A sweep of a part with all items seen, and its selections; with the target models' responses, or 1 minus them."""
    recorder = Recorder(part if is_selector(part) else Random())
    method = Method("checked", recorder, Mean() if is_selector(part) else part)
    models = [f"model{k}" for k in range(board.n_models)]
    result = sweep(
        _benchmark(board, models, flipped),
        method,
        sizes=sizes,
        n_source=N_SOURCE,
        n_target=N_TARGET,
        runs=2,
        unseen="none",
        targets=models[board.n_source :],
        progress=False,
        n_resamples=100,
    )
    return result, recorder.selections


def _benchmark(board: Board, models: list[str], flipped: bool) -> Benchmark:
    has = {"correctness": 0, "confidence": 1, "answers": 2}[board.richest]
    matrices = [board.correctness.copy(), board.confidence.copy()]
    for each in matrices if flipped else ():
        each[board.n_source :] = 1 - each[board.n_source :]
    return Benchmark.from_arrays(
        "checked",
        matrices[0],
        board.item_ids.tolist(),
        models,
        subtasks=[f"subtask{code}" for code in board.subtask],
        confidence=matrices[1] if has == 1 else None,
        answers=board.answers if has == 2 else None,
        labels=board.labels if has == 2 else None,
    )
