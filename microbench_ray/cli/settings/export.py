"""The keys of conf/export.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from microbench_ray.cli.settings.benchmark import NEEDED, IngestedConf, SuiteConf
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.methods import Method
from microbench_ray.micro.affordable import check_cost
from microbench_ray.micro.build import FOLDS, check_method
from microbench_ray.micro.export_job import ExportJob


@dataclass
class ExportConf:
    """conf/export.yaml: see `microbench_ray.micro.export_job.ExportJob`."""

    data_dir: str = "leaderboards"
    benchmark: Any = None
    methods: list[Any] = field(default_factory=list)
    size: int | None = None
    cost: float | None = None
    seed: int = 0
    folds: int = FOLDS
    out: str = NEEDED
    overwrite: bool = False

    def job(self, benchmark: Any, methods: Sequence[Method]) -> ExportJob:
        """The checked job; `benchmark` is the configuration of a benchmark."""
        if len(methods) != 1:
            raise ConfigError(
                "Exactly one method can be exported.", where="method", got=f"{len(methods)} methods", hint="method=NAME"
            )
        if is_url(self.out):
            hint = "out=DIR, and copy the folder from there"
            raise ConfigError("A micro-benchmark can only be written on this machine.", where="out", got=self.out, hint=hint)
        if self.seed < 0:
            raise ConfigError("The seed must be at least 0.", where="seed", got=str(self.seed), hint="seed=0")
        check_method(methods[0])
        if self.cost is not None:
            check_cost(self.cost)
        boards = benchmark.boards if isinstance(benchmark, SuiteConf) else [benchmark]
        return ExportJob(
            benchmark=benchmark,
            method=methods[0],
            size=self.size,
            cost=self.cost,
            seed=self.seed,
            folds=self.folds,
            out=local_path(self.out),
            overwrite=self.overwrite,
            responses=tuple(board.path for board in boards) if all(isinstance(board, IngestedConf) for board in boards) else (),
        )
