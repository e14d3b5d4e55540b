"""Fixed groups of target models: by names, by a regular expression, or by what is known of the models."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.expression import NotAllowed, UnknownColumn, evaluate
from microbench_ray.data.naming import first_few
from microbench_ray.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE = "'instruct and 7e9 <= params <= 9e9'"


def match_models(
    benchmark: Benchmark, *, names: Sequence[str] | None = None, regex: str | None = None, where: str | None = None
) -> NDArray[np.intp]:
    """Find the models of a fixed target group. Exactly one of the three ways must be given.

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

    Returns
    -------
    ndarray
        Positions of the models, ascending, at least one.

    Raises
    ------
    DataError
        For unknown names or columns, an invalid expression, or if no model matches.
    """
    given = [way for way, value in (("names", names), ("regex", regex), ("where", where)) if value is not None]
    if len(given) != 1:
        raise DataError(
            "A target group is given in exactly one way.",
            where="targets",
            got=" and ".join(given) or "none of names, regex, where",
            mend="give one of names, regex, where",
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
    assert where is not None
    return _positions(benchmark, _by_metadata(benchmark, where), "targets.where", repr(where))


def _by_names(benchmark: Benchmark, names: list[str]) -> NDArray[np.intp]:
    position = {model: k for k, model in enumerate(benchmark.model_ids)}
    unknown = [name for name in names if name not in position]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), list(position), n=3, cutoff=0.5)
        raise DataError(
            f"{len(unknown)} of the {len(names)} target models are not among the models of {benchmark.name!r}.",
            where="targets.names",
            got=first_few(unknown),
            mend=f"close to the first: {first_few(close)}" if close else f"models are {first_few(position)}",
        )
    if not names:
        raise DataError("The list of target models is empty.", where="targets.names", mend="name at least one")
    return np.array(sorted({position[name] for name in names}), dtype=np.intp)


def _positions(benchmark: Benchmark, matches: NDArray[np.bool_], where: str, got: str) -> NDArray[np.intp]:
    if not matches.any():
        raise DataError(
            f"No model of {benchmark.name!r} matches.",
            where=where,
            got=got,
            mend=f"models are {first_few(benchmark.model_ids)}",
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
            mend=f"columns: {', '.join(columns)} (texts need quotes)"
            if known
            else "these models have the column accuracy alone; put a table with model_id and a column per fact beside the scores: "
            "X.models.csv beside X.parquet",
        ) from None
    except NotAllowed as error:
        raise DataError(
            "The expression may hold only columns, values and comparisons.",
            where="targets.where",
            got=f"{error} in {expression!r}",
            mend=f"for example {_EXAMPLE}",
        ) from None
    except (SyntaxError, RecursionError, MemoryError):
        raise DataError(
            "The expression cannot be understood.",
            where="targets.where",
            got=repr(expression),
            mend=f"for example {_EXAMPLE}",
        ) from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            "The expression compares what cannot be compared.",
            where="targets.where",
            got=f"{expression!r}: {str(error).splitlines()[0]}",
            mend=f"compare columns with values of their type, as in {_EXAMPLE}; columns: {_typed(metadata)}",
        ) from None
    return result.fillna(False).to_numpy(dtype=bool)


def _accuracies(benchmark: Benchmark) -> NDArray[np.float64]:
    """Mean score of every model over the items that it answered, (n_models,), a fraction."""
    answered = benchmark.scores != benchmark.missing
    sums = np.where(answered, benchmark.scores, 0).sum(axis=1, dtype=np.int64)
    means: NDArray[np.float64] = sums / (benchmark.units * answered.sum(axis=1))
    return means


def _typed(metadata: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in metadata.dtypes.items())
