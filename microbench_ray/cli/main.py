"""`microbench JOB key=value …`, the same as `python jobs/JOB.py key=value …`."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.core import log
from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

logger = logging.getLogger(__name__)

MAX_TABLES = 12
SHORT_LEVELS = {"-v": "debug", "-q": "warning"}
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

  -v, -q             more messages, or warnings alone; log_level=debug|info|warning|error
  --cfg              print the configuration and exit
  --config-dir DIR   your own folder with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml
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
    """Run a job and return the exit code. Bad input is reported in one message on standard error."""
    try:
        return _main(list(arguments))
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Finished work is saved; rerun the command to resume.\n")
        return INTERRUPTED


def entry_point(*job: str) -> None:
    """The console script, and those of jobs/. SIGTERM is treated as Ctrl-C: schedulers know no other way to end a process."""
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
    level = log_level(arguments)
    log.configure(level)
    from microbench_ray.cli.compose import JOBS, Composer  # slower to import than --help should take

    job, *rest = arguments
    if job not in JOBS:
        raise ConfigError("Unknown job.", got=job, hint=f"valid: {', '.join(JOBS)}; see microbench --help")
    if show := "--cfg" in rest:
        place = rest.index("--cfg")
        del rest[place : place + (2 if rest[place + 1 : place + 2] == ["job"] else 1)]  # Hydra's spelling is --cfg job
    config_dir = _option(rest, "--config-dir")
    for each in rest:
        if each.startswith("-"):
            raise ConfigError("Unknown option.", got=each, hint="see microbench --help")
    composer = Composer(job, rest, None if config_dir is None else Path(config_dir), log_level=level)
    if show:
        sys.stdout.write(composer.text())
        return DONE
    return RUN[job](composer)


def log_level(arguments: list[str]) -> str:
    """Take `-v`, `-q` and `log_level=LEVEL` out of the arguments; the last one counts."""
    level, kept = "info", []
    for each in arguments:
        if each in SHORT_LEVELS:
            level = SHORT_LEVELS[each]
        elif each.startswith("log_level="):
            level = each.split("=", 1)[1]
        else:
            kept.append(each)
    arguments[:] = kept
    return level


def _sweep(composer: Any) -> int:
    from microbench_ray.core.storage.folders import open_folder
    from microbench_ray.report.terminal import plan_text
    from microbench_ray.sweeps.driver import run_sweep

    conf, job = composer.sweep()
    for benchmark in job.benchmarks:
        for note in benchmark.notes:
            logger.info("%s: %s", benchmark.name, note)
    plan = job.plan()
    for name, sizes in job.own_sizes.items():
        logger.info("%s: its own sizes (%s) instead of the grid's", name, ", ".join(map(str, sizes)))
    what = plan_text(plan, job.engine.description, job.out)
    if conf.plan_only:
        terminal().print(what)
        return DONE
    logger.info("%s", what)
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    outcome = run_sweep(job, plan)
    show_results(terminal(), outcome.tables, job.out, figures=conf.figures, report=conf.report)
    logger.info(
        "%s cells computed in %.1f s, %s reused; tables reduced in %.1f s",
        f"{outcome.computed:,}",
        outcome.seconds["compute"],
        f"{outcome.reused:,}",
        outcome.seconds["reduce"],
    )
    if outcome.failed:
        first = outcome.tables["failures"].column("error")[0].as_py()
        logger.error(
            "%s cells failed; the first: %s\n  see %s", f"{outcome.failed:,}", first, open_folder(job.out).at("failures.parquet")
        )
        return SOME_FAILED
    return DONE


def _reduce(composer: Any) -> int:
    from microbench_ray.sweeps.driver import run_reduce

    conf = composer.reduce()
    out = conf.place()
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    tables = run_reduce(out, conf.rules(), wait_for_out=conf.wait_for_out)
    show_results(terminal(), tables, out, figures=conf.figures, report=conf.report)
    return SOME_FAILED if len(tables["failures"]) else DONE


def _ingest(composer: Any) -> int:
    from microbench_ray.ingest.run import run_ingest

    console, job = terminal(), composer.ingest()
    summary = run_ingest(job)
    for sentence in summary.sentences():
        console.print(sentence)
    console.print(f"Next: microbench sweep benchmark=ingested benchmark.path={job.out}")
    for error in summary.failed.values():
        logger.error("%s", error)
    return SOME_FAILED if summary.failed else DONE


def _audit(composer: Any) -> int:
    from microbench_ray.audit.run import run_audit
    from microbench_ray.report.terminal import verdict_lines

    console, job = terminal(), composer.audit()
    outcome = run_audit(job)
    for line in verdict_lines(outcome.verdict):
        console.print(line)
    if outcome.again:
        logger.info("Night %s is already in the history; nothing was recomputed", job.night)
    files = [name for name in ("verdict.json", "report.html", "mdad.parquet") if (Path(outcome.place) / name).exists()]
    console.print(f"Verdict: {outcome.place}/{', '.join(files)}; history: {job.out}/history")
    if outcome.untold:
        logger.error("%s", outcome.untold)
    if outcome.verdict["status"] == "violated":
        return VIOLATED
    return SOME_FAILED if outcome.failed or outcome.untold else DONE


def _accept(composer: Any) -> int:
    from microbench_ray.audit.run import run_accept

    run_accept(composer.accept())
    return DONE


def _plan(composer: Any) -> int:
    from microbench_ray.micro.plan_job import run_plan, show

    job = composer.plan()
    answers = run_plan(job)
    if job.as_json:
        sys.stdout.write(json.dumps(answers, indent=2) + "\n")
    else:
        show(answers, terminal())
    return DONE


def _export(composer: Any) -> int:
    from microbench_ray.micro.export_job import run_export, show

    job = composer.export()
    outcome = run_export(job)
    for note in outcome.notes:
        logger.info("%s: %s", outcome.micro.benchmark["name"], note)
    show(outcome.micro, outcome.files, job.out, terminal())
    return DONE


def _score(composer: Any) -> int:
    from microbench_ray.micro.report import text, write
    from microbench_ray.micro.score_job import run_score

    job = composer.score()
    outcome = run_score(job)
    report = text(outcome.micro, outcome.scored, outcome.notes, as_json=job.as_json)
    if job.out is not None:
        write(job.out, report)
    sys.stdout.write(report)
    for error in outcome.failed.values():
        logger.error("%s", error)
    return SOME_FAILED if outcome.failed or any(each.refused for each in outcome.scored) else DONE


def _submit(composer: Any) -> int:
    from microbench_ray.sweeps.cluster.submission import run_submit

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return run_submit(composer.submit(), write)


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
    from microbench_ray.report.figures import draw_figures
    from microbench_ray.report.terminal import mdad_tables
    from microbench_ray.sweeps.results import SweepStore

    store = SweepStore(out)
    manifest = store.manifest() or {}
    note, names = manifest.get("config", {}).get("figure_note"), manifest.get("benchmarks", ())

    shown = list(mdad_tables(tables["mdad"]))
    for title, table in shown[:MAX_TABLES]:
        console.print(title)
        console.print(table, soft_wrap=False)
    if len(shown) > MAX_TABLES:
        console.print(f"… and {len(shown) - MAX_TABLES} more such tables: {store.at('mdad.parquet')}")
    drawn: list[str] = []
    if figures:
        try:
            drawn = draw_figures(tables, lambda name, png: store.write(f"figures/{name}", png), benchmarks=names, note=note)
        except StoreError as error:
            hint = f"{error.hint}; or figures=false: the tables are there already, and microbench reduce draws again"
            raise StoreError("A figure cannot be written.", where=error.where, got=error.got, hint=hint) from None
    if report:
        from microbench_ray.report.page import render

        page = render(manifest, tables)
        try:
            store.write("report.html", page.encode())
        except StoreError as error:
            hint = f"{error.hint}; or report=false: the tables are there already, and microbench reduce writes the page again"
            raise StoreError("The page cannot be written.", where=error.where, got=error.got, hint=hint) from None
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
