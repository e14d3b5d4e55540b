"""Random streams keyed by names: what is drawn for a key depends on that key and the root seed, and on nothing else.

Every stream of the project is listed here, and nowhere else. No index and no ``hash()`` enters a key, so adding a size, a
method or a benchmark to a grid changes no number of the others, and any worker draws the same for the same cell.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

Key = str | int


def stream(root_seed: int, *key: Key) -> np.random.Generator:
    """A generator for one purpose, named by its key.

    Parameters
    ----------
    root_seed
        The sweep's seed, a non-negative integer.
    *key
        Names (and run numbers or sizes) of what is drawn. ``("a", "bc")`` and ``("ab", "c")`` differ, as do ``1`` and ``"1"``.

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
    """Draws the target models of a run."""
    return stream(root_seed, "targets", benchmark, run)


def source_stream(root_seed: int, benchmark: str, run: int) -> np.random.Generator:
    """Draws the order of the source models of a run."""
    return stream(root_seed, "sources", benchmark, run)


def split_stream(root_seed: int, benchmark: str, run: int) -> np.random.Generator:
    """Draws the seen and unseen items of a run."""
    return stream(root_seed, "split", benchmark, run)


def fit_stream(root_seed: int, fit_kind: str, benchmark: str, n_source: int, run: int) -> np.random.Generator:
    """For a fit, shared by every method and size that uses it."""
    return stream(root_seed, "fit", fit_kind, benchmark, n_source, run)


def select_stream(root_seed: int, benchmark: str, method: str, n_source: int, run: int, size: int | None) -> np.random.Generator:
    """For the choice of items of a cell; `size` is None for a selector whose sizes nest."""
    key: tuple[Key, ...] = ("select", benchmark, method, n_source, run)
    return stream(root_seed, *key) if size is None else stream(root_seed, *key, size)


def model_bootstrap_stream(root_seed: int, benchmark: str, method: str, size: int) -> np.random.Generator:
    """For the bootstrap over models of a fixed list."""
    return stream(root_seed, "models", benchmark, method, size)


def interval_stream(root_seed: int, *group: Key) -> np.random.Generator:
    """For the bootstrap over runs of a group of cells, keyed by the cell without its run."""
    return stream(root_seed, "ci", *group)


def paired_stream(root_seed: int, benchmark: str, n_source: int, targets: str, unseen: str) -> np.random.Generator:
    """For the bootstrap over runs that all methods share, to compare them."""
    return stream(root_seed, "paired", benchmark, n_source, targets, unseen)


def drift_stream(root_seed: int, benchmark: str, night: str) -> np.random.Generator:
    """For what a night without drift would look like."""
    return stream(root_seed, "drift", benchmark, night)


def rank_stream(root_seed: int, benchmark: str, label: str) -> np.random.Generator:
    """For the true ranks that a list's estimates leave open."""
    return stream(root_seed, "ranks", benchmark, label)


def export_stream(root_seed: int, benchmark: str, purpose: str) -> np.random.Generator:
    """For an exported micro-benchmark: what its method draws, how models are held out, and resamples."""
    return stream(root_seed, "export", benchmark, purpose)
