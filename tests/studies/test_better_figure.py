"""studies.better_figure draws the values of the tables."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.better_figure import MIN_POINTS, draw, main

METHODS = {"anchor_points": 0.05, "random": 0.1, "dull": 0.2}


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Anchors are the best everywhere; random never reaches 0.8 on the unseen half with 10 items, and has MDAD 0 with 50."""
    places = pd.DataFrame(
        list(product(["b", "c"], [300], [10, 50], ["seen", "unseen"], ["random", "best"], [0.8], METHODS)),
        columns=["benchmark", "n_source", "size", "split", "targets", "threshold", "method"],
    )
    value: pd.Series = places["method"].map(METHODS) * np.where(places["size"] == 10, 1, 0.5)
    random = places["method"] == "random"
    mdad = places.assign(mdad=value.mask(random & (places["split"] == "unseen") & (places["size"] == 10)))
    mdad.loc[random & (places["size"] == 50), "mdad"] = 0.0
    others = places["method"] != "anchor_points"
    return mdad, places[others].assign(baseline="anchor_points", mdad_ci_lo=0.02, mdad_ci_hi=np.inf)


def test_points_and_bars_match_the_tables(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    figure = draw(*tables, 300)
    axes = figure.axes
    assert [axis.get_title() for axis in axes[:2]] == ["b", "c"]
    assert len(axes) == 6
    handles, labels = axes[0].get_legend_handles_labels()
    lines = dict(zip(labels, handles, strict=True))
    assert set(lines) == {"anchor_points", "random", "other methods (1)"}
    assert lines["anchor_points"].get_ydata() == pytest.approx([5, 2.5])
    assert lines["random"].get_ydata() == pytest.approx([10, MIN_POINTS])
    assert lines["other methods (1)"].get_ydata() == pytest.approx([20, 10])
    # The baseline's 5 points plus an interval from 2 points to infinity.
    ends = [np.asarray(path.vertices)[:, 1] for bars in axes[0].collections for path in bars.get_paths()]
    top = axes[0].get_ylim()[1]
    assert [list(each) for each in ends] == [pytest.approx([7, top]), pytest.approx([4.5, top])]
    unseen = dict(zip(*axes[2].get_legend_handles_labels()[::-1], strict=True))
    assert np.isnan(np.asarray(unseen["random"].get_ydata())[0])
    (never,) = (line for line in axes[2].lines if len(np.asarray(line.get_xdata())) == 1)
    assert np.asarray(never.get_ydata())[0] > 0.9 * top


@pytest.mark.slow
def test_the_command_writes_the_figure(tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    for name, table in zip(("mdad", "paired"), tables, strict=True):
        table.to_parquet(tmp_path / f"{name}.parquet")
    assert main([str(tmp_path), str(tmp_path / "better.png")]) == 0
    assert (tmp_path / "better.png").read_bytes().startswith(b"\x89PNG")
