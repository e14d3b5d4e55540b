"""Coordinate ascent on a lower bound of the evidence, for `irt.fit_irt`.

Notation. Model i has ability θ_i (D,), item j has w_j = [a_j, b_j] (P = D + 1,). The logit of a right answer is z = h·w with
h = [θ, −1]. Second moments are kept packed (see `symmetric`).

The logistic likelihood of a response y in [0, 1] is bounded from below (Jaakkola and Jordan 2000) by

    (y − ½) z − log 2cosh(ξ/2) − ω(ξ)/2 · (z² − ξ²),    ω(ξ) = tanh(ξ/2) / (2ξ),

which is quadratic in z, so that Gaussian posteriors of θ and w stay Gaussian; it is tightest at ξ² = E z².
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.symmetric import congruence, invert, outer_packed, trace_weights, unpack

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# The hyperprior. μ ~ N(0, MEAN_VARIANCE · I): a mean difficulty of ±3 logits is not unusual. The covariance Σ has an inverse-
# Wishart prior that counts like 2 (P + 1) further items whose parameters vary by ITEM_VARIANCE: enough to be proper.
MEAN_VARIANCE = 9.0
ITEM_VARIANCE = 0.25
# Size of a block of the response matrix: its float32 work arrays and the P × P matrices of its items fit in a core's cache.
BLOCK_CELLS, BLOCK_ITEMS = 150_000, 512
SMALLEST_XI_SQUARED = np.float32(1e-4)


class Responses(NamedTuple):
    """(n_models, n_items) responses minus ½, 0 where missing; and 1 for present or 0 for missing, None if none is missing."""

    centred: Float32
    present: Float32 | None

    def blocks(self) -> Iterator[slice]:
        """Slices of items whose responses fit in cache."""
        n_models, n_items = self.centred.shape
        width = min(max(32, BLOCK_CELLS // n_models), BLOCK_ITEMS)
        return (slice(start, min(start + width, n_items)) for start in range(0, n_items, width))


@dataclass(frozen=True)
class State:
    """Posteriors and estimated priors.

    Attributes
    ----------
    item_mean, item_second_moment, item_log_det
        (n_items, P) posterior means of w; (n_items, packed) E[w wᵀ]; the sum over items of log det of the posterior covariances.
    ability_mean, ability_covariance
        (n_models, D) and (n_models, D, D). The prior of θ is N(0, I).
    prior_mean, prior_covariance
        (P,) and (P, P), of w.
    """

    item_mean: Float64
    item_second_moment: Float32
    item_log_det: float
    ability_mean: Float64
    ability_covariance: Float64
    prior_mean: Float64
    prior_covariance: Float64


def centre(responses: NDArray[np.floating]) -> Responses:
    """Centre the responses."""
    missing = np.isnan(responses)
    centred = (responses - 0.5).astype(np.float32, order="C")
    if not missing.any():
        return Responses(centred=centred, present=None)
    centred[missing] = 0
    return Responses(centred=centred, present=(~missing).astype(np.float32, order="C"))


def start(data: Responses, n_dims: int) -> State:
    """The initial state: abilities along leading singular vectors of the standardised responses, items with difficulties only."""
    n_models, n_items = data.centred.shape
    answered = np.full(n_items, n_models) if data.present is None else data.present.sum(axis=0, dtype=np.float64)
    right = data.centred.sum(axis=0, dtype=np.float64) + answered / 2
    share = (right + 0.5) / (answered + 1)
    residual = data.centred + (0.5 - share).astype(np.float32)
    residual *= (1 / np.sqrt(share * (1 - share))).astype(np.float32)
    if data.present is not None:
        residual *= data.present
    vectors = np.linalg.eigh((residual @ residual.T).astype(np.float64)).eigenvectors[:, ::-1][:, :n_dims]
    # With fewer models than dimensions, all abilities in the remaining dimensions start at 0, and stay there.
    ability = np.zeros((n_models, n_dims))
    ability[:, : vectors.shape[1]] = vectors * np.sqrt(n_models / 2)
    covariance = np.tile(np.eye(n_dims) / 2, (n_models, 1, 1))
    mean = np.zeros((n_items, n_dims + 1))
    mean[:, -1] = np.log((1 - share) / share)
    moment = (outer_packed(mean) + np.eye(n_dims + 1)[np.triu_indices(n_dims + 1)]).astype(np.float32)
    prior_mean = np.zeros(n_dims + 1)
    prior_mean[-1] = mean[:, -1].mean()
    return State(
        item_mean=mean,
        item_second_moment=moment,
        item_log_det=0.0,
        ability_mean=ability,
        ability_covariance=covariance,
        prior_mean=prior_mean,
        prior_covariance=np.eye(n_dims + 1),
    )


def one_pass(data: Responses, state: State) -> tuple[State, float]:
    """Update every ξ, then the items, the abilities and the priors.

    Returns
    -------
    tuple
        The new state, and the bound of the given state in nats.
    """
    n_models, n_dims = state.ability_mean.shape
    n_params = n_dims + 1
    rows, columns = np.triu_indices(n_params)
    h, h_moment = _ability_moments(state)
    h_trace: Float32 = h_moment * trace_weights(n_params)
    prior_precision = np.linalg.inv(state.prior_covariance)
    pull = (prior_precision @ state.prior_mean).astype(np.float32)
    item_mean = np.empty_like(state.item_mean)
    item_moment = np.empty_like(state.item_second_moment)
    ability_precision = np.zeros((n_models, len(rows)), np.float32)
    ability_linear = np.zeros((n_models, n_params), np.float32)
    log_likelihood = log_det = 0.0
    for block in data.blocks():
        centred = data.centred[:, block]
        weights, bound = _weights(h_trace @ state.item_second_moment[block].T, data.present, block)
        linear = centred.T @ h
        log_likelihood += bound + float((linear * state.item_mean[block]).sum(dtype=np.float64))
        precision = np.empty((n_params, n_params, len(linear)), np.float32)
        precision[rows, columns] = (weights.T @ h_moment).T
        precision[columns, rows] = precision[rows, columns]
        precision += prior_precision[:, :, None].astype(np.float32)
        log_det -= invert(precision)
        covariance = precision
        mean = np.einsum("pqn,qn->pn", covariance, (linear + pull).T)
        moment = (covariance[rows, columns] + mean[rows] * mean[columns]).T
        item_mean[block], item_moment[block] = mean.T, moment
        ability_precision += weights @ moment
        ability_linear += centred @ mean.T
    bound = log_likelihood - _divergence(state) + _log_hyperprior(state)
    full = unpack(ability_precision, n_params)
    ability_covariance: Float64 = np.linalg.inv(full[:, :n_dims, :n_dims] + np.eye(n_dims)).astype(np.float64, copy=False)
    ability = _times(ability_covariance, ability_linear[:, :n_dims] + full[:, :n_dims, n_dims])
    new = replace(
        state,
        item_mean=item_mean,
        item_second_moment=item_moment,
        item_log_det=log_det,
        ability_mean=ability,
        ability_covariance=ability_covariance,
    )
    return standardise(update_priors(new)), bound


def objective_and_gradient(data: Responses, state: State) -> tuple[float, Float64, Float64]:
    """The bound at the best ξ, and its gradient with respect to the posterior means, with their covariances fixed.

    Returns
    -------
    tuple
        The bound in nats, the gradient for items, (n_items, P), and for abilities, (n_models, D).
    """
    n_models, n_dims = state.ability_mean.shape
    n_params = n_dims + 1
    h, h_moment = _ability_moments(state)
    h_trace: Float32 = h_moment * trace_weights(n_params)
    prior_precision = np.linalg.inv(state.prior_covariance)
    items = (state.prior_mean - state.item_mean) @ prior_precision
    abilities = -state.ability_mean
    ability_precision = np.zeros(h_moment.shape)
    log_likelihood = 0.0
    for block in data.blocks():
        weights, bound = _weights(h_trace @ state.item_second_moment[block].T, data.present, block)
        linear = data.centred[:, block].T @ h
        log_likelihood += bound + float((linear * state.item_mean[block]).sum(dtype=np.float64))
        items[block] += linear - _times(unpack(weights.T @ h_moment, n_params), state.item_mean[block])
        ability_precision += weights @ state.item_second_moment[block]
        abilities += data.centred[:, block] @ state.item_mean[block, :n_dims]
    means = np.concatenate([state.ability_mean, -np.ones((n_models, 1))], axis=1)
    abilities -= _times(unpack(ability_precision, n_params), means)[:, :n_dims]
    return log_likelihood - _divergence(state) + _log_hyperprior(state), items, abilities


def update_priors(state: State) -> State:
    """The most probable μ given Σ, then the most probable Σ given μ."""
    n_items, n_params = state.item_mean.shape
    precision = np.linalg.inv(state.prior_covariance)
    pull = precision @ state.item_mean.sum(axis=0)
    mean = np.linalg.solve(n_items * precision + np.eye(n_params) / MEAN_VARIANCE, pull)
    moved = replace(state, prior_mean=mean)
    pseudo_items = _pseudo_items(n_params)
    covariance = (_scatter(moved) + pseudo_items * ITEM_VARIANCE * np.eye(n_params)) / (n_items + pseudo_items)
    return replace(moved, prior_covariance=covariance)


def standardise(state: State) -> State:
    """Move the origin and the scale of the abilities to where the bound is highest.

    θ = L θ' + c leaves every logit unchanged if a' = Lᵀa and b' = b − a·c, and the items' divergence too if μ and Σ are transformed
    likewise. Only the abilities' divergence and the hyperprior change, and no pass over the data is needed. Without this step,
    coordinate ascent is slow along these directions (Liu, Rubin and Wu 1998, parameter-expanded EM; Luttinen and Ilin 2010).
    """
    n_models, n_dims = state.ability_mean.shape
    pseudo = _pseudo_items(n_dims + 1) * ITEM_VARIANCE
    precision = np.linalg.inv(state.prior_covariance)
    slope, difficulty = state.prior_mean[:n_dims], state.prior_mean[n_dims]
    # The best shift is exact, as all terms are quadratic in c.
    matrix = (n_models + pseudo * precision[n_dims, n_dims]) * np.eye(n_dims) + np.outer(slope, slope) / MEAN_VARIANCE
    pull = state.ability_mean.sum(axis=0) - pseudo * precision[:n_dims, n_dims] + difficulty * slope / MEAN_VARIANCE
    shift = np.linalg.solve(matrix, pull)
    shifting = np.eye(n_dims + 1)
    shifting[n_dims, :n_dims] = -shift
    # The best scale, ignoring the weak prior of μ.
    deviation = state.ability_mean - shift
    precision = np.linalg.inv(shifting @ state.prior_covariance @ shifting.T)
    moment = state.ability_covariance.sum(axis=0) + deviation.T @ deviation + pseudo * precision[:n_dims, :n_dims]
    root = np.linalg.cholesky(moment / (n_models + _pseudo_items(n_dims + 1)))
    inverse = np.linalg.inv(root)
    scaling = np.eye(n_dims + 1)
    scaling[:n_dims, :n_dims] = root.T
    covariance = inverse @ state.ability_covariance @ inverse.T
    moved = replace(transform(state, scaling @ shifting), ability_mean=deviation @ inverse.T, ability_covariance=covariance)
    gain = _ability_divergence(state) - _ability_divergence(moved) + _log_hyperprior(moved) - _log_hyperprior(state)
    return moved if gain > 0 else state


def transform(state: State, matrix: Float64) -> State:
    """The state with every item's w replaced by matrix @ w, for a (P, P) matrix. Abilities are left to the caller."""
    return replace(
        state,
        item_mean=state.item_mean @ matrix.T,
        item_second_moment=state.item_second_moment @ congruence(matrix).T.astype(np.float32),
        item_log_det=state.item_log_det + 2 * len(state.item_mean) * float(np.linalg.slogdet(matrix)[1]),
        prior_mean=matrix @ state.prior_mean,
        prior_covariance=matrix @ state.prior_covariance @ matrix.T,
    )


