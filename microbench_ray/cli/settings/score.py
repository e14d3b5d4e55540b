"""What conf/score.yaml may hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.fold import ON_CONFLICT
from microbench_ray.micro.responses import Given
from microbench_ray.micro.score_job import ScoreJob


@dataclass
class ScoreConf:
    """conf/score.yaml: see `microbench_ray.micro.responses.Given`."""

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

    def job(self) -> ScoreJob:
        """Checked."""
        if self.format not in ("table", "json"):
            raise ConfigError("Unknown format.", where="format", got=self.format, hint="table or json")
        conflict = next((each for each in ON_CONFLICT if each == self.on_conflict), None)
        if conflict is None:
            hint = f"one of {', '.join(ON_CONFLICT)}"
            raise ConfigError("Unknown way to settle a conflict.", where="on_conflict", got=self.on_conflict, hint=hint)
        if self.max_line_bytes < 1:
            raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(self.max_line_bytes))
        for key, place in (("micro", self.micro), ("out", self.out)):
            if place is not None and is_url(place):
                raise ConfigError("Scoring is done on this machine.", where=key, got=place, hint=f"{key}=PATH")
        options = Options(tuple(self.tasks), tuple(self.models), self.metric, self.filter, self.max_line_bytes)
        given = Given(self.responses, self.source, options, conflict)
        return ScoreJob(local_path(self.micro), given, self.format == "json", None if self.out is None else local_path(self.out))
