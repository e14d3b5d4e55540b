"""Multidimensional item response theory: difficulties and discriminations of items, and abilities of models."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.threads import one_thread
from microbench_ray.methods.kernels.symmetric import outer_packed
from microbench_ray.methods.kernels.variational_irt import (
    Responses,
    State,
    centre,
    objective_and_gradient,
    one_pass,
    standardise,
    start,
    transform,
)

MAX_NEWTON_STEPS = 30
STRETCH_GROWTH = 1.2
STRETCH_LIMIT = 1.9


class Items(Protocol):
    """The items of a fitted model."""

    @property
    def discrimination(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def difficulty(self) -> NDArray[np.float64]: ...  # noqa: D102


class IrtFit(NamedTuple):
    """A fitted two-parameter logistic model: P(model i is right on item j) = sigmoid(θ_i · a_j − b_j).

    Abilities are on the scale of their prior, N(0, I): over the models that were fitted their mean is near 0 and their covariance,
    posterior variance included, near I. So discriminations and difficulties are both in logits. Dimensions are in decreasing order
    of mean square discrimination, and the mean discrimination of each is not negative.

    Attributes
    ----------
    discrimination
        (n_items, D) float64, posterior means of a.
    difficulty
        (n_items,) float64, posterior means of b; a model of ability 0 is right with probability sigmoid(−b).
    ability
        (n_models, D) float64, posterior means of θ.
    prior_mean, prior_covariance
        (D + 1,) and (D + 1, D + 1): the estimated distribution of [a, b] over items.
    objective
        The lower bound of the log evidence, with the log density of the hyperprior up to a constant; nats.
    gradient_norm
        Euclidean norm of the objective's gradient with respect to all posterior means; nats per logit (for θ, per standard
        deviation of θ).
    n_passes
        Number of full passes over the responses.
    converged
        Whether two passes in a row gained no more than the tolerance within `max_passes`.
    """

    discrimination: NDArray[np.float64]
    difficulty: NDArray[np.float64]
    ability: NDArray[np.float64]
    prior_mean: NDArray[np.float64]
    prior_covariance: NDArray[np.float64]
    objective: float
    gradient_norm: float
    n_passes: int
    converged: bool


def fit_irt(responses: NDArray[np.floating], n_dims: int = 10, *, max_passes: int = 200, tolerance: float = 2e-6) -> IrtFit:
    """Fit a multidimensional two-parameter logistic model by variational Bayes.

    The priors are hierarchical. θ ~ N(0, I): its location, scale and correlations are not identified, and are folded into the
    items. [a, b] of every item ~ N(μ, Σ) with μ and the full Σ estimated, under μ ~ N(0, 9 I) and an inverse-Wishart prior of Σ
    that counts like 2 (D + 2) items of variance 0.25: no variance collapses to 0 and no mean diverges, even if all responses are
    right. θ and [a, b] have Gaussian posteriors with full covariances, independent of each other; the logistic
    likelihood has the quadratic bound of Jaakkola and Jordan. As the posterior variances count, a dimension that the responses do
    not support shrinks towards 0, and D is an upper limit. All updates are in closed form; steps are stretched, and a stretch that
    lowers the bound is undone.

    Nothing is random: the start is spectral. BLAS is limited to one thread, so that the bits do not depend on the number of cores.

    Parameters
    ----------
    responses
        (n_models, n_items) in [0, 1], NaN where missing: these are left out of the likelihood. Values between 0 and 1 have the
        fractional Bernoulli likelihood y log p + (1 − y) log(1 − p).
    n_dims
        D, at least 1; it may exceed the number that the data support.
    max_passes
        Maximum number of passes over the responses, at least 1.
    tolerance
        The fit has converged when two passes in a row gain no more than this many nats per response.

    Raises
    ------
    ConfigError
        A parameter out of its range, or a matrix without models or items.

    References
    ----------
    Reckase, M. D. (2009). Multidimensional Item Response Theory. Springer.
    Jaakkola, T. S. and Jordan, M. I. (2000). Bayesian parameter estimation via variational methods. Statistics and Computing 10.
    Salakhutdinov, R. and Roweis, S. (2003). Adaptive overrelaxed bound optimization methods. ICML 2003.
    Natesan, P. et al. (2016). Bayesian prior choice in IRT estimation using MCMC and variational Bayes. Frontiers in Psychology 7.
    """
    if n_dims < 1 or max_passes < 1 or not tolerance >= 0:
        got = f"n_dims={n_dims}, max_passes={max_passes}, tolerance={tolerance}"
        raise ConfigError("fit_irt: n_dims and max_passes must be at least 1, tolerance at least 0.", got=got)
    if responses.ndim != 2 or 0 in responses.shape:
        raise ConfigError("fit_irt: responses must be (n_models, n_items) with at least one of each.", got=str(responses.shape))
    with one_thread():
        data = centre(responses)
        n_responses = max(1, responses.size if data.present is None else int(data.present.sum(dtype=np.float64)))
        state, n_passes, converged = _ascend(data, start(data, n_dims), max_passes, tolerance * n_responses)
        state = _canonical(standardise(state))
        objective, of_items, of_abilities = objective_and_gradient(data, state)
    norm = float(np.sqrt((of_items**2).sum() + (of_abilities**2).sum()))
    return IrtFit(
        discrimination=state.item_mean[:, :-1].copy(),
        difficulty=state.item_mean[:, -1].copy(),
        ability=state.ability_mean,
        prior_mean=state.prior_mean,
        prior_covariance=state.prior_covariance,
        objective=objective,
        gradient_norm=norm,
        n_passes=n_passes,
        converged=converged,
    )


def _ascend(data: Responses, state: State, max_passes: int, min_gain: float) -> tuple[State, int, bool]:
    """Pass over the data until two passes in a row gain no more than `min_gain` nats; return state, passes and convergence.

    Steps are stretched by a factor that grows while the bound rises; a stretch that lowers the bound is undone (Salakhutdinov and
    Roweis 2003, adaptive overrelaxed bound optimisation). Near the optimum any factor below 2 is safe, and it saves a third of
    the passes or more.
    """
    last, stretch, unstretched, quiet = -np.inf, 1.0, state, 0
    for n_passes in range(1, max_passes + 1):
        new, bound = one_pass(data, state)
        if bound < last and state is not unstretched:
            state, stretch = unstretched, 1.0
            continue
        quiet = quiet + 1 if bound - last <= min_gain else 0
        if quiet == 2:
            return new, n_passes, True
        last, unstretched = bound, new
        stretch = min(stretch * STRETCH_GROWTH, STRETCH_LIMIT)
        state = _stretched(state, new, stretch)
    return unstretched, max_passes, False


def _stretched(old: State, new: State, factor: float) -> State:
    """The new state with posterior means moved `factor` times as far; covariances and priors are those of the new state."""
    item_mean = old.item_mean + factor * (new.item_mean - old.item_mean)
    moment = new.item_second_moment + outer_packed(item_mean) - outer_packed(new.item_mean)
    ability_mean = old.ability_mean + factor * (new.ability_mean - old.ability_mean)
    return replace(new, item_mean=item_mean, item_second_moment=moment.astype(np.float32), ability_mean=ability_mean)


def _canonical(state: State) -> State:
    """Rotate the dimensions onto the principal axes of the discriminations, each with non-negative mean discrimination."""
    n_dims = state.ability_mean.shape[1]
    discrimination = state.item_mean[:, :n_dims]
    axes = np.linalg.eigh(discrimination.T @ discrimination).eigenvectors[:, ::-1]
    axes = axes * np.where((discrimination @ axes).sum(axis=0) < 0, -1.0, 1.0)
    whole = np.eye(n_dims + 1)
    whole[:n_dims, :n_dims] = axes.T
    covariance = axes.T @ state.ability_covariance @ axes
    return replace(transform(state, whole), ability_mean=state.ability_mean @ axes, ability_covariance=covariance)


def abilities(fit: Items, responses: NDArray[np.floating], items: NDArray[np.intp]) -> NDArray[np.float64]:
    """The most probable abilities of new models, with the items as fitted, under the prior θ ~ N(0, I).

    The log posterior is strictly concave, and damped Newton steps reach its only maximum for any responses. Each model is computed
    separately: equal responses give equal bits, whatever the other rows are.

    Parameters
    ----------
    fit
        Result of `fit_irt`.
    responses
        (n_target, size) in [0, 1], NaN where missing.
    items
        (size,) the columns' positions among the fitted items.

    Returns
    -------
    numpy.ndarray
        (n_target, D) float64; 0 for a model without any response.
    """
    slopes, difficulty = fit.discrimination[items], fit.difficulty[items]
    with one_thread():
        rows = [_ability(np.ascontiguousarray(row, dtype=np.float64), slopes, difficulty) for row in responses]
    return np.array(rows, dtype=np.float64).reshape(len(responses), slopes.shape[1])


def _ability(responses: NDArray[np.float64], slopes: NDArray[np.float64], difficulty: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most probable ability of one model, (D,), by damped Newton steps."""
    answered = ~np.isnan(responses)
    if not answered.all():
        responses, slopes, difficulty = responses[answered], slopes[answered], difficulty[answered]
    ability = np.zeros(slopes.shape[1])
    logits = -difficulty
    value = _log_posterior(responses, logits, ability)
    for _ in range(MAX_NEWTON_STEPS):
        share = sigmoid(logits)
        gradient = slopes.T @ (responses - share) - ability
        curvature = (slopes.T * (share * (1 - share))) @ slopes + np.eye(len(ability))
        step = np.linalg.solve(curvature, gradient)
        expected_gain = float(gradient @ step)
        if expected_gain < 1e-10:
            break
        length, trial, trial_logits, trial_value = 1.0, ability, logits, value
        while length > 1e-3:
            trial = ability + length * step
            trial_logits = slopes @ trial - difficulty
            trial_value = _log_posterior(responses, trial_logits, trial)
            if trial_value >= value + 1e-4 * length * expected_gain:
                break
            length /= 2
        ability, logits, value = trial, trial_logits, trial_value
    return ability


