"""The files beside microbench.json in an exported folder, and replacing such a folder atomically."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from microbench_ray.core.errors import StoreError
from microbench_ray.core.shown import escape_controls, shell_quote
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.replace import recover, replacing
from microbench_ray.methods.item_lists import id_lines

ITEMS, WEIGHTS, SAMPLES, INSPECT, README = "items.txt", "weights.csv", "samples.json", "inspect_ids.json", "README.md"
RESERVE, RESERVE_SAMPLES, RESERVE_INSPECT = "reserve.txt", "reserve_samples.json", "reserve_inspect_ids.json"
BOTH_SAMPLES, BOTH_INSPECT = "samples_with_reserve.json", "inspect_ids_with_reserve.json"
"""The items and the reserve in one file, for one run of the tool."""
OTHER_FOLDER = "out=DIR with another folder"
LM_EVAL_SOURCES = ("lm_eval", "open_llm_leaderboard")
"""Sources whose items lm-evaluation-harness runs."""


class WeightedItem(Protocol):
    """The parts of `artifact.Item` that the files hold."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> float: ...  # noqa: D102


class Exportable(Protocol):
    """The parts of `artifact.MicroBenchmark` that the files hold."""

    @property
    def benchmark(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def method(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def source(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def items(self) -> Sequence[WeightedItem]: ...  # noqa: D102
    @property
    def tasks(self) -> Mapping[str, Sequence[str]]: ...  # noqa: D102
    @property
    def reserve(self) -> Sequence[WeightedItem]: ...  # noqa: D102
    @property
    def reserve_tasks(self) -> Mapping[str, Sequence[str]]: ...  # noqa: D102


def folder_files(micro: Exportable, main_file: str, main_text: str) -> dict[str, str]:
    """The text of every file of the folder, by name.

    The files for evaluation tools are included only where the items' names in those tools are known.

    Parameters
    ----------
    micro
        The micro-benchmark.
    main_file, main_text
        Name and text of its microbench.json.
    """
    source = micro.source.get("source")
    files = {main_file: main_text, ITEMS: id_lines(item.id for item in micro.items), WEIGHTS: _weights(micro)}
    files |= tool_files(source, micro.tasks, SAMPLES, INSPECT)
    if micro.reserve:
        files[RESERVE] = id_lines(item.id for item in micro.reserve)
        files |= tool_files(source, micro.reserve_tasks, RESERVE_SAMPLES, RESERVE_INSPECT)
        files |= tool_files(source, _both_lists(micro), BOTH_SAMPLES, BOTH_INSPECT)
    return files | {README: _readme(micro, main_file, files)}


def _both_lists(micro: Exportable) -> dict[str, list[str]]:
    """The items of both lists by task, each once; empty where those of one list are unknown."""
    if not micro.tasks or not micro.reserve_tasks:
        return {}
    tasks = sorted({*micro.tasks, *micro.reserve_tasks})
    return {task: list(dict.fromkeys([*micro.tasks.get(task, ()), *micro.reserve_tasks.get(task, ())])) for task in tasks}


def tool_files(source: object, tasks: Mapping[str, Sequence[str]], samples: str, inspect: str) -> dict[str, str]:
    """The file for the tool that runs these items, by name; empty where the tool or the items' names in it are unknown."""
    if tasks and source in LM_EVAL_SOURCES and all(position.isdecimal() for positions in tasks.values() for position in positions):
        numbers = {task: sorted(map(int, positions)) for task, positions in sorted(tasks.items())}
        return {samples: json.dumps(numbers) + "\n"}
    if tasks and source == "inspect":
        return {inspect: json.dumps(dict(sorted(tasks.items())), indent=1, ensure_ascii=False) + "\n"}
    return {}


def tasks_word(tasks: Iterable[str]) -> str:
    """The tasks as one word of a shell's command, separated by commas."""
    return shell_quote(",".join(sorted(tasks)))


def reserve_commands(micro: Exportable, folder: Path) -> list[str]:
    """The commands that run the reserve in `folder`, and score both lists."""
    files = tool_files(micro.source.get("source"), micro.reserve_tasks, RESERVE_SAMPLES, RESERVE_INSPECT)
    if RESERVE_SAMPLES in files:
        samples = shell_quote(folder / RESERVE_SAMPLES)
        run = f"lm_eval run --tasks {tasks_word(micro.reserve_tasks)} --samples {samples} --log_samples --output_path LOGS …"
    elif RESERVE_INSPECT in files:
        run = f"inspect eval TASK --sample-id …  # the ids in {escape_controls(str(folder / RESERVE_INSPECT))}"
    else:
        run = f"# any program that runs the items of {escape_controls(str(folder / RESERVE))}"
    source = shell_quote(micro.source.get("source") or "FORMAT")
    return [run, f"microbench score micro={shell_quote(folder)} responses=LOGS source={source}"]


def _weights(micro: Exportable) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("item_id", "weight"))
    rows.writerows((item.id, repr(item.weight)) for item in micro.items)
    return text.getvalue()


def _ranked_lines(benchmark: Mapping[str, Any]) -> list[str]:
    """What its models are ranked by, unless that is the mean over items."""
    if "truth" not in benchmark:
        return []
    from microbench_ray.data.truth import RANKED_BY  # imports pyarrow, which scoring does not need

    return [f"Models are ranked by {RANKED_BY[benchmark['truth']]}: that is the accuracy which it estimates.", ""]


def _readme(micro: Exportable, main_file: str, files: Mapping[str, str]) -> str:
    benchmark, label = micro.benchmark, escape_controls(micro.method["label"]).replace("`", "'")
    lines = [
        f"# A micro-benchmark of {escape_controls(benchmark['name'])}",
        "",
        f"{len(micro.items)} of its {benchmark['n_items']:,} items, chosen by `{label}` from the responses of "
        f"{benchmark['n_models']:,} models. Built by [microbench_ray](https://arxiv.org/abs/2510.08730). To score a new model with "
        "this folder alone:",
        "",
        "```sh",
        "microbench score micro=THIS_FOLDER responses=LOGS source=lm_eval    # for other formats, see microbench ingest",
        "```",
        "",
        *_ranked_lines(benchmark),
        *_run_lines(micro, files),
        f"- `{main_file}`: the items, the readout from responses to an accuracy, the known models, and errors of held-out ones.",
        f"- `{ITEMS}`, `{WEIGHTS}`: the items as a plain list, and with the share of the benchmark that each represents.",
    ]
    if SAMPLES in files:
        lines.append(f"- `{SAMPLES}`: the documents of each task, for lm-evaluation-harness.")
    if INSPECT in files:
        lines.append(f"- `{INSPECT}`: the sample ids of each task, for `inspect eval TASK --sample-id ID,ID,…`")
    if RESERVE in files:
        lines += [
            f"- `{RESERVE}`: {len(micro.reserve)} random items for models unlike the known ones, which `microbench score` flags, "
            "and for all models where the known ones are few. Their plain mean is an estimate that needs no known models. "
            "Score the responses to both lists together, which also flags more of these models."
        ]
    for name, tool in ((BOTH_SAMPLES, "lm-evaluation-harness"), (BOTH_INSPECT, "Inspect")):
        if name in files:
            lines.append(f"- `{name}`: the items and the reserve together, for one run of {tool}.")
    return "\n".join(lines) + "\n"


def _run_lines(micro: Exportable, files: Mapping[str, str]) -> list[str]:
    """The command that runs the items, as a code block: a name may contain backticks, which would end inline code."""
    if SAMPLES not in files:
        return []
    command = f"lm_eval run --tasks {tasks_word(micro.tasks)} --samples {SAMPLES} --log_samples --output_path LOGS …"
    return ["To run its items:", "", "```sh", command, "```", ""]


def replace_folder(path: Path, files: Mapping[str, str], main_file: str, *, overwrite: bool) -> None:
    """Make `path` a folder of exactly these files by `storage.replace.replacing`; on failure it stays as it was.

    Raises
    ------
    StoreError
        The folder holds something else, or cannot be written.
    """
    try:
        recover(path)
    except OSError as error:
        raise StoreError("The folder cannot be written.", where=str(path), got=one_line(error), hint=OTHER_FOLDER) from None
    existing = _texts(path)
    if existing == files:
        return
    if existing:
        known = {main_file, ITEMS, WEIGHTS, SAMPLES, INSPECT, README, RESERVE, RESERVE_SAMPLES, RESERVE_INSPECT}
        known |= {BOTH_SAMPLES, BOTH_INSPECT}
        foreign = sorted(set(existing) - known)
        if foreign or main_file not in existing:
            got = foreign[0] if foreign else ", ".join(existing)
            raise StoreError("The folder holds other files.", where=str(path), got=got, hint=OTHER_FOLDER)
        if not overwrite:
            hint = f"{OTHER_FOLDER}, or overwrite=true to replace it"
            raise StoreError("The folder holds another micro-benchmark.", where=str(path), got=main_file, hint=hint)
    try:
        with replacing(path) as new:
            for name, text in files.items():
                (new / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError("The folder cannot be written.", where=str(path), got=one_line(error), hint=OTHER_FOLDER) from None


def _texts(path: Path) -> dict[str, str | None]:
    """The text of every file in a folder, by name; None for anything that is not a text file."""
    texts: dict[str, str | None] = {}
    try:
        if not path.exists():
            return {}
        if not path.is_dir():
            raise StoreError("The path is a file, not a folder.", where=str(path), hint=OTHER_FOLDER)
        for entry in sorted(path.iterdir()):
            try:
                texts[entry.name] = entry.read_text(encoding="utf-8") if entry.is_file() else None
            except UnicodeDecodeError:
                texts[entry.name] = None
    except OSError as error:
        raise StoreError("The folder cannot be read.", where=str(path), got=one_line(error), hint=OTHER_FOLDER) from None
    return texts
