"""`microbench JOB key=value …`, the same as `python jobs/JOB.py key=value …`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

MOST_TABLES = 12
DONE, BAD_INPUT, SOME_FAILED, VIOLATED, INTERRUPTED = 0, 1, 2, 3, 130

USAGE = """\
microbench JOB [key=value …]

  microbench sweep             agreement and MDAD of micro-benchmarking methods, from score tables
  microbench reduce out=DIR    new tables from a finished sweep: other thresholds, tie policy or intervals
  microbench ingest            from the logs of evaluation tools to a benchmark: source=FORMAT path=LOGS out=DIR
  microbench audit             a leaderboard's night: what is new, what drifts, which ranks cannot be believed, a verdict
  microbench accept            tonight becomes what the audit compares with
  microbench plan              how many items, what they tell apart, how sure an order is, where a gate should alarm
  microbench export            a micro-benchmark of your own, built on all models: a folder that stands alone
  microbench score             new models' responses to it: accuracy, rank, and how sure they are
  microbench submit out=URL    the sweep on a Ray cluster: submit.address=http://HOST:8265; follows it, returns its exit code

  --cfg              print the configuration and do nothing
  --config-dir DIR   a folder of your own with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml
  --version, --help

  microbench sweep benchmark=scores benchmark.path=FILE methods=[random,stratified_confidence] \\
      grid.sizes=[10,25,50] grid.n_source=[300] grid.n_target=50 grid.runs=50 seed=0 engine=local out=DIR
  microbench sweep plan_only=true
  microbench reduce out=DIR thresholds=[.7,.8,.9] tie_policy=half ci=pairs
  microbench ingest source=lm_eval path=LOGS out=BOARD
  microbench audit benchmark.path=BOARD lists={tiny: tiny.txt} out=DIR
  microbench plan benchmark=scores benchmark.path=FILE differences=[.02] size=100
  microbench export benchmark=ingested benchmark.path=BOARD method=greedy size=100 out=MICRO
  microbench score micro=MICRO responses=LOGS source=lm_eval

Exit codes: 0 done, 1 bad input or configuration, 2 finished, but some shards or logs failed, 3 an audit's policy is violated."""


def main(arguments: Sequence[str]) -> int:
    """Run a job; returns the exit code. What is wrong with the input is one message on standard error."""
    try:
        return _main(list(arguments))
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What is done is kept: the same command goes on from here.\n")
        return INTERRUPTED


