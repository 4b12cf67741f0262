"""A preconditioner for comparison graphs on which the diagonal alone does not serve: chains, trees, grids, rings.

Comparisons drawn at random make a well-connected graph, on which conjugate gradients with the diagonal as
preconditioner end after about twenty rounds. The rounds grow with the square root of the condition number, and that
of a chain of n items is of the order n^2. There an incomplete LU factorisation serves (X. S. Li and M. Shao 2011,
*ACM Transactions on Mathematical Software* 37(4), article 43; J. A. Meijerink and H. A. van der Vorst 1977,
*Mathematics of Computation* 31(137), 148-162, for M-matrices such as these), in minimum-degree order: it is exact on
chains, trees and rings, nearly exact on grids and chains of clusters, and its size is bounded by `_FILL` times that
of the matrix whatever the graph, where a complete one of a random graph fills the whole square.

Where a chain hangs at a random graph with many pairs, the incomplete factor is nearly as large as that square, takes
several times as long as a dense factorisation, and is not always positive definite. Up to `LARGEST_WHOLE` items the
square is factorised then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from domain.comparison_graph import FloatArray

LARGEST_WHOLE = 3000
"""At most half a second and 150 MB for a dense factorisation."""
_MANY_ENTRIES = 9
"""For each item: itself and four pairs. With fewer an incomplete factor is small and nearly exact."""
_FILL = 10
_DROPPED = 1e-3
"""Entries below this part of their column are left out."""


class IncompleteFactor:
    """Solves nearly: `matrix` (square, sparse) times x = right, x being 0 at the item `grounded`, if one is given.

    A matrix whose rows add up to 0 is singular; without the row and column of one item it is regular. Raises
    RuntimeError where a pivot vanishes.
    """

    def __init__(self, matrix: Any, grounded: int | None) -> None:
        from scipy import sparse
        from scipy.linalg import lapack, lu_solve
        from scipy.sparse import linalg

        n = matrix.shape[0]
        self._kept = np.arange(n) if grounded is None else np.delete(np.arange(n), grounded)
        regular = sparse.csc_array(sparse.csr_array(matrix)[self._kept][:, self._kept])
        if n <= LARGEST_WHOLE and regular.nnz > _MANY_ENTRIES * n:
            factor, pivots, zero_at = lapack.dgetrf(regular.toarray(), overwrite_a=True)
            if zero_at:
                raise RuntimeError(f"pivot {zero_at} vanishes")
            self._solve: Callable[[FloatArray], FloatArray] = lambda right: lu_solve((factor, pivots), right)
            return
        self._solve = linalg.spilu(
            regular,
            drop_tol=_DROPPED,
            fill_factor=_FILL,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        ).solve

    def solve(self, right: FloatArray) -> FloatArray:
        """The vector, or the columns."""
        found = np.zeros(right.shape)
        found[self._kept] = self._solve(right[self._kept])
        return found
