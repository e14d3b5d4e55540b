"""A digest of a benchmark's content, independent of its source and chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_PLAIN = json.JSONEncoder(sort_keys=True)
_ENCODE = c_make_encoder(None, _PLAIN.default, encode_basestring_ascii, None, ": ", ", ", True, False, True)
"""What `_PLAIN.encode` makes for every call, made once."""


def as_json(texts: Mapping[str, Any]) -> str:
    """The JSON that `content_digest` hashes."""
    return "".join(_ENCODE(texts, 0))


def text_digest(text: str) -> str:
    """The `content_digest` of the texts whose JSON this is, without arrays."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def content_digest(texts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash texts and arrays, with the names, types and shapes of the arrays.

    Parameters
    ----------
    texts
        JSON-serialisable values; the order of keys does not matter.
    arrays
        Arrays by name; their order matters.

    Returns
    -------
    str
        32 hexadecimal digits of BLAKE2b.
    """
    state = blake2b(digest_size=16)
    state.update(as_json(texts).encode())
    for name, array in arrays.items():
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """Type and values of a column, JSON-serialisable."""
    values = column.to_pylist()
    return [str(column.type), *(value if isinstance(value, int | float | None) else str(value) for value in values)]
