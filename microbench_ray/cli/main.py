"""`microbench JOB key=value …`, the same as `python jobs/JOB.py key=value …`."""

from __future__ import annotations

import gc
import logging
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.cli.keys import JOBS
from microbench_ray.cli.options import SHORT_LEVELS, take_flag, take_log_level, take_option, take_runs
from microbench_ray.cli.plain_arguments import plain_job
from microbench_ray.core import log, streams
from microbench_ray.core.errors import ConfigError, DataWarning, MicrobenchError, StoreError, closest
from microbench_ray.core.extras import require_extra
from microbench_ray.core.interrupts import kept_interrupts
from microbench_ray.core.shown import escape_controls, shell_quote
from microbench_ray.core.storage.urls import check_place, local_path
from microbench_ray.core.table_formats import check_format

if TYPE_CHECKING:
    from rich.console import Console

    from microbench_ray.cli.compose import Composer
    from microbench_ray.cli.methods import MethodsJob
    from microbench_ray.ingest.run import IngestJob
    from microbench_ray.micro.compare.job import CompareJob
    from microbench_ray.micro.plan_job import PlanJob
    from microbench_ray.micro.score_job import ScoreJob
    from microbench_ray.micro.sequential.job import NextJob

logger = logging.getLogger(__name__)

GC_THRESHOLDS = (20_000, 20, 20)
"""Garbage collections become rarer than by default, where those during the imports take a tenth of a short command."""
DONE, BAD_INPUT, SOME_FAILED, VIOLATED, UNDECIDED, INTERRUPTED = 0, 1, 2, 3, 4, 130
CODE_OF = {None: DONE, "yes": DONE, "no": VIOLATED, "cannot be told": UNDECIDED}
"""By the decision of a comparison or a test."""
WITH_RUNS = ("compare", "next")
"""Jobs whose arguments without a key name runs."""

USAGE = """\
Usage: microbench JOB [key=value …] [options]
       microbench JOB --help    what the job does, an example, and its keys

How reliably does a micro-benchmark rank models?
  sweep      measure the agreement and MDAD of methods on a benchmark, from score tables or ingested logs
  reduce     rebuild the tables of a finished sweep with other thresholds, intervals or tie policy
  submit     run a sweep on a Ray cluster, print its log and return its exit code
  plan       answer without a sweep: items needed, detectable difference, probability of a ranking, regression gate

Benchmarks and micro-benchmarks
  ingest     read the logs of an evaluation tool into a benchmark
  export     build a micro-benchmark from all models and write it to a folder
  score      score new models on a micro-benchmark: accuracy and rank, with intervals
  compare    is one run better than another, or is it noise? with a gate for CI
  next       which items to run next, and whether enough is known to stop
  methods    list the methods: what each does, and its source

A leaderboard, every night
  audit      look for drift, changed data and unreliable ranks, and write a verdict
  accept     make a night the baseline, or set the last one aside

Options
  -v, -q             show debug messages; show only warnings and errors
  log_level=LEVEL    debug, info, warning or error (default: info)
  --cfg              print the configuration and exit
  --config-dir DIR   a folder of your own with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml
  --completion SHELL a script that completes jobs, keys and values in bash, zsh or fish: source <(microbench --completion bash)
  --version, --help

Results go to standard output, messages to standard error.
Exit codes: 0 done; 1 bad input or configuration; 2 finished, but something failed (a shard, a log, a webhook);
3 no: the policy of an audit is violated, or a comparison or a test says no; 4 undecided: too few answers; 130 interrupted."""


def main(arguments: Sequence[str]) -> int:
    """Run a job and return its exit code. An error in the input is reported in one message on standard error."""
    try:
        with warnings.catch_warnings(), kept_interrupts():
            warnings.simplefilter("ignore", DataWarning)  # shown as notes
            return _main(list(arguments))
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Finished work is saved; rerun the command to resume.\n")
        return INTERRUPTED


