"""The keys of conf/plan.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from microbench_ray.cli.settings.benchmark import IngestedConf, ScoresConf
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.table_formats import check_format
from microbench_ray.metrics.items_needed import check_differences, check_threshold
from microbench_ray.metrics.run_difference import REFERENCES
from microbench_ray.micro.affordable import check_cost
from microbench_ray.micro.gate import check_drop
from microbench_ray.micro.plan_job import PlanJob
from microbench_ray.micro.posterior import check_scores
from microbench_ray.micro.sample_size import Criterion
from microbench_ray.micro.single_runs import check_repeats


@dataclass
class PlanConf:
    """conf/plan.yaml: see `microbench_ray.micro.plan_job.PlanJob`."""

    data_dir: str = "leaderboards"
    benchmark: Any = None
    differences: list[float] = field(default_factory=list)
    results: str | None = None
    size: int | None = None
    cost: float | None = None
    models: list[str] = field(default_factory=list)
    ranks: str | None = None
    scores: list[float] = field(default_factory=list)
    drop: float | None = None
    threshold: float = 0.8
    tie_policy: str = "wrong"
    n_repeats: int | None = None
    budget: list[int] = field(default_factory=list)
    leave_out: bool = False
    format: str = "table"

    def job(self, benchmark: Any) -> PlanJob:
        """The checked job.

        Parameters
        ----------
        benchmark
            The configuration of a benchmark. Confidences are not read, nor is metadata where no answer needs it.
        """
        shown_as = check_format(self.format)
        policy = next((each for each in ("wrong", "half", "drop") if each == self.tie_policy), None)
        if policy is None:
            raise ConfigError(
                "This tie policy has no closed form.", where="tie_policy", got=self.tie_policy, hint="wrong, half or drop"
            )
        check_threshold(self.threshold)
        check_differences(self.differences)
        if self.size is not None and self.size < 1:
            raise ConfigError("The size must be at least 1.", where="size", got=str(self.size), hint="size=100")
        if self.cost is not None:
            check_cost(self.cost)
            if self.size is not None:
                got = f"size={self.size} and cost={self.cost:g}"
                raise ConfigError("A plan is for a size or for a budget.", where="cost", got=got, hint="leave out either one")
        if self.n_repeats is not None:
            check_repeats(self.n_repeats)
        if any(budget < 1 for budget in self.budget):
            raise ConfigError("A budget is a number of answers.", where="budget", got=str(self.budget), hint="budget=[1000]")
        ranks = next((each for each in REFERENCES if each == self.ranks), None)
        if ranks is None and self.ranks is not None:
            raise unknown("value", "ranks", self.ranks, REFERENCES)
        if self.scores:
            check_scores(self.scores)
        if self.drop is not None:
            check_drop(self.drop)
        need_size = [key for key in ("models", "scores", "drop", "leave_out") if getattr(self, key) not in ([], None, False)]
        if need_size and self.size is None and self.cost is None:
            raise ConfigError("This question needs a number of items.", where=need_size[0], hint="size=100")
        asked = (self.size, self.cost, self.ranks, self.n_repeats)
        if not self.differences and not self.budget and all(each is None for each in asked):
            hint = "differences=[0.02] asks for a number of items, size=100 for what so many detect"
            raise ConfigError("The plan asks nothing.", where="differences", got="[]", hint=hint)
        if isinstance(benchmark, ScoresConf):
            benchmark = replace(benchmark, confidence=None, metadata=benchmark.metadata if self.leave_out else None)
        elif isinstance(benchmark, IngestedConf):
            benchmark = replace(benchmark, metadata=benchmark.metadata if self.leave_out else None)
        return PlanJob(
            benchmark=benchmark,
            differences=tuple(self.differences),
            results=self.results,
            size=self.size,
            cost=self.cost,
            models=tuple(self.models),
            ranks=ranks,
            scores=tuple(self.scores),
            drop=self.drop,
            criterion=Criterion(threshold=self.threshold, tie_policy=policy),
            format=shown_as,
            n_repeats=self.n_repeats,
            budget=tuple(self.budget),
            leave_out=self.leave_out,
        )
