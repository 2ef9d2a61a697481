"""Products of tensors beyond the matrix product: inner, tensordot, kron, cross, and sums of outer products."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived
from tracegraph.ops.matrices.linear_algebra import AddedProduct


@define_op
class Inner(Derived):
    """Sums of products over the last dimensions of two tensors."""

    signature = "(input: Tensor, other: Tensor)"
    autocast = Autocast.LOW
    samples = samples(call(A((3,)), A((3,))), call(A((2, 3)), A((4, 5, 3))), call(A(()), A((3,))))

    def decompose(self, a: Handle, b: Handle) -> Handle:
        if not a.ndim or not b.ndim:
            return a * b
        if not equal(a.shape[-1], b.shape[-1]):
            raise ShapeError(f"inner: the last dimensions of {describe(a)} and {describe(b)} must be equal")
        return F.tensordot(a, b, ([-1], [-1]))


@define_op
class Vdot(Derived):
    """Sum of the products of the elements of two vectors; `dot`, as the elements are real."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(call(A((7,)), A((7,))))

    def decompose(self, a: Handle, b: Handle) -> Handle:
        return F.dot(a, b)


@define_op
class Tensordot(Derived):
    """Sums of products over several dimensions: the last `dims` of `a` and the first of `b`, or two lists of them.

    The other dimensions of `a` come first in the result, then those of `b`.
    """

    signature = "(a: Tensor, b: Tensor, dims: any = 2)"
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((2, 3, 4)), A((3, 4, 5))),
        call(A((2, 3)), A((4,)), 0),
        call(A((2, 3, 4)), A((4, 2)), ([0, 2], [1, 0])),
    )

    def decompose(self, a: Handle, b: Handle, *, dims: Any) -> Handle:
        left, right = self._contracted(a, b, dims)
        for i, j in zip(left, right, strict=True):
            if not equal(a.shape[i], b.shape[j]):
                raise ShapeError(
                    f"tensordot: dimension {i} of {describe(a)} and dimension {j} of {describe(b)} are multiplied and "
                    "must be equal"
                )
        kept = [i for i in range(a.ndim) if i not in left]
        others = [j for j in range(b.ndim) if j not in right]
        rows, columns = (tuple(t.shape[i] for i in free) for t, free in ((a, kept), (b, others)))
        inner = _size(a, left)
        first = F.permute(a, (*kept, *left)).reshape((_size(a, kept), inner))
        second = F.permute(b, (*right, *others)).reshape((inner, _size(b, others)))
        return first.matmul(second).reshape((*rows, *columns))

    def _contracted(self, a: Handle, b: Handle, dims: Any) -> tuple[list[int], list[int]]:
        if isinstance(dims, int):
            if not 0 <= dims <= min(a.ndim, b.ndim):
                raise ShapeError(f"tensordot: dims={dims} does not fit {describe(a)} and {describe(b)}")
            return list(range(a.ndim - dims, a.ndim)), list(range(dims))
        if not isinstance(dims, tuple) or len(dims) != 2 or len(dims[0]) != len(dims[1]):
            raise ArgumentError(f"tensordot: dims must be an int or two lists of equal length, got {dims!r}")
        left, right = (
            [normalize_dim("tensordot", "dims", d, t.ndim) for d in ds] for t, ds in zip((a, b), dims, strict=True)
        )
        return left, right


def _size(t: Handle, axes: list[int]) -> Any:
    return dims.product(tuple(t.shape[i] for i in axes))


