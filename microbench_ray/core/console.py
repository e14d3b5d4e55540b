"""Consoles that write to a terminal: control characters in names that come from data never reach it raw."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from microbench_ray.core.shown import escape_lines


class TerminalConsole(Console):
    """A rich console that escapes unprintable characters in texts; its own colours and cursor movements pass.

    Names are shown by `shown.escape_controls` where a text is made, which also keeps a line break in a name from starting a line.
    This is the last check for all texts.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with texts escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_lines(segment.text), segment.style)
