"""Comparison with the tables behind the paper's figures: `python -m studies.compare_published DATA_DIR`.

Every published method that this project implements is swept in the paper's setting (50 targets, 300 sources, 50 runs, the seen
half, ties as in the paper, MDAD at the first crossing) and printed beside `published.csv`. DATA_DIR holds that file,
`gpqa.parquet` and `make_leaderboard.py`. Only GPQA's responses are real, and they have no confidences: a method that reads
confidence reads correctness there, and is marked. The responses and confidences of MMLU-Pro and BBH are simulated. MMLU-Pro is
compared with the published MMLU, the closest published benchmark.

The exit code is 1 if `random` is more than two bins from the published MDAD at 50 items or more. It reads no confidence, so it
should agree on simulated leaderboards too.
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

from microbench_ray.cli.compose import Composer
from microbench_ray.methods import Method
from microbench_ray.methods.presets import CONF
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
"""Name in `published.csv`, by method of this project."""
NEAREST = {"mmlu_pro": "mmlu", "bbh": "bbh", "gpqa": "gpqa"}
"""Benchmark in `published.csv`, by benchmark of this project."""
HEADINGS = {
    "mmlu_pro": "MMLU-Pro: SIMULATED responses and confidences, compared with the published MMLU",
    "bbh": "BBH: SIMULATED responses and confidences, compared with the published BBH",
    "gpqa": "GPQA: real responses without confidences, compared with the published GPQA; methods marked * read correctness instead",
}
HEAD = f"""{"":<37}{"MDAD (points)":<34}{"agreement":<18}{"error":<18}tau
{"method":<31}{"size":>5} {"published":>10}{"interval":>13}{"own":>6}{"bins":>6}{3 * f"{'published':>10}{'own':>8}"}"""
MIN_SIZE, MAX_BINS = 50, 2


class Row(NamedTuple):
    """Published and own results of a method at one size.

    Accuracies and MDADs are fractions; an MDAD is None where no bin reaches the threshold. `published` and `own` are mean
    agreement, mean absolute error and Kendall tau.
    """

    benchmark: str
    method: str
    size: int
    published_mdad: float | None
    published_interval: str
    mdad: float | None
    published: tuple[float, ...]
    own: tuple[float, ...]
    reads_correctness_instead: bool  # the method asks for confidences, which the benchmark lacks

    @property
    def bins(self) -> int | None:
        """Own MDAD minus the published one, in bins; None if either is never reached."""
        if self.mdad is None or self.published_mdad is None:
            return None
        return round((self.mdad - self.published_mdad) * BINS_PER_UNIT)


def too_far(rows: Iterable[Row]) -> list[Row]:
    """Rows of `random` with 50 items or more that are over two bins apart, or whose MDAD is reached in only one of the two."""
    checked = [row for row in rows if row.method == "random" and row.size >= MIN_SIZE]
    return [row for row in checked if (row.mdad is None) != (row.published_mdad is None) or abs(row.bins or 0) > MAX_BINS]


def reads_confidence(method: Method) -> bool:
    """Whether any part of a method reads confidences if they exist."""
    signals = method.selector.signal, method.estimator.signal, method.estimator.source_signal
    return bool({"confidence", "answers"} & set(signals))


def compare(results: pd.DataFrame, published: pd.DataFrame, methods: Sequence[Method]) -> list[Row]:
    """Match own results with the published ones.

    Parameters
    ----------
    results
        Tables `mdad` and `summary` of the seen half, merged.
    published
        Table `published.csv`.
    methods
        The swept methods; those without a published name are left out.
    """
    of_setting = published[(published["split"] == "seen") & (published["n_source"] == 300)]
    expected = {(row["benchmark"], row["method"], row["size"]): row for row in of_setting.to_dict("records")}
    columns = ["mean_agreement", "mean_abs_error", "kendall_tau"]
    rows = []
    for method in methods:
        for row in results[results["method"] == method.label].sort_values(["benchmark", "size"]).to_dict("records"):
            key = (NEAREST[row["benchmark"]], PUBLISHED.get(method.label, ""), row["size"])
            if key not in expected:
                continue
            published_row = expected[key]
            rows.append(
                Row(
                    benchmark=row["benchmark"],
                    method=method.label,
                    size=row["size"],
                    published_mdad=_reached(published_row["mdad"]),
                    published_interval=f"{100 * published_row['ci_lo']:.1f}-{100 * published_row['ci_hi']:.1f}",
                    mdad=_reached(row["mdad"]),
                    published=tuple(float(published_row[name]) for name in columns),
                    own=tuple(float(row[name]) for name in columns),
                    reads_correctness_instead=reads_confidence(method) and "confidence" not in row["signal"],
                )
            )
    return rows


def _reached(mdad: float) -> float | None:
    return None if pd.isna(mdad) or mdad >= 0.5 else float(mdad)  # the paper's code writes 0.5 where no bin reaches the threshold


def text(rows: Sequence[Row]) -> str:
    """Format the comparison as one table per benchmark."""
    lines = []
    for benchmark, heading in HEADINGS.items():
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        if of_benchmark:
            lines += ["", heading, HEAD]
        for row in of_benchmark:
            bins = "" if row.bins is None else f"{row.bins:+d}"
            label = row.method + (" *" if row.reads_correctness_instead else "")
            mdads = f"{_points(row.published_mdad):>10}{row.published_interval:>13}{_points(row.mdad):>6}{bins:>6}"
            measures = (f"{published:>10.3f}{own:>8.3f}" for published, own in zip(row.published, row.own, strict=True))
            lines.append(f"{label:<31}{row.size:>5} {mdads}{''.join(measures)}")
    return "\n".join(lines)


def _points(mdad: float | None) -> str:
    return "never" if mdad is None else f"{100 * mdad:.1f}"


def sweep(data: Path, folder: Path, methods: Sequence[str], runs: int, engine: str) -> SweepJob:
    """Simulate the leaderboards, and compose the sweep in the paper's setting."""
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
    available = [name for name in PUBLISHED if (CONF / "method" / f"{name}.yaml").is_file()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with published.csv, gpqa.parquet and make_leaderboard.py")
    parser.add_argument("--methods", nargs="+", choices=available, default=available)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--engine", choices=["serial", "local"], default="serial")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = sweep(args.data, Path(folder), args.methods, args.runs, args.engine)
        tables = run_sweep(job, job.plan()).tables
    mdad, summary = (tables[name].to_pandas().query("split == 'seen'") for name in ("mdad", "summary"))
    results = mdad.merge(summary, on=["benchmark", "method", "size"], validate="one_to_one", suffixes=("", "_summary"))
    rows = compare(results, pd.read_csv(args.data / "published.csv"), job.methods)
    print(f"Published: 40 or 50 runs. Own: {args.runs} runs, seed {job.seed}, {job.engine.description}.")
    print(text(rows))
    far = too_far(rows)
    print(f"\nrandom, {MIN_SIZE} items or more: {len(far)} MDADs are over {MAX_BINS} bins from the published ones")
    for row in far:
        print(f"  {row.benchmark}, {row.size} items: {_points(row.mdad)}, published {_points(row.published_mdad)}")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
