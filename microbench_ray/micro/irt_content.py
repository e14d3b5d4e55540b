"""The IRT model of a readout in microbench.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels.irt_term import Beyond, IrtTerm
from microbench_ray.methods.readout import Readout
from microbench_ray.micro.json_values import finite_number, numbers_only


def irt_content(readout: Readout, version: int) -> dict[str, Any] | None:
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
    term, beyond = readout.term, readout.term.beyond
    content = {"weight": term.weight, "difficulty": term.difficulty.tolist(), "discrimination": term.discrimination.tolist()}
    shares = {} if term.shares is None else {"shares": term.shares.tolist()}
    if version < 4:
        limit: dict[str, Any] = {}
    elif version == 4:
        limit = {"alone_above": None if beyond is None else beyond.above}
    else:
        limit = {"beyond": None if beyond is None else beyond._asdict()}
    return content | limit | shares


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
    weight = finite_number(content["weight"], "readout, irt, weight")
    return IrtTerm(weight, discrimination, difficulty, shares, _beyond(content, version))


def _beyond(content: Mapping[str, Any], version: int) -> Beyond | None:
    if version < 4 or content["alone_above" if version == 4 else "beyond"] is None:
        return None
    if version == 4:
        return Beyond(finite_number(content["alone_above"], "readout, irt, alone_above"))
    values = {name: finite_number(content["beyond"][name], f"readout, irt, beyond, {name}") for name in Beyond._fields}
    if not (values["prior_variance"] > 0 and 0 <= values["own_share"] <= 1):
        raise ValueError("readout, irt, beyond: prior_variance must be positive, own_share from 0 to 1")
    return Beyond(**values)
