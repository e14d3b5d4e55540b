"""The schema of conf/submit.yaml: a sweep, and how to submit it to a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from microbench_ray.cli.settings.benchmark import SuiteConf
from microbench_ray.cli.settings.places import place_of
from microbench_ray.cli.settings.sweep import SweepConf
from microbench_ray.core.errors import ConfigError
from microbench_ray.sweeps.cluster.submission import SubmitJob


@dataclass
class SubmitConf:
    """The keys `submit.…`, see `microbench_ray.sweeps.cluster.submission.SubmitJob`."""

    address: str | None = None
    follow: bool = True
    stop_on_interrupt: bool = False
    timeout: float = 10.0
    reconnect: float = 60.0
    working_dir: str | None = None

    def submission(self, arguments: Sequence[str], content: Mapping[str, Any]) -> SubmitJob:
        """The job with these arguments of `microbench sweep`; ConfigError for an invalid value."""
        folder = None if self.working_dir is None else Path(self.working_dir).resolve()
        return SubmitJob(arguments=tuple(arguments), content=content, **(vars(self) | {"working_dir": folder}))


@dataclass
class SubmittedConf(SweepConf):
    """conf/submit.yaml."""

    submit: SubmitConf = field(default_factory=SubmitConf)

    def check_places(self, benchmarks: Sequence[Any]) -> None:
        """Raise ConfigError for a missing or relative path: a job runs in a temporary folder on the cluster."""
        if self.out is None:
            raise ConfigError("A submitted sweep needs an output folder.", where="out", got="null", hint=f"out={SHARED_PLACE}")
        check_absolute("out", str(place_of(self.out, self.wait_for_out)))
        boards = [each.boards if isinstance(each, SuiteConf) else [each] for each in benchmarks]
        for benchmark in chain.from_iterable(boards):
            for key in ("path", "confidence", "metadata", "items"):
                place = getattr(benchmark, key, None)
                if place not in (None, "auto"):
                    check_absolute(f"benchmark.{key}", place)


SHARED_PLACE = "/mnt/shared/FOLDER or out=s3://BUCKET/FOLDER, permanent storage visible to the whole cluster"


def check_absolute(key: str, place: str) -> None:
    """Raise ConfigError for a relative path."""
    if "://" not in place and not Path(place).is_absolute():
        raise ConfigError(
            "A submitted job needs absolute paths, because it runs in a temporary folder.",
            where=key,
            got=place,
            hint="use an absolute path or a URL (such as s3://BUCKET/…) visible to the whole cluster",
        )
