"""The linear system of a Newton step for many items (see `domain.score_equations`), by sparse methods.

A graph of comparisons is sparse, yet a factorisation fills in: for 5,000 items with 20 random partners each
SuperLU needs 4.7 s, a dense solve 2.4 s. The same randomness makes such graphs well connected, and there a
Krylov method (GMRES, Saad & Schultz 1986) with the diagonal as preconditioner needs 10 to 20 products with
the matrix: 5 ms. Where it does not converge, the graph is (or contains) a chain or a tree of clusters, and an
incomplete factorisation takes the place of the diagonal (`domain.incomplete_factor`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from domain.comparison_graph import FloatArray, PairCounts
from domain.incomplete_factor import IncompleteFactor

_RELATIVE_TOLERANCE = 1e-11
_KRYLOV_DIMENSION = 80
_RESTARTS = 3
_GOOD_ENOUGH = 1e-3
"""A step that leaves this part of the residual is one of an inexact Newton method, which converges, too
(R. S. Dembo, S. C. Eisenstat and T. Steihaug 1982, *SIAM Journal on Numerical Analysis* 19(2), 400-408)."""


class SparseCorrections:
    """Newton corrections on one graph of comparisons, for one Jacobian after the other."""

    def __init__(self, counts: PairCounts) -> None:
        self._counts = counts
        self._diagonal_serves = True

    def at(
        self, low_side: FloatArray, high_side: FloatArray, information: FloatArray
    ) -> Callable[[FloatArray], FloatArray]:
        """The map from a residual (sum 0) to the step (mean 0) solving B step = residual - I * (change of c).

        B has -`low_side` at (low, high), -`high_side` at (high, low), and rows that add up to 0. The step is all
        nan where the system is singular to working precision.
        """
        counts, n = self._counts, self._counts.n_items
        items = np.arange(n)
        rows = np.concatenate([counts.low, counts.high, items])
        columns = np.concatenate([counts.high, counts.low, items])
        diagonal = counts.per_item(low_side, high_side)
        matrix = sparse.csr_array(
            (np.concatenate([-low_side, -high_side, diagonal]), (rows, columns)), shape=(n, n)
        )
        total = information.sum()

        def product(step: FloatArray) -> FloatArray:
            moved: FloatArray = matrix @ step
            # The change of c that keeps the sum of the residuals at 0; the mean makes the operator regular,
            # and is 0 in the solution because the right-hand side sums to 0.
            change: FloatArray = information * (step.mean() - moved.sum() / total)
            return moved + change

        operator = linalg.LinearOperator((n, n), matvec=product, dtype=np.float64)
        scaling = linalg.LinearOperator((n, n), matvec=lambda vector: vector / information, dtype=np.float64)
        factored: list[linalg.LinearOperator] = []

        def krylov(residual: FloatArray, nearly: linalg.LinearOperator) -> tuple[FloatArray, bool]:
            step, failed = linalg.gmres(
                operator,
                residual,
                rtol=_RELATIVE_TOLERANCE,
                restart=_KRYLOV_DIMENSION,
                maxiter=1 if nearly is scaling else _RESTARTS,
                M=nearly,
            )
            return step, not failed

        def correction(residual: FloatArray) -> FloatArray:
            wanted = _GOOD_ENOUGH * float(np.linalg.norm(residual))
            if self._diagonal_serves:
                step, converged = krylov(residual, scaling)
                # A step that is good enough costs little; on a well-connected graph a factorisation costs minutes.
                self._diagonal_serves = converged or float(np.linalg.norm(product(step) - residual)) <= wanted
                if self._diagonal_serves:
                    return step
            if not factored:
                try:
                    factored.append(_grounded(matrix, information))
                except RuntimeError:  # "Factor is exactly singular"
                    return np.full(n, np.nan)
            step, converged = krylov(residual, factored[0])
            if converged or float(np.linalg.norm(product(step) - residual)) <= wanted:
                return step
            return np.full(n, np.nan)

        return correction


def _grounded(matrix: sparse.csr_array, information: FloatArray) -> linalg.LinearOperator:
    """Nearly the inverse of the operator above: with the score of one item held, its own equation gives the change of c.

    The item is the most compared one: without a star's centre nothing fills in.
    """
    n, item = len(information), int(information.argmax())
    factor = IncompleteFactor(matrix, item)
    row = matrix[[item]]
    by_change = factor.solve(information)
    slope = information[item] - float((row @ by_change)[0])

    def nearly(residual: FloatArray) -> FloatArray:
        mean = residual.sum() / information.sum()  # what is not solvable goes into the mean
        residual = residual - mean * information
        step = factor.solve(residual)
        change = (residual[item] - float((row @ step)[0])) / slope
        step -= change * by_change
        centred: FloatArray = step - step.mean() + mean
        return centred

    return linalg.LinearOperator((n, n), matvec=nearly, dtype=np.float64)
