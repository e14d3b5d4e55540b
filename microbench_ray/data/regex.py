"""Regular expressions of the user, matched by RE2, whose time is linear in the text whatever the expression.

Arrow brings RE2 along. It has no look-around and no back-references; `(?i)` ignores case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import numbers_of, text_array

MAX_LENGTH = 10_000
"""Characters of an expression."""


def check_regex(regex: str, where: str) -> None:
    """Raise DataError for an expression that is not valid."""
    search(regex, [""], where)


def search(regex: str, texts: Sequence[str], where: str) -> NDArray[np.bool_]:
    """Whether the expression occurs in each text; anchor it with ^ and $ to match whole texts.

    Parameters
    ----------
    regex
        In the syntax of RE2.
    texts
        (n,) texts.
    where
        The configuration key that holds the expression.

    Raises
    ------
    DataError
        The expression is not valid.
    """
    if len(regex) > MAX_LENGTH:
        raise DataError(
            "The regular expression is too long.", where=where, got=f"{len(regex):,} characters", hint="give a list of names"
        )
    try:
        found = pc.match_substring_regex(text_array(texts), pattern=regex)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
        raise DataError(
            f"The regular expression is invalid: {reason}.",
            where=where,
            got=repr(regex),
            hint=r"use the syntax of RE2: no look-around (?=…) and no back-references \1; \( for a parenthesis",
        ) from None
    matches: NDArray[np.bool_] = numbers_of(found)
    return matches
