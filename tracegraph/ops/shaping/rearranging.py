"""Functions that show a tensor differently, made of the primitive views: reshape, transpose, squeeze, split, ..."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.layout import Shape, resolve_size, view_strides
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.kinds import Derived

#: operands and attributes of a bound call
Bound = tuple[tuple[Any, ...], dict[str, Any]]


@define_op
class Contiguous(Derived):
    """The tensor itself if its elements lie dense in row-major order, else a copy that does."""

    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL))

    def decompose(self, x: Handle) -> Handle:
        return x if x.is_contiguous() else F.clone(x)


@define_op
class Reshape(Derived):
    """The elements in another shape; one size may be -1. A view where strides allow one, else a copy."""

    signature = "(input: Tensor, shape: size)"
    samples = samples(call(A((3, 4)), (2, -1), dtypes=dtypes.ALL), call(A((0, 3)), (0,)), call(A(()), (1, 1)))

    def decompose(self, x: Handle, *, shape: Shape) -> Handle:
        if not x.is_contiguous():
            size = resolve_size("reshape", shape, tuple(x.shape))
            if view_strides(tuple(x.shape), x.stride(), size) is None:
                x = F.clone(x)
        return F.view(x, shape)


@define_op
class ViewAs(Derived):
    """`view` in the shape of another tensor."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(call(A((3, 4)), A((12,))))

    def decompose(self, x: Handle, other: Handle) -> Handle:
        return F.view(x, tuple(other.shape))


@define_op
class ReshapeAs(Derived):
    """`reshape` to the shape of another tensor."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(call(A((3, 4)), A((12,))))

    def decompose(self, x: Handle, other: Handle) -> Handle:
        return F.reshape(x, tuple(other.shape))


@define_op
class ExpandAs(Derived):
    """`expand` to the shape of another tensor."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(call(A((3, 1)), A((2, 3, 4))))

    def decompose(self, x: Handle, other: Handle) -> Handle:
        return F.expand(x, tuple(other.shape))


@define_op
class Flatten(Derived):
    """Dimensions `start_dim` to `end_dim` as one."""

    signature = "(input: Tensor, start_dim: dim = 0, end_dim: dim = -1)"
    samples = samples(
        call(A((2, 3, 4)), dtypes=dtypes.ALL), call(A((2, 3, 4)), 1), call(A((2, 3, 4)), -3, 1), call(A(()))
    )

    def decompose(self, x: Handle, *, start_dim: int, end_dim: int) -> Handle:
        if start_dim > end_dim:
            raise ShapeError(f"flatten: start_dim {start_dim} must not come after end_dim {end_dim}")
        if start_dim == end_dim and x.ndim:
            return x
        shape = tuple(x.shape)
        merged = dims.product(shape[start_dim : end_dim + 1])
        return F.reshape(x, (*shape[:start_dim], merged, *shape[end_dim + 1 :]))


@define_op
class Ravel(Derived):
    """All elements in one dimension, in row-major order."""

    samples = samples(call(A((2, 3)), dtypes=dtypes.ALL))

    def decompose(self, x: Handle) -> Handle:
        return F.reshape(x, (-1,))


@define_op
class Unflatten(Derived):
    """Dimension `dim` as several of `sizes`, one of which may be -1."""

    signature = "(input: Tensor, dim: dim, sizes: size)"
    samples = samples(call(A((2, 12)), 1, (3, -1), dtypes=dtypes.ALL), call(A((12, 2)), -2, (4, 3)))

    def decompose(self, x: Handle, *, dim: int, sizes: Shape) -> Handle:
        shape = tuple(x.shape)
        return F.view(x, (*shape[:dim], *resolve_size("unflatten", sizes, shape[dim : dim + 1]), *shape[dim + 1 :]))


@define_op
class Transpose(Derived):
    """Dimensions `dim0` and `dim1` exchanged."""

    aliases = ("swapaxes", "swapdims")
    signature = "(input: Tensor, dim0: dim, dim1: dim)"
    samples = samples(call(A((2, 3, 4)), 0, 2, dtypes=dtypes.ALL), call(A((3, 4)), -1, -2), call(A(()), 0, 0))

    def decompose(self, x: Handle, *, dim0: int, dim1: int) -> Handle:
        order = list(range(x.ndim))
        if order:
            order[dim0], order[dim1] = order[dim1], order[dim0]
        return F.permute(x, tuple(order))


