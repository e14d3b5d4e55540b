"""Schemas of all tables: columns, types, units and sort keys.

The descriptions are stored in the files: rewording one changes the bytes of every table with that column.
"""

from __future__ import annotations

import pyarrow as pa

from microbench_ray.core.errors import StoreError

SCHEMA_VERSION = 2
"""Increased when a column changes, or when the same cell would get different numbers. Files of other versions are not reused."""


def _field(name: str, kind: pa.DataType, about: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"about": about})


def _counts(name: str, about: str) -> pa.Field:
    return _field(name, pa.list_(pa.int32()), f"{about}, per bin of 0.005 from 0 on; bins after the last pair are left out")


_ACCURACY = "fraction, 0 to 1"
_DIFFERENCE = "difference of two accuracies, a fraction"

_BENCHMARK = _field("benchmark", pa.string(), "name, or name/subtask where subtasks are swept separately")
_N_SOURCE = _field("n_source", pa.int32(), "source models per run; 0 for a fixed list")
_TARGETS = [
    _field("targets", pa.string(), "label of the group of target models: random, all, or the configured one"),
    _field("n_target", pa.int32(), "target models per run"),
    _field("unseen", pa.string(), "half: the method sees one half of the items; none: it sees all of them"),
]
_GROUP = [
    _BENCHMARK,
    _field("method", pa.string(), "label of the configured method"),
    _N_SOURCE,
    _field("size", pa.int32(), "items selected"),
    _field("fraction", pa.float64(), "the configured size as a fraction of the items, where it was one", nullable=True),
    *_TARGETS,
]
_SPLIT = _field("split", pa.string(), "the items that the true accuracies are of: seen or unseen")
_RUN = _field("run", pa.int32(), "one random draw of everything")
_POLICY = [
    _field("tie_policy", pa.string(), "wrong, half, drop or paper"),
    _field("ci", pa.string(), "what the intervals resample: runs, pairs or models"),
]
_PAIR_COUNTS = [
    _counts("n_pairs", "pairs of targets whose true accuracies differ"),
    _counts("n_agree", "of these, ordered by the estimates as by the truth"),
    _counts("n_tied", "of these, with estimates within 1e-12"),
    _counts("n_tied_agree", "of n_tied, not exactly equal and ordered as by the truth (counted by tie_policy=paper)"),
    _field("n_true_tied", pa.int64(), "pairs of targets with equal true accuracies"),
    _field("n_true_tied_up", pa.int64(), "of these, the former of the two has the higher estimate (counted by tie_policy=paper)"),
]
_VERDICTS = [
    _field("mean_items", pa.float64(), "items read per pair, up to the verdict or all selected"),
    _field("mean_cost", pa.float64(), "cost of these items, in the unit of the benchmark's; null: unknown", nullable=True),
    _field("decided", pa.float64(), "share of pairs with a verdict which of the two is better, at level .05"),
    _field("false", pa.float64(), "share of pairs with a wrong verdict; of equal models, any"),
    _field("fixed_decided", pa.float64(), "share with a verdict of a test after all selected items, at the same level"),
    _field("fixed_false", pa.float64(), "share with a wrong verdict of this test"),
]
_UNREACHED = "inf: the method alone never reaches it; -inf: the baseline alone; null: neither"


def _sums(name: str, kind: pa.DataType, about: str, *, nullable: bool = False) -> pa.Field:
    what = f"{about}: of pairs with equal true accuracies, then per bin of 0.005 from 0 on"
    return _field(name, pa.list_(kind), what, nullable=nullable)


def _difference(name: str, about: str, undefined: str) -> list[pa.Field]:
    return [
        _field(f"{name}_difference", pa.float64(), f"the method's less the baseline's, {about}; {undefined}", nullable=True),
        _field(f"{name}_ci_lo", pa.float64(), "lower end of the difference's interval over runs", nullable=True),
        _field(f"{name}_ci_hi", pa.float64(), "upper end of it; both null below 10 runs, of mean agreement below 2", nullable=True),
    ]


