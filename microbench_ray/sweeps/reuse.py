"""Which cells of a plan are there already, cell by cell, from whatever grid they were computed for."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from microbench_ray.core.schemas import SCHEMA_VERSION
from microbench_ray.sweeps.shards import Shard, method_hash, shard_id

Size = tuple[int, float | None]
First = TypeVar("First", bound=Hashable)
Second = TypeVar("Second", bound=Hashable)


class Cell(NamedTuple):
    """A cell among those of one base: the method is named by its hash, so that changed parameters are another method."""

    method: str
    size: Size
    run: int


@dataclass(frozen=True)
class Identity:
    """What a shard's file says of itself.

    Attributes
    ----------
    id
        The shard's.
    base
        Hash of all that the numbers depend on beside methods, sizes and runs.
    methods, sizes, runs
        The cells: all combinations. Methods by hash.
    companions
        Names of the tables that were written beside `cells`.
    """

    id: str
    base: str
    methods: tuple[str, ...]
    sizes: tuple[Size, ...]
    runs: tuple[int, ...]
    companions: tuple[str, ...]

    @property
    def n_cells(self) -> int:
        """Cells of the file."""
        return len(self.methods) * len(self.sizes) * len(self.runs)

    def cells(self) -> Iterable[Cell]:
        """All of them."""
        return (Cell(method, size, run) for method in self.methods for size in self.sizes for run in self.runs)

    def content(self) -> dict[str, Any]:
        """As plain values, for a file."""
        return vars(self) | {"schema_version": SCHEMA_VERSION}

    @classmethod
    def of(cls, shard: Shard) -> Identity:
        """The identity of the file that a shard's cells are written to."""
        companions = ("estimates",) * shard.keep_estimates + ("resamples",) * bool(shard.model_resamples)
        return cls(shard.id, shard.base, tuple(map(method_hash, shard.methods)), shard.sizes, shard.runs, companions)

    @classmethod
    def read(cls, content: Any) -> Identity:
        """The inverse of `content`; ValueError where it contradicts itself."""
        try:
            if content["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {content['schema_version']}, where {SCHEMA_VERSION} is expected")
            found = cls(
                content["id"],
                content["base"],
                tuple(content["methods"]),
                tuple((size, fraction) for size, fraction in content["sizes"]),
                tuple(content["runs"]),
                tuple(content["companions"]),
            )
            if found.id != shard_id(found.base, found.methods, found.sizes, found.runs, found.companions):
                raise ValueError("its identity contradicts itself")
        except (KeyError, TypeError) as error:
            raise ValueError(f"its identity is incomplete: {error}") from None
        return found


class Wanted(NamedTuple):
    """Cells of one file that a sweep wants: all combinations; methods by label. None stands for all that the file holds."""

    file: str
    methods: tuple[str, ...] | None = None
    sizes: tuple[Size, ...] | None = None
    runs: tuple[int, ...] | None = None

    def content(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return {key: value for key, value in self._asdict().items() if value is not None}

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Wanted:
        """The inverse of `content`."""
        if "runs" not in content:
            return cls(content["file"])
        sizes = tuple((size, fraction) for size, fraction in content["sizes"])
        return cls(content["file"], tuple(content["methods"]), sizes, tuple(content["runs"]))


@dataclass(frozen=True)
class Assignment:
    """What is left to compute, and where every cell of a plan will then be.

    Attributes
    ----------
    missing
        Shards that hold exactly the cells that are not there.
    partitions
        Lists of what to read together: whole groups of cells, each cell once.
    """

    missing: tuple[Shard, ...]
    partitions: tuple[tuple[Wanted, ...], ...]


def assign(shards: Sequence[Shard], found: Iterable[Identity]) -> Assignment:
    """Divide the cells of a plan among the files that are there and those to be written.

    Parameters
    ----------
    shards
        Those of the plan.
    found
        The identities of the files that are there and whole.
    """
    files = {identity.id: identity for identity in found}
    index: dict[str, dict[Cell, str]] = {}
    for name in sorted(files):
        of_base = index.setdefault(files[name].base, {})
        for cell in files[name].cells():
            of_base.setdefault(cell, name)
    missing: list[Shard] = []
    partitions: dict[str, list[Wanted]] = {}
    for shard in shards:
        wanted = partitions.setdefault(shard.partition, [])
        if shard.id in files:  # the usual way of going on: nothing to divide
            wanted.append(Wanted(shard.id))
            continue
        there = index.get(shard.base, {})
        rest = remaining(shard, there.keys())
        missing += rest
        wanted += [Wanted(each.id) for each in rest]
        wanted += _from_files(shard, there, files)
    return Assignment(tuple(missing), tuple(map(tuple, partitions.values())))


def remaining(shard: Shard, done: Collection[Cell]) -> list[Shard]:
    """Cut a shard down to few that hold exactly its cells that are not done, each once.

    Parameters
    ----------
    shard
        As planned.
    done
        Cells of its base.
    """
    methods = {method_hash(method): method for method in shard.methods}
    left = [cell for cell in Identity.of(shard).cells() if cell not in done]
    if len(left) == shard.n_cells:
        return [shard]
    return [
        replace(shard, methods=tuple(methods[name] for name in names), sizes=sizes, runs=runs)
        for names, sizes, runs in rectangles(left)
    ]


def rectangles(cells: Sequence[Cell]) -> list[tuple[tuple[str, ...], tuple[Size, ...], tuple[int, ...]]]:
    """Few (methods, sizes, runs) whose combinations are these cells, each once, in the order in which they first occur."""
    of_run: dict[int, list[tuple[str, Size]]] = {}
    for cell in cells:
        of_run.setdefault(cell.run, []).append((cell.method, cell.size))
    found = []
    for pairs, runs in _alike((run, tuple(pairs)) for run, pairs in of_run.items()):
        by_method = _products(pairs)
        by_size = [(names, sizes) for sizes, names in _products([(size, name) for name, size in pairs])]
        found += [(names, sizes, runs) for names, sizes in min(by_method, by_size, key=len)]
    return found


def _products(pairs: Iterable[tuple[First, Second]]) -> list[tuple[tuple[First, ...], tuple[Second, ...]]]:
    """Pairs as products: those first members together that go with the same second ones."""
    seconds: dict[First, list[Second]] = {}
    for first, second in pairs:
        seconds.setdefault(first, []).append(second)
    return [(firsts, these) for these, firsts in _alike((first, tuple(these)) for first, these in seconds.items())]


def _alike(pairs: Iterable[tuple[First, Second]]) -> list[tuple[Second, tuple[First, ...]]]:
    """Keys by equal value."""
    keys: dict[Second, list[First]] = {}
    for key, value in pairs:
        keys.setdefault(value, []).append(key)
    return [(value, tuple(each)) for value, each in keys.items()]


def _from_files(shard: Shard, there: Mapping[Cell, str], files: Mapping[str, Identity]) -> list[Wanted]:
    """What a shard's cells that are there are to be read from."""
    labels = {method_hash(method): method.label for method in shard.methods}
    of_file: dict[str, list[Cell]] = {}
    for cell in Identity.of(shard).cells():
        if cell in there:
            of_file.setdefault(there[cell], []).append(cell)
    wanted = []
    for name, cells in of_file.items():
        if len(cells) == files[name].n_cells:
            wanted.append(Wanted(name))
        else:
            wanted += [
                Wanted(name, tuple(labels[method] for method in methods), sizes, runs) for methods, sizes, runs in rectangles(cells)
            ]
    return wanted
