"""`microbench export`: read a benchmark, build a micro-benchmark, write its folder and print the next steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from microbench_ray.core.shown import escape_controls, shell_quote
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data import Benchmark, item_positions
from microbench_ray.ingest.folder_settings import read_settings
from microbench_ray.methods import Method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build, check_method
from microbench_ray.micro.builder import Origin, Place
from microbench_ray.micro.files import BOTH_INSPECT, BOTH_SAMPLES, INSPECT, RESERVE, SAMPLES, tasks_word
from microbench_ray.micro.intervals import MIN_ERRORS
from microbench_ray.micro.random_items import Comparison
from microbench_ray.micro.records import MIN_COMPARED, HeldOut

if TYPE_CHECKING:
    from rich.console import Console

CHOSEN_BY = {
    0.0: "what they tell, whatever they cost",
    0.5: "what they tell per root of their cost",
    1.0: "what they tell per cost",
}
"""By the power of an item's cost by which what it tells was divided."""
SOURCES_WITH_PLACES = ("lm_eval", "open_llm_leaderboard", "inspect")
"""Sources whose item ids are `task/item`, and whose positions are the items' names in the tool."""


class BenchmarkSource(Protocol):
    """The configuration of a benchmark."""

    def read(self) -> Benchmark:
        """Read the benchmark."""


@dataclass(frozen=True)
class ExportJob:
    """What to export, and where to. Keys as in conf/export.yaml."""

    benchmark: BenchmarkSource
    method: Method
    size: int | None
    seed: int
    folds: int
    out: Path
    overwrite: bool
    cost: float | None = None
    """A budget, in the place of `size`."""
    responses: tuple[str, ...] = ()
    """The folders of ingested responses that the benchmark is read from, those of all boards of a suite; empty for others."""


class ExportOutcome(NamedTuple):
    """The micro-benchmark, the names of its files, and notes on the benchmark."""

    micro: MicroBenchmark
    files: Sequence[str]
    notes: Sequence[str]


def run_export(job: ExportJob) -> ExportOutcome:
    """Build the micro-benchmark and write its folder; errors as for reading, `build` and `MicroBenchmark.save`."""
    check_method(job.method)
    benchmark = job.benchmark.read()
    origin = joined_origin([origin_of(path) for path in job.responses])
    micro = build(benchmark, job.method, job.size, job.seed, folds=job.folds, origin=origin, cost=job.cost)
    return ExportOutcome(micro=micro, files=micro.save(job.out, overwrite=job.overwrite), notes=benchmark.notes)


def joined_origin(origins: Sequence[Origin]) -> Origin:
    """The origin of a suite from those of its boards: unknown where they were ingested with different settings."""
    if not origins or any(origin.source != origins[0].source for origin in origins):
        return Origin()
    return Origin(origins[0].source, {item: place for origin in origins for item, place in origin.places.items()})


def origin_of(path: str) -> Origin:
    """How the folder of responses at `path` was ingested, and the items' places in the tool; errors as for reading it."""
    ingest_settings = read_settings(open_folder(path))
    if ingest_settings is None:
        return Origin()
    source = ingest_settings.get("source")
    places = {}
    if source in SOURCES_WITH_PLACES:
        for item, position in item_positions(path).items():
            task = item.removesuffix(f"/{position}") if source == "inspect" else item.rpartition("/")[0]
            places[item] = Place(task=task, position=position)
    return Origin(source=dict(ingest_settings), places=places)


def show(micro: MicroBenchmark, files: Sequence[str], out: Path, console: Console) -> None:
    """Print what was exported, the errors on held-out models, and the commands to run next."""
    benchmark = micro.benchmark
    console.print(
        f"{escape_controls(benchmark['name'])}: {micro.size} of {benchmark['n_items']:,} items by "
        f"{escape_controls(micro.method['label'])}, built on all "
        f"{benchmark['n_models']:,} models."
    )
    if "selected_cost" in benchmark:
        total, selected = benchmark["cost"], benchmark["selected_cost"]
        console.print(f"These items cost {selected:,.10g} together, of {total:,.10g} for all ({selected / total:.1%}).")
    if benchmark.get("cost_power") in CHOSEN_BY:
        console.print(f"They were chosen by {CHOSEN_BY[benchmark['cost_power']]}.")
    for held_out in (micro.held_out, micro.extrapolated):
        if held_out is None:
            console.print("Models better than the known ones: there are too few models to measure errors on them.")
        else:
            console.print(_held_out_line(micro, held_out))
    if micro.random_items is not None:
        console.print(random_items_line(micro.n_random, micro.random_items))
    if SAMPLES in files:
        samples = shell_quote(out / SAMPLES)
        console.print(
            f"Run it: lm_eval run --tasks {tasks_word(micro.tasks)} --samples {samples} --log_samples --output_path LOGS …"
        )
    elif INSPECT in files:
        console.print(f"Run it: inspect eval TASK --sample-id …, with the ids in {escape_controls(str(out / INSPECT))}")
    else:
        console.print("No samples.json or inspect_ids.json: the items' tasks and document numbers are unknown.")
    if micro.reserve:
        also = "For models unlike the known ones" if np.unique(micro.groups).size >= MIN_ERRORS else "For narrower intervals"
        both = next((f"; both lists in one run: {out / name}" for name in (BOTH_SAMPLES, BOTH_INSPECT) if name in files), "")
        console.print(f"{also}, also run the random items of {escape_controls(f'{out / RESERVE}{both}')}.")
    source = shell_quote(micro.source.get("source", "FORMAT"))
    console.print(f"Score it: microbench score micro={shell_quote(out)} responses=LOGS source={source}")
    console.print(f"Files: {escape_controls(str(out))}/{', '.join(files)}")


def random_items_line(size: int, compared: Comparison) -> str:
    """Whether the micro-benchmark estimates held-out models better than `size` random items would, and what to take."""
    advice = {
        "this": "this micro-benchmark is the closer one for models like the known ones",
        "random": "take random items instead: method=random",
        "either": "the difference may be chance, and random items (method=random) also serve models unlike the known ones",
    }
    return (
        f"Root mean square error {compared.root_mean_square * 100:.1f} points; of {size} random items read by their mean "
        f"{compared.random * 100:.1f}: {advice[compared.verdict]}."
    )


def _held_out_line(micro: MicroBenchmark, held_out: HeldOut) -> str:
    absolute = np.abs(micro.errors(held_out))
    error = "no estimates" if np.isnan(absolute).all() else f"mean absolute error {np.nanmean(absolute) * 100:.1f} points"
    return f"Held out ({held_out.label}): {error}; {_detects(held_out)}."


def _detects(held_out: HeldOut) -> str:
    """Which differences are detected, with the 95 % interval; the number of models needed where they are too few to say."""
    n_models, reached, low, high = (held_out.mdad[key] for key in ("n_models", "mdad_monotone", "ci_lo", "ci_hi"))
    n_groups = held_out.mdad.get("n_groups", n_models)
    if n_groups is None or n_groups < MIN_COMPARED:
        units = "models" if n_groups == n_models else "groups of models"
        return f"too few {units} to say which differences it detects ({n_groups or 0:.0f}, at least {MIN_COMPARED} are needed)"
    if reached is None and low is None:
        return "no difference is detected reliably"
    ends = f"95 % interval {'–' if low is None else f'{low * 100:.1f}'} to {'∞' if high is None else f'{high * 100:.1f}'}"
    if reached is None:
        return f"no difference is detected reliably ({ends} points)"
    return f"detects differences of {reached * 100:.1f} points or more ({ends})"