def entry_point(*job: str) -> None:
    """The console script, and the scripts in jobs/. SIGTERM, which schedulers send, is treated as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(*GC_THRESHOLDS)
    streams.endure()
    code = main([*job, *sys.argv[1:]])
    failure = streams.output_failure()
    if failure is not None:
        hint = "results that are saved in files are complete; redirect standard output elsewhere"
        sys.stderr.write(f"{StoreError('Not everything could be printed.', where='standard output', got=failure, hint=hint)}\n")
        code = code or SOME_FAILED
    sys.exit(code)


def _main(arguments: list[str]) -> int:
    if not arguments or "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_help(arguments))
        return DONE if arguments else BAD_INPUT
    if "--version" in arguments:
        from importlib.metadata import version

        sys.stdout.write(version("microbench-ray") + "\n")
        return DONE
    level = take_log_level(arguments)
    log.configure(level)
    shell = take_option(arguments, "--completion")
    if shell is not None:
        from microbench_ray.cli.completion import completion

        sys.stdout.write(completion(shell))
        return DONE
    if not arguments or arguments[0] not in JOBS:
        raise unknown_job(arguments[0] if arguments else "no job")
    require_extra("cli", "The command line")
    job, *rest = arguments
    show_config = take_flag(rest, "--cfg", "job")  # Hydra writes --cfg job
    config_dir = take_option(rest, "--config-dir")
    for argument in rest:
        if argument.startswith("-"):
            raise ConfigError("Unknown option.", got=argument, hint="see microbench --help")
    if config_dir is not None:
        check_place(config_dir, "--config-dir")
    runs = take_runs(rest) if job in WITH_RUNS else []
    plain = None if show_config or config_dir is not None else plain_job(job, rest, runs)
    if plain is not None:
        return RUN_PLAIN[job](plain)
    from microbench_ray.cli.compose import Composer  # imports Hydra

    composer = Composer(job, rest, None if config_dir is None else local_path(config_dir), log_level=level)
    if show_config:
        sys.stdout.write(composer.text())
        return DONE
    if job in WITH_RUNS:
        return _compare(composer.compare(runs)) if job == "compare" else _next(composer.next(runs))
    return RUN[job](composer)


def _help(arguments: list[str]) -> str:
    """The page of the job that the arguments name; the list of jobs without one."""
    others = [argument for argument in arguments if argument not in ("--help", "-h", *SHORT_LEVELS)]
    config_dir = take_option(others, "--config-dir")
    if not others:
        return USAGE + "\n"
    job, *rest = others
    if job not in JOBS:
        raise unknown_job(job)
    from microbench_ray.cli.help import page

    return page(job, rest, config_dir)


def unknown_job(got: str) -> ConfigError:
    """The error for a job that does not exist."""
    return ConfigError("Unknown job.", got=got, hint=f"{closest(got, JOBS)}; see microbench --help")


def _sweep(composer: Composer) -> int:
    from microbench_ray.core.storage.folders import open_folder
    from microbench_ray.report.terminal import plan_text
    from microbench_ray.sweeps.driver import run_sweep

    conf, job = composer.sweep()
    for benchmark in job.benchmarks:
        for note in benchmark.notes:
            logger.warning("%s: %s", benchmark.name, note)
    plan = job.plan()
    summary = plan_text(plan, job.engine.description, job.out)
    if conf.plan_only:
        terminal().print(summary)
        return DONE
    logger.info("%s", summary)
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    outcome = run_sweep(job, plan)
    from microbench_ray.report.results import show_results  # after the start of the engine, which it would delay

    shown_as = check_format(conf.format)
    show_results(terminal(), outcome.tables, job.out, figures=conf.figures, report=conf.report, shown_as=shown_as)
    logger.info(
        "%s cells computed in %.1f s, %s reused; tables reduced in %.1f s",
        f"{outcome.computed:,}",
        outcome.seconds["compute"],
        f"{outcome.reused:,}",
        outcome.seconds["reduce"],
    )
    if outcome.failed:
        first_error = outcome.tables["failures"].column("error")[0].as_py()
        logger.error(
            "%s cells failed; the first error: %s\n  see %s",
            f"{outcome.failed:,}",
            first_error,
            open_folder(job.out).at("failures.parquet"),
        )
        return SOME_FAILED
    return DONE


def _reduce(composer: Composer) -> int:
    from microbench_ray.report.results import show_results
    from microbench_ray.sweeps.driver import run_reduce

    conf = composer.reduce()
    out, shown_as = conf.place(), check_format(conf.format)
    if conf.report:
        from microbench_ray.report.page.library import prepare

        prepare()
    tables = run_reduce(out, conf.rules(), wait_for_out=conf.wait_for_out)
    show_results(terminal(), tables, out, figures=conf.figures, report=conf.report, shown_as=shown_as)
    return SOME_FAILED if len(tables["failures"]) else DONE


def _ingest(job: IngestJob) -> int:
    from microbench_ray.ingest.run import run_ingest

    console = terminal()
    summary = run_ingest(job)
    for sentence in summary.lines():
        console.print(sentence)
    logger.info("Next: microbench sweep benchmark=ingested benchmark.path=%s", shell_quote(job.out))
    for error in summary.failed.values():
        logger.error("%s", error)
    return SOME_FAILED if summary.failed else DONE


def _audit(composer: Composer) -> int:
    from microbench_ray.audit.run import run_audit
    from microbench_ray.report.terminal import verdict_lines

    console, job = terminal(), composer.audit()
    outcome = run_audit(job)
    for line in verdict_lines(outcome.verdict):
        console.print(line)
    if outcome.already_done:
        logger.info("Night %s is already in the history; nothing was recomputed", job.night)
    files = [name for name in ("verdict.json", "report.html", "mdad.parquet") if (Path(outcome.folder) / name).exists()]
    console.print(escape_controls(f"Verdict: {outcome.folder}/{', '.join(files)}; history: {job.out}/history"))
    if outcome.webhook_error:
        logger.error("%s", outcome.webhook_error)
    if outcome.verdict["status"] == "violated":
        return VIOLATED
    return SOME_FAILED if outcome.failed or outcome.webhook_error else DONE


def _accept(composer: Composer) -> int:
    from microbench_ray.audit.accepting import run_accept

    run_accept(composer.accept())
    return DONE


def _plan(job: PlanJob) -> int:
    from microbench_ray.micro.plan_job import run_plan
    from microbench_ray.micro.plan_report import show, text

    answers = run_plan(job)
    if job.format == "table":
        show(answers, terminal())
    else:
        sys.stdout.write(text(answers, job.format))
    return DONE


def _export(composer: Composer) -> int:
    from microbench_ray.micro.export_job import run_export, show

    job = composer.export()
    outcome = run_export(job)
    for note in outcome.notes:
        logger.warning("%s: %s", outcome.micro.benchmark["name"], note)
    show(outcome.micro, outcome.files, job.out, terminal())
    return DONE


def _score(job: ScoreJob) -> int:
    from microbench_ray.micro.report import Report, figure, write
    from microbench_ray.micro.score_job import run_score

    outcome = run_score(job)
    report = Report(outcome.micro, outcome.scored, outcome.notes, job.micro)
    if job.out is not None:
        write(job.out, report.text(job.format).encode(), "out")
    if job.figure is not None:
        write(job.figure, figure(outcome.micro, outcome.scored, job.figure.suffix[1:]), "figure")
    sys.stdout.write(report.text(job.format, terminal_width()))
    if job.format == "csv":
        for sentence in (*outcome.notes, *report.sentences()):
            logger.warning("%s", escape_controls(sentence))
    for error in outcome.failed.values():
        logger.error("%s", error)
    return SOME_FAILED if outcome.failed or any(each.refused for each in outcome.scored) else DONE


def _compare(job: CompareJob) -> int:
    from microbench_ray.micro.compare.job import run_compare
    from microbench_ray.micro.compare.report import text

    outcome = run_compare(job)
    report = text(outcome.compared, outcome.notes, job.form)
    if job.out is not None:
        from microbench_ray.micro.report import write

        write(job.out, report.encode(), "out")
    sys.stdout.write(report)
    return CODE_OF[outcome.compared.decision]


def _next(job: NextJob) -> int:
    from microbench_ray.micro.report import write
    from microbench_ray.micro.sequential.job import run_next

    outcome = run_next(job)
    report = outcome.text(job.form)
    if job.samples is not None and outcome.batch is not None:
        write(job.samples, outcome.batch.encode(), "samples")
    if job.out is not None:
        write(job.out, report.encode(), "out")
    sys.stdout.write(report)
    return CODE_OF[outcome.verdict.decision]


def _methods(job: MethodsJob) -> int:
    from microbench_ray.cli.methods import methods_text

    sys.stdout.write(methods_text(job, terminal_width()))
    return DONE


def _submit(composer: Composer) -> int:
    from microbench_ray.sweeps.cluster.submission import run_submit

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return run_submit(composer.submit(), write)


RUN: dict[str, Callable[[Composer], int]] = {
    "sweep": _sweep,
    "reduce": _reduce,
    "submit": _submit,
    "ingest": lambda composer: _ingest(composer.ingest()),
    "audit": _audit,
    "accept": _accept,
    "plan": lambda composer: _plan(composer.plan()),
    "export": _export,
    "score": lambda composer: _score(composer.score()),
    "compare": lambda composer: _compare(composer.compare(())),
    "next": lambda composer: _next(composer.next(())),
    "methods": lambda composer: _methods(composer.methods()),
}
RUN_PLAIN: dict[str, Callable[[Any], int]] = {
    "ingest": _ingest,
    "plan": _plan,
    "score": _score,
    "compare": _compare,
    "methods": _methods,
}
"""The jobs of `plain_job`."""


def terminal_width() -> int | None:
    """Columns of the terminal on standard output; None where that is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def terminal() -> Console:
    """The console on standard output, at least 120 columns wide where that is a file."""
    from microbench_ray.core.console import TerminalConsole

    console = TerminalConsole(soft_wrap=True, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console