@define_op
class Kron(Derived):
    """Kronecker product: the products of every element of `input` with the whole of `other`, as blocks."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(call(A((2, 3)), A((2, 2))), call(A((3,)), A((2, 2))), call(A(()), A((2,))))

    def decompose(self, a: Handle, b: Handle) -> Handle:
        rank = max(a.ndim, b.ndim)
        a, b = (t.reshape((*(1,) * (rank - t.ndim), *t.shape)) for t in (a, b))
        for axis in range(rank):
            a, b = a.unsqueeze(2 * axis + 1), b.unsqueeze(2 * axis)
        shape = tuple(a.shape[2 * i] * b.shape[2 * i + 1] for i in range(rank))
        return (a * b).reshape(shape)


@define_op
class Cross(Derived):
    """Cross products of the vectors of three elements along `dim` (default: the first dimension of size 3)."""

    signature = "(input: Tensor, other: Tensor, dim: OptionalDim = None)"
    samples = samples(call(A((4, 3)), A((4, 3)), 1), call(A((3,)), A((3,))), call(A((3, 2)), A((3, 1)), 0))

    def decompose(self, a: Handle, b: Handle, *, dim: int | None) -> Handle:
        shape = broadcast_shapes(tuple(a.shape), tuple(b.shape), op="cross")
        if dim is None:
            dim = next((i for i, n in enumerate(shape) if equal(n, 3)), None)
        if dim is None or not equal(shape[dim], 3):
            raise ShapeError(f"cross: {describe(a)} and {describe(b)} need a dimension of size 3, and dim to name it")
        a, b = F.expand(a, shape), F.expand(b, shape)
        (a0, a1, a2), (b0, b1, b2) = ([F.select(t, dim, i) for i in range(3)] for t in (a, b))
        return F.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim)


@define_op
class Addbmm(Derived):
    """beta * input + alpha * the sum of the products of two stacks of matrices."""

    inplace = True
    signature = "(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: number = 1, alpha: number = 1)"
    autocast = Autocast.LOW
    samples = samples(call(A((3, 5)), A((2, 3, 4)), A((2, 4, 5)), beta=0.5, alpha=2))

    def decompose(self, x: Handle, a: Handle, b: Handle, *, beta: float, alpha: float) -> Handle:
        total = F.bmm(a, b).sum(0) * alpha
        return total if beta == 0 else beta * x + total


@define_op
class Addr(AddedProduct):
    """beta * input + alpha * the outer product of two vectors."""

    signature = "(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: number = 1, alpha: number = 1)"
    product = "outer"
    samples = samples(call(A((3, 4)), A((3,)), A((4,)), beta=0.5))


@define_op
class Trace(Derived):
    """Sum of the diagonal of a matrix."""

    autocast = Autocast.FLOAT32
    samples = samples(call(A((3, 4))), call(A((3, 3), dtype=dtypes.int32)))

    def decompose(self, x: Handle) -> Handle:
        if x.ndim != 2:
            raise ShapeError(f"trace({describe(x)}): needs a matrix, of 2 dimensions")
        return F.diagonal(x).sum()


@define_op
class BlockDiag(Derived):
    """A matrix with the given matrices (vectors are rows) along its diagonal, zeros elsewhere."""

    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((2, 3)), A((1, 2)), A((2,))]), call([A(())]))

    def __call__(self, *tensors: Any) -> Any:
        listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
        return super().__call__(listed)

    def decompose(self, *tensors: Handle) -> Handle:
        blocks = [t.reshape((1,) * (2 - t.ndim) + tuple(t.shape)) for t in tensors]
        for b in blocks:
            if b.ndim > 2:
                raise ShapeError(f"block_diag: {describe(b)} must be a matrix, a vector or a number")
        width, before, rows = sum(b.shape[1] for b in blocks), 0, []
        for b in blocks:
            rows.append(F.pad(b, (before, width - before - b.shape[1])))
            before = before + b.shape[1]
        return F.cat(rows, 0)


@define_op
class CartesianProd(Derived):
    """All tuples with one element of each vector, as the rows of a matrix; a single vector stays as it is."""

    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((2,)), A((3,))]), call([A((2,))]))

    def __call__(self, *tensors: Any) -> Any:
        listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
        return super().__call__(listed)

    def decompose(self, *tensors: Handle) -> Handle:
        if len(tensors) == 1:
            return tensors[0]
        grids = F.meshgrid(*tensors, indexing="ij")
        return F.stack([g.reshape(-1) for g in grids], 1)
