"""Forward selection for the ridge readout: each item in turn is the one that best explains the sources' accuracies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.readout import FloatArray


class ForwardSelection:
    """The order in which items are chosen, computed lazily.

    With K the Gram matrix of the chosen items' centred responses, M = (K + λI)⁻¹ and y the centred accuracies, the penalised
    squared error of the ridge regression is λ yᵀMy. An item with responses x reduces it in proportion to (xᵀMy)² / (1 + xᵀMx), and
    changes M by a matrix of rank one.

    Parameters
    ----------
    known
        Responses and accuracies of the source models. Products with all items are computed in the precision of the responses,
        everything else in double precision.
    penalty
        λ, in units of the items' mean sum of squares.
    costs
        (n_items,) positive: each item is then the one that reduces the error most per cost. None where all cost the same.
    """

    def __init__(self, known: SourceAccuracies, penalty: float, costs: FloatArray | None = None) -> None:
        responses, accuracy = known.responses, known.accuracy
        self._x = responses - responses.mean(axis=0) if accuracy.size else responses
        norms = np.square(self._x).sum(axis=0, dtype=np.float64)
        scale = penalty * float(norms.mean()) if norms.any() else 1.0
        self._m = np.eye(len(self._x)) / scale
        self._gain: FloatArray = (accuracy - accuracy.mean()) @ self._x / scale if accuracy.size else np.zeros(self._x.shape[1])
        self._own = 1 + norms / scale
        self._costs = 1.0 if costs is None else costs
        self._left = np.ones(self._x.shape[1], bool)
        self._order: list[int] = []

    def first(self, size: int) -> NDArray[np.intp]:
        """(size,) positions of the first `size` chosen items; ties are broken by position."""
        while len(self._order) < size:
            item = int(np.argmax(np.where(self._left, np.square(self._gain) / self._own / self._costs, -1.0)))
            column = self._m @ self._x[:, item]
            shared = (column.astype(self._x.dtype) @ self._x).astype(np.float64, copy=False)
            own = float(self._own[item])
            self._m -= np.outer(column, column / own)
            self._gain = self._gain - shared * (self._gain[item] / own)
            self._own = np.maximum(self._own - np.square(shared) / own, 1.0)
            self._left[item] = False
            self._order.append(item)
        return np.array(self._order[:size], np.intp)
