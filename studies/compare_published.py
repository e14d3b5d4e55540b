"""Ours beside the tables behind the paper's figures: `python -m studies.compare_published DATA_DIR`.

Every published method that this project has is swept in the paper's setting (50 targets, 300 sources, 50 runs, the seen half, ties
as in the paper, MDAD at the first crossing) and printed beside `published.csv`. DATA_DIR holds that file, `gpqa.parquet` and
`make_leaderboard.py`. Only GPQA's responses are real, and they have no confidences: a method that reads confidence runs on
correctness there and is marked. Those of MMLU-Pro and BBH are drawn, their confidences too; MMLU-Pro is set beside the published
MMLU, the nearest there is.

The exit code is 1 where `random` is more than two bins from the published MDAD at 50 items or more: it reads no confidence, so what
the leaderboards lack is no excuse.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from microbench_ray.cli.compose import CONF, Composer
from microbench_ray.methods import Method
from microbench_ray.metrics import BINS_PER_UNIT
from microbench_ray.sweeps.driver import SweepJob, run_sweep

PUBLISHED = {
    "random": "Random (uniform)",
    "random_subtask_equal": "Random (subtask stratified, equal)",
    "stratified_confidence": "Stratified sampling (confidence)",
    "stratified_confidence_paper": "Stratified sampling (confidence)",
    "anchor_points": "Anchor Points",
    "diversity": "Diversity",
    "diversity_paper": "Diversity",
    "tinybenchmarks": "tinyBenchmarks",
}
"""Ours, and the name in `published.csv`."""
NEAREST = {"mmlu_pro": "mmlu", "bbh": "bbh", "gpqa": "gpqa"}
"""Ours, and the benchmark in `published.csv`."""
HEADINGS = {
    "mmlu_pro": "MMLU-Pro: DRAWN responses and confidences, beside the published MMLU",
    "bbh": "BBH: DRAWN responses and confidences, beside the published BBH",
    "gpqa": "GPQA: real responses, beside the published GPQA; there are no confidences: * read correctness in their place",
}
HEAD = f"""{"":<37}{"MDAD (points)":<31}{"agreement":<18}{"error":<18}tau
{"method":<31}{"size":>5} {"theirs":>7}{"interval":>13}{"ours":>6}{"bins":>6}{3 * f"{'theirs':>10}{'ours':>8}"}"""
MIN_SIZE, MAX_BINS = 50, 2


class Row(NamedTuple):
    """One method at one size; accuracies and MDADs are fractions, `mdad` is None where no bin reaches the threshold."""

    benchmark: str
    method: str
    size: int
    published_mdad: float | None
    published_interval: str
    mdad: float | None
    published: tuple[float, float, float]  # mean agreement, mean absolute error, Kendall tau
    ours: tuple[float, float, float]
    reads_in_place: bool  # correctness where the method asks for confidence

    @property
    def bins(self) -> int | None:
        """Ours minus the published MDAD, in bins; None where either is not reached."""
        if self.mdad is None or self.published_mdad is None:
            return None
        return round((self.mdad - self.published_mdad) * BINS_PER_UNIT)


def too_far(rows: Iterable[Row]) -> list[Row]:
    """The rows that the exit code is about: `random` from 50 items on, more than two bins away or reached in only one of both."""
    judged = [row for row in rows if row.method == "random" and row.size >= MIN_SIZE]
    return [row for row in judged if (row.mdad is None) != (row.published_mdad is None) or abs(row.bins or 0) > MAX_BINS]


def wants_confidence(method: Method) -> bool:
    """Whether any part of a method would read confidences."""
    signals = method.selector.signal, method.estimator.signal, method.estimator.source_signal
    return bool({"confidence", "answers"} & set(signals))


def compare(found: pd.DataFrame, published: pd.DataFrame, methods: Sequence[Method]) -> list[Row]:
    """Set rows of ours beside the published ones.

    Parameters
    ----------
    found
        `mdad` and `summary` of the seen half, merged.
    published
        `published.csv`.
    methods
        What was swept; those without a published name are left out.
    """
    expected = published[(published["split"] == "seen") & (published["n_source"] == 300)].set_index(["benchmark", "method", "size"])
    columns = ["mean_agreement", "mean_abs_error", "kendall_tau"]
    rows = []
    for method in methods:
        for row in found[found["method"] == method.label].sort_values(["benchmark", "size"]).to_dict("records"):
            key = (NEAREST[row["benchmark"]], PUBLISHED.get(method.label), row["size"])
            if key not in expected.index:
                continue
            theirs = expected.loc[key]
            rows.append(
                Row(
                    row["benchmark"],
                    method.label,
                    row["size"],
                    _reached(theirs["mdad"]),
                    f"{100 * theirs['ci_lo']:.1f}-{100 * theirs['ci_hi']:.1f}",
                    _reached(row["mdad"]),
                    tuple(float(theirs[name]) for name in columns),
                    tuple(float(row[name]) for name in columns),
                    wants_confidence(method) and "confidence" not in row["signal"],
                )
            )
    return rows


def _reached(mdad: float) -> float | None:
    return None if pd.isna(mdad) or mdad >= 0.5 else float(mdad)  # the paper's code writes 0.5 for none


def text(rows: Sequence[Row]) -> str:
    """The comparison as a table per benchmark."""
    lines = []
    for benchmark, heading in HEADINGS.items():
        these = [row for row in rows if row.benchmark == benchmark]
        if these:
            lines += ["", heading, HEAD]
        for row in these:
            bins = "" if row.bins is None else f"{row.bins:+d}"
            label = row.method + (" *" if row.reads_in_place else "")
            mdads = f"{_points(row.published_mdad):>7}{row.published_interval:>13}{_points(row.mdad):>6}{bins:>6}"
            both = (f"{theirs:>10.3f}{ours:>8.3f}" for theirs, ours in zip(row.published, row.ours, strict=True))
            lines.append(f"{label:<31}{row.size:>5} {mdads}{''.join(both)}")
    return "\n".join(lines)


def _points(mdad: float | None) -> str:
    return "none" if mdad is None else f"{100 * mdad:.1f}"


def sweep(data: Path, folder: Path, methods: Sequence[str], runs: int, engine: str) -> SweepJob:
    """Draw what is to be drawn, and make the sweep in the paper's setting."""
    for name in ("mmlu_pro", "bbh"):
        subprocess.run([sys.executable, data / "make_leaderboard.py", name, folder], check=True)
    (folder / "gpqa.parquet").symlink_to((data / "gpqa.parquet").resolve())
    overrides = [
        f"benchmark=[{','.join(NEAREST)}]",
        f"data_dir={folder}",
        "grid=paper",
        f"grid.runs={runs}",
        f"methods=[{','.join(methods)}]",
        "tie_policy=paper",
        f"engine={engine}",
        f"out={folder / 'out'}",
    ]
    return Composer("sweep", overrides).sweep()[1]


def main() -> int:
    there = [name for name in PUBLISHED if (CONF / "method" / f"{name}.yaml").is_file()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds published.csv, gpqa.parquet and make_leaderboard.py")
    parser.add_argument("--methods", nargs="+", choices=there, default=there)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--engine", choices=["serial", "local"], default="serial")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = sweep(args.data, Path(folder), args.methods, args.runs, args.engine)
        tables = run_sweep(asked, asked.plan(), lambda said: None).tables
    mdad, summary = (tables[name].to_pandas().query("split == 'seen'") for name in ("mdad", "summary"))
    found = mdad.merge(summary, on=["benchmark", "method", "size"], validate="one_to_one", suffixes=("", "_summary"))
    rows = compare(found, pd.read_csv(args.data / "published.csv"), asked.methods)
    print(f"Theirs: 40 or 50 runs. Ours: {args.runs} runs, seed {asked.seed}, {asked.engine.description}.")
    print(text(rows))
    far = too_far(rows)
    print(f"\nrandom, from {MIN_SIZE} items on: {len(far)} of its MDADs are more than {MAX_BINS} bins from the published one")
    for row in far:
        print(f"  {row.benchmark}, {row.size} items: {_points(row.mdad)}, published {_points(row.published_mdad)}")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
