"""Costs of items from the usage that logs record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from microbench_ray.ingest.inspect_usage import Unit


def read_inspect_costs(path: str | Path, unit: Unit = "tokens") -> pd.DataFrame:
    """Mean cost of each item over the samples of Inspect logs, for `read_ingested(…, costs=FILE)` and `benchmark.costs=FILE`.

    Parameters
    ----------
    path
        A log or a folder of logs. Only successful ones count, and of these the samples that used anything and had no error.
    unit
        `tokens` of the input and the output, of all models that a sample used; or `seconds` of work, without waiting.

    Returns
    -------
    pandas.DataFrame
        `item_id`, as `microbench ingest source=inspect` names it, and `cost`; `to_csv("costs.csv", index=False)` writes the table.

    Raises
    ------
    ConfigError
        Another unit.
    DataError
        There are no logs, one cannot be read, or none records the unit; or inspect-ai is not installed.
    """
    import pandas as pd

    from microbench_ray.ingest.inspect_usage import mean_usage

    costs = mean_usage(path, unit)
    return pd.DataFrame({"item_id": list(costs), "cost": list(costs.values())})
