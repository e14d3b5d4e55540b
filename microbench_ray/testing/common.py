"""Checks of any part of a method, and what the checks of selectors and estimators share."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, get_args

import numpy as np

from microbench_ray.methods.base import SeenItems, Signal
from microbench_ray.methods.estimators.means import Mean
from microbench_ray.methods.registry import Method
from microbench_ray.methods.selectors.random import Random
from microbench_ray.testing.boards import RICHEST, Board, make_board

LARGE = (300, 6016, 1000)
"""Source models, items and size for which costs are asked."""
MAX_FIT_SECONDS = 60.0
MAX_FIT_BYTES = 2**30
SIGNATURES = {
    "fit": ("seen", "rng"),
    "select": ("seen", "fit", "size", "rng"),
    "estimate": ("responses", "selection", "seen", "fit"),
    "fit_seconds": ("n_source", "n_items"),
    "fit_bytes": ("n_source", "n_items", "size"),
}
"""What the methods of a part are given: a selector never gets target models, an estimator no responses to other items."""


class Fit(NamedTuple):
    """What a part may know of the source models, and its fit to that."""

    seen: SeenItems
    fit: Any


def require(condition: object, problem: str) -> None:
    """Raise AssertionError with the problem unless the condition holds."""
    if not condition:
        raise AssertionError(problem)


def is_selector(part: object) -> bool:
    """Whether a part of a method chooses items."""
    return hasattr(part, "select")


def twin_of(part: Any) -> Any:
    """The part as a worker gets it."""
    return pickle.loads(pickle.dumps(part))  # noqa: S301 - it was pickled here


def identity_of(part: Any) -> Any:
    """What the names of finished cells depend on."""
    if is_selector(part):
        return Method("checked", part, Mean()).identity()["selector"]
    return Method("checked", Random(), part).identity()["estimator"]


def source_signal(part: Any) -> Signal | None:
    """What a part's fit reads of the source models."""
    signal: Signal | None = part.signal if is_selector(part) else part.source_signal
    return signal


def boards_for(part: Any, **options: Any) -> list[Board]:
    """A board with the signals of a part, and those where it must do with simpler ones."""
    richest = max({"answers": 2, "confidence": 1, "both": 1}.get(str(signal), 0) for signal in (part.signal, source_signal(part)))
    return [make_board(each, **options) for each in RICHEST[richest::-1]]


def fresh_fit(part: Any, board: Board, seed: int = 3) -> Fit:
    """Fit a part to the source models of a board."""
    seen = board.seen(source_signal(part))
    return Fit(seen, part.fit(seen, np.random.default_rng(seed)))


_FITS: dict[tuple[bytes, int, int], Fit] = {}
"""Fits to boards, which `make_board` keeps, of one part at a time."""


def fit_of(part: Any, board: Board, seed: int = 3) -> Fit:
    """`fresh_fit`, computed once for all checks of a part: they must not change it."""
    key = pickle.dumps(part), id(board), seed
    if _FITS and next(iter(_FITS))[0] != key[0]:
        _FITS.clear()
    if key not in _FITS:
        _FITS[key] = fresh_fit(part, board, seed)
    return _FITS[key]


def promises(part: Any, what: str) -> bool:
    """Whether the class of a part says in `ignores_order` that the order of `models` or `items` makes no difference."""
    return what in getattr(part, "ignores_order", ())


@contextmanager
def unchanged(*arrays: object) -> Iterator[None]:
    """Make arrays, and those of `SeenItems`, read-only, as Ray does, and check that their content stays the same."""
    flat = [each for array in arrays for each in (vars(array).values() if isinstance(array, SeenItems) else [array])]
    given = [each for each in flat if isinstance(each, np.ndarray)]
    before = [each.copy() for each in given]
    for each in given:
        each.flags.writeable = False
    yield
    for each, copy in zip(given, before, strict=True):
        require(np.array_equal(each, copy, equal_nan=each.dtype.kind == "f"), "An array that was given has changed.")


@contextmanager
def global_random_state_unchanged() -> Iterator[None]:
    """Check that the states of `random` and `numpy.random` stay the same."""
    before = pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002
    yield
    after = pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002
    for name, one, other in zip(("numpy.random", "random"), before, after, strict=True):
        require(one == other, f"The global state of {name} has changed: draw from `rng` instead.")


@contextmanager
def other_global_random_state() -> Iterator[None]:
    """Another state of `random` and `numpy.random`, for a while."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    try:
        yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


def check_attributes_and_signatures(part: Any, sizes: object = ()) -> None:
    """All methods exist and take the arguments that they are given: among them no target models for a selector."""
    for name, arguments in SIGNATURES.items():
        if name == ("estimate" if is_selector(part) else "select"):
            continue
        require(callable(getattr(part, name, None)), f"{type(part).__name__} has no method {name}.")
        try:
            inspect.signature(getattr(part, name)).bind(*arguments)
        except TypeError as error:
            raise AssertionError(f"{name} is called with ({', '.join(arguments)}): {error}.") from None
    for name in ("signal", "fit_key", *(["nested"] if is_selector(part) else ["source_signal"])):
        require(hasattr(part, name), f"{type(part).__name__} has no attribute {name}.")


def check_signals_and_costs(part: Any, sizes: object = ()) -> None:
    """`signal`, `fit_key`, `fit_seconds` and `fit_bytes` are of the form that plans need; a fit without sources has no name."""
    signals, source = get_args(Signal), source_signal(part)
    require(source in (None, *signals), f"The signal of the source models must be None or one of {', '.join(signals)}: {source!r}.")
    require(is_selector(part) or part.signal in signals, f"signal must be one of {', '.join(signals)}: {part.signal!r}.")
    require(isinstance(part.fit_key, str), f"fit_key must be text: {part.fit_key!r}.")
    require(not is_selector(part) or isinstance(part.nested, bool), "nested must be True or False.")
    require(source is not None or part.fit_key == "", "fit_key names a fit, but no signal of the source models is read.")
    n_source, n_items, size = LARGE
    seconds, n_bytes = part.fit_seconds(n_source, n_items), part.fit_bytes(n_source, n_items, size)
    require(0 <= seconds < MAX_FIT_SECONDS, f"fit_seconds must be CPU seconds from 0 to {MAX_FIT_SECONDS:g}: {seconds!r}.")
    require(0 <= n_bytes < MAX_FIT_BYTES, f"fit_bytes must be from 0 to {MAX_FIT_BYTES:,}: {n_bytes!r}.")
    require(n_bytes > 0 or not part.fit_key, "fit_bytes must be above 0 for a part with a fit.")


def check_parameters_are_frozen(part: Any, sizes: object = ()) -> None:
    """A dataclass is frozen: its parameters stay those that the tables are computed with."""
    for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        try:
            setattr(part, field.name, getattr(part, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(f"{type(part).__name__}.{field.name} can be changed: use @dataclass(frozen=True).")


def check_pickles_and_has_an_identity(part: Any, sizes: object = ()) -> None:
    """A worker's copy is the same part, and its parameters are plain values, by which finished cells are found again."""
    twin, identity = twin_of(part), identity_of(part)
    require(json.loads(json.dumps(identity, allow_nan=False)) == identity, f"The identity is not plain JSON: {identity!r}.")
    require(identity_of(twin) == identity, "A pickled copy has another identity.")
    if dataclasses.is_dataclass(part):
        require(twin == part, "A pickled copy is not equal.")


COMMON_CHECKS = (
    check_attributes_and_signatures,
    check_signals_and_costs,
    check_parameters_are_frozen,
    check_pickles_and_has_an_identity,
)
