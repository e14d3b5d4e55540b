"""Fixed groups of target models: by names, by a regular expression, by metadata, or the most accurate ones."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.expression import UnknownColumn, UnsupportedSyntax, evaluate
from microbench_ray.data.names import first_few
from microbench_ray.data.regex import search

if TYPE_CHECKING:
    import pandas as pd

WEIGHTED_DECIMALS = 12
"""Decimal places to which accuracies of weighted items are compared: sums of floats differ by less."""
_EXAMPLE = "'instruct and 7e9 <= params <= 9e9'"


def match_models(
    benchmark: Benchmark,
    *,
    names: Sequence[str] | None = None,
    regex: str | None = None,
    where: str | None = None,
    best: float | None = None,
) -> NDArray[np.intp]:
    """Find the models of a fixed target group. Exactly one of `names`, `regex`, `where` and `best` must be given.

    Parameters
    ----------
    benchmark
        The benchmark of the models.
    names
        Model ids.
    regex
        Regular expression in the syntax of RE2 to search for in the model ids; anchor it with ^ and $ to match whole ids.
    where
        Comparison of metadata columns, such as ``"instruct and 7e9 <= params <= 9e9"``, ``"family in ['a', 'b']"`` or
        ``"release_date >= '2024-01-01'"``. Models with unknown values in a comparison do not match. The column `accuracy`, the
        model's mean score on all items, always exists; metadata with this name replace it.
    best
        Share of the models, see `best_models`.

    Returns
    -------
    ndarray
        Positions of the models, ascending; at least one.

    Raises
    ------
    DataError
        A name or column is unknown, the expression is invalid, or no model matches.
    """
    given = [way for way, value in (("names", names), ("regex", regex), ("where", where), ("best", best)) if value is not None]
    if len(given) != 1:
        raise DataError(
            "A target group must be defined in exactly one way.",
            where="targets",
            got=" and ".join(given) or "none of names, regex, where, best",
            hint="give one of names, regex, where, best",
        )
    if names is not None:
        return _by_names(benchmark, list(names))
    if regex is not None:
        matches = search(regex, list(benchmark.model_ids), "targets.regex")
        return _positions(benchmark, matches, "targets.regex", repr(regex))
    if best is not None:
        return best_models(benchmark, best)
    assert where is not None
    return _positions(benchmark, _by_metadata(benchmark, where), "targets.where", repr(where))


def best_models(benchmark: Benchmark, share: float) -> NDArray[np.intp]:
    """Positions of the share of the models with the highest accuracy on all items, ascending.

    The share is rounded up to a whole number of models; models tied with the last one are included. Accuracies are over the items
    that each model answered, and are compared exactly, or to twelve decimal places where items count differently.

    Raises
    ------
    DataError
        The share is outside (0, 1).
    """
    if not 0 < share < 1:
        raise DataError(
            "best must be a share between 0 and 1.",
            where="targets.best",
            got=f"{share:g}",
            hint=fraction_hint("targets.best", share, "0.2"),
        )
    accuracies: Sequence[Fraction | float]
    if benchmark.truth == "micro":
        sums, answered = benchmark.totals()
        accuracies = [Fraction(int(total), max(1, int(count))) for total, count in zip(sums, answered, strict=True)]
    else:
        accuracies = np.round(np.nan_to_num(benchmark.accuracies()), WEIGHTED_DECIMALS).tolist()
    lowest = sorted(accuracies, reverse=True)[math.ceil(share * benchmark.n_models - 1e-9) - 1]
    return np.flatnonzero([accuracy >= lowest for accuracy in accuracies])


def _by_names(benchmark: Benchmark, names: list[str]) -> NDArray[np.intp]:
    position = {model: k for k, model in enumerate(benchmark.model_ids)}
    unknown = [name for name in names if name not in position]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), list(position), n=3, cutoff=0.5)
        raise DataError(
            f"{len(unknown)} of the {len(names)} target models are not models of {benchmark.name!r}.",
            where="targets.names",
            got=first_few(unknown),
            hint=f"similar to the first: {first_few(close)}" if close else f"models: {first_few(position)}",
        )
    if not names:
        raise DataError("The list of target models is empty.", where="targets.names", hint="give at least one name")
    return np.array(sorted({position[name] for name in names}), dtype=np.intp)


def _positions(benchmark: Benchmark, matches: NDArray[np.bool_], where: str, got: str) -> NDArray[np.intp]:
    if not matches.any():
        raise DataError(
            f"No model of {benchmark.name!r} matches.",
            where=where,
            got=got,
            hint=f"models: {first_few(benchmark.model_ids)}",
        )
    return np.flatnonzero(matches)


def _by_metadata(benchmark: Benchmark, expression: str) -> NDArray[np.bool_]:
    """Evaluate an expression of metadata columns; (n_models,) bool, false if unknown."""
    metadata = benchmark.metadata
    has_metadata = len(metadata.columns) > 0
    if "accuracy" not in metadata.columns:
        metadata = metadata.assign(accuracy=benchmark.accuracies()).astype({"accuracy": "Float64"})
    columns = [str(column) for column in metadata.columns]
    try:
        result = evaluate(expression, metadata.reset_index())
    except UnknownColumn as error:
        raise DataError(
            f"Unknown metadata column {str(error)!r}.",
            where="targets.where",
            got=repr(expression),
            hint=f"columns: {', '.join(columns)} (texts need quotes)"
            if has_metadata
            else "these models only have the column accuracy; add a table X.models.csv next to X.parquet, with model_id "
            "and further columns",
        ) from None
    except UnsupportedSyntax as error:
        raise DataError(
            "The expression may only contain columns, values and comparisons.",
            where="targets.where",
            got=f"{error} in {expression!r}",
            hint=f"for example {_EXAMPLE}",
        ) from None
    except (SyntaxError, RecursionError, MemoryError):
        raise DataError(
            "The expression is not valid.",
            where="targets.where",
            got=repr(expression),
            hint=f"for example {_EXAMPLE}",
        ) from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            "The expression cannot be evaluated.",
            where="targets.where",
            got=f"{expression!r}: {str(error).splitlines()[0]}",
            hint=f"compare columns with values of their type, as in {_EXAMPLE}; columns: {_typed(metadata)}",
        ) from None
    return result.fillna(False).to_numpy(dtype=bool)


def _typed(metadata: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in metadata.dtypes.items())
