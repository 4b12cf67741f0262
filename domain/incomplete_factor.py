"""A preconditioner for comparison graphs on which the diagonal alone does not serve: chains, trees, grids, rings.

Comparisons drawn at random make a well-connected graph, on which conjugate gradients with the diagonal as
preconditioner end after about twenty rounds. The rounds grow with the square root of the condition number, and that
of a chain of n items is of the order n^2. There an incomplete LU factorisation serves (X. S. Li and M. Shao 2011,
*ACM Transactions on Mathematical Software* 37(4), article 43; J. A. Meijerink and H. A. van der Vorst 1977,
*Mathematics of Computation* 31(137), 148-162, for M-matrices such as these), in minimum-degree order: it is exact on
chains, trees and rings, nearly exact on grids and chains of clusters, and its size is bounded by `_FILL` times that
of the matrix whatever the graph, where a complete one of a random graph fills the whole square.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from domain.comparison_graph import FloatArray

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
        from scipy.sparse import linalg

        n = matrix.shape[0]
        self._n = n
        self._kept = np.arange(n) if grounded is None else np.delete(np.arange(n), grounded)
        self._factor = linalg.spilu(
            sparse.csc_array(sparse.csr_array(matrix)[self._kept][:, self._kept]),
            drop_tol=_DROPPED,
            fill_factor=_FILL,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    def solve(self, right: FloatArray) -> FloatArray:
        """The vector, or the columns."""
        found = np.zeros(right.shape)
        found[self._kept] = self._factor.solve(right[self._kept])
        return found
