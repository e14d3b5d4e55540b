"""Shows the results of a sweep: MDAD tables in the terminal, figures, and report.html."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from microbench_ray.core.errors import StoreError
from microbench_ray.core.shown import escape_controls, escape_lines
from microbench_ray.core.table_formats import Format
from microbench_ray.report.answer import answers, lines
from microbench_ray.report.figures import draw_figures
from microbench_ray.report.mdad_text import mdad_text
from microbench_ray.report.terminal import difference_tables, mdad_tables, stopping_tables
from microbench_ray.sweeps.reduce import OPTIONAL
from microbench_ray.sweeps.results import SweepStore

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

logger = logging.getLogger(__name__)

MAX_TABLES = 12
"""Tables printed; the others are in mdad.parquet."""


def show_results(
    console: Console,
    tables: Mapping[str, pa.Table],
    out: Path | str,
    *,
    figures: bool,
    report: bool = False,
    shown_as: Format = "table",
) -> None:
    """Print the MDAD tables, the differences to a baseline and the answer, write the figures and the page, and print the paths.

    Parameters
    ----------
    console
        Where to print.
    tables
        The reduced tables of a sweep.
    out
        Its folder, a path or a URL.
    figures, report
        Whether to write `figures/` and `report.html`.
    shown_as
        The format of the MDADs. In others than `table` they are all that is printed, and the paths are logged.

    Raises
    ------
    StoreError
        A figure or the page cannot be written.
    """
    store = SweepStore(out)
    manifest = store.manifest() or {}
    note = manifest.get("config", {}).get("figure_note")

    def place(name: str) -> str:
        return escape_controls(store.at(name))

    if shown_as == "table":
        say: Callable[[str], object] = console.print
        _print_tables(console, tables, place("mdad.parquet"))
    else:
        say = partial(logger.info, "%s")
        console.file.write(mdad_text(tables["mdad"], shown_as))
    figure_names = _write_figures(store, manifest, tables, note) if figures else []
    if report:
        _write_page(store, manifest, tables)
    if note:
        say(f"Note: {escape_lines(str(note))}")
    optional = "".join(f", {name}.parquet" for name in OPTIONAL if name in tables)
    say(f"Tables: {place('agreement.parquet')}, mdad.parquet, summary.parquet, standings.parquet{optional}")
    for name in figure_names:
        say(f"Figure: {place(f'figures/{name}')}")
    if report:
        say(f"Page: {place('report.html')}")


def _print_tables(console: Console, tables: Mapping[str, pa.Table], of_all: str) -> None:
    """Print the first MDAD tables, the differences to a baseline, and the answer; `of_all` is where all MDADs are."""
    titled_tables = list(mdad_tables(tables["mdad"], console.width))
    differences = list(difference_tables(tables["paired"], console.width)) if "paired" in tables else []
    stopped = list(stopping_tables(tables["stopping"])) if "stopping" in tables else []
    for title, table in titled_tables[:MAX_TABLES]:
        console.print(title)
        console.print(table, soft_wrap=False)
    if len(titled_tables) > MAX_TABLES:
        console.print(f"… and {len(titled_tables) - MAX_TABLES} more tables in {of_all}")
    for title, of_panel in stopped[:MAX_TABLES]:
        console.print(title)
        console.print(of_panel, soft_wrap=False)
    for title, table in differences[:MAX_TABLES]:
        console.print(title)
        console.print(table, soft_wrap=False)
    for sentence in lines(answers(tables)):
        console.print(Text(escape_lines(sentence)), soft_wrap=False)


def _write_figures(store: SweepStore, manifest: Mapping[str, Any], tables: Mapping[str, pa.Table], note: str | None) -> list[str]:
    """Draw the figures and return their names."""
    try:
        return draw_figures(
            tables,
            lambda name, content: store.write(f"figures/{name}", content),
            benchmarks=manifest.get("benchmarks", ()),
            note=note,
        )
    except StoreError as error:
        hint = f"{error.hint}; or figures=false: the tables are complete, and microbench reduce draws the figures later"
        raise StoreError("A figure cannot be written.", where=error.where, got=error.got, hint=hint) from None


def _write_page(store: SweepStore, manifest: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> None:
    from microbench_ray.report.page import render

    page = render(manifest, tables)
    try:
        store.write("report.html", page.encode())
    except StoreError as error:
        hint = f"{error.hint}; or report=false: the tables are complete, and microbench reduce writes the page later"
        raise StoreError("The page cannot be written.", where=error.where, got=error.got, hint=hint) from None