def _log_posterior(responses: NDArray[np.float64], logits: NDArray[np.float64], ability: NDArray[np.float64]) -> float:
    return float((responses * logits - np.logaddexp(0, logits)).sum() - 0.5 * (ability @ ability))


def probabilities(fit: Items, ability: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(right) of every model on every fitted item.

    Parameters
    ----------
    fit
        Result of `fit_irt`.
    ability
        (n_models, D).

    Returns
    -------
    numpy.ndarray
        (n_models, n_items) float64. Each row depends on that model's ability alone, to the last bit.
    """
    with one_thread():
        rows = [sigmoid(fit.discrimination @ row - fit.difficulty) for row in np.ascontiguousarray(ability)]
    return np.array(rows).reshape(len(ability), len(fit.difficulty))


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, without overflow."""
    tail = np.exp(-np.abs(logits))
    share: NDArray[np.float64] = np.where(logits >= 0, 1.0, tail) / (1 + tail)
    return share


def p_irt(
    fit: Items, responses: NDArray[np.float64], items: NDArray[np.intp], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The mean over all fitted items of the response where not missing, and of the model's probability elsewhere.

    Parameters
    ----------
    fit
        Result of `fit_irt`.
    responses
        (n_target, size), NaN where missing.
    items
        (size,) the columns' positions among the fitted items.
    weights
        (n_items,) the share of each fitted item in the mean; None where they are equal.

    Returns
    -------
    numpy.ndarray
        (n_target,); NaN for a target without any response.
    """
    missing = np.isnan(responses)
    filled = probabilities(fit, abilities(fit, responses, items))
    filled[:, items] = np.where(missing, filled[:, items], responses)
    means: NDArray[np.float64] = filled.mean(axis=1) if weights is None else (filled * weights).sum(axis=1)
    means[missing.all(axis=1)] = np.nan
    return means
