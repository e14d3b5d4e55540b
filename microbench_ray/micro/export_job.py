"""`microbench export`: read, build, write, and say how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data import Benchmark, item_positions
from microbench_ray.ingest.run import earlier
from microbench_ray.methods import Method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import Origin, Place, build, check_method
from microbench_ray.micro.files import INSPECT, RESERVE, SAMPLES

if TYPE_CHECKING:
    from rich.console import Console

KNOWN = ("lm_eval", "open_llm_leaderboard", "inspect")
"""Sources whose item ids are `task/item`, and whose positions are what the tool calls the item by."""


class Readable(Protocol):
    """The configuration of a benchmark."""

    def read(self) -> Benchmark:
        """Read it."""


@dataclass(frozen=True)
class ExportJob:
    """What is exported, and where to. Keys as in conf/export.yaml."""

    benchmark: Readable
    method: Method
    size: int | None
    seed: int
    folds: int
    out: Path
    overwrite: bool
    responses: str | None = None
    """The folder of ingested responses that the benchmark is read from, if it is."""


class ExportOutcome(NamedTuple):
    """What an export wrote: the micro-benchmark, the names of its files, and notes on the benchmark."""

    micro: MicroBenchmark
    files: Sequence[str]
    notes: Sequence[str]


def run_export(job: ExportJob) -> ExportOutcome:
    """Build the micro-benchmark and write its folder; errors as for reading, `build` and `MicroBenchmark.save`."""
    check_method(job.method)
    benchmark = job.benchmark.read()
    origin = Origin() if job.responses is None else origin_of(job.responses)
    micro = build(benchmark, job.method, job.size, job.seed, folds=job.folds, origin=origin)
    return ExportOutcome(micro=micro, files=micro.save(job.out, overwrite=job.overwrite), notes=benchmark.notes)


def origin_of(path: str) -> Origin:
    """What the folder of responses at `path` says of its logs; errors as for reading it."""
    read_as = earlier(open_folder(path))
    if read_as is None:
        return Origin()
    places = {}
    if read_as.get("source") in KNOWN:
        for item, position in item_positions(path).items():
            task = item.rpartition("/")[0] if read_as["source"] != "inspect" else item.removesuffix(f"/{position}")
            places[item] = Place(task, position)
    return Origin(dict(read_as), places)


def show(made: MicroBenchmark, files: Sequence[str], out: Path, console: Console) -> None:
    """Say what was exported, how far off it is, and how to go on."""
    of = made.benchmark
    console.print(
        f"{of['name']}: {made.size} of {of['n_items']:,} items by {made.method['label']}, built on all {of['n_models']:,} models."
    )
    for held in (made.held_out, made.extrapolated):
        if held is None:
            console.print("Models better than the known ones: there are too few models to say how far off it is of those.")
            continue
        off = np.abs(held.estimates - made.accuracy[held.models])
        reached = held.mdad["mdad_monotone"]
        told = "no difference reliably" if reached is None else f"models {reached * 100:.1f} points apart and more"
        error = f"off by {np.nanmean(off) * 100:.1f} points on average" if (~np.isnan(off)).any() else "without an estimate"
        console.print(f"Held out ({held.label}): {error}; it tells apart {told}.")
    if SAMPLES in files:
        tasks = ",".join(sorted(made.tasks))
        console.print(f"Run it: lm_eval run --tasks {tasks} --samples {out}/samples.json --log_samples --output_path LOGS …")
    elif INSPECT in files:
        console.print(f"Run it: inspect eval TASK --sample-id …, with the ids of {out}/inspect_ids.json")
    else:
        console.print("Tasks and document numbers of the items are not known: there is no samples.json and no inspect_ids.json.")
    if made.reserve:
        console.print(f"For models unlike the known ones: the random items of {out}/{RESERVE} beside these.")
    console.print(f"Score it: microbench score micro={out} responses=LOGS source={made.source.get('source', 'FORMAT')}")
    console.print(f"Files: {out}/{', '.join(files)}")
