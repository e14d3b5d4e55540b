"""The tables: columns, units and sort keys, each in this one place."""

from __future__ import annotations

import pyarrow as pa

from microbench_ray.errors import StoreError

SCHEMA_VERSION = 2
"""Raised when a column changes, or when the same cell would get other numbers: no file of another version is reused."""


def _field(name: str, kind: pa.DataType, about: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"about": about})


def _counts(name: str, about: str) -> pa.Field:
    return _field(name, pa.list_(pa.int32()), f"{about}, per bin of 0.005 from 0 on; bins after the last pair are left out")


_ACCURACY = "fraction, 0 to 1"
_DIFFERENCE = "difference of two accuracies, a fraction"

_BENCHMARK = _field("benchmark", pa.string(), "name, or name/subtask where subtasks are apart")
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
"""Names a group of cells that differ only in run and split."""


def conform(table: pa.Table, name: str, *, where: str | None = None) -> pa.Table:
    """The table with exactly the columns, types and metadata of `SCHEMAS[name]`; StoreError where it cannot be."""
    schema = SCHEMAS[name]
    try:
        return table.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, ValueError) as error:
        raise StoreError(
            f"A table is not of the form of {name}.",
            where=where,
            got=f"{type(error).__name__}: {error}",
            mend="it was written by another version or another program: move it away and run the sweep again",
        ) from None
