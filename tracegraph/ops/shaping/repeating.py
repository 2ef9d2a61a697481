"""Copies with elements several times: repeated as a whole or one by one; and matrices from diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DataDependentError, DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims_arithmetic
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.layout import Shape
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived, Library


def _spread(x: Handle, between: Shape, size: Shape, shape: Shape) -> Handle:
    """`x` seen as `between`, expanded to `size`, copied as `shape`."""
    spread = F.expand(F.reshape(x, between), size)
    return F.reshape(F.clone(spread), shape)


@define_op
class Repeat(Derived):
    """The whole tensor `repeats[i]` times along each dimension; surplus repeats make new dimensions in front.

    Raises:
        ShapeError: fewer repeats than dimensions.
    """

    signature = "(input: Tensor, repeats: size)"
    samples = samples(
        call(A((2, 3)), (2, 1), dtypes=dtypes.ALL),
        call(A((3,)), (2, 2)),
        call(A((2,)), 0),
        call(A(()), (3,)),
        call(A((2,)), 1),
    )

    def decompose(self, x: Handle, *, repeats: Shape) -> Handle:
        new = len(repeats) - x.ndim
        if new < 0:
            raise ShapeError(f"repeat: {list(repeats)} has fewer numbers than shape {list(x.shape)} dimensions")
        for r in repeats:
            if r < 0:
                raise ValueRangeError(f"repeat: a number of repeats must not be negative, got {list(repeats)}")
        shape = ((1,) * new) + tuple(x.shape)
        between = tuple(d for n in shape for d in (1, n))
        size = tuple(d for r, n in zip(repeats, shape, strict=True) for d in (r, n))
        return _spread(x, between, size, tuple(r * n for r, n in zip(repeats, shape, strict=True)))


@define_op
class Tile(Derived):
    """The whole tensor `dims[i]` times along each dimension, the last number for the last dimension."""

    signature = "(input: Tensor, dims: size)"
    samples = samples(call(A((2, 3)), (2,)), call(A((3,)), (2, 2)))

    def decompose(self, x: Handle, *, dims: Shape) -> Handle:
        return F.repeat(x, (1,) * (x.ndim - len(dims)) + dims)


@define_op
class RepeatedPositions(Library):
    """For a vector of counts the positions 0, 1, ..., each as often as its count says.

    Raises:
        DataDependentError: while tracing; the number of positions depends on the counts.
        ValueRangeError: a count is negative.
    """

    method = False
    signature = "(repeats: Tensor)"
    samples = samples()  # no static result type: tests of its own

    def infer(self, repeats: TensorType) -> tuple[TensorType, ...]:
        raise DataDependentError(f"repeat_interleave by the tensor {repeats}, without output_size: its result's size")

    def eager(self, repeats: np.ndarray) -> np.ndarray:
        if repeats.size and repeats.min() < 0:
            raise ValueRangeError(f"repeat_interleave: a count must not be negative, got {repeats.min()}")
        return np.repeat(np.arange(repeats.size), repeats)


@define_op
class RepeatInterleave(Derived):
    """Every element along `dim` (without it, of the flat tensor) `repeats` times in a row.

    `repeats` is a number, or a vector with a count for each element; `output_size` then states the sum of the counts.
    """

    signature = "(input: Tensor, repeats: Number, dim: OptionalDim = None, *, output_size: OptionalInt = None)"
    samples = samples(
        call(A((2, 3)), 2, dtypes=dtypes.ALL),
        call(A((2, 3)), 3, 1),
        call(A((2, 3)), 1, 0),
        call(A((3, 2)), A((3,), 2, 2, dtype=dtypes.int64), 0, output_size=6),
    )

    def decompose(self, x: Handle, repeats: Any, *, dim: int | None, output_size: Dim | None) -> Handle:
        if dim is None:
            x, dim = F.reshape(x, (-1,)), 0
        if is_tensor(repeats) and repeats.ndim:
            return F.index_select(x, dim, self._positions(x.shape[dim], repeats, output_size))
        count = repeats.item() if is_tensor(repeats) else repeats
        if count < 0:
            raise ValueRangeError(f"repeat_interleave: the number of repeats must not be negative, got {count}")
        shape = tuple(x.shape)
        before, n, after = shape[:dim], shape[dim], shape[dim + 1 :]
        return _spread(x, (*before, n, 1, *after), (*before, n, count, *after), (*before, n * count, *after))

    def _positions(self, size: Dim, repeats: Handle, output_size: Dim | None) -> Handle:
        if not repeats.dtype.is_integer or repeats.ndim != 1:
            raise DTypeError(f"repeat_interleave: repeats must be a vector of integers, got {describe(repeats)}")
        if not dims_arithmetic.same(repeats.shape[0], 1) and repeats.shape[0] != size:
            raise ShapeError(f"repeat_interleave: {describe(repeats)} repeats do not fit a dimension of size {size}")
        repeats = F.expand(repeats, (size,))
        if output_size is None:
            return F.repeated_positions(repeats)
        # the number of elements that end at or before each place
        ends = F.cumsum(repeats, 0)
        return (ends.unsqueeze(0) <= F.arange(output_size).unsqueeze(1)).to(dtypes.int64).sum(1)


@define_op
class DiagEmbed(Derived):
    """Matrices, in dimensions `dim1` and `dim2`, with the elements of the last dimension on a diagonal, else zeros."""

    signature = "(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1)"
    samples = samples(call(A((3,)), dtypes=dtypes.ALL), call(A((2, 3)), 1), call(A((2, 3)), -1, 0, 2))

    def decompose(self, x: Handle, *, offset: int, dim1: int, dim2: int) -> Handle:
        rank = x.ndim + 1
        first, second = (d + rank if d < 0 else d for d in (dim1, dim2))
        if not (0 <= first < rank and 0 <= second < rank) or first == second:
            raise ShapeError(f"diag_embed: dim1={dim1} and dim2={dim2} are no two dimensions of {rank}")
        side = x.shape[-1] + abs(offset)
        rest = iter(x.shape[:-1])
        size = tuple(side if d in (first, second) else next(rest) for d in range(rank))
        return F.diagonal_scatter(F.zeros(size, dtype=x.dtype), x, offset, first, second)


@define_op
class Diag(Derived):
    """The diagonal of a matrix, as a copy; or the matrix with a vector on its diagonal."""

    signature = "(input: Tensor, diagonal: int = 0)"
    samples = samples(call(A((3,)), dtypes=dtypes.ALL), call(A((3, 4)), 1), call(A((3,)), -1))

    def decompose(self, x: Handle, *, diagonal: int) -> Handle:
        if x.ndim == 1:
            return F.diag_embed(x, diagonal)
        if x.ndim != 2:
            raise ShapeError(f"diag: expects a vector or a matrix, got shape {list(x.shape)}")
        return F.clone(F.diagonal(x, diagonal))


@define_op
class Diagflat(Derived):
    """The matrix with all elements of a tensor on a diagonal."""

    signature = "(input: Tensor, offset: int = 0)"
    samples = samples(call(A((2, 2)), 1))

    def decompose(self, x: Handle, *, offset: int) -> Handle:
        return F.diag_embed(F.reshape(x, (-1,)), offset)
