"""The library that draws the charts, as one script: Vega, Vega-Lite and Vega-Embed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from microbench_ray.report.page.text import Html

VEGA_LITE = "6.4"
BUNDLE = {"snippet": "window.vegaEmbed=vegaEmbed;", "vl_version": VEGA_LITE}
PROGRAM = f"import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle(**{BUNDLE!r}).encode())"
_AHEAD: list[Future[str]] = []


def prepare() -> None:
    """Bundle it in a process of its own: that takes more than a second, which a sweep has anyway, and holds Python's lock."""
    if not _AHEAD:
        waiting = ThreadPoolExecutor(1)
        _AHEAD.append(waiting.submit(_elsewhere))
        waiting.shutdown(wait=False)


def _elsewhere() -> str:
    """What the process wrote; nothing where it could not be run."""
    try:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode()


@cache
def bundle() -> Html:
    """The script, the same each time."""
    text = _AHEAD[0].result() if _AHEAD else ""
    if not text:
        import vl_convert

        text = vl_convert.javascript_bundle(**BUNDLE)
    return Html(text.replace("</script", "<\\/script"))
