"""Random streams keyed by names: the numbers drawn for a key depend only on that key and the root seed.

All streams of the package are defined here. Keys contain neither indices nor values of ``hash()``. Adding a size, a method or a
benchmark to a grid therefore changes no other number, and every worker draws the same numbers for the same cell.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

Key = str | int


def stream(root_seed: int, *key: Key) -> np.random.Generator:
    """Create the generator of a key.

    Parameters
    ----------
    root_seed
        Seed of the sweep, a non-negative integer.
    *key
        Names, run numbers or sizes that identify the purpose. ``("a", "bc")`` and ``("ab", "c")`` differ, as do ``1`` and ``"1"``.

    Returns
    -------
    numpy.random.Generator
        PCG64 over a SeedSequence of the root seed and 128 bits of BLAKE2b of the key.
    """
    digest = blake2b(digest_size=16)
    for part in key:
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    words = np.frombuffer(digest.digest(), dtype="<u4")
    return np.random.default_rng(np.random.SeedSequence([root_seed, *map(int, words)]))


def target_stream(root_seed: int, benchmark: str, run: int) -> np.random.Generator:
    """Stream that draws the target models of a run."""
    return stream(root_seed, "targets", benchmark, run)


def source_stream(root_seed: int, benchmark: str, run: int) -> np.random.Generator:
    """Stream that draws the order of the source models of a run."""
    return stream(root_seed, "sources", benchmark, run)


def split_stream(root_seed: int, benchmark: str, run: int) -> np.random.Generator:
    """Stream that splits the items of a run into seen and unseen."""
    return stream(root_seed, "split", benchmark, run)


def fit_stream(root_seed: int, fit_kind: str, benchmark: str, n_source: int, run: int) -> np.random.Generator:
    """Stream of a fit, shared by all methods and sizes that use it."""
    return stream(root_seed, "fit", fit_kind, benchmark, n_source, run)


def select_stream(root_seed: int, benchmark: str, method: str, n_source: int, run: int, size: int | None) -> np.random.Generator:
    """Stream that selects the items of a cell; `size` is None for a selector with nested sizes."""
    key: tuple[Key, ...] = ("select", benchmark, method, n_source, run)
    return stream(root_seed, *key) if size is None else stream(root_seed, *key, size)


def model_bootstrap_stream(root_seed: int, benchmark: str, method: str, size: int) -> np.random.Generator:
    """Stream of the bootstrap over models for a fixed list of items."""
    return stream(root_seed, "models", benchmark, method, size)


def interval_stream(root_seed: int, *group: Key) -> np.random.Generator:
    """Stream of the bootstrap over runs; `group` is the key of the cells without the run."""
    return stream(root_seed, "ci", *group)


def paired_stream(root_seed: int, benchmark: str, n_source: int, targets: str, unseen: str) -> np.random.Generator:
    """Stream of the bootstrap over runs that compares methods, which share it."""
    return stream(root_seed, "paired", benchmark, n_source, targets, unseen)


def drift_stream(root_seed: int, benchmark: str, night: str) -> np.random.Generator:
    """Stream that simulates a night without drift."""
    return stream(root_seed, "drift", benchmark, night)


def rank_stream(root_seed: int, benchmark: str, label: str) -> np.random.Generator:
    """Stream that draws true ranks consistent with the estimates of a list of items."""
    return stream(root_seed, "ranks", benchmark, label)


def export_stream(root_seed: int, benchmark: str, purpose: str) -> np.random.Generator:
    """Stream of an exported micro-benchmark; `purpose` is, for instance, its method, its held-out models or its resamples."""
    return stream(root_seed, "export", benchmark, purpose)


def plan_stream(root_seed: int, benchmark: str, purpose: str, *key: Key) -> np.random.Generator:
    """Stream of an answer of `plan`: samples of items for two models, or resamples of the models."""
    return stream(root_seed, "plan", benchmark, purpose, *key)
