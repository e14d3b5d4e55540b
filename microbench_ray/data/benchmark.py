"""`Benchmark`: scores of models on items in two Arrow tables, viewed without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.presented import Presented
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data.assemble import build_tables
from microbench_ray.data.columns import numbers_of, texts_of
from microbench_ray.data.digest import content_digest, plain_values
from microbench_ray.data.ipc import open_tables, save_tables
from microbench_ray.data.metadata import RESERVED
from microbench_ray.data.score_grid import Rows, missing_value
from microbench_ray.data.suspicious import warn
from microbench_ray.data.truth import check_truth, weighted_accuracies

if TYPE_CHECKING:
    import pandas as pd

MAX_MISSING = 0.1
"""Default share of missing responses above which a model is dropped."""


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark(Presented):
    """Scores of models on items, with metadata of the models and subtasks of the items.

    Missing responses do not count as wrong answers. Models with a share of missing responses above `max_missing`, and items that no
    model answered, are dropped with a note when the benchmark is made. The other missing responses stay marked, and all means
    (accuracies on the seen and unseen halves, and estimates from the selected items) are over the non-missing responses.

    Parameters
    ----------
    name
        Name of the benchmark in tables and figures.
    models
        One row per model: `model_id` string; `score` FixedSizeList<uint8 or uint32>[n_items]; optionally `confidence`
        FixedSizeList<float32>[n_items] and `answers` FixedSizeList<float32>[n_items * n_answers], and `repeat_scores`
        FixedSizeList<float32>[n_items * n_repeats]; every other column is metadata (string, bool, float64 or timestamp).
    items
        One row per item: `item_id` string, `subtask` dictionary of string, optionally `label` int32, `weight` float64, `cluster`
        dictionary of string and `cost` float64.
    units
        Scores are integers in units of 1/units: 1 for right or wrong, 2 for {0, .5, 1}, at most 254 in uint8. Other scores are
        rounded to 1/1,000,000 (by at most 5e-7) in uint32.
    notes
        Sentences for the user about what was dropped and why.
    truth
        The number that ranks the models: `micro`, the mean over items; `macro`, the mean over subtasks of their means; or
        `weights`, the weighted mean over items (`data.truth`).

    Notes
    -----
    Each matrix is one contiguous model-major buffer, and its numpy views are read-only. Pickling (protocol 5) passes the buffers
    without a copy. Create a benchmark with `from_arrays`, `open`, or a reader of this package.
    """

    name: str
    models: pa.Table
    items: pa.Table
    units: int
    notes: tuple[str, ...] = ()
    truth: str = "micro"

    def __post_init__(self) -> None:
        """Combine the chunks of every column, so that it can be viewed as an array."""
        for field in ("models", "items"):
            table = getattr(self, field)
            if any(column.num_chunks != 1 for column in table.columns):
                object.__setattr__(self, field, table.combine_chunks())

    def __getstate__(self) -> dict[str, Any]:
        """Leave out cached properties, except `has_missing`, which is expensive to compute."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"has_missing": self.has_missing}

    def __repr__(self) -> str:
        return self.headline()

    def headline(self) -> str:
        """The name and the size, in one line."""
        truth = "" if self.truth == "micro" else f", truth={self.truth}"
        return f"Benchmark({self.name!r}, {self.n_models} models x {self.n_items} items, units={self.units}{truth})"

    @classmethod
    def from_arrays(
        cls,
        name: str,
        scores: Rows,
        item_ids: Sequence[str],
        model_ids: Sequence[str],
        subtasks: Sequence[str] | None = None,
        confidence: Rows | None = None,
        answers: NDArray[Any] | None = None,
        labels: ArrayLike | None = None,
        repeats: NDArray[Any] | None = None,
        metadata: pd.DataFrame | pa.Table | None = None,
        units: int | None = None,
        max_missing: float = MAX_MISSING,
        *,
        truth: str = "micro",
        weights: ArrayLike | None = None,
        clusters: Sequence[str] | None = None,
        costs: ArrayLike | None = None,
    ) -> Benchmark:
        """Make a benchmark from arrays.

        Parameters
        ----------
        name
            Name of the benchmark.
        scores
            (n_models, n_items) numbers or booleans in [0, 1], NaN for missing responses; an array or a list of its rows.
        item_ids, model_ids
            Unique texts.
        subtasks
            (n_items,) texts; by default one subtask called "all".
        confidence
            (n_models, n_items) probability in [0, 1] that the model gave to the correct answer. Required for every non-missing
            score, ignored for missing ones. By default taken from `answers`.
        answers
            (n_models, n_items, n_answers) probability in [0, 1] of every answer; items with fewer answers are padded with 0.
        labels
            (n_items,) position of the correct answer, from 0. Required with `answers`.
        repeats
            (n_models, n_items, n_repeats) scores in [0, 1] of the repeats of every response, NaN where there are fewer. A score is
            the mean of its repeats; a response without repeats has one, its score.
        metadata
            One row per model with `model_id` (column or index) and any scalar columns.
        units
            If given, `scores` are in units of 1/units, and the missing value of an unsigned type (255 in uint8) marks a missing
            response. Scores are always stored on the coarsest grid that represents them.
        max_missing
            Share in [0, 1] of missing responses above which a model is dropped.
        truth
            `macro` where the leaderboard ranks models by the mean over subtasks of their accuracies on each.
        weights
            (n_items,) positive numbers, where it ranks them by a weighted mean over items.
        clusters
            (n_items,) texts, equal for items that are not independent of one another, such as questions about one passage.
        costs
            (n_items,) positive numbers, what answering an item costs, in any unit: tokens, seconds, dollars.

        Raises
        ------
        DataError
            The input is invalid; the error names the place.

        Warns
        -----
        DataWarning
            A model or an item looks like a mean or another aggregate, or models and items seem to be exchanged. The command line
            shows `notes` instead.
        """
        tables = build_tables(
            scores,
            item_ids,
            model_ids,
            subtasks=subtasks,
            confidence=confidence,
            answers=answers,
            labels=labels,
            repeats=repeats,
            metadata=metadata,
            units=units,
            max_missing=max_missing,
            weights=weights,
            clusters=clusters,
            costs=costs,
        )
        warn(tables.suspicious)
        kind = "micro" if weights is None else "weights"
        made = cls(name, models=tables.models, items=tables.items, units=tables.units, notes=tables.notes, truth=kind)
        return made.with_truth(truth)

    @classmethod
    def open(cls, folder: str | Path, name: str | None = None) -> Benchmark:
        """Memory-map a benchmark written by `save`; data is read when it is used.

        Raises
        ------
        DataError
            The folder does not contain a benchmark, or its files are truncated, of another format or of different benchmarks.
        """
        stored = open_tables(local_path(folder))
        return cls(name or stored.name, stored.models, stored.items, stored.units, stored.notes, stored.truth)

    def save(self, folder: str | Path) -> None:
        """Write `models.arrow` and `items.arrow` (Arrow IPC, uncompressed) to a folder, atomically.

        A previous benchmark in the folder is replaced; benchmarks already opened from it stay valid.

        Raises
        ------
        DataError
            The folder contains other files, or cannot be written.
        """
        facts = {"name": self.name, "units": self.units, "notes": list(self.notes), "digest": self.digest, "truth": self.truth}
        save_tables(local_path(folder), self.models, self.items, facts)

    def with_truth(self, truth: str) -> Benchmark:
        """The same scores, with models ranked by another number.

        Parameters
        ----------
        truth
            `micro`: every item counts the same, or by its weight where items have weights; `macro`: every subtask does.

        Raises
        ------
        DataError
            Another value, or `macro` where there is one subtask or items have weights.
        """
        if truth != self.truth:
            check_truth(truth, n_subtasks=len(self.subtask_names), weighted=self.weights is not None, where=f"{self.name}, truth")
        return self if self.weights is not None or truth == self.truth else replace(self, truth=truth)

    @property
    def n_models(self) -> int:
        """Number of models."""
        return int(self.models.num_rows)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self.items.num_rows)

    @property
    def nbytes(self) -> int:
        """Size of both tables in bytes."""
        return int(self.models.nbytes + self.items.nbytes)

    @cached_property
    def scores(self) -> NDArray[np.unsignedinteger[Any]]:
        """Scores (n_models, n_items), uint8 or uint32, in units of 1/units; `missing` for missing responses."""
        return self._matrix("score")

    @property
    def missing(self) -> int:
        """The value in `scores` that marks missing responses."""
        return missing_value(self.scores.dtype)

    @cached_property
    def has_missing(self) -> bool:
        """Whether any response is missing."""
        return int(self.scores.max()) == self.missing

    @cached_property
    def confidence(self) -> NDArray[np.float32] | None:
        """Probability of the correct answer (n_models, n_items), NaN for missing responses; None without confidences."""
        return self._matrix("confidence") if "confidence" in self.models.column_names else None

    @cached_property
    def answers(self) -> NDArray[np.float32] | None:
        """Probability of every answer (n_models, n_items, n_answers), NaN for missing responses; None without answers."""
        if "answers" not in self.models.column_names:
            return None
        return self._matrix("answers").reshape(self.n_models, self.n_items, -1)

    @cached_property
    def repeats(self) -> NDArray[np.float32] | None:
        """Scores in [0, 1] of the repeats of every response (n_models, n_items, n_repeats), NaN where there are fewer.

        None where no response was repeated, or repeats were not kept. `scores` are their means. Where repeats are runs, the k-th
        ones of all items are one run.
        """
        if "repeat_scores" not in self.models.column_names:
            return None
        return self._matrix("repeat_scores").reshape(self.n_models, self.n_items, -1)

    def without_repeats(self) -> Benchmark:
        """The benchmark with scores only, such as for a sweep, which ranks models by them."""
        return self if self.repeats is None else replace(self, models=self.models.drop_columns(["repeat_scores"]))

    @cached_property
    def labels(self) -> NDArray[np.int32] | None:
        """Position of the correct answer (n_items,), from 0; None without labels."""
        return self._of_items("label")

    @cached_property
    def model_ids(self) -> NDArray[np.object_]:
        """Model ids (n_models,)."""
        return texts_of(self.models.column("model_id"))

    @cached_property
    def item_ids(self) -> NDArray[np.object_]:
        """Item ids (n_items,)."""
        return texts_of(self.items.column("item_id"))

    @cached_property
    def subtask_names(self) -> list[str]:
        """Subtasks in order of first appearance."""
        names: list[str] = self.items.column("subtask").chunk(0).dictionary.to_pylist()
        return names

    @cached_property
    def subtask_codes(self) -> NDArray[np.int32]:
        """Index into `subtask_names` of each item's subtask (n_items,)."""
        codes: NDArray[np.int32] = numbers_of(self.items.column("subtask").chunk(0).indices)
        return codes

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """Weights of the items (n_items,), positive; None where they have none."""
        return self._of_items("weight")

    @cached_property
    def costs(self) -> NDArray[np.float64] | None:
        """What answering each item costs (n_items,), positive; None where that is unknown."""
        return self._of_items("cost")

    @cached_property
    def cluster_codes(self) -> NDArray[np.int32] | None:
        """Numbers of the items' clusters (n_items,), from 0; None where items are independent."""
        return numbers_of(self.items.column("cluster").chunk(0).indices) if "cluster" in self.items.column_names else None

    @cached_property
    def metadata(self) -> pd.DataFrame:
        """Metadata, indexed by model_id (n_models rows), in pandas' nullable types; unknown values are `pd.NA`."""
        import pandas as pd  # slow to import, and not needed by workers

        nullable = {
            pa.bool_(): pd.BooleanDtype(),
            pa.float64(): pd.Float64Dtype(),
            pa.string(): pd.StringDtype("python"),
        }
        frame: pd.DataFrame = self._without_matrices().to_pandas(types_mapper=nullable.get, ignore_metadata=True)
        return frame.set_index("model_id")

    def totals(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sums of each model's scores in units of 1/units, and numbers of items that it answered; both (n_models,)."""
        answered = self.scores != self.missing
        return np.where(answered, self.scores, 0).sum(axis=1, dtype=np.int64), answered.sum(axis=1)

    def accuracies(self) -> NDArray[np.float64]:
        """The number that ranks each model (`truth`), (n_models,), a fraction over the items that it answered; NaN for none."""
        if self.truth != "micro":
            return weighted_accuracies(self, np.arange(self.n_models), np.arange(self.n_items))
        sums, answered = self.totals()
        with np.errstate(invalid="ignore"):
            accuracies: NDArray[np.float64] = sums / (self.units * answered)
        return accuracies

    def table(self) -> pd.DataFrame:
        """The models: `model`; its `accuracy`, a fraction over the items that it answered; the number of items `answered`."""
        import pandas as pd

        return pd.DataFrame({"model": self.model_ids, "accuracy": self.accuracies(), "answered": self.totals()[1]})

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of ids, subtasks, scores, confidences, answers, labels, metadata, truth, weights, clusters and costs.

        It does not depend on the name, the notes or the source of the benchmark, nor on repeats, of which it has the means.
        """
        arrays = {
            "codes": self.subtask_codes,
            "labels": self.labels,
            "scores": self.scores,
            "confidence": self.confidence,
            "answers": self.answers,
            "weights": self.weights,
            "clusters": self.cluster_codes,
            "costs": self.costs,
        }
        table = self._without_matrices()
        return content_digest(
            {
                "units": self.units,
                "items": list(self.item_ids),
                "subtasks": self.subtask_names,
                "models": {name: plain_values(table.column(name)) for name in table.column_names},
                **({} if self.truth == "micro" else {"truth": self.truth}),
            },
            {part: array for part, array in arrays.items() if array is not None},
        )

    def _without_matrices(self) -> pa.Table:
        """Model ids and metadata."""
        return self.models.drop_columns([name for name in RESERVED[1:] if name in self.models.column_names])

    def _of_items(self, column: str) -> NDArray[Any] | None:
        """View a column of numbers of the items, (n_items,); None without it."""
        return numbers_of(self.items.column(column).chunk(0)) if column in self.items.column_names else None

    def _matrix(self, column: str) -> NDArray[Any]:
        """View a FixedSizeList column (n_models, width), read-only; without `flatten`, which imports `pyarrow.compute`."""
        lists = self.models.column(column).chunk(0)
        width = lists.type.list_size
        matrix: NDArray[Any] = numbers_of(lists.values.slice(lists.offset * width, len(lists) * width))
        return matrix.reshape(self.n_models, -1)
