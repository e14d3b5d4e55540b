"""The schema of conf/ingest.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.logs import MAX_LINE_BYTES, log_options, one_of
from microbench_ray.cli.settings.places import place_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.data.reduce import reducer
from microbench_ray.data.tables.keys import OF_ITEMS, table_keys
from microbench_ray.ingest.base import Scale
from microbench_ray.ingest.fold import ON_CONFLICT
from microbench_ray.ingest.hub import is_hub
from microbench_ray.ingest.identity import check_identify
from microbench_ray.ingest.join import JOINS
from microbench_ray.ingest.registry import get_reader
from microbench_ray.ingest.run import IngestJob
from microbench_ray.methods.item_lists import read_list

WITH_ITEMS = "swe_bench"
"""The format whose logs may list right answers only."""
TABLES = ("table", "scores")
"""Formats whose reader divides scores by `scale`."""


def scale_of(best: float, worst: float, *, divided: bool) -> Scale:
    """How values become scores, by the keys `scale` (the best value) and `offset` (the worst).

    `divided` is for readers that have divided by the best one.

    Raises
    ------
    ConfigError
        The values are equal, or not finite.
    """
    if not (isfinite(best) and isfinite(worst)) or best == worst:
        hint = "scale is the best value and offset the worst: scale=10 offset=1 for a judge from 1 to 10"
        raise ConfigError("scale and offset must be two numbers.", where="scale, offset", got=f"{best:g}, {worst:g}", hint=hint)
    return Scale(best=1.0, worst=worst / best) if divided and best > 0 else Scale(best=float(best), worst=float(worst))


@dataclass
class IngestConf:
    """conf/ingest.yaml: see `microbench_ray.ingest.run.IngestJob`."""

    source: str = NEEDED
    path: str = NEEDED
    out: str = NEEDED
    tasks: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    metric: str | None = None
    filter: str | None = None
    identify: list[str] = field(default_factory=list)
    join: str = "content"
    on_conflict: str = "error"
    items: str | None = None
    reduce: str = "mean"
    shape: str = "auto"
    columns: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    offset: float = 0.0
    correct: Any = field(default_factory=list)
    sheet: str | None = None
    max_line_bytes: int = MAX_LINE_BYTES
    wait_for_out: float = 0.0

    def job(self) -> IngestJob:
        """Build the job.

        Raises
        ------
        ConfigError
            A value is invalid.
        """
        get_reader(self.source)
        on_conflict = one_of("on_conflict", self.on_conflict, ON_CONFLICT)
        join = one_of("join", self.join, JOINS)
        reducer(self.reduce)
        if is_url(self.path) and not is_hub(self.path):
            hint = "copy the logs to this machine, or path=hf://datasets/… for the Hub"
            raise ConfigError("Logs must be on this machine or on the Hub.", where="path", got=self.path, hint=hint)
        if is_hub(self.path) and is_url(self.out):
            raise ConfigError(
                "Downloads from the Hub are stored in the folder of responses, which must be a local folder.",
                where="out",
                got=self.out,
                hint="use a local folder with out=DIR",
            )
        for role in OF_ITEMS:
            if role in self.columns:
                raise ConfigError(
                    f"Ingested responses have no {role} of items.",
                    where=f"columns.{role}",
                    got=str(self.columns[role]),
                    hint=f"benchmark.items=FILE, a table with item_id and {role}, where the responses are used; or "
                    f"benchmark=scores benchmark.columns={{{role}: NAME}}, which reads the table itself",
                )
        if self.items is not None and self.source != WITH_ITEMS:
            hint = (
                f"leave it out; source={WITH_ITEMS} needs it where logs list only what was resolved. A table of what items count "
                "or cost is given where the responses are used: benchmark.items=FILE"
            )
            raise ConfigError(
                "items= is for logs that list right answers only.", where="items", got=f"source={self.source}", hint=hint
            )
        is_table = self.source in TABLES
        scale = scale_of(self.scale, self.offset, divided=is_table)
        options = log_options(
            self,
            join=join,
            reduce=self.reduce,
            identify=check_identify(self.identify),
            scale=scale,
            preview=True,
            items=() if self.items is None else tuple(dict.fromkeys(read_list(local_path(self.items)).items)),
            table=table_keys(
                self.shape, self.columns, self.scale if is_table and self.scale > 0 else 1.0, self.correct, self.sheet
            ),
        )
        return IngestJob(
            source=self.source,
            path=self.path,
            out=place_of(self.out, self.wait_for_out),
            options=options,
            on_conflict=on_conflict,
            wait_for_out=self.wait_for_out,
        )