def _weights(squares: Float32, present: Float32 | None, block: slice) -> tuple[Float32, float]:
    """ω at the best ξ, given E z²; and the part of the bound that is −log 2cosh(ξ/2), summed."""
    np.maximum(squares, SMALLEST_XI_SQUARED, out=squares)
    xi = np.sqrt(squares)
    decay = np.exp(-xi)
    rise = decay + np.float32(1)
    weights = (np.float32(1) - decay) / (rise * xi * np.float32(2))
    if present is not None:
        weights *= present[:, block]
        xi *= present[:, block]
        rise[present[:, block] == 0] = 1
    # log 2cosh(ξ/2) = ξ/2 + log(1 + e^−ξ). The factors are at most 2, so the product of 64 fits a float32 and takes one logarithm.
    products = np.multiply.reduceat(rise, np.arange(0, len(rise), 64), axis=0)
    return weights, -0.5 * float(xi.sum(dtype=np.float64)) - float(np.log(products).sum(dtype=np.float64))


def _ability_moments(state: State) -> tuple[Float32, Float32]:
    """E h, (n_models, P), and E[h hᵀ], (n_models, packed)."""
    n_models, n_dims = state.ability_mean.shape
    h = np.concatenate([state.ability_mean, -np.ones((n_models, 1))], axis=1)
    moment = h[:, :, None] * h[:, None, :]
    moment[:, :n_dims, :n_dims] += state.ability_covariance
    rows, columns = np.triu_indices(n_dims + 1)
    return h.astype(np.float32), moment[:, rows, columns].astype(np.float32)


