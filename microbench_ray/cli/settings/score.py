"""The keys of conf/score.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.logs import MAX_LINE_BYTES, here, log_options, one_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.table_formats import check_format
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
    max_line_bytes: int = MAX_LINE_BYTES
    format: str = "table"
    out: str | None = None
    figure: str | None = None

    def job(self) -> ScoreJob:
        """The checked job."""
        shown_as = check_format(self.format)
        on_conflict = one_of("on_conflict", self.on_conflict, ON_CONFLICT)
        options = log_options(self)
        micro = here("micro", self.micro)
        out, figure = (None if path is None else here(key, path) for key, path in (("out", self.out), ("figure", self.figure)))
        if figure is not None and figure.suffix not in (".png", ".svg"):
            raise ConfigError(
                "Unknown kind of picture.", where="figure", got=str(self.figure), hint="figure=FILE.png or figure=FILE.svg"
            )
        return ScoreJob(
            micro=micro,
            responses=ResponseInput(path=self.responses, source=self.source, options=options, on_conflict=on_conflict),
            format=shown_as,
            out=out,
            figure=figure,
        )
