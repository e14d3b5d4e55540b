"""Checks of error messages by their facts: class, place, value found and a key word, whatever the wording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from microbench_ray.core.errors import MicrobenchError


@contextmanager
def refuses(
    kind: type[MicrobenchError], word: str, *, where: str | None = None, got: str | None = None, hint: str | None = None
) -> Iterator[pytest.ExceptionInfo[MicrobenchError]]:
    """Expect an error of exactly this class.

    Parameters
    ----------
    kind
        The class.
    word
        A key word of the message, in any case: what the error is about, not how it is put.
    where, got, hint
        Parts of these fields; None where the field does not matter.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert type(error) is kind
    assert word, "an empty word checks nothing"
    assert word.lower() in str(error).lower(), f"no {word!r} in: {error}"
    for name, part in (("where", where), ("got", got), ("hint", hint)):
        if part is not None:
            assert part, f"an empty {name} checks nothing"
            assert part in (getattr(error, name) or ""), f"no {part!r} in {name} of: {error}"