def _times(matrices: Float64, vectors: Float64) -> Float64:
    """Each matrix times its vector: (n, P, P) and (n, P) to (n, P)."""
    product: Float64 = (matrices @ vectors[:, :, None])[:, :, 0]
    return product


def _scatter(state: State) -> Float64:
    """The sum over items of E[(w − μ)(w − μ)ᵀ]."""
    n_items, n_params = state.item_mean.shape
    moment = unpack(state.item_second_moment.sum(axis=0, dtype=np.float64)[None], n_params)[0]
    cross = np.outer(state.item_mean.sum(axis=0), state.prior_mean)
    scatter: Float64 = moment - cross - cross.T + n_items * np.outer(state.prior_mean, state.prior_mean)
    return scatter


def _divergence(state: State) -> float:
    """Kullback–Leibler divergence of all posteriors from their priors, in nats."""
    n_items, n_params = state.item_mean.shape
    fit = float((np.linalg.inv(state.prior_covariance) * _scatter(state)).sum())
    log_det = float(np.linalg.slogdet(state.prior_covariance)[1])
    of_items: float = 0.5 * (fit - n_items * (n_params - log_det) - state.item_log_det)
    return of_items + _ability_divergence(state)


def _ability_divergence(state: State) -> float:
    variance = float(np.trace(state.ability_covariance, axis1=1, axis2=2).sum())
    log_det = float(np.linalg.slogdet(state.ability_covariance)[1].sum())
    return 0.5 * (variance + float((state.ability_mean**2).sum()) - state.ability_mean.size - log_det)


def _log_hyperprior(state: State) -> float:
    """Log density of μ and Σ, up to a constant."""
    covariance = state.prior_covariance
    of_mean: float = -0.5 * float(np.sum(state.prior_mean**2)) / MEAN_VARIANCE
    trace = float(np.trace(np.linalg.inv(covariance)))
    log_det = float(np.linalg.slogdet(covariance)[1])
    return of_mean - 0.5 * _pseudo_items(len(covariance)) * (log_det + ITEM_VARIANCE * trace)


def _pseudo_items(n_params: int) -> int:
    return 2 * (n_params + 1)
