"""Every numeric key of every job, out of its range: one message and exit code 1 at once, or a command that works.

The keys are found in the schemas, so that a new key is tested without a new test. Every day tests each key with one of the values,
and each value with a seventh of the keys; the nightly set, each key with each value.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from microbench_ray.audit import run as audit_run
from microbench_ray.cli.keys import JOBS, schema_of
from microbench_ray.cli.main import main
from microbench_ray.cli.settings.benchmark import BENCHMARKS
from microbench_ray.sweeps.cluster import submission
from tests.helpers.refusals import assert_one_message
from tests.helpers.rotation import share, share_or_all
from tests.helpers.small_sweep import write_board

VALUES = ("0", "-1", "nan", "inf", "1e12", "1000000000000", "abc")
ALWAYS_REFUSED = ("-1", "nan", "inf", "abc")
SECONDS = 5.0
"""CPU seconds of a refusal; most take a fifth of a second."""


KILOBYTES = 300_000
"""Growth of the memory of all refusals of a job and a value together."""


class Started(Exception):
    """The job's work, which the tests leave out for audits and submissions."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board, logs that were ingested from it, a micro-benchmark of it and its sweep."""
    folder = tmp_path_factory.mktemp("ranges")
    board = write_board(folder / "board.parquet")
    scores = ["benchmark=scores", f"benchmark.path={board}"]
    assert main(["ingest", "source=scores", f"path={board}", f"out={folder / 'ingested'}"]) == 0
    assert main(["export", *scores, "method=random", "size=10", f"out={folder / 'micro'}"]) == 0
    grid = ["methods=[random]", "grid.sizes=[10]", "grid.n_source=[10]", "grid.n_target=10", "grid.runs=2"]
    quiet = ["figures=false", "report=false", "n_resamples=100", "engine=serial"]
    assert main(["sweep", *scores, *grid, *quiet, f"out={folder / 'swept'}"]) == 0
    return folder


def commands(folder: Path, out: Path) -> dict[str, list[str]]:
    """By job, a command that works, apart from audits and submissions."""
    scores = ["benchmark=scores", f"benchmark.path={folder / 'board.parquet'}"]
    grid = ["methods=[random]", "grid.sizes=[10]", "grid.n_source=[10]", "grid.n_target=10", "grid.runs=2"]
    return {
        "sweep": [*scores, *grid, "plan_only=true", f"out={out}"],
        "reduce": [f"out={folder / 'swept'}", "report=false", "figures=false", "n_resamples=100"],
        "submit": ["benchmark=scores", "benchmark.path=/shared/board.parquet", *grid, "out=/shared/out"],
        "plan": [*scores, "differences=[.02]", "size=20"],
        "ingest": ["source=scores", f"path={folder / 'board.parquet'}", f"out={out}"],
        "export": [*scores, "method=random", "size=10", f"out={out}", "overwrite=true"],
        "compare": ["m00", "m01", f"board={folder / 'board.parquet'}"],
        "next": ["m00", "m01", f"board={folder / 'board.parquet'}", f"micro={folder / 'micro'}", f"state={out}.json"],
        "score": [f"micro={folder / 'micro'}", f"responses={folder / 'board.parquet'}", "source=scores"],
        "audit": [*scores, *grid, f"out={out}"],
        "accept": [f"out={folder / 'no audit'}"],
    }


def numeric_keys(schema: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The keys with numbers, and how a value is written: `{}`, in a list, or in a mapping by label."""
    for name, kind in get_type_hints(schema).items():
        parts, origin = (kind, *get_args(kind)), getattr(kind, "__origin__", None)
        inner = next((part for part in parts if is_dataclass(part)), None)
        if inner is not None and origin is not list:
            if name != "ingest":  # null by default; the keys of the job ingest
                yield from numeric_keys(inner, f"{prefix}{name}.")
        elif int in parts or float in parts:
            yield prefix + name, "{{random: {}}}" if origin is dict else "[{}]" if origin is list else "{}"


def cases(job: str) -> Iterator[tuple[str, str, list[str]]]:
    """Key, form, and what else the command needs."""
    for key, form in numeric_keys(schema_of(job)):
        more = ["targets=best"] if key.startswith("targets.") else ["engine=local"] if key.startswith("engine.") else []
        yield key, form, [] if job == "submit" and key.startswith("engine.") else more
    if job in ("sweep", "plan", "export"):
        for reader in ("scores", "ingested", "synthetic"):
            for key, form in numeric_keys(BENCHMARKS[reader]):
                yield f"benchmark.{key}", form, [f"benchmark={reader}"]


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(len(VALUES)))
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("job", [job for job in JOBS if any(True for _ in cases(job))])
def test_numbers_out_of_range(
    job: str,
    value: str,
    one_in: int,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(*given: object) -> None:
        raise Started

    monkeypatch.setattr(audit_run, "run_audit", start)
    monkeypatch.setattr(submission, "run_submit", start)
    tested, memory = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for key, form, more in share(list(cases(job)), one_in, VALUES.index(value)):
        tested += 1
        replaced = {key} | {each.split("=")[0] for each in more}
        arguments = [each for each in commands(folder, tmp_path / f"out{tested}")[job] if each.split("=")[0] not in replaced]
        if "benchmark" in replaced:
            arguments = [each for each in arguments if not each.startswith("benchmark.")]
            if "benchmark=synthetic" in more:
                arguments = ["benchmark.n_models=40", "benchmark.n_items=120", *arguments]
            else:
                arguments.append(f"benchmark.path={folder / ('ingested' if 'benchmark=ingested' in more else 'board.parquet')}")
            arguments = [each for each in arguments if each.split("=")[0] != key]
        line = [job, *more, *arguments, f"{key}={form.format(value)}"]
        start_seconds = time.process_time()
        try:
            code = main(line)
        except Started:
            code = 0
        seconds = time.process_time() - start_seconds
        message = capsys.readouterr().err
        assert code in ((0, 1, 4) if job == "next" else (0, 1)), line
        if code == 1:
            assert_one_message(code, message, ())
            assert seconds < SECONDS, line
        else:
            assert value not in ALWAYS_REFUSED, line
    assert tested
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < KILOBYTES
