"""PyTorch's named functions that read and write at positions: `index_select`, `index_add`, `take`, ..."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described, is_tensor
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.handles import indexing
from tracegraph.ops.indexing.basic_index import canonical_slice
from tracegraph.ops.kinds import Derived

_I64 = dtypes.int64


def _vector(op: str, index: Handle) -> Handle:
    """An index of at most one dimension, as a vector."""
    if index.ndim > 1:
        raise ShapeError(f"{op}: index must have one dimension, got shape {list(index.shape)}")
    return index if index.ndim else F.unsqueeze(index, 0)


def _write(
    op: str, x: Handle, dim: int, index: Handle, source: Handle, accumulate: bool = False, wrap: bool = False
) -> Handle:
    index = _vector(op, index)
    if not x.ndim:
        return _write(op, F.unsqueeze(x, 0), 0, index, source, accumulate, wrap).squeeze(0)
    return F.index_write(x, source, [index], dims=(dim,), at=dim, accumulate=accumulate, wrap=wrap)


@define_op
class IndexSelect(Derived):
    """The slices of `input` along `dim` at the positions `index` (a vector) gives, which count from 0 on."""

    signature = "(input: Tensor, dim: dim, index: Tensor)"
    samples = samples(
        call(A((5, 4)), 0, A((3,), 0, 4, dtype=_I64), dtypes=dtypes.ALL), call(A((5, 4)), -1, A((6,), 0, 3, dtype=_I64))
    )

    def decompose(self, x: Handle, index: Handle, *, dim: int) -> Handle:
        index = _vector("index_select", index)
        if not x.ndim:
            return F.index(F.unsqueeze(x, 0), [index], dims=(0,), at=0, wrap=False).squeeze(0)
        return F.index(x, [index], dims=(dim,), at=dim, wrap=False)


@define_op
class IndexAdd(Derived):
    """`input` with `alpha` times the slices of `source` added at the positions `index` gives along `dim`, from 0 on."""

    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, source: Tensor, *, alpha: number = 1)"
    samples = samples(
        call(A((5, 4)), 0, A((3,), 0, 4, dtype=_I64), A((3, 4))),
        call(A((2, 5)), 1, A((6,), 0, 4, dtype=_I64), A((2, 6)), alpha=2),
    )

    def decompose(self, x: Handle, index: Handle, source: Handle, *, dim: int, alpha: float) -> Handle:
        return _write("index_add", x, dim, index, source if alpha == 1 else source * alpha, accumulate=True)


@define_op
class IndexCopy(Derived):
    """`input` with the slices of `source` written at the positions `index` gives along `dim`, from 0 on."""

    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, source: Tensor)"
    autocast = Autocast.WIDEST
    samples = samples(call(A((5, 4)), 0, A((1,), 0, 4, dtype=_I64), A((1, 4)), dtypes=dtypes.ALL))

    def decompose(self, x: Handle, index: Handle, source: Handle, *, dim: int) -> Handle:
        return _write("index_copy", x, dim, index, source)


@define_op
class IndexFill(Derived):
    """`input` with `value`, a number or 0-d tensor, written to the slices at the positions `index` along `dim`.

    Negative positions count from the end.
    """

    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, value: Number)"
    samples = samples(call(A((5, 4)), 0, A((3,), 0, 4, dtype=_I64), 2, dtypes=dtypes.ALL))

    def decompose(self, x: Handle, index: Handle, value: Any, *, dim: int) -> Handle:
        value = value.to(x.dtype) if is_tensor(value) else x.new_full((), value)
        return _write("index_fill", x, dim, index, value, wrap=True)


@define_op
class IndexPut(Derived):
    """`input` with `values` written, or added, where `input[indices]` reads; `indices` is a tuple of tensors and None.

    None keeps a dimension whole.
    """

    inplace = True
    signature = "(input: Tensor, indices: any, values: Tensor, accumulate: bool = False)"
    samples = samples(call(A((5, 4)), ([1, 2],), A((2, 4))), call(A((5, 4)), (None, [0, 0]), A((5, 2)), True))

    def decompose(self, x: Handle, values: Handle, *, indices: Any, accumulate: bool) -> Handle:
        if not isinstance(indices, tuple) or all(i is None for i in indices):
            raise ArgumentError(f"index_put: indices must be a tuple with a tensor in it, got {described(indices)}")
        parsed = indexing.parse(x, tuple(slice(None) if i is None else i for i in indices))
        return indexing.written(F.basic_index(x, parsed.basic), parsed, values, accumulate)


@define_op
class Take(Derived):
    """The elements of `input`, seen as flat, at the positions `index` gives, in the shape of `index`."""

    signature = "(input: Tensor, index: Tensor)"
    samples = samples(call(A((5, 4)), A((2, 3), -20, 19, dtype=_I64), dtypes=dtypes.ALL))

    def decompose(self, x: Handle, index: Handle) -> Handle:
        return F.index(F.reshape(x, (-1,)), [index], dims=(0,), at=0)


@define_op
class Put(Derived):
    """`input` with the elements of `source` written, or added, at the positions `index` gives in it seen as flat."""

    inplace = True
    signature = "(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False)"
    samples = samples(call(A((5, 4)), A((2, 3), -20, 19, dtype=_I64), A((2, 3)), True))

    def decompose(self, x: Handle, index: Handle, source: Handle, *, accumulate: bool) -> Handle:
        flat = F.reshape(x, (-1,))
        values = F.reshape(source, tuple(index.shape))
        return F.index_write(flat, values, [index], dims=(0,), at=0, accumulate=accumulate).reshape(x.shape)


@define_op
class SelectScatter(Derived):
    """`input` with `src` in place of `input.select(dim, index)`."""

    signature = "(input: Tensor, src: Tensor, dim: dim, index: int)"
    samples = samples(call(A((2, 3, 4)), A((2, 4)), 1, -1))

    def decompose(self, x: Handle, src: Handle, *, dim: int, index: Dim) -> Handle:
        return F.basic_index_scatter(x, src, (*(slice(None),) * dim, index))


@define_op
class SliceScatter(Derived):
    """`input` with `src` in place of the elements `start:end:step` along `dim`."""

    signature = (
        "(input: Tensor, src: Tensor, dim: existing_dim = 0, start: OptionalInt = None, end: OptionalInt = None, "
        "step: int = 1)"
    )
    samples = samples(call(A((5, 4)), A((2, 4)), 0, 1, -1, 2), call(A((2, 3)), A((2, 3)), 1))

    def decompose(self, x: Handle, src: Handle, *, dim: int, start: Dim | None, end: Dim | None, step: Dim) -> Handle:
        part = canonical_slice(start, end, step, x.shape[dim], self.name)
        return F.basic_index_scatter(x, src, (*(slice(None),) * dim, part))


@define_op
class DiagonalScatter(Derived):
    """`input` with `src` in place of `input.diagonal(offset, dim1, dim2)`."""

    signature = "(input: Tensor, src: Tensor, offset: int = 0, dim1: dim = 0, dim2: dim = 1)"
    samples = samples(call(A((3, 4)), A((3,)), 1), call(A((2, 3, 3)), A((2, 3)), 0, 1, 2))

    def decompose(self, x: Handle, src: Handle, *, offset: int, dim1: int, dim2: int) -> Handle:
        diagonal = F.diagonal(x, offset, dim1, dim2)
        if not (src.ndim == diagonal.ndim and all(map(equal, src.shape, diagonal.shape))):
            raise ShapeError(f"diagonal_scatter: src {describe(src)} must have the shape {list(diagonal.shape)}")
        return F.diagonal.scatter(x, src, offset=offset, dim1=dim1, dim2=dim2)  # type: ignore[attr-defined]


@define_op
class UnravelIndex(Derived):
    """The indices, one tensor per dimension, of the elements of a tensor of `shape` at the flat positions `indices`."""

    method = False
    signature = "(indices: Tensor, shape: ints)"
    samples = samples(call(A((2, 3), 0, 19, dtype=_I64), (4, 5)), call(A((3,), 0, 6, dtype=_I64), (7,)))

    def decompose(self, indices: Handle, *, shape: tuple[Dim, ...]) -> tuple[Handle, ...]:
        found = []
        for size in reversed(shape):
            found.append(indices % size)
            indices = F.floor_divide(indices, size)
        return tuple(reversed(found))
