"""The output folder of a job, and what is written there beside tables."""

from __future__ import annotations

import math
from pathlib import Path

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.extras import require_extra
from microbench_ray.core.storage.urls import check_url, is_url, local_path


def place_of(out: str, wait_for_out: float) -> Path | str:
    """The output folder as a path or a URL; ConfigError for an invalid value."""
    if not 0 <= wait_for_out < math.inf:
        raise ConfigError(
            "wait_for_out must be at least 0, and finite.", where="wait_for_out", got=f"{wait_for_out:g}", hint="wait_for_out=60"
        )
    return check_url(out, "out") if is_url(out) else local_path(out)


def check_shown(*, figures: bool, report: bool) -> None:
    """Raise ConfigError where figures or a page are to be written and the packages for them are not installed."""
    if figures or report:
        require_extra(
            "report", "Figures and the page", where="figures, report", otherwise="figures=false report=false writes tables only"
        )
