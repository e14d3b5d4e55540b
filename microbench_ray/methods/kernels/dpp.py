"""Projection determinantal point processes (DPPs) on a finite set, and orthogonal polynomials as their basis.

A projection DPP with kernel K = Q Qᵀ, where Q is (n, k) with orthonormal columns, draws exactly k of n items, such that
the items of a set S are all drawn with probability det K_S. An item is drawn with probability K_ii, and similar items are seldom
drawn together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError

Matrix = NDArray[np.float64]

# Rejection sampling slows down as the rank is used up: each stage draws this share of the remaining rank, the last stage all of it.
STAGE_SHARE = 0.75
LAST_STAGE = 64
PROPOSALS = (32, 256)
# Below this share of an item's squared norm, its remainder is rounding error: the item, or an equal one, has been drawn.
MIN_REMAINDER = 1e-12
# Polynomials tried at once where some of the first k are combinations of earlier ones.
EXTRA_POLYNOMIALS = 64
# A polynomial with a remainder below this share of its norm is a combination of earlier ones, to working precision.
MIN_INDEPENDENT = 1e-10


def inclusion_probabilities(basis: Matrix) -> Matrix:
    """(n,) probabilities with which the projection DPP of an orthonormal `basis`, (n, k), draws each item: K_ii = ‖row i‖²."""
    probabilities: Matrix = np.minimum(np.einsum("ij,ij->i", basis, basis), 1.0)
    return probabilities


def sample_projection_dpp(basis: Matrix, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw exactly from the projection DPP with kernel `basis` · `basis`ᵀ.

    The chain rule (Hough et al. 2006) draws the next item with probability proportional to the squared norm of the remainder of its
    row, orthogonal to the rows already drawn. Here by rejection (Launay, Galerne and Desolneux 2020; Barthelmé, Tremblay and
    Amblard 2023, "A faster sampler for discrete determinantal point processes"): items are proposed with probability proportional
    to the squared norm of the whole row, and accepted with the share that remains, which gives the same distribution. The remainder
    depends on inner products alone, so a block of proposals takes matrix products and a Cholesky recurrence over those accepted.

    The last of k items would take k proposals. So when most of the rank is used up, the rows are projected on the orthogonal
    complement of the drawn rows: given the items drawn so far, the others are a projection DPP of those rows, and rejection
    restarts.

    Parameters
    ----------
    basis
        (n, k) float64 with orthonormal columns.
    rng
        Random generator.

    Returns
    -------
    numpy.ndarray
        (k,) distinct positions in 0…n-1, in the order of drawing.

    Raises
    ------
    ConfigError
        The columns are not orthonormal, or there are more columns than rows.
    """
    _check_orthonormal(basis)
    drawn = np.empty(0, dtype=np.intp)
    rows = basis
    while (rank := rows.shape[1]) > 0:
        n_draws = rank if rank <= LAST_STAGE else int(STAGE_SHARE * rank)
        new = _chain_by_rejection(rows, n_draws, drawn, rng)
        drawn = np.concatenate([drawn, new])
        rows = rows @ np.linalg.qr(rows[new].T, mode="complete")[0][:, n_draws:]
    return drawn


