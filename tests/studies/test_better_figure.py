"""The figure of all methods: what is drawn is what the tables say."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.better_figure import LEAST, draw, main

METHODS = {"anchor_points": 0.05, "random": 0.1, "dull": 0.2}


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Anchors are the best everywhere; random never gets there on the unseen half at 10 items, and is at 0 at 50."""
    places = pd.DataFrame(
        list(product(["b", "c"], [300], [10, 50], ["seen", "unseen"], ["random", "best"], [0.8], METHODS)),
        columns=["benchmark", "n_source", "size", "split", "targets", "threshold", "method"],
    )
    value = places["method"].map(METHODS) * np.where(places["size"] == 10, 1, 0.5)
    random = places["method"] == "random"
    mdad = places.assign(mdad=value.mask(random & (places["split"] == "unseen") & (places["size"] == 10)))
    mdad.loc[random & (places["size"] == 50), "mdad"] = 0.0
    others = places["method"] != "anchor_points"
    return mdad, places[others].assign(baseline="anchor_points", mdad_ci_lo=0.02, mdad_ci_hi=np.inf)


def test_values_and_bars_are_those_of_the_tables(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    figure = draw(*tables, 300)
    axes = figure.axes
    assert [axis.get_title() for axis in axes[:2]] == ["b", "c"]
    assert len(axes) == 6
    handles, labels = axes[0].get_legend_handles_labels()
    lines = dict(zip(labels, handles, strict=True))
    assert set(lines) == {"anchor_points", "random", "other methods (1)"}
    assert lines["anchor_points"].get_ydata() == pytest.approx([5, 2.5])
    assert lines["random"].get_ydata() == pytest.approx([10, LEAST])
    assert lines["other methods (1)"].get_ydata() == pytest.approx([20, 10])
    # From the baseline's 5 points: 2 more at least, without an upper end.
    ends = [path.vertices[:, 1] for bars in axes[0].collections for path in bars.get_paths()]
    most = axes[0].get_ylim()[1]
    assert [list(each) for each in ends] == [pytest.approx([7, most]), pytest.approx([4.5, most])]
    unseen = dict(zip(*axes[2].get_legend_handles_labels()[::-1], strict=True))
    assert np.isnan(unseen["random"].get_ydata()[0])
    (never,) = (line for line in axes[2].lines if len(line.get_xdata()) == 1)
    assert never.get_ydata()[0] > 0.9 * most


def test_it_is_written(tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    for name, table in zip(("mdad", "paired"), tables, strict=True):
        table.to_parquet(tmp_path / f"{name}.parquet")
    assert main([str(tmp_path), str(tmp_path / "better.png")]) == 0
    assert (tmp_path / "better.png").read_bytes().startswith(b"\x89PNG")
