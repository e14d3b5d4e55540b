"""The keys of conf/methods.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from microbench_ray.cli.methods import MethodsJob
from microbench_ray.core.table_formats import check_format


@dataclass
class MethodsConf:
    """conf/methods.yaml: see `microbench_ray.cli.methods.MethodsJob`."""

    format: str = "table"

    def job(self) -> MethodsJob:
        """The checked job."""
        return MethodsJob(format=check_format(self.format))
