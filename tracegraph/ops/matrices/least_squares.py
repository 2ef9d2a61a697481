"""Least squares, and how well equations are conditioned."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import samples
from tracegraph.ops.core.shapes import describe, equal_shapes
from tracegraph.ops.kinds import Derived

_NONE = samples()  # samples cannot say "finite": tests/ops/matrices/test_least_squares.py
DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@define_op
class LinalgLstsq(Derived):
    """The X of least norm with the least |A X - B|, for A [..., m, n] and B [..., m, k] or, as vectors, [..., m].

    Singular values up to `rcond` times the largest count as 0. By the pseudo-inverse, whatever the `driver`, which
    says which results there are: residuals but of "gelsy" (and None), the rank but of "gels", the singular values of
    "gelsd" and "gelss"; the others are empty.

    Returns:
        solution [..., n, k]; residuals [..., k], the squares of A X - B summed, empty too unless m > n and all ranks
        are n; rank [...]; singular_values.
    """

    method = False
    signature = "(input: Tensor, b: Tensor, rcond: OptionalFloat = None, *, driver: any = None)"
    result_names = ("solution", "residuals", "rank", "singular_values")
    samples = _NONE

    def decompose(self, a: Handle, b: Handle, *, rcond: float | None, driver: Any) -> Any:
        if driver is not None and driver not in DRIVERS:
            raise ValueRangeError(f"linalg.lstsq: driver={driver!r} must be one of {', '.join(DRIVERS)}")
        is_vector = a.ndim - 1 == b.ndim and equal_shapes(tuple(a.shape[:-1]), tuple(b.shape))
        columns = b.unsqueeze(-1) if is_vector else b
        if a.ndim < 2 or columns.ndim < 2:
            raise ShapeError(f"linalg.lstsq: A {describe(a)} and B {describe(b)} must be matrices")
        solution = F.pinverse(a, rcond) @ columns
        rank = F.linalg_matrix_rank(a, rtol=rcond)
        empty = F.empty((0,), dtype=a.dtype)
        residuals = empty
        asked = driver == "gels" or (driver in ("gelsd", "gelss") and (rank == a.shape[-1]).all())
        if asked and a.shape[-2] > a.shape[-1]:
            residuals = (a @ solution - columns).square().sum(-2)
        values = F.linalg_svd(a, full_matrices=False)[1] if driver in ("gelsd", "gelss") else empty
        found = F.empty((0,), dtype=dtypes.int64) if driver == "gels" else rank
        return self.pack((solution.squeeze(-1) if is_vector else solution, residuals, found, values))


@define_op
class LinalgCond(Derived):
    """The condition number of each matrix: its norm `p` times that of its inverse; by default the spectral norms."""

    method = False
    signature = "(A: Tensor, p: any = None)"
    samples = _NONE

    def decompose(self, a: Handle, *, p: Any) -> Handle:
        if p in (None, 2, -2):
            values = F.linalg_svd(a, full_matrices=False)[1]
            return values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
        return F.linalg_matrix_norm(a, p) * F.linalg_matrix_norm(F.inverse(a), p)
