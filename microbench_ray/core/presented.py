"""`Presented`: results that show themselves, as a few lines of text, and as a table in notebooks and papers."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from microbench_ray.core import formats

if TYPE_CHECKING:
    import pandas as pd

MAX_TEXT_ROWS = 8
"""Rows of a result's `repr`."""
MAX_HTML_ROWS = 60
"""Rows of a result in a notebook."""


class Presented:
    """A mixin for results: a class gives a `headline` and a `table`, and where fewer columns are to be shown an `overview`."""

    def headline(self) -> str:
        """What the result is, in one line."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame:
        """The result as a DataFrame; the class documents the columns."""
        raise NotImplementedError

    def overview(self) -> formats.Table:
        """What `repr`, notebooks, `to_markdown` and `to_latex` show: by default the whole table."""
        return formats.Table.of_frame(self.table())

    def to_markdown(self) -> str:
        """The overview as a Markdown table, numbers with four digits. Needs no further package."""
        return formats.markdown(self.overview())

    def to_latex(self) -> str:
        r"""The overview as a LaTeX `tabular`, numbers with four digits; needs `\usepackage{booktabs}`."""
        return formats.latex(self.overview())

    def __repr__(self) -> str:
        overview = self.overview()
        shown = formats.text(overview.first(MAX_TEXT_ROWS)).rstrip("\n")
        return "\n".join([self.headline(), shown, *_more(overview, MAX_TEXT_ROWS)])

    def _repr_html_(self) -> str:
        """The headline and the overview, as Jupyter shows them."""
        overview = self.overview()
        more = "".join(f"<p>{line}</p>" for line in _more(overview, MAX_HTML_ROWS))
        return f"<p>{html.escape(self.headline())}</p>\n{formats.html(overview.first(MAX_HTML_ROWS))}{more}"


def _more(overview: formats.Table, count: int) -> list[str]:
    """A line on the rows that are not shown."""
    hidden = len(overview.rows) - count
    return [f"… and {hidden:,} more rows: see table()"] if hidden > 0 else []
