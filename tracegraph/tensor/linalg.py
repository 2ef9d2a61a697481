"""Linear algebra under PyTorch's names: `tracegraph.linalg.solve(A, B)`."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ElementError
from tracegraph.ops import functional as F

#: errors of the ops speak of the functions
NAMES_ERRORS = True

#: what is raised for singular matrices and the like
LinAlgError = ElementError

cholesky = F.cholesky
cond = F.linalg_cond
det = F.det
eigh = F.linalg_eigh
inv = F.inverse
lstsq = F.linalg_lstsq
matmul = F.matmul
matrix_exp = F.matrix_exp
matrix_norm = F.linalg_matrix_norm
matrix_power = F.matrix_power
matrix_rank = F.linalg_matrix_rank
multi_dot = F.linalg_multi_dot
norm = F.linalg_norm
pinv = F.pinverse
qr = F.linalg_qr
slogdet = F.slogdet
solve = F.linalg_solve
solve_triangular = F.linalg_solve_triangular
svd = F.linalg_svd
vander = F.vander
vecdot = F.linalg_vecdot
vector_norm = F.vector_norm


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, in ascending order."""
    return F.linalg_eigh(A, UPLO)[0]


def svdvals(A: Any) -> Any:
    """Singular values, in descending order."""
    return F.linalg_svd(A, False)[1]


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Cross products of the vectors of three elements along `dim`."""
    return F.cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices, as the last dimension."""
    return F.diagonal(A, offset, dim1, dim2)
