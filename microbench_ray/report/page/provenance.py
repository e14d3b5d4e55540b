"""The section on provenance: configuration, data, versions, seed, timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from microbench_ray.core.masking import mask_secrets
from microbench_ray.report.page.text import Html, facts, join, table, tag

MAX_CONFIG = 60_000
"""Characters of the configuration that are shown."""


def provenance_section(manifest: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> Html:
    """What is needed to reproduce the results, from the manifest and the verdict."""
    config = yaml.safe_dump(mask_secrets(_plain(manifest.get("config", {}))), sort_keys=False, allow_unicode=True, width=100)
    if len(config) > MAX_CONFIG:
        config = config[:MAX_CONFIG] + "\n… continued in manifest.json"
    benchmarks: Mapping[str, Mapping[str, Any]] = manifest.get("benchmarks", {})
    data_rows: list[list[object]] = [
        [name, f"{about['n_models']:,}", f"{about['n_items']:,}", tag("code", about["digest"])]
        for name, about in benchmarks.items()
    ]
    notes = [f"{name}: models are ranked by truth={about['truth']}" for name, about in benchmarks.items() if "truth" in about]
    notes += [f"{name}: {note}" for name, about in benchmarks.items() for note in about.get("notes", ())]
    baseline = (verdict or {}).get("baseline") or {}
    inputs: Mapping[str, str] = ((verdict or {}).get("made") or {}).get("inputs") or {}
    rows = {
        "root seed": manifest.get("seed"),
        "baseline": f"{baseline.get('night')}, {baseline.get('digest')}" if baseline else None,
        "started": manifest.get("started"),
        "finished": manifest.get("finished"),
        "cells computed": _runs(manifest.get("runs")),
        "engine": manifest.get("engine"),
        "git commit": manifest.get("git_commit"),
        **{
            key: _short(value)
            for key in ("machine", "seconds", "timings", "counts", "cells")
            if (value := manifest.get(key)) is not None
        },
        **{f"digest of {key.replace('_', ' ')}": value for key, value in inputs.items()},
    }
    versions = manifest.get("versions", {})
    return join(
        facts(rows),
        table(["benchmark", "models", "items", "digest"], data_rows, caption="Data") if data_rows else None,
        tag("ul", *(tag("li", note) for note in notes)) if notes else None,
        tag("p", "Versions: ", ", ".join(f"{name} {version}" for name, version in versions.items()), class_="hint")
        if versions
        else None,
        tag("details", tag("summary", "Configuration"), tag("pre", tag("code", config), tabindex="0")),
    )


def _runs(runs: Sequence[Mapping[str, Any]] | None) -> str | None:
    """How many cells were computed by which run; None for a folder in which nothing was kept from an earlier run."""
    if not runs or len(runs) < 2:
        return None
    return ", ".join(f"{run['cells']:,} by the run of {run['started'] or 'an unknown time'}" for run in runs)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_short(each) for each in value)
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _plain(value: Any) -> Any:
    """A value of YAML's types; other objects become strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
