"""Weighted graph Laplacians of comparisons: the information matrix of Bradley-Terry scores, and its inverse.

The information matrix at the scores is L = sum over pairs of w (e_i - e_j)(e_i - e_j)', w being the information
of a pair (n p (1 - p)). Scores are known up to a constant, so what serves as covariance is the Moore-Penrose
inverse of L on one connected set of items, which belongs to scores with mean 0: (L + s 11')^-1 - 11' / (s n^2).

Up to `LARGEST_DENSE` items the inverse is computed. Beyond, nothing of size n^2 is made: systems are solved by
conjugate gradients with the diagonal as preconditioner (M. R. Hestenes and E. Stiefel 1952, *Journal of Research
of the National Bureau of Standards* 49(6), 409-436), to a relative residual of `TOLERANCE`; where that takes too many
rounds, with an incomplete factorisation (`domain.incomplete_factor`). Covariances are
estimated from draws: L+ B' W^(1/2) g with g standard normal has the covariance L+ (D. A. Spielman and
N. Srivastava 2011, *SIAM Journal on Computing* 40(6), 1913-1926). With k draws a variance has the relative
standard error sqrt(2 / k).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from domain.comparison_graph import FloatArray, IndexArray, sums_by
from domain.incomplete_factor import IncompleteFactor

LARGEST_DENSE = 800
DRAWS = 1000
FEW_DRAWS = 128
TOLERANCE = 1e-5
_COLUMNS_AT_ONCE = 16
_MOST_ROUNDS = 250
_LEAST_WEIGHT = 1e-13
"""Of the largest weight: a pair so far apart that it links nothing still keeps the matrix regular."""
_SEED = 19520601


class Laplacian:
    """L of a connected graph with `n` items; `ridge` is added to its diagonal (0 or positive)."""

    def __init__(
        self, n: int, low: IndexArray, high: IndexArray, weights: FloatArray, ridge: float = 0.0
    ) -> None:
        self.n, self.low, self.high = n, low, high
        self.weights = weights if ridge else np.maximum(weights, _LEAST_WEIGHT * weights.max(initial=0.0))
        self.ridge = ridge
        self.diagonal = sums_by(low, self.weights, n) + sums_by(high, self.weights, n) + ridge
        self._inverse: FloatArray | None = None
        self._matrix: Any = None
        self._factor: IncompleteFactor | None = None

    @property
    def is_dense(self) -> bool:
        """Whether the inverse is at hand."""
        return self.n <= LARGEST_DENSE

    def inverse(self) -> FloatArray:
        """The inverse (without a ridge the Moore-Penrose one). Only where `is_dense`."""
        if self._inverse is None:
            scale = 0.0 if self.ridge else self._scale
            inverse = np.linalg.inv(self._dense() + scale).astype(np.float64, copy=False)
            if scale:
                inverse -= 1 / (scale * self.n**2)
            self._inverse = (inverse + inverse.T) / 2
        return self._inverse

    @property
    def _scale(self) -> float:
        """What is added to all entries to make the matrix regular, of the size of its own entries."""
        return float(self.diagonal.mean()) / self.n if self.n > 1 else 1.0

    def solve(self, right: FloatArray) -> FloatArray:
        """L^-1 or L+ times a vector or columns; without a ridge the columns must have mean 0."""
        if self._inverse is not None or (self.is_dense and right.ndim > 1):
            product: FloatArray = self.inverse() @ right
            return product
        if self.is_dense:
            matrix = self._dense() + (0.0 if self.ridge else self._scale)
            return np.linalg.solve(matrix, right).astype(np.float64, copy=False)
        if right.ndim == 1:
            column: FloatArray = self._conjugate_gradients(right[:, np.newaxis])[:, 0]
            return column
        steps = range(0, right.shape[1], _COLUMNS_AT_ONCE)
        return np.hstack([self._conjugate_gradients(right[:, k : k + _COLUMNS_AT_ONCE]) for k in steps])

    def draws(self) -> FloatArray:
        """Columns drawn from a normal distribution with covariance L+; the same ones at every call."""
        generator = np.random.RandomState(_SEED)
        if self.is_dense:
            factor = np.linalg.cholesky(self._dense() + self._scale)
            found = np.linalg.solve(factor.T, generator.standard_normal((self.n, DRAWS)))
            centred: FloatArray = found - found.mean(axis=0)
            return centred
        right = np.empty((self.n, FEW_DRAWS))
        root = np.sqrt(self.weights)
        for column in range(FEW_DRAWS):
            noise = root * generator.standard_normal(len(root))
            right[:, column] = sums_by(self.low, noise, self.n) - sums_by(self.high, noise, self.n)
        return self.solve(right)

    def _dense(self) -> FloatArray:
        cells = np.concatenate([self.low * self.n + self.high, self.high * self.n + self.low])
        matrix = -sums_by(cells, np.concatenate([self.weights, self.weights]), self.n**2)
        matrix = matrix.reshape(self.n, self.n)
        np.fill_diagonal(matrix, self.diagonal)
        return matrix

    def _conjugate_gradients(self, right: FloatArray) -> FloatArray:
        if self._matrix is None:
            from scipy import sparse  # half a second to import, and small sessions do without it

            items = np.arange(self.n)
            self._matrix = sparse.csr_array(
                (
                    np.concatenate([-self.weights, -self.weights, self.diagonal]),
                    (
                        np.concatenate([self.low, self.high, items]),
                        np.concatenate([self.high, self.low, items]),
                    ),
                ),
                shape=(self.n, self.n),
            )
        scale = self.diagonal[:, np.newaxis]
        found, left = np.zeros_like(right), right.copy()
        if self._factor is None and not self._descend(found, left, lambda column: column / scale):
            # Not from here on: what is found so far is kept.
            self._factor = self._incomplete_factor()
        if self._factor is not None:
            self._descend(found, left, self._centred(self._factor.solve))
        return found if self.ridge else found - found.mean(axis=0)

    def _incomplete_factor(self) -> IncompleteFactor:
        return IncompleteFactor(self._matrix, None if self.ridge else int(self.diagonal.argmax()))

    def _centred(self, solve: Callable[[FloatArray], FloatArray]) -> Callable[[FloatArray], FloatArray]:
        """A solution with mean 0, which a symmetric preconditioner of a singular matrix has to give."""

        def centred(right: FloatArray) -> FloatArray:
            found = solve(right)
            return found if self.ridge else found - found.mean(axis=0)

        return centred

    def _descend(
        self, found: FloatArray, left: FloatArray, nearly: Callable[[FloatArray], FloatArray]
    ) -> bool:
        """Move `found` until the residual `left` is small enough; False where `_MOST_ROUNDS` did not suffice.

        `nearly` is the preconditioner. The new direction is taken after Polak and Ribiere, which also serves one
        that is not quite symmetric (Y. Notay 2000, *SIAM Journal on Scientific Computing* 22(4), 1444-1460).
        """
        # Measured in the same norm whatever the preconditioner.
        wanted = TOLERANCE**2 * np.maximum((left**2 / self.diagonal[:, np.newaxis]).sum(axis=0), 1e-300)
        scaled, product = self._downhill(nearly(left), left)
        direction = scaled
        for _ in range(_MOST_ROUNDS):
            image = self._matrix @ direction
            length = _ratio(product, (direction * image).sum(axis=0))
            found += length * direction
            before = left.copy()
            left -= length * image
            if np.all((left**2 / self.diagonal[:, np.newaxis]).sum(axis=0) <= wanted):
                return True
            reached = product
            scaled, product = self._downhill(nearly(left), left)
            turned = _ratio((scaled * (left - before)).sum(axis=0), reached)
            direction = scaled + turned * direction
        return False

    def _downhill(self, scaled: FloatArray, left: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `scaled` and its products with the residual `left`; columns that lead uphill are `left` by the diagonal.

        An incomplete factor of a graph with very unequal weights is not always positive definite.
        """
        product = (left * scaled).sum(axis=0)
        uphill = product <= 0
        if uphill.any():
            scaled[:, uphill] = left[:, uphill] / self.diagonal[:, np.newaxis]
            product = (left * scaled).sum(axis=0)
        return scaled, product


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide; 0 where there is nothing to divide by: a column that is solved."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 1e-300)
