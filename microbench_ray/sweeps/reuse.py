"""Find the cells of a plan that earlier sweeps already computed, whatever their grids were."""

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
    """A cell of one base. The method is identified by its hash, so that changed parameters make a different cell."""

    method: str
    size: Size
    run: int


@dataclass(frozen=True)
class Identity:
    """The contents of a shard file, as stored in its metadata.

    Attributes
    ----------
    id
        The shard's id.
    base
        Hash of everything that the results depend on except methods, sizes and runs.
    methods, sizes, runs
        The cells are all combinations of these. Methods are hashes.
    companions
        Names of the tables written along with `cells`.
    """

    id: str
    base: str
    methods: tuple[str, ...]
    sizes: tuple[Size, ...]
    runs: tuple[int, ...]
    companions: tuple[str, ...]

    @property
    def n_cells(self) -> int:
        """Number of cells in the file."""
        return len(self.methods) * len(self.sizes) * len(self.runs)

    def cells(self) -> Iterable[Cell]:
        """The cells in the file."""
        return (Cell(method, size, run) for method in self.methods for size in self.sizes for run in self.runs)

    def content(self) -> dict[str, Any]:
        """Plain values for the file's metadata."""
        return vars(self) | {"schema_version": SCHEMA_VERSION}

    @classmethod
    def of(cls, shard: Shard) -> Identity:
        """The identity of the file that holds a shard's cells."""
        return cls(
            id=shard.id,
            base=shard.base,
            methods=tuple(map(method_hash, shard.methods)),
            sizes=shard.sizes,
            runs=shard.runs,
            companions=shard.companions,
        )

    @classmethod
    def read(cls, content: Any) -> Identity:
        """The inverse of `content`; ValueError if the values are incomplete or inconsistent."""
        try:
            if content["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {content['schema_version']} instead of {SCHEMA_VERSION}")
            identity = cls(
                id=content["id"],
                base=content["base"],
                methods=tuple(content["methods"]),
                sizes=tuple((size, fraction) for size, fraction in content["sizes"]),
                runs=tuple(content["runs"]),
                companions=tuple(content["companions"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete metadata: {error}") from None
        if identity.id != shard_id(identity.base, identity.methods, identity.sizes, identity.runs, identity.companions):
            raise ValueError("the id in the metadata does not match the cells listed there")
        return identity


class Block(NamedTuple):
    """Cells that are all combinations of methods (hashes), sizes and runs."""

    methods: tuple[str, ...]
    sizes: tuple[Size, ...]
    runs: tuple[int, ...]


class CellSelection(NamedTuple):
    """Cells to read from one shard file: all combinations of `methods` (labels), `sizes` and `runs`; None selects all."""

    file: str
    methods: tuple[str, ...] | None = None
    sizes: tuple[Size, ...] | None = None
    runs: tuple[int, ...] | None = None

    def content(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {key: value for key, value in self._asdict().items() if value is not None}

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> CellSelection:
        """The inverse of `content`."""
        if "runs" not in content:
            return cls(file=content["file"])
        return cls(
            file=content["file"],
            methods=tuple(content["methods"]),
            sizes=tuple((size, fraction) for size, fraction in content["sizes"]),
            runs=tuple(content["runs"]),
        )


@dataclass(frozen=True)
class Assignment:
    """The cells left to compute, and the file that each cell of a plan is read from.

    Attributes
    ----------
    missing
        Shards that hold exactly the missing cells.
    partitions
        Cells to read together: complete groups, each cell once.
    """

    missing: tuple[Shard, ...]
    partitions: tuple[tuple[CellSelection, ...], ...]


def assign(shards: Sequence[Shard], identities: Iterable[Identity]) -> Assignment:
    """Assign every cell of a plan to an existing file or to a new shard.

    Parameters
    ----------
    shards
        The shards of the plan.
    identities
        The identities of the usable files.
    """
    files = {identity.id: identity for identity in identities}
    files_by_base: dict[str, dict[Cell, str]] = {}
    for file in sorted(files):
        file_of_cell = files_by_base.setdefault(files[file].base, {})
        for cell in files[file].cells():
            file_of_cell.setdefault(cell, file)
    missing: list[Shard] = []
    partitions: dict[str, list[CellSelection]] = {}
    for shard in shards:
        selections = partitions.setdefault(shard.partition, [])
        if shard.id in files:  # the usual case of a resumed sweep
            selections.append(CellSelection(file=shard.id))
            continue
        file_of_cell = files_by_base.get(shard.base, {})
        new_shards = remaining(shard, file_of_cell.keys())
        missing += new_shards
        selections += [CellSelection(file=each.id) for each in new_shards]
        selections += _select_existing(shard, file_of_cell, files)
    return Assignment(missing=tuple(missing), partitions=tuple(map(tuple, partitions.values())))


def remaining(shard: Shard, done: Collection[Cell]) -> list[Shard]:
    """Divide a shard into few shards that hold exactly its missing cells, each once.

    Parameters
    ----------
    shard
        The shard as planned.
    done
        Finished cells of the shard's base.
    """
    methods = {method_hash(method): method for method in shard.methods}
    missing = [cell for cell in Identity.of(shard).cells() if cell not in done]
    if len(missing) == shard.n_cells:
        return [shard]
    return [
        replace(shard, methods=tuple(methods[name] for name in block.methods), sizes=block.sizes, runs=block.runs)
        for block in blocks_of(missing)
    ]


def blocks_of(cells: Sequence[Cell]) -> list[Block]:
    """Cover cells by few blocks that hold exactly these cells, each once, in the order of their first cell."""
    pairs_of_run: dict[int, list[tuple[str, Size]]] = {}
    for cell in cells:
        pairs_of_run.setdefault(cell.run, []).append((cell.method, cell.size))
    blocks = []
    for pairs, runs in _invert((run, tuple(pairs)) for run, pairs in pairs_of_run.items()):
        by_method = _products(pairs)
        by_size = [(methods, sizes) for sizes, methods in _products([(size, method) for method, size in pairs])]
        blocks += [Block(methods=methods, sizes=sizes, runs=runs) for methods, sizes in min(by_method, by_size, key=len)]
    return blocks


def _products(pairs: Iterable[tuple[First, Second]]) -> list[tuple[tuple[First, ...], tuple[Second, ...]]]:
    """Cover pairs by products, one for all first members that occur with the same second members."""
    seconds_of: dict[First, list[Second]] = {}
    for first, second in pairs:
        seconds_of.setdefault(first, []).append(second)
    return [(firsts, seconds) for seconds, firsts in _invert((first, tuple(seconds)) for first, seconds in seconds_of.items())]


def _invert(pairs: Iterable[tuple[First, Second]]) -> list[tuple[Second, tuple[First, ...]]]:
    """Group (key, value) pairs by value: each value with its keys."""
    keys_of: dict[Second, list[First]] = {}
    for key, value in pairs:
        keys_of.setdefault(value, []).append(key)
    return [(value, tuple(keys)) for value, keys in keys_of.items()]


def _select_existing(shard: Shard, file_of_cell: Mapping[Cell, str], files: Mapping[str, Identity]) -> list[CellSelection]:
    """Select the finished cells of a shard from the files that hold them."""
    labels = {method_hash(method): method.label for method in shard.methods}
    cells_of_file: dict[str, list[Cell]] = {}
    for cell in Identity.of(shard).cells():
        if cell in file_of_cell:
            cells_of_file.setdefault(file_of_cell[cell], []).append(cell)
    selections = []
    for file, cells in cells_of_file.items():
        if len(cells) == files[file].n_cells:
            selections.append(CellSelection(file=file))
        else:
            selections += [
                CellSelection(file=file, methods=tuple(labels[name] for name in block.methods), sizes=block.sizes, runs=block.runs)
                for block in blocks_of(cells)
            ]
    return selections
