"""The IRT model of a readout in microbench.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels.irt_term import IrtTerm
from microbench_ray.methods.readout import Readout
from microbench_ray.micro.json_values import finite_number, numbers_only


def irt_content(readout: Readout) -> dict[str, Any] | None:
    """The IRT model of a readout: items of the micro-benchmark first, in their order; None where it has none.

    Raises
    ------
    ConfigError
        A term of another kind, of an estimator of one's own.
    """
    if readout.term is None:
        return None
    if not isinstance(readout.term, IrtTerm):
        raise ConfigError(
            "The estimator's readout cannot be exported.", got=type(readout.term).__name__, hint="an IrtTerm, or none"
        )
    term = readout.term
    content = {"weight": term.weight, "difficulty": term.difficulty.tolist(), "discrimination": term.discrimination.tolist()}
    shares = {} if term.shares is None else {"shares": term.shares.tolist()}
    return content | {"alone_above": term.alone_above} | shares


def irt_term_of(content: Mapping[str, Any] | None, n_items: int, version: int) -> IrtTerm | None:
    """The term of that content, in a folder of this format version; KeyError, TypeError or ValueError where it is malformed."""
    if content is None:
        return None
    difficulty = numbers_only(content["difficulty"], "readout, irt, difficulty")
    discrimination = numbers_only(content["discrimination"], "readout, irt, discrimination")
    if difficulty.shape != (n_items,) or discrimination.ndim != 2 or len(discrimination) != n_items:
        raise ValueError(f"readout, irt: {difficulty.shape} and {discrimination.shape} numbers for {n_items} items")
    shares = numbers_only(content["shares"], "readout, irt, shares") if "shares" in content else None
    if shares is not None and shares.shape != (n_items,):
        raise ValueError(f"readout, irt, shares: {shares.shape} numbers for {n_items} items")
    limit = None if version < 4 else content["alone_above"]
    alone_above = None if limit is None else finite_number(limit, "readout, irt, alone_above")
    return IrtTerm(finite_number(content["weight"], "readout, irt, weight"), discrimination, difficulty, shares, alone_above)
