"""What the other functions return: DataFrames and dictionaries that show themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from microbench_ray.core import formats
from microbench_ray.core.presented import Presented
from microbench_ray.report import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABOUT = "about"
"""Key of a frame's `attrs`: its headline."""
LINE = 100
"""Characters of a line of a sentence."""


class ResultFrame(Presented, pd.DataFrame):  # type: ignore[misc]
    """A DataFrame with a short `repr`; whatever is computed from it, such as a selection of rows, is a plain DataFrame.

    `to_markdown` and `to_latex` need no further package and take no options, and `plot` draws the result: `table()` is the plain
    DataFrame, with pandas' own methods of these names.
    """

    SHOWN: ClassVar[Sequence[str] | None] = None
    """Columns of the overview; None for all."""

    @classmethod
    def of(cls, content: pd.DataFrame, about: str) -> Any:
        """The result of this class with a headline."""
        result = cls(content)
        result.attrs[ABOUT] = about
        return result

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        """The class of what is computed from this one."""
        return pd.DataFrame

    def headline(self) -> str:
        """What the table is, in one line."""
        return str(self.attrs.get(ABOUT, type(self).__name__))

    def table(self) -> pd.DataFrame:
        """A copy as a plain DataFrame, with the same columns."""
        return pd.DataFrame(self).copy()

    def overview(self) -> formats.Table:
        """The columns that are shown."""
        table = self.table()
        return formats.Table.of_frame(table if self.SHOWN is None else table[[name for name in self.SHOWN if name in table]])


class ItemsNeeded(ResultFrame):
    """What `mb.items_needed` returns, see there for the columns."""

    def plot(self, ax: Axes | None = None) -> Axes:  # type: ignore[override]
        """Draw the number of items against the difference, in points, with the 95 % intervals; on new axes by default."""
        axes = plots.axes_or_new(ax)
        plots.plot_items_needed(self.table(), axes)
        return axes


class GateTable(ResultFrame):
    """What `mb.regression_gate` returns, see there for the columns."""

    def plot(self, ax: Axes | None = None) -> Axes:  # type: ignore[override]
        """Draw false alarms and misses, in percent, against the tolerance in points; on new axes by default."""
        axes = plots.axes_or_new(ax)
        plots.plot_gate(self.table(), axes)
        return axes


class BoardsLeftOut(ResultFrame):
    """What `mb.leave_out_boards` returns, see there for the columns; `repr` and the text formats leave some out."""

    SHOWN = ("board", "weight", "size", "rmse_change", "rmse_low", "rmse_high", "tau_change", "tau_low", "tau_high", "own_rmse")


class RankIntervals(ResultFrame):
    """What `mb.rank_intervals` returns, see there for the columns."""

    def plot(self, ax: Axes | None = None) -> Axes:  # type: ignore[override]
        """Draw every model's rank with its interval, the best on top; on new axes by default."""
        axes = plots.axes_or_new(ax, height=max(2.5, 1.2 + 0.28 * len(self)))
        plots.plot_ranks(self.table(), axes)
        return axes


class ScoreTable(ResultFrame):
    """What `mb.score` returns, see there for the columns; `repr` and the text formats leave some out."""

    SHOWN = ("estimate", "low", "high", "interval_kind", "rank_low", "rank_high", "answered", "unlike", "refused")

    def plot(self, ax: Axes | None = None) -> Axes:  # type: ignore[override]
        """Draw every model's estimate with its 95 % interval, in percent, the best on top; on new axes by default."""
        axes = plots.axes_or_new(ax, height=max(2.5, 1.2 + 0.28 * len(self)))
        plots.plot_scores(self.table(), axes)
        return axes


class Answer(Presented, dict[str, Any]):
    """A dictionary of named numbers, whose `repr` is a sentence.

    Parameters
    ----------
    content
        The values by name.
    sentence
        The answer in words.
    """

    def __init__(self, content: dict[str, Any], sentence: str) -> None:
        super().__init__(content)
        self.sentence = sentence

    def __repr__(self) -> str:
        return textwrap.fill(self.sentence, LINE)

    def headline(self) -> str:
        """The answer in a sentence."""
        return self.sentence

    def table(self) -> pd.DataFrame:
        """One row, with a column per key."""
        return pd.DataFrame([dict(self)])

    def overview(self) -> formats.Table:
        """Two columns: the names of the values, and the values."""
        return formats.Table(("name", "value"), tuple(self.items()))
