"""What conf/ingest.yaml may hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.sweep import place_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.fold import ON_CONFLICT
from microbench_ray.ingest.hub import is_hub
from microbench_ray.ingest.registry import reader
from microbench_ray.ingest.run import IngestJob


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
    on_conflict: str = "error"
    max_line_bytes: int = 64 << 20
    wait_for_out: float = 0.0

    def job(self) -> IngestJob:
        """Checked."""
        reader(self.source)
        conflict = next((each for each in ON_CONFLICT if each == self.on_conflict), None)
        if conflict is None:
            raise ConfigError(
                "Unknown way to settle a conflict.",
                where="on_conflict",
                got=self.on_conflict,
                hint=f"one of {', '.join(ON_CONFLICT)}",
            )
        if self.max_line_bytes < 1:
            raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(self.max_line_bytes))
        if is_hub(self.path) and is_url(self.out):
            raise ConfigError(
                "What is fetched from the hub is kept below the folder of responses, which must be on this machine.",
                where="out",
                got=self.out,
                hint="out=DIR",
            )
        options = Options(tuple(self.tasks), tuple(self.models), self.metric, self.filter, self.max_line_bytes)
        return IngestJob(self.source, self.path, place_of(self.out, self.wait_for_out), options, conflict, self.wait_for_out)
