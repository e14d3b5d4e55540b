"""The keys of conf/score.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.core.table_formats import check_format
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.fold import ON_CONFLICT
from microbench_ray.micro.responses import ResponseInput
from microbench_ray.micro.score_job import ScoreJob


@dataclass
class ScoreConf:
    """conf/score.yaml: see `microbench_ray.micro.responses.ResponseInput`."""

    micro: str = NEEDED
    responses: str = NEEDED
    source: str | None = None
    tasks: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    metric: str | None = None
    filter: str | None = None
    on_conflict: str = "error"
    max_line_bytes: int = 64 << 20
    format: str = "table"
    out: str | None = None
    figure: str | None = None

    def job(self) -> ScoreJob:
        """The checked job."""
        shown_as = check_format(self.format)
        on_conflict = next((choice for choice in ON_CONFLICT if choice == self.on_conflict), None)
        if on_conflict is None:
            hint = f"one of {', '.join(ON_CONFLICT)}"
            raise ConfigError("Unknown way to resolve conflicting logs.", where="on_conflict", got=self.on_conflict, hint=hint)
        if self.max_line_bytes < 1:
            raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(self.max_line_bytes))
        for key, path in (("micro", self.micro), ("out", self.out), ("figure", self.figure)):
            if path is not None and is_url(path):
                raise ConfigError("The path must be on this machine, not a URL.", where=key, got=path, hint=f"{key}=PATH")
        if self.figure is not None and Path(self.figure).suffix not in (".png", ".svg"):
            raise ConfigError(
                "Unknown kind of picture.", where="figure", got=self.figure, hint="figure=FILE.png or figure=FILE.svg"
            )
        options = Options(
            tasks=tuple(self.tasks),
            models=tuple(self.models),
            metric=self.metric,
            filter=self.filter,
            max_line_bytes=self.max_line_bytes,
        )
        return ScoreJob(
            micro=local_path(self.micro),
            responses=ResponseInput(path=self.responses, source=self.source, options=options, on_conflict=on_conflict),
            format=shown_as,
            out=None if self.out is None else local_path(self.out),
            figure=None if self.figure is None else local_path(self.figure),
        )