def _chain_by_rejection(rows: Matrix, n_draws: int, drawn: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """The first `n_draws` items of the chain rule for orthonormal `rows`, none of which are `drawn` already."""
    rank = rows.shape[1]
    norms = np.einsum("ij,ij->i", rows, rows)
    norms[drawn] = 0
    edges = np.cumsum(norms)
    edges /= edges[-1]
    span = np.empty((rank, n_draws), order="F")
    items = np.empty(n_draws, dtype=np.intp)
    done = 0
    while done < n_draws:
        expected = (n_draws - done) * rank // (rank - (done + n_draws) // 2)
        positions = np.searchsorted(edges, rng.random(min(max(expected, PROPOSALS[0]), PROPOSALS[1])), side="right")
        needed = np.maximum(rng.random(len(positions)), MIN_REMAINDER) * norms[positions]
        block = rows[positions]
        along = block @ span[:, :done]
        accepted = _accept_in_order(block @ block.T - along @ along.T, needed, n_draws - done)
        upto = done + len(accepted)
        items[done:upto] = positions[accepted]
        fresh = block[accepted].T
        for _ in range(2):  # twice is enough for orthogonality up to rounding
            fresh = fresh - span[:, :done] @ (span[:, :done].T @ fresh)
        span[:, done:upto] = np.linalg.qr(fresh)[0]
        done = upto
    return items


def _accept_in_order(gram: Matrix, needed: Matrix, max_accepted: int) -> NDArray[np.intp]:
    """Positions of the proposals of a block that are accepted, one after the other, at most `max_accepted`.

    Parameters
    ----------
    gram
        (b, b) inner products of the remainders of the proposals' rows before this block.
    needed
        (b,) a proposal is accepted if at its turn the squared norm of its remainder exceeds this.
    """
    left = gram.diagonal().copy()
    factors = np.empty((min(max_accepted, len(left)), len(left)))
    accepted: list[int] = []
    start = 0
    while len(accepted) < max_accepted:
        acceptable = left[start:] > needed[start:]
        if not acceptable.any():
            break
        new, done = start + int(acceptable.argmax()), len(accepted)
        factors[done] = (gram[new] - factors[:done, new] @ factors[:done]) / np.sqrt(left[new])
        left -= factors[done] ** 2
        accepted.append(new)
        start = new + 1
    return np.array(accepted, dtype=np.intp)


def _check_orthonormal(basis: Matrix) -> None:
    """Raise ConfigError unless the columns of the basis are orthonormal."""
    n, k = basis.shape
    hint = "give orthonormal columns, for example from polynomial_basis or a QR decomposition"
    if k > n:
        raise ConfigError("A projection DPP cannot draw more items than exist.", got=f"{k} columns, {n} rows", hint=hint)
    # A fixed vector without structure: only orthonormal columns reproduce it.
    probe = np.cos(np.arange(1, k + 1) ** 2)
    error = np.abs(basis.T @ (basis @ probe) - probe).max(initial=0)
    if not error <= 1e-8:
        raise ConfigError("The columns of a projection DPP's basis must be orthonormal.", got=f"off by {error:.1e}", hint=hint)


def polynomial_basis(points: Matrix, k: int) -> Matrix:
    """Orthonormal basis of the first k multivariate monomials on given points: that of a discrete orthogonal polynomial ensemble.

    The monomials are in the order of Bardenet, Ghosh and Lin (2021), "Determinantal point processes based on orthogonal
    polynomials for sampling minibatches in SGD", and of the paper: layers of growing largest exponent; within a layer in
    lexicographic order of the exponents. Each beginning of that order holds all divisors of its monomials, so that products of
    any univariate polynomials of the same degrees span the same spaces. Those used here are orthogonal on the points' coordinates
    (Stieltjes' recurrence), because they stay independent at degrees where powers do not.

    If some points are equal, or lie on a curve or a grid, a monomial may be a combination of earlier ones: it is skipped, and later
    ones are used. There are at most as many columns as distinct points; fewer if dozens of successive monomials add nothing to
    working precision.

    Parameters
    ----------
    points
        (n, d) float64, of moderate size: within (-1, 1), say. With d = 0 there is only the constant.
    k
        Maximum number of columns.

    Returns
    -------
    numpy.ndarray
        (n, r) float64 with orthonormal columns, r ≤ k; for every j the first j columns span the same space as the first j monomials
        that are not skipped.
    """
    if not points.size:
        return np.full((len(points), min(k, len(points), 1)), 1 / np.sqrt(max(len(points), 1)))
    k = min(k, len(np.unique(points, axis=0)))
    polynomials = _Polynomials(points)
    basis = _orthonormal(polynomials.take(k), MIN_INDEPENDENT)
    while (missing := k - basis.shape[1]) > 0:
        block = polynomials.take(max(missing, EXTRA_POLYNOMIALS))
        new = _orthonormal(block - basis @ (basis.T @ block), MIN_INDEPENDENT)[:, :missing]
        if not new.shape[1]:
            break
        new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
        basis = np.concatenate([basis, new], axis=1)
    return basis


def _orthonormal(columns: Matrix, min_remainder: float) -> Matrix:
    """Orthonormalise the columns whose remainder beside the columns before is longer than `min_remainder`; drop the others."""
    q, r = _qr(columns)
    if len(r) == r.shape[1] and (np.abs(r.diagonal()) > min_remainder).all():
        return q
    # R has the geometry of the columns in fewer coordinates.
    span, kept = np.empty((len(r), len(r)), order="F"), list[int]()
    for column in range(r.shape[1]):
        known = span[:, : len(kept)]
        left = r[:, column] - known @ (known.T @ r[:, column])
        length = float(np.linalg.norm(left))
        if length > min_remainder and len(kept) < len(r):
            left = left - known @ (known.T @ left)
            span[:, len(kept)] = left / np.linalg.norm(left)
            kept.append(column)
    return _qr(columns[:, kept])[0]


def _qr(columns: Matrix) -> tuple[Matrix, Matrix]:
    """Q and R, by scipy, which makes fewer copies than numpy."""
    from scipy.linalg import qr  # slow to import; errors in a configuration are reported without this delay

    q, r = qr(columns, mode="economic", check_finite=False)
    return np.asarray(q, dtype=np.float64), np.asarray(r, dtype=np.float64)


class _Polynomials:
    """Products of univariate polynomials in the order of their monomials, each scaled to length 1 on the points.

    A power that is a combination of lower powers on a coordinate's values is left out, with all its multiples.
    """

    def __init__(self, points: Matrix) -> None:
        n, d = points.shape
        self.columns = np.ascontiguousarray(points.T)
        self.tables = [np.ones((1, n)) for _ in range(d)]
        self.exponents = self._exponents()

    def take(self, count: int) -> Matrix:
        """The next (n, count) polynomials; fewer if the order is exhausted."""
        rows = np.array(list(itertools.islice(self.exponents, count)), dtype=np.intp).reshape(-1, len(self.columns))
        values = np.ones((len(rows), self.columns.shape[1]))
        for table, powers in zip(self.tables, rows.T, strict=True):
            values *= table[powers]
        values /= np.linalg.norm(values, axis=1)[:, None]
        return values.T

    def _exponents(self) -> Iterator[NDArray[np.intp]]:
        for degree in itertools.count():
            for j, table in enumerate(self.tables):
                if degree == len(table):
                    self.tables[j] = _with_next_degree(table, self.columns[j])
            layer = exponents(degree, [len(table) - 1 for table in self.tables])
            if not len(layer):
                return
            yield from layer


def exponents(degree: int, highest: list[int]) -> NDArray[np.intp]:
    """The layer of monomials with largest exponent `degree`: (m, d) exponents, at most `highest` each, in lexicographic order."""
    grid = np.indices([min(degree, limit) + 1 for limit in highest], dtype=np.intp).reshape(len(highest), -1).T
    layer: NDArray[np.intp] = grid[grid.max(axis=1) == degree]
    return layer


def _with_next_degree(table: Matrix, x: Matrix) -> Matrix:
    """Append a row to (degree + 1, n) orthogonal polynomials of mean square 1 on x, unless x has no more distinct values."""
    following = x * table[-1]
    for earlier in [*table[-2:], *table[-2:]]:
        following = following - earlier * (earlier @ following) / len(x)
    size = float(np.sqrt(np.mean(following**2)))
    return np.concatenate([table, following[None] / size]) if size > MIN_INDEPENDENT else table
