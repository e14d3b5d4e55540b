"""Today's share of a long list of cases: within a few days all of them are run, and the rest of today's with `-m nightly`.

MICROBENCH_TEST_DAY is the number of the day (today's by default; pytest prints it), or `all` for all cases.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

VARIABLE = "MICROBENCH_TEST_DAY"


def set_day() -> str:
    """Set the day for this process and the workers of pytest-xdist, which must agree also at midnight, unless it is set already."""
    return os.environ.setdefault(VARIABLE, str(datetime.now(UTC).date().toordinal()))


def share(cases: Sequence[T], one_in: int, offset: int = 0) -> list[T]:
    """Every `one_in`-th case, beginning with another one every day: all cases within `one_in` days.

    Parameters
    ----------
    cases
        The cases, similar ones one after another, so that each kind is in every share.
    one_in
        The share; of fewer cases than this, there is one a day.
    offset
        Lists with different offsets begin with different cases.
    """
    day, period = set_day(), min(one_in, len(cases))
    return [case for place, case in enumerate(cases) if day == "all" or (place + offset + int(day)) % period == 0]


def rotating(cases: Iterable[Any], one_in: int) -> list[Any]:
    """The values of `pytest.mark.parametrize`; those outside today's share are marked `nightly`."""
    listed = list(cases)
    today = set(share(range(len(listed)), one_in))
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[] if place in today else pytest.mark.nightly)
        for place, case in enumerate(listed)
    ]


def share_or_all(one_in: int) -> list[Any]:
    """The values of `pytest.mark.parametrize` for a test that calls `share` itself: `one_in`, and 1 in the nightly set."""
    if set_day() == "all":
        return [pytest.param(1, id="all")]
    return [pytest.param(one_in, id="share"), pytest.param(1, id="all", marks=pytest.mark.nightly)]
