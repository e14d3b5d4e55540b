"""Projection determinantal point processes (DPPs) on a finite set, and the orthogonal polynomials that make one.

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

# Rejection sampling slows down as the rank is used up: each stage draws this share of the rank that is left, a small one all of it.
STAGE_SHARE = 0.75
LAST_STAGE = 64
PROPOSALS = (32, 256)
# Below this share of an item's own squared norm, what is left of it is rounding: it has been drawn, or it equals one that has.
NOTHING_LEFT = 1e-12
# Polynomials tried at once where some of the first k count for nothing.
FOLLOWING = 64
# A polynomial of which less than this share of its norm is left is a combination of earlier ones, to working precision.
DEPENDENT = 1e-10


def inclusion_probabilities(basis: Matrix) -> Matrix:
    """(n,) probabilities with which the projection DPP of an orthonormal `basis`, (n, k), draws each item: K_ii = ‖row i‖²."""
    probabilities: Matrix = np.minimum(np.einsum("ij,ij->i", basis, basis), 1.0)
    return probabilities


def sample_projection_dpp(basis: Matrix, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw exactly from the projection DPP with kernel `basis` · `basis`ᵀ.

    The chain rule (Hough et al. 2006) draws the next item with probability proportional to what is left of its row, squared,
    beside the span of the rows already drawn. Here by rejection (Launay, Galerne and Desolneux 2020; Barthelmé, Tremblay and
    Amblard 2023, "A faster sampler for discrete determinantal point processes"): items are proposed with probability proportional
    to their whole rows, squared, and accepted with the share that is left, which is the same law. What is left depends on inner
    products alone, so a block of proposals takes matrix products and a Cholesky recurrence over those accepted.

    The last of k items would take k proposals. So when most of the rank is used up, the rows are projected on the complement of
    what is drawn: given the items drawn so far, the others are a projection DPP of those rows, and rejection starts afresh.

    Parameters
    ----------
    basis
        (n, k) float64 with orthonormal columns.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        (k,) different positions in 0…n-1, in the order of drawing.

    Raises
    ------
    ConfigError
        The columns are not orthonormal: of lower rank, or more of them than rows.
    """
    _check_orthonormal(basis)
    drawn = np.empty(0, dtype=np.intp)
    rows = basis
    while (rank := rows.shape[1]) > 0:
        wanted = rank if rank <= LAST_STAGE else int(STAGE_SHARE * rank)
        new = _chain_by_rejection(rows, wanted, drawn, rng)
        drawn = np.concatenate([drawn, new])
        rows = rows @ np.linalg.qr(rows[new].T, mode="complete")[0][:, wanted:]
    return drawn


