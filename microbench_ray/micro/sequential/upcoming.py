"""The items to answer next, and the file that makes an evaluation tool run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.methods.item_lists import id_lines
from microbench_ray.micro.files import tool_files
from microbench_ray.micro.sequential.state import State
from microbench_ray.micro.sequential.verdict import Verdict


def upcoming(state: State, verdict: Verdict, count: int) -> list[str]:
    """The first `count` items of the order that a model in the race was not asked; none once the question is answered."""
    if verdict.decision != "cannot be told":
        return []
    active = [each.model for each in verdict.models if each.active]
    found = (item for item in state.items if any(item not in state.scores[model] for model in active))
    return [item for item, _ in zip(found, range(count), strict=False)]


def batch_text(state: State, items: Sequence[str], path: Path) -> str:
    """What a file for these items holds: ids, one a line; in a `.json` the items by task as the evaluation tool takes them.

    Raises
    ------
    DataError
        A `.json` where the items' numbers in the tool are unknown.
    """
    if path.suffix != ".json":
        return id_lines(items)
    tasks: dict[str, list[str]] = {}
    for item in items:
        task, position = state.tasks.get(item, (None, ""))
        if task is not None:
            tasks.setdefault(task, []).append(position)
    if not items:
        return json.dumps({}) + "\n"
    complete = sum(map(len, tasks.values())) == len(items)
    files = tool_files(state.source, tasks, "lm_eval", "inspect") if complete else {}
    if not files:
        raise DataError(
            "The numbers of the items in the evaluation tool are unknown.",
            where="samples",
            got=str(path),
            hint="samples=FILE.txt, or begin the test with micro=DIR, an export of a board that was ingested from logs",
        )
    (text,) = files.values()
    return text
