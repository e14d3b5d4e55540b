"""The files of an exported micro-benchmark beside its microbench.json, and the folder that holds them: whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from microbench_ray.core.errors import StoreError

LIST, WEIGHTS, SAMPLES, INSPECT, ABOUT = "items.txt", "weights.csv", "samples.json", "inspect_ids.json", "README.md"
RESERVE, RESERVE_SAMPLES, RESERVE_INSPECT = "reserve.txt", "reserve_samples.json", "reserve_inspect_ids.json"
ELSEWHERE = "out=DIR with another folder"
LM_EVAL = ("lm_eval", "open_llm_leaderboard")
"""Sources whose items lm-evaluation-harness runs."""


class Weighted(Protocol):
    """An item, as `exported.Item` has it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> float: ...  # noqa: D102


class Described(Protocol):
    """What these files tell of a micro-benchmark: see `exported.MicroBenchmark`."""

    @property
    def benchmark(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def method(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def source(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def items(self) -> Sequence[Weighted]: ...  # noqa: D102
    @property
    def tasks(self) -> Mapping[str, Sequence[str]]: ...  # noqa: D102
    @property
    def reserve(self) -> Sequence[Weighted]: ...  # noqa: D102
    @property
    def reserve_tasks(self) -> Mapping[str, Sequence[str]]: ...  # noqa: D102


def files_of(made: Described, main: str, content: str) -> dict[str, str]:
    """All files by name; those for tools that run the items only where the items' names there are known.

    Parameters
    ----------
    made
        The micro-benchmark.
    main, content
        Name and text of its microbench.json.
    """
    files = {main: content, LIST: "".join(f"{item.id}\n" for item in made.items), WEIGHTS: _weights(made)}
    files |= _for_tools(made.source.get("source"), made.tasks, SAMPLES, INSPECT)
    if made.reserve:
        files[RESERVE] = "".join(f"{item.id}\n" for item in made.reserve)
        files |= _for_tools(made.source.get("source"), made.reserve_tasks, RESERVE_SAMPLES, RESERVE_INSPECT)
    return files | {ABOUT: _about(made, main, files)}


def _for_tools(source: object, tasks: Mapping[str, Sequence[str]], samples: str, inspect: str) -> dict[str, str]:
    """The file of the tool that runs these items, by name; none where it or their names there are not known."""
    if tasks and source in LM_EVAL and all(each.isdecimal() for ids in tasks.values() for each in ids):
        return {samples: json.dumps({task: sorted(map(int, ids)) for task, ids in sorted(tasks.items())}) + "\n"}
    if tasks and source == "inspect":
        return {inspect: json.dumps(dict(sorted(tasks.items())), indent=1, ensure_ascii=False) + "\n"}
    return {}


def _weights(made: Described) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("item_id", "weight"))
    rows.writerows((item.id, repr(item.weight)) for item in made.items)
    return text.getvalue()


def _about(made: Described, main: str, files: Mapping[str, str]) -> str:
    of, label = made.benchmark, made.method["label"]
    lines = [
        f"# A micro-benchmark of {of['name']}",
        "",
        f"{len(made.items)} of its {of['n_items']:,} items, chosen by `{label}` from the answers of {of['n_models']:,} models. "
        "Made by [microbench_ray](https://arxiv.org/abs/2510.08730); nothing else is needed to score a new model:",
        "",
        "```sh",
        "microbench score micro=THIS_FOLDER responses=LOGS source=lm_eval    # or another format: see microbench ingest",
        "```",
        "",
        f"- `{main}`: the items, the readout from responses to an accuracy, the known models, and how far off held-out ones were.",
        f"- `{LIST}`, `{WEIGHTS}`: the items as a plain list, and with the share of the benchmark that each stands for.",
    ]
    if SAMPLES in files:
        tasks = ",".join(sorted(made.tasks))
        lines.append(f"- `{SAMPLES}`: for lm-evaluation-harness: `lm_eval run --tasks {tasks} --samples {SAMPLES} --log_samples …`")
    if INSPECT in files:
        lines.append(f"- `{INSPECT}`: the sample ids of each task, for `inspect eval TASK --sample-id ID,ID,…`")
    if RESERVE in files:
        lines += [
            f"- `{RESERVE}`: as many random items, for models that are unlike the known ones: `microbench score` says which, and "
            "finds more of them by these items. Their plain mean needs no known model; responses to both lists are scored together."
        ]
    return "\n".join(lines) + "\n"


def replace_folder(path: Path, files: Mapping[str, str], main: str, *, overwrite: bool) -> None:
    """Make a folder of exactly these files, by renaming; as it was before where that fails.

    Raises
    ------
    StoreError
        It holds something else, or cannot be written.
    """
    there = _texts(path)
    if there == files:
        return
    if there:
        known = {main, LIST, WEIGHTS, SAMPLES, INSPECT, ABOUT, RESERVE, RESERVE_SAMPLES, RESERVE_INSPECT}
        foreign = sorted(set(there) - known)
        if foreign or main not in there or not overwrite:
            hint = ELSEWHERE + ("" if foreign or main not in there else ", or overwrite=true to replace it")
            got = f"{foreign[0]}, and maybe more" if foreign else "another micro-benchmark" if main in there else ", ".join(there)
            raise StoreError("The folder holds something else.", where=str(path), got=got, hint=hint)
    new, old = (path.parent / f".{path.name}.{secrets.token_hex(4)}.{kind}" for kind in ("tmp", "old"))
    try:
        new.mkdir(parents=True)
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise StoreError("The folder cannot be written.", where=str(path), got=str(error), hint=ELSEWHERE) from None
    finally:
        for each in (new, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(each)


def _texts(path: Path) -> dict[str, str | None]:
    """By name, what lies in a folder: text, or None for what is none."""
    if not path.exists():
        return {}
    if not path.is_dir():
        raise StoreError("The folder is a file.", where=str(path), hint=ELSEWHERE)
    found: dict[str, str | None] = {}
    try:
        for each in sorted(path.iterdir()):
            try:
                found[each.name] = each.read_text(encoding="utf-8") if each.is_file() else None
            except UnicodeDecodeError:
                found[each.name] = None
    except OSError as error:
        raise StoreError("The folder cannot be read.", where=str(path), got=str(error), hint=ELSEWHERE) from None
    return found
