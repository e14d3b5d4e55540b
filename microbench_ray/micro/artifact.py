"""A micro-benchmark that stands alone: what it is made of, and how it is written down and read again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.methods.readout import Readout
from microbench_ray.micro.files import files_of, replace_folder

FloatArray = NDArray[np.float64]

FORMAT = "microbench_ray micro-benchmark"
VERSION = 1
FILE = "microbench.json"
HINT = "export the micro-benchmark again, or copy its folder anew"


@dataclass(frozen=True)
class Item:
    """An item of a micro-benchmark.

    Attributes
    ----------
    id, subtask
        As in the benchmark.
    weight
        The share of the benchmark's items that it stands for.
    coefficient
        Of the readout.
    mean
        The known models' mean response, in [0, 1].
    task, position
        The task that it belongs to in the tool whose logs the benchmark was read from, and its number or name there; None where
        that is not known.
    """

    id: str
    subtask: str
    weight: float
    coefficient: float
    mean: float
    task: str | None = None
    position: str | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """How models fared that the micro-benchmark was not built from.

    Attributes
    ----------
    label
        Which models, and how they were held out.
    models
        (n,) positions among the known models.
    estimates
        (n,) what was estimated of each, by a micro-benchmark that was built without it (of the best models: what the estimate
        stands for by `bounds.calibration`); NaN where it answered none of the items.
    mdad
        The MDAD among them at agreement 0.8 (ties wrong): `mdad`, `mdad_monotone`, and the latter's interval `ci_lo`, `ci_hi`;
        fractions, None where it is not reached, or unbounded.
    agreement
        Per half-point bin with a pair: `diff_lo`, `agreement`, `n_pairs`.
    """

    label: str
    models: NDArray[np.intp]
    estimates: FloatArray
    mdad: Mapping[str, float | None]
    agreement: Sequence[Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class MicroBenchmark:
    """A micro-benchmark built on all models and items of a benchmark.

    Attributes
    ----------
    benchmark
        Of what it was built: `name`, `digest`, `n_models`, `n_items`.
    method
        The method with all its parameters: `label`, `selector`, `estimator`.
    seed
        Of all that was drawn.
    signal
        What is read of a response: `correctness` or `confidence`.
    source
        How the benchmark's logs were read (`source`, `metric`, `filter`), where it was read from logs; else empty.
    versions
        Of the packages that it was made with.
    items
        (size,)
    readout
        From the responses to the items to an accuracy.
    models
        (n_models,) ids of the known models.
    accuracy
        (n_models,) their accuracies on the whole benchmark, over the items that each answered.
    responses
        (n_models, size) theirs to the items, NaN where missing.
    held_out
        Models drawn like the known ones: each held out once.
    extrapolated
        The best fifth of the models held out together, for models better than the known ones; None where there are too few.
    reserve
        As many items again, a uniform random sample of all: their plain mean is unbiased whatever the model, for models that are
        unlike the known ones. None where the method's own items are such a sample, and read by their mean.
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
    places: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {item.id: place for place, item in enumerate(self.items)})

    @property
    def size(self) -> int:
        """How many items it has."""
        return len(self.items)

    @property
    def item_ids(self) -> list[str]:
        """Their ids."""
        return [item.id for item in self.items]

    @cached_property
    def asked(self) -> list[str]:
        """Ids of all items that are of use: its own, and those of the reserve that are not among them."""
        return [*self.item_ids, *(item.id for item in self.reserve if item.id not in self.places)]

    @cached_property
    def tasks(self) -> dict[str, list[str]]:
        """The items' numbers or names in the tool that runs them, by task; empty where not all are known."""
        return tasks_of(self.items)

    @cached_property
    def reserve_tasks(self) -> dict[str, list[str]]:
        """The same of the reserve."""
        return tasks_of(self.reserve)

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[str]:
        """Write the folder, whole or not at all.

        Parameters
        ----------
        path
            A folder that is not there, is empty, or holds the very same.
        overwrite
            Whether it may also hold another micro-benchmark, which is replaced; never anything else.

        Returns
        -------
        list
            Names of its files.

        Raises
        ------
        StoreError
            The folder holds something else, or cannot be written.
        """
        files = files_of(self, FILE, dumps(content_of(self)))
        replace_folder(Path(path), files, FILE, overwrite=overwrite)
        return list(files)


def tasks_of(items: Sequence[Item]) -> dict[str, list[str]]:
    """Their numbers or names in the tool that runs them, by task; empty where not all are known."""
    found: dict[str, list[str]] = {}
    for item in items:
        if item.task is None or item.position is None:
            return {}
        found.setdefault(item.task, []).append(item.position)
    return found