def _chain_by_rejection(rows: Matrix, wanted: int, drawn: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """The first `wanted` items of the chain rule for orthonormal `rows`; those `drawn` before have nothing left but rounding."""
    rank = rows.shape[1]
    norms = np.einsum("ij,ij->i", rows, rows)
    norms[drawn] = 0
    edges = np.cumsum(norms)
    edges /= edges[-1]
    span = np.empty((rank, wanted), order="F")
    items = np.empty(wanted, dtype=np.intp)
    done = 0
    while done < wanted:
        expected = (wanted - done) * rank // (rank - (done + wanted) // 2)
        positions = np.searchsorted(edges, rng.random(min(max(expected, PROPOSALS[0]), PROPOSALS[1])), side="right")
        needed = np.maximum(rng.random(len(positions)), NOTHING_LEFT) * norms[positions]
        block = rows[positions]
        along = block @ span[:, :done]
        accepted = _accept_in_order(block @ block.T - along @ along.T, needed, wanted - done)
        upto = done + len(accepted)
        items[done:upto] = positions[accepted]
        fresh = block[accepted].T
        for _ in range(2):  # twice is enough for orthogonality to rounding
            fresh = fresh - span[:, :done] @ (span[:, :done].T @ fresh)
        span[:, done:upto] = np.linalg.qr(fresh)[0]
        done = upto
    return items


def _accept_in_order(gram: Matrix, needed: Matrix, most: int) -> NDArray[np.intp]:
    """Which proposals of a block are accepted, one after the other, at most so many.

    Parameters
    ----------
    gram
        (b, b) inner products of what is left of the proposals' rows before this block.
    needed
        (b,) a proposal is accepted if at its turn the square of what is left of it is more than this.
    """
    left = gram.diagonal().copy()
    factors = np.empty((min(most, len(left)), len(left)))
    accepted: list[int] = []
    start = 0
    while len(accepted) < most:
        open_ = left[start:] > needed[start:]
        if not open_.any():
            break
        new, done = start + int(open_.argmax()), len(accepted)
        factors[done] = (gram[new] - factors[:done, new] @ factors[:done]) / np.sqrt(left[new])
        left -= factors[done] ** 2
        accepted.append(new)
        start = new + 1
    return np.array(accepted, dtype=np.intp)


def _check_orthonormal(basis: Matrix) -> None:
    n, k = basis.shape
    hint = "give orthonormal columns, for example from polynomial_basis or a QR decomposition"
    if k > n:
        raise ConfigError("A projection DPP cannot draw more items than there are.", got=f"{k} columns, {n} rows", hint=hint)
    # A fixed vector with no pattern: columns that are not orthonormal do not give it back.
    probe = np.cos(np.arange(1, k + 1) ** 2)
    error = np.abs(basis.T @ (basis @ probe) - probe).max(initial=0)
    if not error <= 1e-8:
        raise ConfigError("The columns of a projection DPP's basis must be orthonormal.", got=f"off by {error:.1e}", hint=hint)


def polynomial_basis(points: Matrix, k: int) -> Matrix:
    """Orthonormal basis of the first k multivariate monomials on some points: of a discrete orthogonal polynomial ensemble.

    The monomials are in the order of Bardenet, Ghosh and Lin (2021), "Determinantal point processes based on orthogonal
    polynomials for sampling minibatches in SGD", and of the paper: layers of growing largest exponent; within a layer in
    lexicographic order of the exponents. Each beginning of that order holds all divisors of its monomials, so that products of
    any univariate polynomials of the same degrees span the same spaces. Taken here are those which are orthogonal on the points'
    coordinates (Stieltjes' recurrence), for they stay apart at degrees where powers do not.

    On points of which some are equal, or which lie on a curve or a grid, a monomial may be a combination of earlier ones: it is
    passed over and later ones are taken. There are at most as many columns as different points; fewer where dozens of monomials in
    a row add nothing to working precision.

    Parameters
    ----------
    points
        (n, d) float64, of moderate size: within (-1, 1), say. With d = 0 there is only the constant.
    k
        Columns wanted.

    Returns
    -------
    numpy.ndarray
        (n, r) float64 with orthonormal columns, r ≤ k; for every j the first j columns span what the first j monomials that count
        do.
    """
    if not points.size:
        return np.full((len(points), min(k, len(points), 1)), 1 / np.sqrt(max(len(points), 1)))
    k = min(k, len(np.unique(points, axis=0)))
    polynomials = _Polynomials(points)
    basis = _orthonormal(polynomials.take(k), DEPENDENT)
    while (missing := k - basis.shape[1]) > 0:
        block = polynomials.take(max(missing, FOLLOWING))
        new = _orthonormal(block - basis @ (basis.T @ block), DEPENDENT)[:, :missing]
        if not new.shape[1]:
            break
        new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
        basis = np.concatenate([basis, new], axis=1)
    return basis


def _orthonormal(columns: Matrix, least: float) -> Matrix:
    """Orthonormal columns for those of `columns` that keep more than `least` of length 1 beside the ones before them."""
    q, r = _qr(columns)
    if len(r) == r.shape[1] and (np.abs(r.diagonal()) > least).all():
        return q
    # R has the geometry of the columns in fewer coordinates.
    span, kept = np.empty((len(r), len(r)), order="F"), list[int]()
    for column in range(r.shape[1]):
        known = span[:, : len(kept)]
        left = r[:, column] - known @ (known.T @ r[:, column])
        length = float(np.linalg.norm(left))
        if length > least and len(kept) < len(r):
            left = left - known @ (known.T @ left)
            span[:, len(kept)] = left / np.linalg.norm(left)
            kept.append(column)
    return _qr(columns[:, kept])[0]


def _qr(columns: Matrix) -> tuple[Matrix, Matrix]:
    """Q and R; scipy's copies less than numpy's."""
    from scipy.linalg import qr  # imported where it is used, so that an error in a configuration comes without its delay

    q, r = qr(columns, mode="economic", check_finite=False)
    return np.asarray(q, dtype=np.float64), np.asarray(r, dtype=np.float64)


class _Polynomials:
    """Products of univariate polynomials in the order of their monomials, each scaled to length 1 on the points.

    A power that is a combination of lower ones on a coordinate's values is left out, with all its multiples.
    """

    def __init__(self, points: Matrix) -> None:
        n, d = points.shape
        self.columns = np.ascontiguousarray(points.T)
        self.tables = [np.ones((1, n)) for _ in range(d)]
        self.exponents = self._exponents()

    def take(self, count: int) -> Matrix:
        """The next (n, count), or as many as there are."""
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
    grid = np.indices([min(degree, most) + 1 for most in highest], dtype=np.intp).reshape(len(highest), -1).T
    layer: NDArray[np.intp] = grid[grid.max(axis=1) == degree]
    return layer


def _with_next_degree(table: Matrix, x: Matrix) -> Matrix:
    """One more row for (degree + 1, n) orthogonal polynomials of mean square 1 on x, unless x has no more different values."""
    following = x * table[-1]
    for earlier in [*table[-2:], *table[-2:]]:
        following = following - earlier * (earlier @ following) / len(x)
    size = float(np.sqrt(np.mean(following**2)))
    return np.concatenate([table, following[None] / size]) if size > DEPENDENT else table
