"""A self-contained micro-benchmark: its items, readout and held-out models, saved to and loaded from microbench.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core import formats
from microbench_ray.core.errors import DataError
from microbench_ray.core.presented import Presented
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.urls import local_path
from microbench_ray.methods.readout import Readout
from microbench_ray.micro.content import FORMAT, content_of
from microbench_ray.micro.content_checks import check_agreement, check_kinds, check_unique
from microbench_ray.micro.files import folder_files, replace_folder
from microbench_ray.micro.irt_content import irt_term_of
from microbench_ray.micro.json_values import (
    checksum,
    dumps,
    finite_number,
    floats,
    fractions,
    plain_text,
)
from microbench_ray.micro.random_items import Comparison, compare_with_random, dispersion, sampling_variance
from microbench_ray.micro.records import ITEM_FIELDS, HeldOut, Item, headline_of, held_out_of, positions_by_task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]

VERSION = 6
"""Format version of folders whose readout has an IRT model."""
VERSION_4 = 4
"""Format version of other folders in which `truth` is not `micro`; earlier ones with an IRT model have `alone_above`."""
VERSION_3 = 3
"""Format version of all others."""
OLDER = (1, 2, VERSION_3, VERSION_4, 5)
"""Format versions that are read as well: 5 moves to the IRT model's estimate only above a limit, 2 lacks the readout's IRT model, 1
also groups of models and variances."""
FILE = "microbench.json"
HINT = "run microbench export again, or copy the folder again"


@dataclass(frozen=True, eq=False, repr=False)
class MicroBenchmark(Presented):
    """A micro-benchmark built on all models and items of a benchmark.

    Attributes
    ----------
    benchmark
        The benchmark that it was built on: `name`, `digest`, `n_models`, `n_items`; `truth` if that is not `micro`; if items have
        costs, `cost` of all its items and `selected_cost` of the chosen ones; `budget` where one was given; `cost_power`, the power
        of an item's cost by which the method `auto` divided what it tells.
    method
        The method with all its parameters: `label`, `selector`, `estimator`.
    seed
        Root seed of all random draws.
    signal
        What is read from a response: `correctness` or `confidence`.
    source
        How the benchmark's logs were read (`source`, `metric`, `filter`); empty for a benchmark that was not ingested from logs.
    versions
        Versions of the packages that built it.
    items
        (size,)
    readout
        Estimates an accuracy from the responses to the items.
    models
        (n_models,) ids of the known models.
    accuracy
        (n_models,) their accuracies on the whole benchmark, by which it ranks them (`truth`), each over the items that the model
        answered.
    responses
        (n_models, size) their responses to the items, NaN where missing.
    held_out
        All known models, each held out once: calibrates the intervals of models like them.
    extrapolated
        The best fifth of the known models, held out together: calibrates the interval of models better than the known ones; None
        where there are too few models.
    reserve
        A uniform random sample of `size` items of the whole benchmark, whose plain mean is an unbiased estimate for any model, and
        so for models unlike the known ones. Empty where the method's items already are such a sample, and where items count
        differently.
    variance
        (n_models,) variances of their responses to all items, by the number of items.
    groups
        (n_models,) position of the first model of each model's group: runs and copies of a model are held out together.
    novelty
        (n_models,) how unlike the others each model is when it is held out (`novelty.KnownModels`), NaN where unknown; empty in
        folders of format version 1.
    better_from
        From this deviation on a model may be better than all known ones without looking so: the best known models, held out
        together, were estimated like that. None where these show that 90 % of such intervals hold the truth.
    version
        Format version of the folder.
    """

    benchmark: Mapping[str, Any]
    method: Mapping[str, Any]
    seed: int
    signal: str
    source: Mapping[str, Any]
    versions: Mapping[str, str]
    items: tuple[Item, ...]
    readout: Readout
    models: tuple[str, ...]
    accuracy: FloatArray
    responses: FloatArray
    held_out: HeldOut
    extrapolated: HeldOut | None
    reserve: tuple[Item, ...] = ()
    variance: FloatArray = field(default_factory=lambda: np.empty(0))
    groups: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    novelty: FloatArray = field(default_factory=lambda: np.empty(0))
    better_from: float | None = None
    version: int = VERSION_3
    column_of: Mapping[str, int] = field(init=False, repr=False)
    """Columns of `responses`, by item id."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "column_of", {item.id: column for column, item in enumerate(self.items)})
        if not self.variance.size:  # as for right and wrong answers
            object.__setattr__(self, "variance", self.accuracy * (1 - self.accuracy))
        if not self.groups.size:
            object.__setattr__(self, "groups", np.arange(len(self.models)))

    @property
    def truth(self) -> str:
        """The number that ranks the known models, and is estimated: `micro`, `macro` or `weights` (`Benchmark.truth`)."""
        return str(self.benchmark.get("truth", "micro"))

    @property
    def size(self) -> int:
        """Number of items, without the reserve."""
        return len(self.items)

    @property
    def item_ids(self) -> list[str]:
        """Ids of the items, without the reserve."""
        return [item.id for item in self.items]

    @cached_property
    def all_item_ids(self) -> list[str]:
        """Ids of the items, then of those items of the reserve that are not among them."""
        return [*self.item_ids, *(item.id for item in self.reserve if item.id not in self.column_of)]

    @cached_property
    def tasks(self) -> dict[str, list[str]]:
        """The items' numbers or names in the tool that runs them, by task; empty unless all are known."""
        return positions_by_task(self.items)

    @cached_property
    def reserve_tasks(self) -> dict[str, list[str]]:
        """The same for the reserve."""
        return positions_by_task(self.reserve)

    @property
    def has_random_items(self) -> bool:
        """Whether the items are a uniform random sample, so that the mean of the scores on them needs no known models."""
        return self.truth == "micro" and self.signal == "correctness" and self.method["selector"]["name"] == "random"

    @property
    def is_random_mean(self) -> bool:
        """Whether the items are such a sample, and are read by their mean."""
        readout = self.readout
        plain = readout.term is None and readout.means is None and readout.intercept == 0 and readout.total == 1
        return self.has_random_items and plain and np.ptp(readout.coefficients) == 0

    @cached_property
    def dispersion(self) -> float:
        """Variance of the known models' responses as a share of that of right and wrong answers: 1 for those."""
        return dispersion(self.accuracy, self.variance)

    @property
    def n_random(self) -> int:
        """How many random items it is compared with: `size`, or as many as cost the same on average where it was for a budget."""
        if self.benchmark.get("budget") is None:
            return self.size
        share = self.benchmark["selected_cost"] / self.benchmark["cost"]
        return max(1, int(min(share, 1.0) * self.benchmark["n_items"] * (1 + 1e-12)))

    @cached_property
    def random_items(self) -> Comparison | None:
        """The held-out error beside that of as many random items (`n_random`); None where the items are those, or signals or truths
        differ."""
        if self.is_random_mean or self.signal != "correctness" or self.truth != "micro":
            return None
        models = self.held_out.models
        variances = sampling_variance(self.variance[models], self.n_random, int(self.benchmark["n_items"]))
        return compare_with_random(self.errors(self.held_out), variances, self.groups[models])

    def errors(self, held_out: HeldOut) -> FloatArray:
        """(n,) errors of held-out models, estimate − true accuracy; NaN where there is no estimate."""
        errors: FloatArray = held_out.estimates - self.accuracy[held_out.models]
        return errors

    def headline(self) -> str:
        """The items, the method and the errors on held-out models, fractions."""
        return f"MicroBenchmark of {headline_of(self.benchmark, self.method, self.size, self.errors(self.held_out))}"

    def table(self) -> pd.DataFrame:
        """A row per item: `item_id`, `subtask`, `task`, `position`, `weight`, `coefficient`, `mean`, as in `records.Item`."""
        import pandas as pd

        return pd.DataFrame([vars(item) for item in self.items], columns=ITEM_FIELDS).rename(columns={"id": "item_id"})

    def overview(self) -> formats.Table:
        """The items without what is unknown of them."""
        return formats.Table.of_frame(self.table().dropna(axis="columns", how="all"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the estimates of the held-out models against their accuracies, in percent; on new axes by default."""
        from microbench_ray.report.plots import axes_or_new, plot_held_out

        axes = axes_or_new(ax)
        plot_held_out(self.accuracy[self.held_out.models], self.held_out.estimates, axes)
        return axes

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[str]:
        """Write the folder atomically.

        Parameters
        ----------
        path
            A folder that does not exist, is empty, or holds the identical micro-benchmark.
        overwrite
            Whether to replace another micro-benchmark in the folder; other content is never replaced.

        Returns
        -------
        list
            Names of the files.

        Raises
        ------
        StoreError
            The folder holds something else, or cannot be written.
        """
        files = folder_files(self, FILE, dumps(content_of(self)))
        replace_folder(local_path(path), files, FILE, overwrite=overwrite)
        return list(files)


def load(path: str | Path) -> MicroBenchmark:
    """Read the folder that `MicroBenchmark.save` wrote, or its microbench.json.

    Raises
    ------
    DataError
        The file is missing, truncated, of another kind or version, or was edited.
    """
    file = local_path(path)
    file = file / FILE if file.is_dir() else file
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "micro=DIR, a folder that microbench export wrote"
        raise DataError("The micro-benchmark cannot be read.", where=str(file), got=one_line(error), hint=hint) from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("The file is truncated or not JSON.", where=str(file), got=str(error), hint=HINT) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = f"format {content.get('format')!r}" if isinstance(content, dict) else f"a JSON {type(content).__name__}"
        raise DataError("The file is not an exported micro-benchmark.", where=str(file), got=got, hint=HINT)
    if content.get("version") not in (VERSION, *OLDER):
        got, versions = f"version {content.get('version')!r}", " and ".join(map(str, (*OLDER, VERSION)))
        hint = f"this version of microbench_ray reads format versions {versions}: export the micro-benchmark again with it"
        raise DataError("The micro-benchmark has an unsupported format version.", where=str(file), got=got, hint=hint)
    return from_content(content, str(file))


def from_content(content: Mapping[str, Any], where: str) -> MicroBenchmark:
    """A micro-benchmark from the content of microbench.json; DataError where it was edited or is incomplete."""
    try:
        check_unique(content)
        if content["checksum"] != checksum(content):
            raise DataError("The file was edited after the export.", where=where, got="a checksum that does not match", hint=HINT)
        check_kinds(content)
        micro = _micro_benchmark(content)
        check_agreement(content, content_of(micro))
        return micro
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError("The file is incomplete or malformed.", where=where, got=got, hint=HINT) from None


def _micro_benchmark(content: Mapping[str, Any]) -> MicroBenchmark:
    items = tuple(Item(**item) for item in content["items"])
    models = tuple(plain_text(model["model"], "models, model") for model in content["models"])
    responses = fractions([model["responses"] for model in content["models"]], "models, responses")
    if len(set(models)) < len(models):
        raise ValueError("models: a model occurs twice")
    if content["size"] != len(items):
        raise ValueError(f"size: {content['size']!r} for {len(items)} items")
    if not items or responses.shape != (len(models), len(items)):
        raise ValueError(f"responses of shape {responses.shape} for {len(models)} models and {len(items)} items")
    row_of = {model_id: row for row, model_id in enumerate(models)}
    readout, best = content["readout"], content["extrapolation"]
    return MicroBenchmark(
        benchmark=content["benchmark"],
        method=content["method"],
        seed=content["seed"],
        signal=content["signal"],
        source=content["source"],
        versions=content["versions"],
        items=items,
        readout=Readout(
            intercept=float(readout["intercept"]),
            coefficients=np.array([item.coefficient for item in items], np.float64),
            means=None if readout["missing"] == "left out" else np.array([item.mean for item in items], np.float64),
            total=float(readout["total"]),
            term=None
            if content["version"] < 3
            else irt_term_of(readout["irt"], content["benchmark"]["n_items"], content["version"]),
        ),
        models=models,
        accuracy=fractions([model["accuracy"] for model in content["models"]], "models, accuracy"),
        responses=responses,
        held_out=held_out_of(content, row_of, content["models"]),
        extrapolated=None if best is None else held_out_of(best, row_of, best["models"]),
        reserve=tuple(Item(**item) for item in content["reserve"]),
        version=content["version"],
        **({} if content["version"] == 1 else _version_2(content, row_of)),
    )


def _version_2(content: Mapping[str, Any], row_of: Mapping[str, int]) -> dict[str, Any]:
    """The fields of a micro-benchmark that format version 2 adds."""
    models, better_from = content["models"], content["better_from"]
    return {
        "variance": fractions([model["variance"] for model in models], "models, variance"),
        "groups": np.array([row_of[model["group"]] for model in models], np.intp),
        "better_from": None if better_from is None else finite_number(better_from, "better_from"),
        "novelty": floats([model["novelty"] for model in models], "models, novelty"),
    }
