"""Hints for cells that are not scores."""

from __future__ import annotations

import re

from microbench_ray.data.suspicious import named_like_aggregates


def cell_hint(model: str, value: object) -> str:
    """The hint for a cell that is not a score in [0, 1]."""
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d*,\d+\s*", value):
        return f"write numbers with a decimal point: {value.strip().replace(',', '.')}, not {value.strip()}"
    if named_like_aggregates([model], "model"):
        return f"remove the column {model!r}: it is not a model's name; or columns={{ignore: [{model}]}}"
    if (isinstance(value, int | float) and 1 < value <= 100) or (isinstance(value, str) and value.strip().endswith("%")):
        return (
            "scale=100 reads percent, scale=10 scores up to 10: they are divided by it; leave the cell of a missing response "
            "empty (NaN), and columns={ignore: [NAME]} leaves out a column that holds no scores"
        )
    return "scores are numbers in [0, 1]: leave the cell of a missing response empty, and remove columns that are not models"
