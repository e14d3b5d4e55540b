"""The schema of conf/ingest.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.places import place_of
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.storage.urls import is_url
from microbench_ray.data.reduce import reducer
from microbench_ray.data.tables.keys import OF_ITEMS, table_keys
from microbench_ray.ingest.base import Options, Scale
from microbench_ray.ingest.fold import ON_CONFLICT
from microbench_ray.ingest.hub import is_hub
from microbench_ray.ingest.identity import check_identify
from microbench_ray.ingest.join import JOINS
from microbench_ray.ingest.registry import get_reader
from microbench_ray.ingest.run import IngestJob

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
    reduce: str = "mean"
    shape: str = "auto"
    columns: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    offset: float = 0.0
    correct: Any = field(default_factory=list)
    max_line_bytes: int = 64 << 20
    wait_for_out: float = 0.0

    def job(self) -> IngestJob:
        """Build the job.

        Raises
        ------
        ConfigError
            A value is invalid.
        """
        get_reader(self.source)
        on_conflict = next((value for value in ON_CONFLICT if value == self.on_conflict), None)
        if on_conflict is None:
            raise unknown("value of on_conflict", "on_conflict", self.on_conflict, ON_CONFLICT)
        join = next((value for value in JOINS if value == self.join), None)
        if join is None:
            raise unknown("way to join items", "join", self.join, JOINS)
        reducer(self.reduce)
        if self.max_line_bytes < 1:
            hint = f"the default is {64 << 20}"
            raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(self.max_line_bytes), hint=hint)
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
                    hint=f"benchmark=scores benchmark.columns={{{role}: NAME}} reads the table itself",
                )
        is_table = self.source in TABLES
        scale = scale_of(self.scale, self.offset, divided=is_table)
        options = Options(
            tasks=tuple(self.tasks),
            models=tuple(self.models),
            metric=self.metric,
            filter=self.filter,
            max_line_bytes=self.max_line_bytes,
            join=join,
            reduce=self.reduce,
            identify=check_identify(self.identify),
            scale=scale,
            table=table_keys(self.shape, self.columns, self.scale if is_table else 1.0, self.correct),
        )
        return IngestJob(
            source=self.source,
            path=self.path,
            out=place_of(self.out, self.wait_for_out),
            options=options,
            on_conflict=on_conflict,
            wait_for_out=self.wait_for_out,
        )
