"""Augmented inverse probability weighting: a prediction for all seen items, corrected by its residuals on the selected ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.estimators.means import design_weights
from microbench_ray.methods.kernels.ridge import PENALTIES
from microbench_ray.methods.kernels.sources import FIT_KEY, MIN_SOURCES, SourceAccuracies, source_accuracies
from microbench_ray.methods.readout import FloatArray, Readout, WithReadout, filled_responses

CANDIDATE_PENALTIES = PENALTIES[::3]
"""Candidate penalties, in units of the mean eigenvalue of the source models' Gram matrix."""


class Fold(NamedTuple):
    """A part of the selected items, and the regression on the source models that predicts it from the other parts.

    Attributes
    ----------
    own, others
        Positions among the selected items.
    weight
        (len(own),) the own items' weights, scaled to sum to 1.
    share
        The fold's weight in the estimate; the shares of all folds sum to 1.
    left
        The share of the seen items that are not among `others`.
    intercept, coefficients
        Of the regression from the responses to `others` to the mean of all items that are not among them, minus the weighted mean
        of `own`.
    penalty
        Of that regression; infinite for a constant.
    """

    own: NDArray[np.intp]
    others: NDArray[np.intp]
    weight: FloatArray
    share: float
    left: float
    intercept: float
    coefficients: FloatArray
    penalty: float


@dataclass(frozen=True)
class Aipw(WithReadout):
    """The mean of the selected items, corrected by a regression's prediction of how the other items differ from them.

    The selected items are divided into folds. For each fold, the responses to the other folds enter as they are. The mean of all
    remaining seen items is estimated by the mean of the fold, plus the difference between the two that a ridge regression predicts
    from the responses to the other folds. The regression is fitted to the source models alone, with the penalty that predicts the
    single remaining items best (the errors on left-out models vary least over these items). The estimate is the mean over the
    folds.

    **What is unbiased**: given the other folds' items, the fold is a uniform random sample of the remaining ones, and the
    regression predicts each of these from data that do not depend on which of them are in the fold (nor does the penalty). Whatever
    the predictions, their mean over all remaining items minus their mean on the fold is 0 in expectation. So with the selector
    `random`, which returns its items in random order, the estimate is exactly unbiased over the draw of the items, for every target
    that answered all of them: however unlike the sources it is, and whatever it answered. It is exact where all items are
    selected. With a selector's unequal weights the fold's mean is the weighted one, a ratio, and with these and with strata it is
    unbiased only up to terms of the order 1/size; where items are not drawn at all there is no such statement.

    Every prediction is affine in the responses, and so is the estimate. Fewer than four source models give no regression: the
    difference is then the mean one over the source models. Missing responses are filled as `Ridge` does, which costs the exactness.

    Parameters
    ----------
    folds
        Number of folds, at least 2; fewer where fewer items are selected.
    signal
        `correctness`, or `confidence` (falling back to correctness), of sources and targets: the quantity whose mean is estimated.

    References
    ----------
    Robins, J. M., Rotnitzky, A. and Zhao, L. P. (1994). Estimation of regression coefficients when some regressors are not always
    observed. Journal of the American Statistical Association 89.
    Cassel, C. M., Särndal, C. E. and Wretman, J. H. (1976). Some results on generalized difference estimation and generalized
    regression estimation for finite populations. Biometrika 63.
    Chernozhukov, V. et al. (2018). Double/debiased machine learning for treatment and structural parameters. Econometrics
    Journal 21 (folds).
    """

    folds: int = 5
    signal: Signal = "correctness"
    fit_key: ClassVar[str] = FIT_KEY

    def __post_init__(self) -> None:
        check_signal("aipw", self.signal)
        if self.folds < 2:
            raise ConfigError("aipw: folds must be at least 2.", got=str(self.folds))

    @property
    def source_signal(self) -> Signal:
        """The same signal as of the targets."""
        return self.signal

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> SourceAccuracies:
        """The source models' responses with gaps filled, as for `Ridge`."""
        return source_accuracies(seen)

    def readout(self, selection: Selection, seen: SeenItems, fit: SourceAccuracies) -> Readout:
        """The folds' regressions and means combined into one affine function."""
        intercept, coefficients = 0.0, np.zeros(len(selection.items))
        for fold in self._folds(selection, fit):
            coefficients[fold.others] += fold.share * (1 / fit.responses.shape[1] + fold.left * fold.coefficients)
            coefficients[fold.own] += fold.share * fold.left * fold.weight
            intercept += fold.share * fold.left * fold.intercept
        means = fit.responses[:, selection.items].mean(axis=0) if fit.accuracy.size else None
        return Readout(intercept, coefficients, means, total=float(coefficients.sum()))

    def standard_errors(
        self, responses: FloatArray, selection: Selection, seen: SeenItems, fit: SourceAccuracies
    ) -> NDArray[np.float64]:
        """The estimates' standard errors over the draw of the items, (n_target,); NaN for fewer than two responses.

        They come from the residuals of every response predicted from the other folds, with the correction for a finite population:
        √((1 − n/N) n/(n − 1) Σ w² (e − ē)²) with weights w that sum to 1, ē the weighted mean and n non-missing responses.
        Items are taken as drawn without replacement, and the folds' predictions as given; 0 where all seen items were answered.

        Parameters
        ----------
        responses, selection, seen, fit
            As for `estimate`.
        """
        residuals = np.full(responses.shape, np.nan)
        means = fit.responses[:, selection.items].mean(axis=0) if fit.accuracy.size else np.zeros(responses.shape[1])
        above = filled_responses(responses, means) - means
        sources = fit.responses[:, selection.items] - means
        for fold in self._folds(selection, fit):
            known, unknown = sources[:, fold.others], sources[:, fold.own]
            slopes = np.zeros((len(fold.others), len(fold.own)))
            if np.isfinite(fold.penalty):
                gram = known @ known.T + fold.penalty * np.eye(len(known))
                slopes = known.T @ np.linalg.solve(gram, unknown)
            residuals[:, fold.own] = responses[:, fold.own] - means[fold.own] - above[:, fold.others] @ slopes
        present = ~np.isnan(residuals)
        weight = np.where(present, design_weights(selection), 0.0)
        total, n = weight.sum(axis=1, keepdims=True), present.sum(axis=1)
        weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        residuals = np.where(present, residuals, 0.0)
        variation = np.square(weight * (residuals - (weight * residuals).sum(axis=1, keepdims=True))).sum(axis=1)
        enough = (n > 1) & (total[:, 0] > 0)
        left = 1 - n / fit.responses.shape[1]
        return np.where(enough, np.sqrt(left * variation * n / np.maximum(n - 1, 1)), np.nan)

    def _folds(self, selection: Selection, fit: SourceAccuracies) -> Iterator[Fold]:
        """Yield the folds whose items have any weight."""
        responses = fit.responses
        size, n_items = len(selection.items), responses.shape[1]
        weights = design_weights(selection)
        fold_of = np.arange(size) % min(self.folds, size)
        known = responses[:, selection.items]
        sums, products = responses.sum(axis=1), responses @ responses.T
        for k in range(min(self.folds, size)):
            own, others = np.flatnonzero(fold_of == k), np.flatnonzero(fold_of != k)
            total = float(weights[own].sum())
            if total <= 0:
                continue
            weight, n_left = weights[own] / total, n_items - len(others)
            read = known[:, others]
            rest = (sums - read.sum(axis=1)) / n_left
            difference = rest - known[:, own] @ weight
            intercept = float(difference.mean()) if difference.size else 0.0
            coefficients, penalty = np.zeros(len(others)), float("inf")
            if difference.size >= MIN_SOURCES and len(others):
                outcome_products = products - read @ read.T - n_left * np.outer(rest, rest)
                x, y = read - read.mean(axis=0), difference - intercept
                penalty = best_penalty(x, outcome_products)
                if np.isfinite(penalty):
                    coefficients = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
                    intercept -= float(read.mean(axis=0) @ coefficients)
            share = total / float(weights.sum())
            yield Fold(
                own=own,
                others=others,
                weight=weight,
                share=share,
                left=n_left / n_items,
                intercept=intercept,
                coefficients=coefficients,
                penalty=penalty,
            )

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Filling gaps, and a regression per fold for a handful of sizes."""
        return 2e-9 * n_source * n_items + 7 * self.folds * 1e-9 * n_source**3

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, those to the largest selection, and square matrices."""
        return 8 * n_source * (2 * n_items + 4 * size + 10 * n_source)