@define_op
class T(Derived):
    """The transpose of a matrix; a vector or 0-d tensor as it is.

    Raises:
        ShapeError: more than 2 dimensions.
    """

    name = "t"
    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL), call(A((3,))), call(A(())))

    def decompose(self, x: Handle) -> Handle:
        if x.ndim > 2:
            raise ShapeError(f"t: expects at most 2 dimensions, got shape {list(x.shape)}; use transpose or mT")
        return F.permute(x, tuple(reversed(range(x.ndim))))


@define_op
class Movedim(Derived):
    """Dimensions `source` moved to the places `destination`; the others keep their order."""

    aliases = ("moveaxis",)
    signature = "(input: Tensor, source: dims, destination: dims)"
    samples = samples(
        call(A((2, 3, 4)), 0, -1, dtypes=dtypes.ALL), call(A((2, 3, 4)), (0, 1), (2, 0)), call(A((2, 3)), 0, 0)
    )

    def decompose(self, x: Handle, *, source: tuple[int, ...], destination: tuple[int, ...]) -> Handle:
        if len(source) != len(destination):
            raise ArgumentError(
                f"movedim: source={list(source)} and destination={list(destination)} have different lengths"
            )
        moved = dict(zip(destination, source, strict=True))
        rest = iter(d for d in range(x.ndim) if d not in source)
        return F.permute(x, tuple(moved[d] if d in moved else next(rest) for d in range(x.ndim)))


@define_op
class Squeeze(Derived):
    """Without the dimensions of size 1, or those of them that `dim` names."""

    signature = "(input: Tensor, dim: dims = None)"
    samples = samples(
        call(A((1, 3, 1)), dtypes=dtypes.ALL), call(A((1, 3, 1)), 0), call(A((1, 3, 1)), (0, 1, 2)), call(A(()), 0)
    )

    def decompose(self, x: Handle, *, dim: tuple[int, ...] | None) -> Handle:
        shape = tuple(x.shape)
        gone = {d for d, n in enumerate(shape) if (dim is None or d in dim) and equal(n, 1)}
        return F.basic_index(x, tuple(0 if d in gone else (0, n, 1) for d, n in enumerate(shape)))


@define_op
class Unsqueeze(Derived):
    """With a new dimension of size 1 at place `dim`, which may be one past the last."""

    signature = "(input: Tensor, dim: int)"
    samples = samples(call(A((2, 3)), 0, dtypes=dtypes.ALL), call(A((2, 3)), -1), call(A((2, 3)), 1), call(A(()), 0))

    def decompose(self, x: Handle, *, dim: int) -> Handle:
        dim = normalize_dim("unsqueeze", "dim", dim, x.ndim + 1)
        whole = ((0, n, 1) for n in x.shape[:dim])
        return F.basic_index(x, (*whole, None))


@define_op
class Select(Derived):
    """The elements with index `index` along `dim`, without that dimension."""

    signature = "(input: Tensor, dim: dim, index: int)"
    samples = samples(call(A((2, 3, 4)), 1, 2, dtypes=dtypes.ALL), call(A((2, 3)), -1, -1))

    def decompose(self, x: Handle, *, dim: int, index: Dim) -> Handle:
        if not x.ndim:
            raise ShapeError("select: cannot be applied to a 0-d tensor")
        return F.basic_index(x, (*((0, n, 1) for n in x.shape[:dim]), index))


@define_op
class Narrow(Derived):
    """`length` elements from `start` on along `dim`.

    Raises:
        ShapeError: the range leaves the dimension.
    """

    signature = "(input: Tensor, dim: dim, start: int, length: int)"
    samples = samples(call(A((2, 7)), 1, 2, 3, dtypes=dtypes.ALL), call(A((7, 2)), 0, -3, 2), call(A((3,)), 0, 3, 0))

    def decompose(self, x: Handle, *, dim: int, start: Dim, length: Dim) -> Handle:
        if not x.ndim:
            raise ShapeError("narrow: cannot be applied to a 0-d tensor")
        size = x.shape[dim]
        first = start + size if start < 0 else start
        stop = first + length
        if first < 0 or length < 0 or not (dims.same(stop, size) or stop <= size):
            error = IndexRangeError if first < 0 or first > size else ShapeError
            raise error(f"narrow: start={start}, length={length} leave dimension {dim} of size {size}")
        return F.basic_index(x, (*((0, n, 1) for n in x.shape[:dim]), (first, stop, 1)))


