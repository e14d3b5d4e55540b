"""The IRT model of a readout in microbench.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels.irt_term import Beyond, IrtTerm
from microbench_ray.methods.readout import Readout
from microbench_ray.micro.json_values import finite_number, numbers_only

_VERSION_5 = ("above", "prior_variance", "own_share")
"""Names of the values of `Beyond` in folders of format version 5, which have a limit above only."""


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
    term = readout.term
    content = {"weight": term.weight, "difficulty": term.difficulty.tolist(), "discrimination": term.discrimination.tolist()}
    shares = {} if term.shares is None else {"shares": term.shares.tolist()}
    above = term.above
    if version < 4:
        limits: dict[str, Any] = {}
    elif version == 4:
        limits = {"alone_above": None if above is None else above.limit}
    elif version == 5:
        limits = {"beyond": None if above is None else dict(zip(_VERSION_5, above, strict=True))}
    else:
        limits = {name: None if each is None else each._asdict() for name, each in (("above", above), ("below", term.below))}
    return content | limits | shares


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
    return IrtTerm(weight, discrimination, difficulty, shares, *_limits(content, version))


def _limits(content: Mapping[str, Any], version: int) -> tuple[Beyond | None, Beyond | None]:
    if version < 4:
        return None, None
    if version == 4:
        above = content["alone_above"]
        return None if above is None else Beyond(finite_number(above, "readout, irt, alone_above")), None
    if version == 5:
        return _beyond(content, "beyond", _VERSION_5), None
    return _beyond(content, "above", Beyond._fields), _beyond(content, "below", Beyond._fields)


def _beyond(content: Mapping[str, Any], key: str, names: Sequence[str]) -> Beyond | None:
    """The limit under a key, whose values have these names in the order of `Beyond`."""
    if content[key] is None:
        return None
    found = Beyond(*(finite_number(content[key][name], f"readout, irt, {key}, {name}") for name in names))
    if not (found.prior_variance > 0 and 0 <= found.own_share <= 1):
        raise ValueError(f"readout, irt, {key}: prior_variance must be positive, own_share from 0 to 1")
    return found