def load(path: str | Path) -> MicroBenchmark:
    """Read the folder that `MicroBenchmark.save` wrote, or its microbench.json.

    Raises
    ------
    DataError
        It is not there, cut short, of something else, of another version, or was edited.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "micro=DIR with a folder that microbench export wrote"
        raise DataError("A micro-benchmark cannot be read.", where=str(file), got=str(error), hint=hint) from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("The file is cut short, or no JSON.", where=str(file), got=str(error), hint=HINT) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = f"format {content.get('format')!r}" if isinstance(content, dict) else f"a JSON {type(content).__name__}"
        raise DataError("This is no exported micro-benchmark.", where=str(file), got=got, hint=HINT)
    if content.get("version") != VERSION:
        got, hint = (
            f"version {content.get('version')!r}",
            f"this program reads version {VERSION}: export it again with this program",
        )
        raise DataError("The micro-benchmark has another format version.", where=str(file), got=got, hint=hint)
    return from_content(content, str(file))


def from_content(content: Mapping[str, Any], where: str) -> MicroBenchmark:
    """From what microbench.json holds; DataError where it was edited or holds no micro-benchmark."""
    try:
        lists = ([item["id"] for item in content[key]] for key in ("items", "reserve"))
        twice = [name for ids in lists for name, count in Counter(ids).items() if count > 1]
        if twice:
            raise DataError("An item is in the micro-benchmark twice.", where=where, got=repr(twice[0]), hint=HINT)
        if content["checksum"] != checksum(content):
            raise DataError("The file was edited: it is not what was exported.", where=where, got="another checksum", hint=HINT)
        return _made(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError("The file is incomplete.", where=where, got=got, hint=HINT) from None


def content_of(made: MicroBenchmark) -> dict[str, Any]:
    """What microbench.json holds: plain values, the same for the same micro-benchmark."""
    readout, held = (
        made.readout,
        {int(place): value for place, value in zip(made.held_out.models, made.held_out.estimates, strict=True)},
    )
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "benchmark": dict(made.benchmark),
        "method": dict(made.method),
        "seed": made.seed,
        "size": made.size,
        "signal": made.signal,
        "source": dict(made.source),
        "versions": dict(made.versions),
        "readout": {
            "intercept": readout.intercept,
            "total": readout.total,
            "missing": "left out" if readout.means is None else "filled",
        },
        "error": _error(made, made.held_out),
        "mdad": dict(made.held_out.mdad),
        "agreement": [dict(row) for row in made.held_out.agreement],
        "extrapolation": None,
        "items": [_item(item) for item in made.items],
        "reserve": [_item(item) for item in made.reserve],
        "models": [
            {
                "model": name,
                "accuracy": _plain(made.accuracy[place]),
                "estimate_held_out": _plain(held[place]) if place in held else None,
                "responses": [_plain(value) for value in made.responses[place]],
            }
            for place, name in enumerate(made.models)
        ],
    }
    if made.extrapolated is not None:
        beyond = made.extrapolated
        rows = zip(beyond.models, beyond.estimates, strict=True)
        content["extrapolation"] = {
            "error": _error(made, beyond),
            "mdad": dict(beyond.mdad),
            "agreement": [dict(row) for row in beyond.agreement],
            "models": [{"model": made.models[place], "estimate_held_out": _plain(value)} for place, value in rows],
        }
    return content | {"checksum": checksum(content)}


def _item(item: Item) -> dict[str, Any]:
    return {key: value for key, value in vars(item).items() if value is not None}


def checksum(content: Mapping[str, Any]) -> str:
    """Of all that a file holds but its checksum."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def dumps(content: Mapping[str, Any]) -> str:
    """JSON with one line per key, and per entry of a list of objects."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"
        else:
            text = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _made(content: Mapping[str, Any]) -> MicroBenchmark:
    items = tuple(Item(**item) for item in content["items"])
    names = tuple(str(model["model"]) for model in content["models"])
    responses = _floats([model["responses"] for model in content["models"]])
    if not items or responses.shape != (len(names), len(items)):
        raise ValueError(f"responses of shape {responses.shape} of {len(names)} models to {len(items)} items")
    place = {name: k for k, name in enumerate(names)}
    held = [(k, model["estimate_held_out"]) for k, model in enumerate(content["models"])]
    readout, beyond = content["readout"], content["extrapolation"]
    return MicroBenchmark(
        benchmark=content["benchmark"],
        method=content["method"],
        seed=int(content["seed"]),
        signal=str(content["signal"]),
        source=content["source"],
        versions=content["versions"],
        items=items,
        readout=Readout(
            float(readout["intercept"]),
            np.array([item.coefficient for item in items], np.float64),
            None if readout["missing"] == "left out" else np.array([item.mean for item in items], np.float64),
            float(readout["total"]),
        ),
        models=names,
        accuracy=_floats([model["accuracy"] for model in content["models"]]),
        responses=responses,
        held_out=_held(content, held),
        extrapolated=None
        if beyond is None
        else _held(beyond, [(place[model["model"]], model["estimate_held_out"]) for model in beyond["models"]]),
        reserve=tuple(Item(**item) for item in content["reserve"]),
    )


def _held(content: Mapping[str, Any], rows: Sequence[tuple[int, float | None]]) -> HeldOut:
    places = np.array([place for place, _ in rows], np.intp)
    return HeldOut(content["error"]["of"], places, _floats([value for _, value in rows]), content["mdad"], content["agreement"])


def _error(made: MicroBenchmark, held: HeldOut) -> dict[str, Any]:
    off = held.estimates - made.accuracy[held.models]
    off = off[~np.isnan(off)]
    if not off.size:
        return {"of": held.label, "n_models": 0, "mean_abs_error": None, "root_mean_square": None, "bias": None}
    return {
        "of": held.label,
        "n_models": int(off.size),
        "mean_abs_error": float(np.abs(off).mean()),
        "root_mean_square": float(np.sqrt(np.square(off).mean())),
        "bias": float(off.mean()),
    }


def _plain(value: float) -> float | int | None:
    """A number as JSON has it: null for NaN, and a whole number as one."""
    number = float(value)
    if number != number:
        return None
    return int(number) if number in (0.0, 1.0) else number


def _floats(rows: Sequence[Any]) -> FloatArray:
    return np.array(rows, dtype=np.float64)  # None becomes NaN