@define_op
class Split(Derived):
    """Views of consecutive parts along `dim`: of a size each (the last may be smaller), or of the sizes listed.

    Raises:
        ShapeError: the sizes listed do not add up to that of the dimension.
        ValueRangeError: a size is negative.
    """

    signature = "(tensor: Tensor, split_size_or_sections: int_or_ints, dim: existing_dim = 0)"
    samples = samples(
        call(A((7, 2)), 3, dtypes=dtypes.ALL), call(A((2, 6)), (1, 3, 2), 1), call(A((6,)), 6), call(A((0,)), 2)
    )

    def decompose(self, x: Handle, *, split_size_or_sections: Any, dim: int) -> tuple[Handle, ...]:
        size, sections = x.shape[dim], split_size_or_sections
        if not isinstance(sections, tuple):
            sections = _equal_parts(size, sections)
        total: Dim = 0
        for s in sections:
            if s < 0:
                raise ValueRangeError(f"split: a size must not be negative, got {s} in {list(sections)}")
            total = total + s
        if not equal(total, size):
            raise ShapeError(f"split: the sizes {list(sections)} add up to {total}, dimension {dim} has size {size}")
        parts = []
        start: Dim = 0
        for s in sections:
            parts.append(F.narrow(x, dim, start, s))
            start = start + s
        return tuple(parts)


def _equal_parts(size: Dim, part: Any) -> tuple[Dim, ...]:
    """`size` as parts of size `part`, and a smaller last one for the rest."""
    if part < 0 or (part == 0 and size != 0):
        raise ValueRangeError(f"split: a part of size {part} does not divide a dimension of size {size}")
    sections: list[Dim] = []
    rest = size
    while not (equal(rest, 0) or rest <= part):
        sections.append(part)
        rest = rest - part
    return (*sections, rest)


@define_op
class SplitWithSizes(Derived):
    """`split` with listed sizes."""

    signature = "(input: Tensor, split_sizes: size, dim: existing_dim = 0)"
    samples = samples(call(A((6, 2)), (1, 5)))

    def decompose(self, x: Handle, *, split_sizes: Shape, dim: int) -> tuple[Handle, ...]:
        return F.split(x, split_sizes, dim)


@define_op
class Chunk(Derived):
    """At most `chunks` views of consecutive parts along `dim`, all but the last of one size."""

    signature = "(input: Tensor, chunks: int, dim: existing_dim = 0)"
    samples = samples(call(A((7, 2)), 3, dtypes=dtypes.ALL), call(A((2, 5)), 4, 1), call(A((2,)), 5))

    def decompose(self, x: Handle, *, chunks: int, dim: int) -> tuple[Handle, ...]:
        if chunks < 1:
            raise ValueRangeError(f"chunk: chunks must be positive, got {chunks}")
        size = x.shape[dim]
        part = (size + chunks - 1) // chunks
        if equal(part, 0):
            return F.split(x, (0,) * chunks, dim)
        return F.split(x, part, dim)


@define_op
class TensorSplit(Derived):
    """Views of consecutive parts along `dim`: so many, nearly equal; or cut at the indices listed."""

    signature = "(input: Tensor, indices_or_sections: int_or_ints, dim: existing_dim = 0)"
    samples = samples(call(A((7, 2)), 3, dtypes=dtypes.ALL), call(A((2, 6)), (1, 4), 1))

    def decompose(self, x: Handle, *, indices_or_sections: Any, dim: int) -> tuple[Handle, ...]:
        size, cuts = x.shape[dim], indices_or_sections
        if not isinstance(cuts, tuple):
            if cuts < 1:
                raise ValueRangeError(f"tensor_split: the number of sections must be positive, got {cuts}")
            part, larger = size // cuts, size % cuts
            cuts = tuple(i * part + (i if i < larger else larger) for i in range(1, cuts))
        bounds = (0, *cuts, size)
        whole = tuple((0, n, 1) for n in x.shape[:dim])
        return tuple(F.basic_index(x, (*whole, slice(a, b))) for a, b in pairwise(bounds))


@define_op
class Unbind(Derived):
    """The views along `dim`, one for each index, without that dimension."""

    signature = "(input: Tensor, dim: dim = 0)"
    samples = samples(call(A((3, 2)), dtypes=dtypes.ALL), call(A((2, 3)), -1))

    def decompose(self, x: Handle, *, dim: int) -> tuple[Handle, ...]:
        if not x.ndim:
            raise ShapeError("unbind: cannot be applied to a 0-d tensor")
        whole = tuple((0, n, 1) for n in x.shape[:dim])
        return tuple(F.basic_index(x, (*whole, i)) for i in range(int(x.shape[dim])))