SCHEMAS: dict[str, pa.Schema] = {
    "cells": pa.schema(
        [
            *_GROUP,
            _RUN,
            _SPLIT,
            *_PAIR_COUNTS,
            _field("mean_abs_error", pa.float64(), f"mean over targets of |estimate - truth|, {_ACCURACY}", nullable=True),
            _field("kendall_tau", pa.float64(), "tau-b of estimates and truth; null where one of them is constant", nullable=True),
            _field("signal", pa.string(), "what was read: by the selector / by the estimator; - is nothing"),
        ]
    ),
    "resamples": pa.schema(
        [*_GROUP, _SPLIT, _field("resample", pa.int32(), "one draw of the models with replacement"), *_PAIR_COUNTS]
    ),
    "estimates": pa.schema(
        [
            *_GROUP,
            _RUN,
            _field("target", pa.string(), "model id"),
            _field("accuracy_seen", pa.float64(), _ACCURACY, nullable=True),
            _field("accuracy_unseen", pa.float64(), _ACCURACY, nullable=True),
            _field("estimate", pa.float64(), _ACCURACY, nullable=True),
        ]
    ),
    "costs": pa.schema([*_GROUP, _RUN, _field("cost", pa.float64(), "of the selected items together, in the benchmark's unit")]),
    "stops": pa.schema(
        [
            *_GROUP,
            _RUN,
            _SPLIT,
            *_PAIR_COUNTS,
            _sums("items_read", pa.int64(), "items read up to the verdict, or all selected"),
            _sums("cost_read", pa.float64(), "cost of these items", nullable=True),
            _sums("n_decided", pa.int64(), "pairs with a verdict"),
            _sums("n_false", pa.int64(), "pairs with a wrong verdict"),
            _sums("n_fixed", pa.int64(), "pairs with a verdict of a test after all selected items"),
            _sums("n_fixed_false", pa.int64(), "pairs with a wrong verdict of this test"),
        ]
    ),
    "agreement": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            _field("diff_lo", pa.float64(), f"lower edge of the bin, {_DIFFERENCE}"),
            _field("diff_hi", pa.float64(), f"upper edge of the bin, {_DIFFERENCE}"),
            *_POLICY,
            _field("n_pairs", pa.int64(), "pairs over all runs"),
            _field("n_agree", pa.int64(), "of these, ordered as by the truth"),
            _field("n_tied", pa.int64(), "of these, with tied estimates"),
            _field("agreement", pa.float64(), "share of pairs ordered right, under the tie policy", nullable=True),
            _field("ci_lo", pa.float64(), "lower end of the interval of agreement", nullable=True),
            _field("ci_hi", pa.float64(), "upper end of the interval of agreement", nullable=True),
        ]
    ),
    "mdad": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            _field("threshold", pa.float64(), "the agreement to be reached"),
            *_POLICY,
            _field("mdad", pa.float64(), f"first crossing (the paper's), {_DIFFERENCE}; null: never reached", nullable=True),
            _field("ci_lo", pa.float64(), "lower end of its interval; null: never reached", nullable=True),
            _field("ci_hi", pa.float64(), "upper end of its interval; null: unbounded", nullable=True),
            _field(
                "mdad_monotone",
                pa.float64(),
                f"crossing of the isotonic fit, {_DIFFERENCE}; null: never reached",
                nullable=True,
            ),
            _field("mdad_monotone_ci_lo", pa.float64(), "lower end of its interval; null: never reached", nullable=True),
            _field("mdad_monotone_ci_hi", pa.float64(), "upper end of its interval; null: unbounded", nullable=True),
            _field("reached_share", pa.float64(), "share of resamples whose isotonic fit reaches the threshold"),
            _field("n_runs", pa.int32(), "runs counted"),
            _field(
                "cost",
                pa.float64(),
                "mean cost of the selected items, in the unit of the benchmark's; null: unknown",
                nullable=True,
            ),
        ]
    ),
    "verdicts": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            _field("diff_lo", pa.float64(), f"lower edge of the bin, {_DIFFERENCE}"),
            _field("diff_hi", pa.float64(), f"upper edge of the bin, {_DIFFERENCE}; 0: pairs with equal true accuracies"),
            _field("n_pairs", pa.int64(), "pairs over all runs"),
            *_VERDICTS,
        ]
    ),
    "stopping": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            _field("threshold", pa.float64(), "the agreement to be reached"),
            *_POLICY,
            *_VERDICTS,
            _field(
                "mean_agreement",
                pa.float64(),
                "share of pairs ordered right, by the verdict or, without one, by the estimates",
                nullable=True,
            ),
            _field(
                "mdad_monotone", pa.float64(), "crossing of the isotonic fit to this agreement; null: never reached", nullable=True
            ),
            _field("mdad_monotone_ci_lo", pa.float64(), "lower end of its interval; null: never reached", nullable=True),
            _field("mdad_monotone_ci_hi", pa.float64(), "upper end of its interval; null: unbounded", nullable=True),
            _field("n_runs", pa.int32(), "runs counted"),
        ]
    ),
    "summary": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            *_POLICY,
            _field("mean_agreement", pa.float64(), "share of all pairs ordered right, under the tie policy", nullable=True),
            _field("mean_abs_error", pa.float64(), f"mean over runs, {_ACCURACY}", nullable=True),
            _field("mean_abs_error_sd", pa.float64(), "standard deviation over runs", nullable=True),
            _field("kendall_tau", pa.float64(), "mean tau-b over the runs where it is defined", nullable=True),
            _field("kendall_tau_sd", pa.float64(), "standard deviation over these runs", nullable=True),
            _field(
                "share_reliable",
                pa.float64(),
                "share of pairs whose difference is at least mdad_monotone; 0 where that is null",
                nullable=True,
            ),
            _field("threshold", pa.float64(), "of this mdad_monotone: the first one asked for"),
            _field("n_runs", pa.int32(), "runs counted"),
            _field("signal", pa.string(), "what was read: by the selector / by the estimator; - is nothing"),
        ]
    ),
    "standings": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            *_POLICY[:1],
            _field(
                "p_best",
                pa.float64(),
                "p-value of there being no better method, by mean agreement over the same runs, corrected for their number; "
                "null below 10 runs and for a single method",
                nullable=True,
            ),
            _field("among_best", pa.bool_(), "not worse than the best method by more than chance; null as p_best", nullable=True),
            _field("n_runs", pa.int32(), "runs that all methods have"),
        ]
    ),
    "paired": pa.schema(
        [
            *_GROUP,
            _SPLIT,
            _field("threshold", pa.float64(), "the agreement to be reached"),
            _field("baseline", pa.string(), "label of the method that this one is compared with, on the same runs"),
            *_POLICY,
            *_difference("mdad", f"of the first crossings, {_DIFFERENCE}", _UNREACHED),
            *_difference("mdad_monotone", f"of the crossings of the isotonic fits, {_DIFFERENCE}", _UNREACHED),
            *_difference("mean_agreement", "of the shares of all pairs ordered right", "null: there is no pair"),
            _field("n_runs", pa.int32(), "runs that both have"),
        ]
    ),
    "responses": pa.schema(
        [
            _field("item_id", pa.string(), "what responses of different models are joined on"),
            _field("subtask", pa.string(), "subtask of the item"),
            _field("score", pa.float64(), "mean over repeated samples, 0 to 1; null: unscored", nullable=True),
            _field("repeats", pa.list_(pa.float64()), "scores of repeated samples in their order; null: only one", nullable=True),
            _field("confidence", pa.float64(), "probability given to the correct answer", nullable=True),
            _field("answers", pa.list_(pa.float32()), "probability given to every answer", nullable=True),
            _field("label", pa.int32(), "position of the correct answer, from 0", nullable=True),
            _field("content", pa.string(), "digest of the item as the model saw it; null: the log does not tell", nullable=True),
            _field("position", pa.string(), "the item's own name or number in its log", nullable=True),
            _field("log", pa.string(), "the log it comes from, relative to the folder that was read"),
        ]
    ),
    "history": pa.schema(
        [
            _field("night", pa.string(), "label of the night; later ones sort after"),
            _field(
                "kind",
                pa.string(),
                "metric, or the kind of event: model_new, item_vanished, …",
            ),
            _field("subject", pa.string(), "label of the audited list or method; empty: the benchmark itself"),
            _field("size", pa.int32(), "items selected; null if not applicable", nullable=True),
            _field("subtask", pa.string(), "subtask; empty: all subtasks pooled"),
            _field("metric", pa.string(), "name of the value; empty for an event without a value"),
            _field("name", pa.string(), "the model or item of an event; empty if not applicable"),
            _field("value", pa.float64(), "fraction, difference of accuracies, or count: see metric", nullable=True),
            _field("ci_lo", pa.float64(), "lower end of the interval of value", nullable=True),
            _field("ci_hi", pa.float64(), "upper end of that interval; null with a ci_lo: unbounded", nullable=True),
            _field("reference", pa.float64(), "the value of the baseline", nullable=True),
            _field("bound_lo", pa.float64(), "lower end of the interval expected from run-to-run variation", nullable=True),
            _field("bound_hi", pa.float64(), "upper end of that interval", nullable=True),
            _field(
                "nights",
                pa.int32(),
                "consecutive nights with a value outside it on the same side",
                nullable=True,
            ),
            _field("severity", pa.string(), "note, warn or fail; empty: no finding"),
            _field("text", pa.string(), "the finding as a sentence; empty: no finding"),
        ]
    ),
    "snapshot_models": pa.schema(
        [
            _field("model_id", pa.string(), "model id"),
            _field("digest", pa.string(), "digest of the non-missing responses, by item id"),
            _field("accuracy", pa.float64(), _ACCURACY, nullable=True),
            _field("n_answered", pa.int64(), "items that the model answered"),
        ]
    ),
    "snapshot_items": pa.schema(
        [
            _field("item_id", pa.string(), "item id; several rows where models saw different versions"),
            _field("subtask", pa.string(), "subtask of the item"),
            _field("content", pa.string(), "digest of the item as the models saw it", nullable=True),
            _field("position", pa.string(), "the item's own name or number in its log", nullable=True),
        ]
    ),
    "item_statistics": pa.schema(
        [
            _field("item_id", pa.string(), "item id"),
            _field("subtask", pa.string(), "subtask of the item"),
            _field("n_answered", pa.int64(), "models that answered the item"),
            _field("mean", pa.float64(), "mean score over these models, 0 to 1", nullable=True),
            _field("dead", pa.string(), "all_right, all_wrong, or constant; empty: the scores vary"),
            _field("discrimination", pa.float64(), "correlation of the score with the accuracy on all other items", nullable=True),
            _field("p_negative", pa.float64(), "one-sided p-value of a negative correlation", nullable=True),
            _field("negative", pa.bool_(), "whether the correlation is significantly negative, at a false discovery rate of 5 %"),
        ]
    ),
    "board_ranks": pa.schema(
        [
            _field("model", pa.string(), "model id"),
            _field("accuracy", pa.float64(), f"accuracy on the whole benchmark, {_ACCURACY}"),
            _field("rank", pa.int32(), "rank by accuracy, from 1; equal accuracies share the best rank"),
            _field("rank_lo", pa.int32(), "best rank on all items like these, of a 95 % interval"),
            _field("rank_hi", pa.int32(), "worst rank on all items like these"),
            _field("tie_group", pa.int32(), "group of models that all items of the benchmark cannot order, from 1 from the top"),
        ]
    ),
    "leaderboard": pa.schema(
        [
            _field("subject", pa.string(), "label of the audited list"),
            _field("model", pa.string(), "model id"),
            _field("rank", pa.int32(), "rank by accuracy on the whole benchmark, from 1; equal accuracies share the best rank"),
            _field("accuracy", pa.float64(), f"accuracy on the whole benchmark, {_ACCURACY}"),
            _field("n_answered", pa.int64(), "items that the model answered"),
            _field(
                "estimate",
                pa.float64(),
                f"estimate from the list, {_ACCURACY}; null: answered none of it",
                nullable=True,
            ),
            _field("estimate_rank", pa.int32(), "rank by estimate, from 1", nullable=True),
            _field("rank_lo", pa.int32(), "best true rank consistent with the estimates", nullable=True),
            _field("rank_hi", pa.int32(), "worst true rank consistent with the estimates", nullable=True),
            _field("p_top", pa.float64(), "probability that the true rank is at most top_k, given the estimates", nullable=True),
            _field("tie_group", pa.int32(), "group of models that the list cannot order, numbered from 1 from the top"),
            _field("is_new", pa.bool_(), "whether the model is missing from the baseline"),
        ]
    ),
    "failures": pa.schema(
        [
            _field("shard", pa.string(), "the shard's id"),
            _BENCHMARK,
            _field("methods", pa.string(), "labels of the shard's methods"),
            _N_SOURCE,
            _field("sizes", pa.string(), "the shard's sizes"),
            *_TARGETS,
            _field("runs", pa.string(), "the shard's runs"),
            _field("error", pa.string(), "what was raised"),
            _field("traceback", pa.string(), "where"),
        ]
    ),
}

GROUP_KEY = [field.name for field in _GROUP]
"""Columns that identify a group of cells, which differ only in run and split."""


ADDED = {"mdad": ("cost",)}
"""Columns that tables of earlier versions lack: they are null there."""


def conform(table: pa.Table, name: str, *, where: str | None = None) -> pa.Table:
    """Cast a table to the columns, types and metadata of `SCHEMAS[name]`; StoreError if this fails. `where` is for messages."""
    schema = SCHEMAS[name]
    for column in ADDED.get(name, ()):
        if column not in table.column_names:
            table = table.append_column(schema.field(column), pa.nulls(len(table), schema.field(column).type))
    if table.schema.equals(schema, check_metadata=True) and all(
        field.nullable or not column.null_count for field, column in zip(schema, table.columns, strict=True)
    ):
        return table
    try:
        return table.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, ValueError) as error:
        raise StoreError(
            f"A table does not have the schema of {name}.",
            where=where,
            got=f"{type(error).__name__}: {error}",
            hint="it was written by another version or another program: move it away and rerun the command",
        ) from None