def entry_point(*job: str) -> None:
    """The console script, and those of jobs/. To be asked to end (SIGTERM) is what Ctrl-C is: schedulers know no other way."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main([*job, *sys.argv[1:]]))


def _main(arguments: list[str]) -> int:
    if not arguments or "--help" in arguments or "-h" in arguments:
        sys.stdout.write(USAGE + "\n")
        return DONE if arguments else BAD_INPUT
    if "--version" in arguments:
        from importlib.metadata import version

        sys.stdout.write(version("microbench-ray") + "\n")
        return DONE
    from microbench_ray.cli.compose import JOBS, Composer  # slower to import than --help should take

    job, *rest = arguments
    if job not in JOBS:
        raise ConfigError("Unknown job.", got=job, mend=f"valid: {', '.join(JOBS)}; see microbench --help")
    if show := "--cfg" in rest:
        place = rest.index("--cfg")
        del rest[place : place + (2 if rest[place + 1 : place + 2] == ["job"] else 1)]  # Hydra's spelling is --cfg job
    config_dir = _option(rest, "--config-dir")
    for each in rest:
        if each.startswith("-"):
            raise ConfigError("Unknown option.", got=each, mend="see microbench --help")
    composer = Composer(job, rest, None if config_dir is None else Path(config_dir))
    if show:
        sys.stdout.write(composer.text())
        return DONE
    return RUN[job](composer)


def _sweep(composer: Any) -> int:
    from microbench_ray.core.storage.folders import open_folder
    from microbench_ray.report.terminal import plan_text
    from microbench_ray.sweeps.driver import run_sweep

    conf, sweep = composer.sweep()
    console = terminal()
    for benchmark in sweep.benchmarks:
        for note in benchmark.notes:
            console.print(f"{benchmark.name}: {note}")
    plan = sweep.plan()
    for name, sizes in sweep.own_sizes.items():
        console.print(f"{name}: sizes {', '.join(map(str, sizes))} of its own, not those of the grid")
    console.print(plan_text(plan, sweep.engine.description, sweep.out))
    if conf.plan_only:
        return DONE
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    outcome = run_sweep(sweep, plan, console.print)
    show_results(console, outcome.tables, sweep.out, figures=conf.figures, report=conf.report)
    console.print(
        f"{outcome.computed:,} cells computed in {outcome.seconds['compute']:.1f} s, "
        f"{outcome.reused:,} reused; reduced in {outcome.seconds['reduce']:.1f} s"
    )
    if outcome.failed:
        first = outcome.tables["failures"].column("error")[0].as_py()
        where = open_folder(sweep.out).at("failures.parquet")
        sys.stderr.write(f"{outcome.failed:,} cells failed; the first: {first}\n  see {where}\n")
        return SOME_FAILED
    return DONE


def _reduce(composer: Any) -> int:
    from microbench_ray.sweeps.driver import run_reduce

    conf = composer.reduce()
    console, out = terminal(), conf.place()
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    tables = run_reduce(out, conf.rules(), wait_for_out=conf.wait_for_out, say=console.print)
    show_results(console, tables, out, figures=conf.figures, report=conf.report)
    return SOME_FAILED if len(tables["failures"]) else DONE


def _ingest(composer: Any) -> int:
    from microbench_ray.ingest.run import ingest

    console, job = terminal(), composer.ingest()
    summary = ingest(job, console.print)
    for sentence in summary.sentences():
        console.print(sentence)
    console.print(f"Benchmark: microbench sweep benchmark=ingested benchmark.path={job.out}")
    for error in summary.failed.values():
        sys.stderr.write(f"{error}\n")
    return SOME_FAILED if summary.failed else DONE


def _audit(composer: Any) -> int:
    from microbench_ray.audit.run import run_audit
    from microbench_ray.report.terminal import verdict_lines

    console, audit = terminal(), composer.audit()
    outcome = run_audit(audit, console.print)
    for line in verdict_lines(outcome.verdict):
        console.print(line)
    if outcome.again:
        console.print(f"Night {audit.night} is in the history already: nothing was done again.")
    there = [name for name in ("verdict.json", "report.html", "mdad.parquet") if (Path(outcome.place) / name).exists()]
    console.print(f"Verdict: {outcome.place}/{', '.join(there)}; history: {audit.out}/history")
    if outcome.untold:
        sys.stderr.write(f"{outcome.untold}\n")
    if outcome.verdict["status"] == "violated":
        return VIOLATED
    return SOME_FAILED if outcome.failed or outcome.untold else DONE


def _accept(composer: Any) -> int:
    from microbench_ray.audit.run import run_accept

    conf = composer.acceptance()
    out, what = conf.chosen()
    run_accept(out, what, terminal().print, wait_for_out=conf.wait_for_out)
    return DONE


def _plan(composer: Any) -> int:
    from microbench_ray.micro.plan_job import answers, show

    question = composer.question()
    made = answers(question)
    if question.as_json:
        sys.stdout.write(json.dumps(made, indent=2) + "\n")
    else:
        show(made, terminal())
    return DONE


def _export(composer: Any) -> int:
    from microbench_ray.micro.export_job import run_export, show

    export, console = composer.export(), terminal()
    made, files, notes = run_export(export)
    for note in notes:
        console.print(f"{made.benchmark['name']}: {note}")
    show(made, files, export.out, console)
    return DONE


def _score(composer: Any) -> int:
    from microbench_ray.cli.settings.score import run_scoring
    from microbench_ray.micro.report import text, write

    scoring = composer.scoring()
    made, scored, found = run_scoring(scoring)
    report = text(made, scored, found.notes, as_json=scoring.as_json)
    if scoring.out is not None:
        write(scoring.out, report)
    sys.stdout.write(report)
    for error in found.failed.values():
        sys.stderr.write(f"{error}\n")
    return SOME_FAILED if found.failed or any(each.refused for each in scored) else DONE


def _submit(composer: Any) -> int:
    from microbench_ray.sweeps.cluster.submission import submit

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return submit(composer.submission(), lambda text: write(text + "\n"), write)


RUN = {
    "sweep": _sweep,
    "reduce": _reduce,
    "submit": _submit,
    "ingest": _ingest,
    "audit": _audit,
    "accept": _accept,
    "plan": _plan,
    "export": _export,
    "score": _score,
}


def terminal() -> Console:
    """Standard output; at least 120 columns where it is a file, for tables."""
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console


def show_results(console: Console, tables: Mapping[str, pa.Table], out: Path | str, *, figures: bool, report: bool = False) -> None:
    """Print the MDADs, draw the figures and the page, and say where everything is; the rest is in the folder's manifest."""
    from microbench_ray.core.storage.store import Store
    from microbench_ray.report.figures import draw_figures
    from microbench_ray.report.terminal import mdad_tables

    store = Store(out)
    manifest = store.manifest() or {}
    note, names = manifest.get("config", {}).get("figure_note"), manifest.get("benchmarks", ())

    shown = list(mdad_tables(tables["mdad"]))
    for title, table in shown[:MOST_TABLES]:
        console.print(title)
        console.print(table, soft_wrap=False)
    if len(shown) > MOST_TABLES:
        console.print(f"… and {len(shown) - MOST_TABLES} more such tables: {store.at('mdad.parquet')}")
    drawn: list[str] = []
    if figures:
        try:
            drawn = draw_figures(tables, lambda name, png: store.write(f"figures/{name}", png), benchmarks=names, note=note)
        except StoreError as error:
            mend = f"{error.mend}; or figures=false: the tables are there already, and microbench reduce draws again"
            raise StoreError("A figure cannot be written.", where=error.where, got=error.got, mend=mend) from None
    if report:
        from microbench_ray.report.page import render

        page = render(manifest, tables)
        try:
            store.write("report.html", page.encode())
        except StoreError as error:
            mend = f"{error.mend}; or report=false: the tables are there already, and microbench reduce writes the page again"
            raise StoreError("The page cannot be written.", where=error.where, got=error.got, mend=mend) from None
    if note:
        console.print(f"Note: {note}")
    more = ", paired.parquet" if "paired" in tables else ""
    console.print(f"Tables: {store.at('agreement.parquet')}, mdad.parquet, summary.parquet{more}")
    for name in drawn:
        console.print(f"Figure: {store.at(f'figures/{name}')}")
    if report:
        console.print(f"Page: {store.at('report.html')}")


def _option(arguments: list[str], name: str) -> str | None:
    """Take `name VALUE` or `name=VALUE` out of the arguments."""
    for place, each in enumerate(arguments):
        if each == name:
            if place + 1 == len(arguments):
                raise ConfigError(f"{name} needs a value.")
            del arguments[place]
            return arguments.pop(place)
        if each.startswith(name + "="):
            return arguments.pop(place).split("=", 1)[1]
    return None
