"""Norms, powers and products of matrices, built from products and factorisations."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_number
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived

_WIDE = (dtypes.float32, dtypes.float64)


@define_op
class MatrixNorm(Derived):
    """The norm of each matrix in the dimensions `dim`: `ord` "fro", "nuc", 1, -1, 2, -2, inf or -inf.

    Raises:
        ValueRangeError: another `ord`.
    """

    name = "linalg_matrix_norm"
    method = False
    signature = (
        "(A: Tensor, ord: any = 'fro', dim: dims = (-2, -1), keepdim: bool = False, *, dtype: OptionalDtype = None)"
    )
    samples = samples(
        call(A((2, 3, 4)), dtypes=_WIDE),
        call(A((2, 3, 4)), 1, dtypes=_WIDE),
        call(A((3, 4)), float("-inf"), (1, 0), True, dtypes=_WIDE),
    )

    def decompose(self, x: Handle, *, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Handle:
        if x.ndim < 2 or dim is None or len(dim) != 2:
            raise ShapeError(f"linalg.matrix_norm: {describe(x)} needs 2 dimensions, dim={dim} to name them")
        x = x if dtype is None else x.to(dtype)
        row, column = dim
        if ord == "fro":
            return F.vector_norm(x, 2.0, dim, keepdim)
        if ord != "nuc" and (not is_number(ord) or abs(ord) not in (1, 2, float("inf"))):
            raise ValueRangeError(f"linalg.matrix_norm: ord={ord!r} must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
        x = x.movedim((row, column), (-2, -1))
        if ord == "nuc" or abs(ord) == 2:
            found = _by_singular_values(F.linalg_svd(x, full_matrices=False)[1], ord)
        else:
            sums = x.abs().sum(-2 if abs(ord) == 1 else -1)
            found = sums.amax(-1) if ord > 0 else sums.amin(-1)
        if not keepdim:
            return found
        for axis in sorted(dim):
            found = found.unsqueeze(axis)
        return found


def _by_singular_values(values: Handle, ord: Any) -> Handle:
    if ord == "nuc":
        return values.sum(-1)
    return values[..., 0] if ord > 0 else values[..., -1]


@define_op
class LinalgNorm(Derived):
    """The 2-norm of all elements; with `ord` the norm of vectors or matrices, as `dim` names one or two dimensions."""

    method = False
    signature = "(A: Tensor, ord: any = None, dim: dims = None, keepdim: bool = False, *, dtype: OptionalDtype = None)"
    samples = samples(call(A((3, 4))), call(A((3, 4)), 1.0, 1), call(A((2, 3, 4)), "fro", (0, 2), dtypes=_WIDE))

    def decompose(self, x: Handle, *, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Handle:
        x = x if dtype is None else x.to(dtype)
        is_matrix = (dim is not None and len(dim) == 2) or (dim is None and x.ndim == 2)
        if ord is not None and is_matrix:
            return F.linalg_matrix_norm(x, ord, dim or (-2, -1), keepdim)
        if ord is not None and dim is None and x.ndim != 1:
            raise ShapeError(f"linalg.norm: with ord={ord!r} and no dim, {describe(x)} must be a vector or a matrix")
        return F.vector_norm(x, 2.0 if ord is None else ord, dim, keepdim)


@define_op
class MatrixPower(Derived):
    """The n-th power of each square matrix; negative ones are powers of the inverse."""

    signature = "(input: Tensor, n: int)"
    samples = samples(call(A((2, 3, 3)), 3, dtypes=_WIDE), call(A((3, 3)), 0, dtypes=_WIDE, differentiable=False))

    def decompose(self, x: Handle, *, n: int) -> Handle:
        if x.ndim < 2 or not equal(x.shape[-1], x.shape[-2]):
            raise ShapeError(f"matrix_power: {describe(x)} must be square matrices")
        if n == 0:
            return F.eye(x.shape[-1], dtype=x.dtype).expand(tuple(x.shape)).clone()
        base, result, n = (F.inverse(x), None, -n) if n < 0 else (x, None, n)
        while n:  # by the binary digits of n
            if n % 2:
                result = base if result is None else result @ base
            n //= 2
            base = base @ base if n else base
        return result.clone() if result is x else result


@define_op
class MultiDot(Derived):
    """The product of several matrices, from the left; the first and the last may be vectors."""

    name = "linalg_multi_dot"
    aliases = ("chain_matmul",)
    method = False
    signature = "(tensors: Tensors)"
    samples = samples(call([A((2, 3)), A((3, 4)), A((4,))], dtypes=_WIDE))

    def decompose(self, *tensors: Handle) -> Handle:
        result = tensors[0]
        for t in tensors[1:]:
            result = result @ t
        return result


@define_op
class Vecdot(Derived):
    """Sums of products along `dim`, the other dimensions broadcasting."""

    name = "linalg_vecdot"
    method = False
    signature = "(x: Tensor, y: Tensor, *, dim: dim = -1)"
    autocast = Autocast.LOW
    samples = samples(call(A((2, 3)), A((3,))))

    def decompose(self, x: Handle, y: Handle, *, dim: int) -> Handle:
        return (x * y).sum(dim)


@define_op
class Renorm(Derived):
    """The slices along `dim` scaled down to p-norm `maxnorm` where theirs is larger."""

    inplace = True
    signature = "(input: Tensor, p: float, dim: dim, maxnorm: float)"
    samples = samples(call(A((3, 4)), 2.0, 0, 1.0), call(A((3, 4)), 1.0, 1, 2.5))

    def decompose(self, x: Handle, *, p: float, dim: int, maxnorm: float) -> Handle:
        axes = tuple(a for a in range(x.ndim) if a != normalize_dim("renorm", "dim", dim, x.ndim))
        norm = F.vector_norm(x.to(x.dtype.compute), p, axes, True)
        return (x * F.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)).to(x.dtype)


@define_op
class Cov(Derived):
    """The covariances of the rows, of which the columns are observations; divided by their number less `correction`."""

    signature = "(input: Tensor, *, correction: int = 1)"
    samples = samples(call(A((3, 5)), dtypes=_WIDE), call(A((5,)), correction=0, dtypes=_WIDE))

    def decompose(self, x: Handle, *, correction: int) -> Handle:
        if x.ndim > 2:
            raise ShapeError(f"cov: {describe(x)} must have at most 2 dimensions: variables and observations")
        rows = x if x.ndim == 2 else x.reshape((1, -1))
        deviation = rows - rows.mean(1, keepdim=True)
        found = deviation @ deviation.mT / (rows.shape[1] - correction)
        return found if x.ndim == 2 else found.reshape(())


@define_op
class Corrcoef(Derived):
    """The correlations of the rows, of which the columns are observations."""

    samples = samples(call(A((3, 5)), dtypes=_WIDE))

    def decompose(self, x: Handle) -> Handle:
        covariance = F.cov(x)
        if covariance.ndim == 0:
            return covariance / covariance
        deviation = F.diagonal(covariance).sqrt()
        return (covariance / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1, 1)
