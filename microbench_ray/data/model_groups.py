"""Fixed groups of target models: by names, by a regular expression, by what is known of the models, or the best of them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.expression import NotAllowed, UnknownColumn, evaluate
from microbench_ray.data.names import first_few

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE = "'instruct and 7e9 <= params <= 9e9'"


def match_models(
    benchmark: Benchmark,
    *,
    names: Sequence[str] | None = None,
    regex: str | None = None,
    where: str | None = None,
    best: float | None = None,
) -> NDArray[np.intp]:
    """Find the models of a fixed target group. Exactly one of the four ways must be given.

    Parameters
    ----------
    benchmark
        The benchmark whose models are meant.
    names
        Model ids.
    regex
        Regular expression that is searched for in the model ids (anchor with ^ and $ to match all of it).
    where
        Comparison of metadata columns, such as ``"instruct and 7e9 <= params <= 9e9"``, ``"family in ['a', 'b']"`` or
        ``"release_date >= '2024-01-01'"``. What compares with unknown metadata is unknown; such models do not match.
        Every benchmark has the column `accuracy`, the model's mean score on all items, unless its metadata have one so called.
    best
        A share of the models, see `best_models`.

    Returns
    -------
    ndarray
        Positions of the models, ascending, at least one.

    Raises
    ------
    DataError
        For unknown names or columns, an invalid expression, or if no model matches.
    """
    given = [way for way, value in (("names", names), ("regex", regex), ("where", where), ("best", best)) if value is not None]
    if len(given) != 1:
        raise DataError(
            "A target group is given in exactly one way.",
            where="targets",
            got=" and ".join(given) or "none of names, regex, where, best",
            hint="give one of names, regex, where, best",
        )
    if names is not None:
        return _by_names(benchmark, list(names))
    if regex is not None:
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise DataError(f"The regular expression is invalid: {error}.", where="targets.regex", got=repr(regex)) from None
        matches = np.array([pattern.search(model) is not None for model in benchmark.model_ids])
        return _positions(benchmark, matches, "targets.regex", repr(regex))
    if best is not None:
        return best_models(benchmark, best)
    assert where is not None
    return _positions(benchmark, _by_metadata(benchmark, where), "targets.where", repr(where))


def best_models(benchmark: Benchmark, share: float) -> NDArray[np.intp]:
    """Positions of the share of the models that are the best by accuracy on all items, ascending.

    The share is rounded up to a whole number of models; those as good as the last of them are in it too. Accuracies are over the
    items that each model answered, and are compared exactly.

    Raises
    ------
    DataError
        A share outside (0, 1).
    """
    if not 0 < share < 1:
        raise DataError("The best models are a share between 0 and 1.", where="targets.best", got=f"{share:g}", hint="best: 0.2")
    sums, answered = _totals(benchmark)
    accuracies = [Fraction(int(right), max(1, int(of))) for right, of in zip(sums, answered, strict=True)]
    last = sorted(accuracies, reverse=True)[math.ceil(share * benchmark.n_models - 1e-9) - 1]
    return np.flatnonzero([accuracy >= last for accuracy in accuracies])


def _by_names(benchmark: Benchmark, names: list[str]) -> NDArray[np.intp]:
    position = {model: k for k, model in enumerate(benchmark.model_ids)}
    unknown = [name for name in names if name not in position]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), list(position), n=3, cutoff=0.5)
        raise DataError(
            f"{len(unknown)} of the {len(names)} target models are not among the models of {benchmark.name!r}.",
            where="targets.names",
            got=first_few(unknown),
            hint=f"close to the first: {first_few(close)}" if close else f"models are {first_few(position)}",
        )
    if not names:
        raise DataError("The list of target models is empty.", where="targets.names", hint="name at least one")
    return np.array(sorted({position[name] for name in names}), dtype=np.intp)


def _positions(benchmark: Benchmark, matches: NDArray[np.bool_], where: str, got: str) -> NDArray[np.intp]:
    if not matches.any():
        raise DataError(
            f"No model of {benchmark.name!r} matches.",
            where=where,
            got=got,
            hint=f"models are {first_few(benchmark.model_ids)}",
        )
    return np.flatnonzero(matches)


def _by_metadata(benchmark: Benchmark, expression: str) -> NDArray[np.bool_]:
    """Evaluate an expression of metadata columns, unknown being no match; (n_models,) bool."""
    metadata = benchmark.metadata
    known = len(metadata.columns) > 0
    if "accuracy" not in metadata.columns:
        metadata = metadata.assign(accuracy=_accuracies(benchmark)).astype({"accuracy": "Float64"})
    columns = [str(column) for column in metadata.columns]
    try:
        result = evaluate(expression, metadata.reset_index())
    except UnknownColumn as error:
        raise DataError(
            f"There is no metadata column {str(error)!r}.",
            where="targets.where",
            got=repr(expression),
            hint=f"columns: {', '.join(columns)} (texts need quotes)"
            if known
            else "these models have the column accuracy alone; put a table with model_id and a column per fact beside the scores: "
            "X.models.csv beside X.parquet",
        ) from None
    except NotAllowed as error:
        raise DataError(
            "The expression may hold only columns, values and comparisons.",
            where="targets.where",
            got=f"{error} in {expression!r}",
            hint=f"for example {_EXAMPLE}",
        ) from None
    except (SyntaxError, RecursionError, MemoryError):
        raise DataError(
            "The expression cannot be understood.",
            where="targets.where",
            got=repr(expression),
            hint=f"for example {_EXAMPLE}",
        ) from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            "The expression compares what cannot be compared.",
            where="targets.where",
            got=f"{expression!r}: {str(error).splitlines()[0]}",
            hint=f"compare columns with values of their type, as in {_EXAMPLE}; columns: {_typed(metadata)}",
        ) from None
    return result.fillna(False).to_numpy(dtype=bool)


def _accuracies(benchmark: Benchmark) -> NDArray[np.float64]:
    """Mean score of every model over the items that it answered, (n_models,), a fraction."""
    sums, answered = _totals(benchmark)
    means: NDArray[np.float64] = sums / (benchmark.units * answered)
    return means


def _totals(benchmark: Benchmark) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_models,) sums of scores in the benchmark's units, and items answered."""
    answered = benchmark.scores != benchmark.missing
    return np.where(answered, benchmark.scores, 0).sum(axis=1, dtype=np.int64), answered.sum(axis=1)


def _typed(metadata: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in metadata.dtypes.items())
