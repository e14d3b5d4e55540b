"""The measures of a tournament: every method on every board, per run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.methods import Method
from microbench_ray.methods.presets import method_files

PLACE = ["board", "n_source", "fraction", "half"]
MEASURES = {"agreement": 1, "tau": 1, "rmse": -1}
"""Measures of a run, and whether larger ones are better: the share of pairs in the right order, Kendall's tau-b, and the root mean
squared error of the estimates in points."""
N_TARGET, MIN_TARGETS = 50, 10
"""Target models of a run; boards with fewer models use what the sources leave, if that is enough."""
MIN_ITEMS = 5


class Part(NamedTuple):
    """One sweep of the tournament: a board with a number of sources, `half` or `none` of the items kept unseen.

    Targets are drawn in every run, unless they are one fixed group of models.
    """

    board: Benchmark
    n_source: int
    n_target: int
    unseen: str
    fractions: tuple[float, ...]
    targets: mb.Targets | None = None


def read_boards(paths: Sequence[Path]) -> list[Benchmark]:
    """The boards of files, and of the wide Parquet tables in folders; tables with a column `model` are long, and left out.

    Raises
    ------
    ConfigError
        No board; two of the same name.
    MicrobenchError
        A file that is not a wide table of scores.
    """
    files = [file for path in paths for file in (_wide_tables(path) if path.is_dir() else [path])]
    boards = [read_scores(file, confidence=None) for file in files]
    names = sorted(board.name for board in boards)
    if not boards or len(set(names)) < len(names):
        where, got = ", ".join(map(str, paths)), ", ".join(names) or "none"
        raise ConfigError("A tournament needs boards, and each once.", where=where, got=got)
    return boards


def _wide_tables(folder: Path) -> list[Path]:
    files = [file for file in sorted(folder.glob("*.parquet")) if not file.name.endswith(".confidence.parquet")]
    return [file for file in files if "model" not in pq.read_schema(file).names]


def parts_of(boards: Iterable[Benchmark], sources: Sequence[int], fractions: Sequence[float], halves: Sequence[str]) -> list[Part]:
    """The sweeps that the boards have models and items for, those with few sources first."""
    parts = []
    for board in boards:
        for n_source in sources:
            n_target = min(N_TARGET, board.n_models - n_source)
            for unseen in halves:
                n_seen = board.n_items // 2 if unseen == "half" else board.n_items
                sizes = tuple(each for each in fractions if MIN_ITEMS <= round(each * board.n_items) < n_seen)
                if n_target >= MIN_TARGETS and sizes:
                    parts.append(Part(board, n_source, n_target, unseen, sizes))
    if not parts:
        got = ", ".join(f"{board.name} {board.n_models} × {board.n_items}" for board in boards)
        raise ConfigError("No board has enough models and items.", where="sources and fractions", got=f"models × items: {got}")
    return sorted(parts, key=lambda part: part.n_source)


def named_method(name: str) -> Method:
    """A method by the name of a preset, or as PRESET+ESTIMATOR, the preset's selector with another estimator."""
    preset, _, estimator = name.partition("+")
    return mb.method(preset, label=name, estimator={"name": estimator} if estimator else None)


def all_methods() -> list[str]:
    """Every preset but `fixed`, which needs a list."""
    return sorted(set(method_files()) - {"fixed"})


def measure(part: Part, methods: Sequence[Method], runs: int, seed: int, cache: Path | None = None) -> pd.DataFrame:
    """The measures of all methods in one part.

    Parameters
    ----------
    part, methods
        What to sweep. All methods of a run see the same targets, sources and halves.
    runs, seed
        Number of draws of everything, and the root seed.
    cache
        A folder that keeps the measures of every part and method, and from which finished ones are read. It does not know the
        code: another version of the project needs another folder.

    Returns
    -------
    pandas.DataFrame
        One row per place, method and run: the columns of `PLACE` (`half` is `seen`, `unseen` or `all`), `method`, `run`, and those
        of `MEASURES`.
    """
    tables, wanting = [], []
    for method in methods:
        file = None if cache is None else cache / f"{_digest(part, method, runs, seed)}.parquet"
        if file is not None and file.exists():
            tables.append(pd.read_parquet(file))
        else:
            wanting.append((method, file))
    if wanting:
        found = _swept(part, [method for method, _ in wanting], runs, seed)
        for method, file in wanting:
            own = found[found["method"] == method.label]
            tables.append(own)
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                own.to_parquet(file)
    return pd.concat(tables, ignore_index=True)


def _swept(part: Part, methods: list[Method], runs: int, seed: int) -> pd.DataFrame:
    result = mb.sweep(
        part.board,
        list(methods),
        sizes=[],
        fractions=part.fractions,
        n_source=part.n_source,
        n_target=part.n_target,
        runs=runs,
        seed=seed,
        unseen=part.unseen,  # type: ignore[arg-type]
        targets=part.targets,
        keep_estimates=True,
        n_resamples=100,
        progress=False,
    )
    key = ["method", "fraction", "run"]
    cells = result.frame("cells")
    pairs, right = (cells[name].map(np.sum) for name in ("n_pairs", "n_agree"))
    # Constant estimates have no tau, and order nothing.
    cells = cells.assign(agreement=right / pairs, tau=cells["kendall_tau"].fillna(0.0))[[*key, "split", "agreement", "tau"]]
    errors = []
    for split in sorted(set(cells["split"])):
        square = np.square(100 * (result.estimates["estimate"] - result.estimates[f"accuracy_{split}"]))
        rmse = np.sqrt(square.groupby([result.estimates[name] for name in key]).mean())
        errors.append(rmse.rename("rmse").reset_index().assign(split=split))
    table = cells.merge(pd.concat(errors), on=[*key, "split"])
    half = "all" if part.unseen == "none" else table["split"]
    return table.assign(board=part.board.name, n_source=part.n_source, half=half)[[*PLACE, "method", "run", *MEASURES]]


def _digest(part: Part, method: Method, runs: int, seed: int) -> str:
    """A name for the measures of a method in a part: all that they depend on, except for the code."""
    group = [] if part.targets is None else [asdict(part.targets)]
    facts = [part.board.digest, part.board.name, *part[1:5], method.identity(), runs, seed, *group]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
