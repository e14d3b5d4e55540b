"""The jobs, the schemas of their configurations, and the keys that are treated alike in all of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

SCHEMAS = {
    "sweep": "sweep.SweepConf",
    "reduce": "sweep.ReduceConf",
    "submit": "submit.SubmittedConf",
    "plan": "plan.PlanConf",
    "ingest": "ingest.IngestConf",
    "export": "export.ExportConf",
    "score": "score.ScoreConf",
    "compare": "compare.CompareConf",
    "next": "next.NextConf",
    "audit": "audit.AuditConf",
    "accept": "audit.AcceptConf",
    "methods": "methods.MethodsConf",
}
"""By job, the module in `cli.settings` and the dataclass of its configuration."""
JOBS = tuple(SCHEMAS)

TEXT_KEYS = (
    "targets.where",
    "targets.regex",
    "benchmark.name",
    "benchmark.path",
    "benchmark.confidence",
    "benchmark.metadata",
    "benchmark.items",
    "data_dir",
    "figure_note",
    "out",
    "micro",
    "board",
    "cluster",
    "weight",
    "path",
    "items",
    "responses",
    "results",
    "samples",
    "state",
    "submit.address",
    "submit.working_dir",
)
"""Keys of expressions and paths: their values may contain any character."""
PATH_KEYS = (
    "benchmark.path",
    "benchmark.confidence",
    "benchmark.metadata",
    "benchmark.items",
    "data_dir",
    "ingest.path",
    "micro",
    "board",
    "out",
    "path",
    "items",
    "responses",
    "results",
    "samples",
    "state",
    "submit.working_dir",
)
"""Keys whose values are paths or URLs."""
MAPPING_KEYS = (
    "benchmark.columns",
    "benchmark.weights",
    "columns",
    "engine.resources",
    "ingest.columns",
    "lists",
    "max_mdad",
    "policy",
)
"""Mappings whose keys are checked where they are used, such as labels of methods."""


def schema_of(job: str) -> Any:
    """The dataclass of a job's configuration, imported on first use: a sweep does not wait for the import of audits."""
    module, name = SCHEMAS[job].split(".")
    return getattr(import_module(f"microbench_ray.cli.settings.{module}"), name)