def best_penalty(x: FloatArray, outcome_products: FloatArray) -> float:
    """The penalty for which a ridge regression on `x` has the smallest squared leave-one-out error, summed over many outcomes.

    The regressions of all outcomes share one matrix H of leverages, so that their squared errors on model i sum to
    ((I − H) Y Yᵀ (I − H))ᵢᵢ / (1 − Hᵢᵢ)²: the outcomes Y, (n, n_outcomes), enter only through their products.

    Parameters
    ----------
    x
        (n, size) of mean 0 over the models.
    outcome_products
        (n, n) Y Yᵀ of the outcomes.

    Returns
    -------
    float
        In the units of `x` squared; infinite if `x` is 0.
    """
    n = len(x)
    values, vectors = np.linalg.eigh(x @ x.T)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale <= 0:
        return float("inf")
    # The intercept, which is not penalised, removes the mean over the models.
    centred = outcome_products - outcome_products.mean(axis=0) - outcome_products.mean(axis=1)[:, None] + outcome_products.mean()
    rotated = vectors.T @ centred @ vectors
    errors = []
    for penalty in scale * CANDIDATE_PENALTIES:
        residual = vectors * (penalty / (values + penalty))
        squares = ((residual @ rotated) * residual).sum(axis=1)
        leverage = 1 / n + np.square(vectors) @ (values / (values + penalty))
        errors.append(float((squares / np.maximum(1 - leverage, 1e-9) ** 2).sum()))
    return scale * float(CANDIDATE_PENALTIES[int(np.argmin(errors))])
