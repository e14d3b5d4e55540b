"""The JavaScript library for the charts as one script: Vega, Vega-Lite and Vega-Embed."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from microbench_ray.core.extras import require_extra
from microbench_ray.report.page.text import Html

logger = logging.getLogger(__name__)

VEGA_LITE = "6.4"
BUNDLE = {"snippet": "window.vegaEmbed=vegaEmbed;", "vl_version": VEGA_LITE}
PROGRAM = f"import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle(**{BUNDLE!r}).encode())"
_PREPARED: list[Future[str]] = []


def prepare() -> None:
    """Start bundling in a separate process: it takes over a second and holds the GIL, while a sweep runs."""
    if not _PREPARED:
        executor = ThreadPoolExecutor(1)
        _PREPARED.append(executor.submit(_bundle_in_process))
        executor.shutdown(wait=False)


def _bundle_in_process() -> str:
    """The script as a separate process writes it; empty where that fails."""
    try:
        completed = subprocess.run([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.debug("Bundling the chart library in a separate process failed, bundling it in this one: %s", error)
        return ""
    return completed.stdout.decode()


@cache
def bundle() -> Html:
    """The script, with equal bytes each time; bundled now unless `prepare` was called. ConfigError without the extra `report`."""
    text = _PREPARED[0].result() if _PREPARED else ""
    if not text:
        require_extra("report", "The page of a report")
        import vl_convert

        text = vl_convert.javascript_bundle(**BUNDLE)
    return Html(text.replace("</script", "<\\/script"))
