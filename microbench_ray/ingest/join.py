"""Which responses are to one item: ids of items by their content, by the tool's own ids, or by a digest of the content alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple, get_args

import pyarrow as pa

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import text_array
from microbench_ray.ingest.base import Sample

Join = Literal["content", "id", "hash"]
JOINS: tuple[Join, ...] = get_args(Join)
HASH_DIGITS = 16
"""Digits of a digest by which an id is known to be made from the content."""
N_EXAMPLES = 3
"""Number of items of each model whose texts are kept for messages."""
VERSIONS = "models saw items in different texts"
BY = "their contents; join=id joins by the tool's own ids"
EXAMPLE_LENGTH = 400
"""Characters of a text that are kept."""


class Examples:
    """Texts of a few items by the tool's own ids: the same items for models that were asked the same."""

    def __init__(self, kept: Mapping[str, str]) -> None:
        self.texts = dict(kept)
        self._order = sorted((_rank(name), name) for name in kept)

    def add(self, sample: Sample) -> None:
        """Keep a sample's text if its item is among the first in an order that depends on ids only."""
        name = own_id(sample)
        place = (_rank(name), name)
        if name in self.texts or (len(self._order) >= N_EXAMPLES and place > self._order[-1]):
            return
        text = sample.text if isinstance(sample.text, str) else json.dumps(sample.text, ensure_ascii=False, default=str)
        self.texts[name] = " ".join(text.split()).encode(errors="replace").decode()[:EXAMPLE_LENGTH]
        self._order = sorted([*self._order, place])
        for _, dropped in self._order[N_EXAMPLES:]:
            del self.texts[dropped]
        del self._order[N_EXAMPLES:]


class Seen(NamedTuple):
    """An item as a model saw it."""

    text: str
    content: str


def versions(seen: dict[str, Seen], texts: Mapping[str, str], responses: pa.Table) -> str | None:
    """A sentence if models saw an item in different texts and it is one item all the same, by its content.

    Parameters
    ----------
    seen
        Items that other models saw, by id; those of this model are added.
    texts, responses
        The model's texts, as of `Examples`, and its table of schema `responses`.
    """
    found = None
    if not texts:
        return None
    names = sorted(texts)
    rows = pc.index_in(text_array(names), value_set=responses["item_id"].combine_chunks()).to_pylist()
    for name, row in zip(names, rows, strict=True):
        text = texts[name]
        content = None if row is None else responses["content"][row].as_py()
        if content is not None:
            first = seen.setdefault(name, Seen(text, content))
            if first.content == content and first.text != text:
                found = found or f"{VERSIONS} (an order of choices, a template), such as {name!r}: joined by {BY}"
    return found


def own_id(sample: Sample) -> str:
    """An item's id by the tool: that of the sample, in which a digest of the content is replaced by the position."""
    start = sample.item_id.find(sample.content[:HASH_DIGITS]) if sample.content else -1
    return sample.item_id if start < 0 or sample.position is None else sample.item_id[:start] + sample.position


def joined(samples: Iterable[Sample], join: Join, examples: Examples | None = None) -> Iterator[Sample]:
    """Yield the samples of a log with the ids by which they are joined.

    Parameters
    ----------
    samples
        The samples in the order of the log.
    join
        `content`: ids as the reader gives them, and only equal contents are one item. `id`: the tool's own ids, whatever the
        contents; the probabilities of single answers are dropped, as their order may differ. `hash`: contents alone, whatever the
        ids; of equal contents in one log the second is an item of its own.
    examples
        Collects texts of items.
    """
    orders: dict[str, dict[str, int]] = {}
    for sample in samples:
        if sample.text is not None:
            if examples is not None:
                examples.add(sample)
            sample = sample._replace(text=None)
        if join == "id":
            sample = sample._replace(item_id=own_id(sample), content=None, answers=None, label=None)
        elif join == "hash" and sample.content is not None:
            digest = f"{sample.subtask}/{sample.content[: 2 * HASH_DIGITS]}"
            same = orders.setdefault(digest, {})
            order = same.setdefault(sample.item_id, len(same))
            sample = sample._replace(item_id=f"{digest}#{order + 1}" if order else digest)
        yield sample


def _rank(name: str) -> bytes:
    return blake2b(name.encode(errors="replace"), digest_size=8).digest()
