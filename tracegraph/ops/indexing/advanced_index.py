"""Reading and writing at positions given by integer tensors.

`index` gathers: of the operand's dimensions `dims`, each goes with one index tensor; the index tensors broadcast to one
shape, whose dimensions stand at place `at` of the result, among the dimensions that are not indexed. `index_write` is
its counterpart. Which user-level forms lead here, and with what `at`, is decided in `indexing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, IndexRangeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir.rules import Index as Position
from tracegraph.ir.rules import Load, OperandTypes, Scalar, Scatter
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Shape
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.effects.effects import check_broadcasts
from tracegraph.ops.indexing.combining import combined, in_range, out_of_bounds
from tracegraph.ops.kinds import Element, ScatterOp
from tracegraph.ops.kinds.batching import Batch, with_ones
from tracegraph.ops.kinds.pointwise import broadcast_index

_I64 = dtypes.int64


def _check_indices(op: str, x: Any, indices: tuple[Any, ...], dims: tuple[int, ...]) -> None:
    if len(indices) != len(dims):
        raise ShapeError(f"{op}: {len(indices)} index tensors for the dimensions {list(dims)}")
    if dims and max(dims) >= len(x.shape):
        raise IndexRangeError(f"{op}: dimension {max(dims)} is out of range for shape {list(x.shape)}")
    for i in indices:
        if not i.dtype.is_integer:
            raise DTypeError(f"{op}: index tensors must be integers, got {i.dtype.long_name}; convert with .long()")


def _split(rank: int, dims: tuple[int, ...]) -> list[int]:
    """The dimensions that are not indexed."""
    return [d for d in range(rank) if d not in dims]


def _gathered_shape(op: str, x: Any, indices: tuple[Any, ...], dims: tuple[int, ...], at: int) -> Shape:
    try:
        block = broadcast_shapes(*(i.shape for i in indices), op=op)
    except ShapeError as e:
        raise IndexRangeError(f"index tensors must broadcast: {e}") from None
    kept = tuple(x.shape[d] for d in _split(len(x.shape), dims))
    if not 0 <= at <= len(kept):
        raise IndexRangeError(f"{op}: at={at} is no place among {len(kept)} dimensions")
    return (*kept[:at], *block, *kept[at:])


def _place(
    op: str,
    k: Any,
    load: Load,
    index: tuple[Position, ...],
    types: tuple[Any, ...],
    first: int,
    attrs: dict[str, Any],
) -> tuple[Position, ...]:
    """The operand's index of element `index` of the gathered shape; index tensors are operands from `first` on."""
    dims, at = attrs["dims"], attrs["at"]
    shape, indices = types[0].shape, types[first:]
    rank = len(broadcast_shapes(*(i.shape for i in indices)))
    block = index[at : at + rank]
    place: list[Position] = [0] * len(shape)
    for d, i in zip(_split(len(shape), dims), (*index[:at], *index[at + rank :]), strict=True):
        place[d] = i
    for operand, d in enumerate(dims):
        found = k.cast(load(first + operand, broadcast_index(block, indices[operand].shape)), _I64)
        if attrs["wrap"]:
            found = k.where(found < 0, found + k.index_scalar(shape[d]), found)
        place[d] = k.as_index(found, shape[d], out_of_bounds(op, d, shape[d]))
    return tuple(place)


@define_op
class Index(Element):
    """The elements of `input` whose positions along `dims` the index tensors give.

    Raises:
        IndexRangeError: a position is out of range; negative ones count from the end if `wrap`.
        DTypeError: an index tensor does not hold integers.
    """

    title = "x[...]"
    checks_elements = True
    method = False
    signature = "(input: Tensor, indices: Tensors, *, dims: ints, at: int, wrap: bool = True)"
    shape_only = ("x",)
    samples = samples(
        call(A((5, 4)), [A((3,), -5, 4, dtype=_I64)], dims=(0,), at=0, dtypes=dtypes.ALL),
        call(A((5, 4)), [A((2, 1), 0, 4, dtype=_I64), A((3,), 0, 3, dtype=dtypes.int32)], dims=(0, 1), at=0),
        call(A((2, 5, 4)), [A((), 0, 4, dtype=_I64)], dims=(1,), at=1),
        call(A((2, 5, 4)), [A((3, 2), -4, 3, dtype=_I64)], dims=(2,), at=0),
        call(A((5, 4)), [A((0,), dtype=_I64)], dims=(0,), at=0),
        call(A((5, 4)), [A((3,), 0, 4, dtype=_I64)], dims=(0,), at=0, wrap=False),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        _check_indices(self.title, operands[0], operands[1:], attrs["dims"])
        if len(operands) > 2:
            _gathered_shape(self.title, operands[0], operands[1:], attrs["dims"], attrs["at"])
        return operands, attrs

    def infer(
        self, x: TensorType, *indices: TensorType, dims: tuple[int, ...], at: int, wrap: bool
    ) -> tuple[TensorType, ...]:
        _check_indices(self.title, x, indices, dims)
        return (x.with_shape(_gathered_shape(self.title, x, indices, dims, at)),)

    def eager(self, x: np.ndarray, *indices: np.ndarray, dims: tuple[int, ...], at: int, wrap: bool) -> np.ndarray:
        places = [in_range(self.title, i, x.shape[d], d, wrap) for i, d in zip(indices, dims, strict=True)]
        if len(places) == 1 and at == dims[0]:
            return x.take(places[0], axis=at)
        front = np.moveaxis(x, dims, range(len(dims)))
        gathered = front[tuple(places)]
        rank = gathered.ndim - (x.ndim - len(dims))
        return np.moveaxis(gathered, range(rank), range(at, at + rank))

    def batched(self, batch: Batch) -> Handle:
        """The sample is one more index, beside those that differ from sample to sample."""
        dims, at = batch.attrs["dims"], batch.attrs["at"]
        if batch.only(0):
            return batch.call(batch.operands, dims=tuple(d + 1 for d in dims), at=at + 1)
        indices = _indices_of_samples(batch, 1)
        if not batch.varies[0]:
            return batch.call([batch.operands[0], *indices]).movedim(at, 0)
        places = [_sample_numbers(batch, 1), *indices]
        return batch.call([batch.operands[0], *places], dims=(0, *(d + 1 for d in dims))).movedim(at, 0)

    def element(
        self, k: Any, load: Load, index: tuple[Position, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        return load(0, _place(self.title, k, load, index, types, 1, attrs))

    def vjp(
        self, g: Handle, y: Handle, x: Handle, *indices: Handle, dims: tuple[int, ...], at: int, wrap: bool
    ) -> Gradient:
        zeros = g.new_zeros(tuple(x.shape))
        return F.index_write(zeros, g, indices, dims=dims, at=at, accumulate=True, wrap=wrap), *(None for _ in indices)


@define_op
class IndexWrite(ScatterOp):
    """`input` with `values` written to, or if `accumulate` added to, the positions that `index` would read.

    `values` broadcasts to the shape `index` would give. Where positions repeat, the last value stays, or all are
    added.

    Raises:
        IndexRangeError: a position is out of range; negative ones count from the end if `wrap`.
        DTypeError: `values` does not have the dtype of `input`, or an index tensor does not hold integers.
        ShapeError: `values` does not broadcast.
    """

    title = "x[...] = value"
    checks_elements = True
    method = False
    signature = (
        "(input: Tensor, values: Tensor, indices: Tensors, *, dims: ints, at: int, accumulate: bool, wrap: bool = True)"
    )
    shape_only = ("x", "values")
    samples = samples(
        call(A((5, 4)), A((3, 4)), [A((3,), -5, 4, dtype=_I64)], dims=(0,), at=0, accumulate=True, dtypes=dtypes.ALL),
        call(A((5, 4)), A(()), [A((3,), 0, 3, dtype=_I64)], dims=(1,), at=0, accumulate=True),
        call(A((6, 9)), A((4, 9)), [A((4,), 0, 5, dtype=_I64)], dims=(0,), at=0, accumulate=True),
        call(A((5,)), A((1,)), [A((1,), -5, 4, dtype=_I64)], dims=(0,), at=0, accumulate=False, dtypes=dtypes.ALL),
        call(A((2, 5)), A((2, 1, 1)), [A((1, 1), 0, 4, dtype=_I64)], dims=(1,), at=1, accumulate=False),
        call(A((2, 5)), A((2, 3)), [A((3,), 0, 4, dtype=_I64)], dims=(1,), at=1, accumulate=False, wrap=False),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._check(operands[0], operands[1], operands[2:], attrs["dims"], attrs["at"])
        return operands, attrs

    def _check(self, x: Any, values: Any, indices: tuple[Any, ...], dims: tuple[int, ...], at: int) -> None:
        _check_indices(self.title, x, indices, dims)
        if values.dtype is not x.dtype:
            raise DTypeError(f"{self.title}: values of dtype {values.dtype} cannot be written to dtype {x.dtype}")
        check_broadcasts(self.title, tuple(values.shape), _gathered_shape(self.title, x, indices, dims, at))

    def infer(
        self,
        x: TensorType,
        values: TensorType,
        *indices: TensorType,
        dims: tuple[int, ...],
        at: int,
        accumulate: bool,
        wrap: bool,
    ) -> tuple[TensorType, ...]:
        self._check(x, values, indices, dims, at)
        return (x,)

    def eager(
        self,
        x: np.ndarray,
        values: np.ndarray,
        *indices: np.ndarray,
        dims: tuple[int, ...],
        at: int,
        accumulate: bool,
        wrap: bool,
    ) -> np.ndarray:
        sizes = tuple(x.shape[d] for d in dims)
        places = [in_range(self.title, i, n, d, wrap) for i, d, n in zip(indices, dims, sizes, strict=True)]
        block = np.broadcast_shapes(*(p.shape for p in places))
        linear = sum(p * s for p, s in zip(places, _steps(sizes), strict=True))
        positions = np.broadcast_to(linear, block).ravel()
        front = np.moveaxis(x, dims, range(len(dims)))
        kept = front.shape[len(dims) :]
        spread = np.broadcast_to(values, (*kept[:at], *block, *kept[at:]))
        rows = np.moveaxis(spread, range(at, at + len(block)), range(len(block)))
        count, width = int(np.prod(sizes)), int(np.prod(kept))
        flat = combined(
            np.ascontiguousarray(front).reshape(count, width),
            positions,
            rows.reshape(positions.size, width),
            "add" if accumulate else "set",
        )
        return np.moveaxis(flat.reshape(front.shape), range(len(dims)), dims)

    def batched(self, batch: Batch) -> Handle:
        """As for `index`: the sample is one more index, if others differ from sample to sample."""
        dims, at = batch.attrs["dims"], batch.attrs["at"]
        x, varies = batch.spread(0), any(batch.varies[2:])
        rank = batch.rank(0) - len(dims) + max(batch.rank(i) for i in range(2, len(batch.operands)))
        values = batch.padded(1, rank)
        moved = tuple(d + 1 for d in dims)
        if not varies:
            return batch.call([x, values, *batch.operands[2:]], dims=moved, at=at + 1)
        if batch.varies[1]:
            values = values.movedim(0, at)
        elif values.ndim > rank - at:  # its dimensions before the block, and those behind it
            values = with_ones(values, values.ndim - (rank - at), 1)
        places = [_sample_numbers(batch, 2), *_indices_of_samples(batch, 2)]
        return batch.call([x, values, *places], dims=(0, *moved))

    def scatter(self, types: OperandTypes, attrs: dict[str, Any]) -> Scatter:
        x, values, *indices = types
        assert isinstance(x, TensorType) and isinstance(values, TensorType)
        dims, at = attrs["dims"], attrs["at"]

        def update(k: Any, load: Load, index: tuple[Position, ...]) -> tuple[tuple[Position, ...], Scalar]:
            place = _place(self.title, k, load, index, types, 2, attrs)
            return place, load(1, broadcast_index(index, values.shape))

        extents = _gathered_shape(self.title, x, tuple(indices), dims, at)
        return Scatter(extents, 0, "add" if attrs["accumulate"] else "set", update)

    def vjp(
        self,
        g: Handle,
        y: Handle,
        x: Handle,
        values: Handle,
        *indices: Handle,
        dims: tuple[int, ...],
        at: int,
        accumulate: bool,
        wrap: bool,
    ) -> Gradient:
        place: dict[str, Any] = {"dims": dims, "at": at, "wrap": wrap}

        def outside() -> Handle:
            return g if accumulate else F.index_write(g, g.new_zeros(()), indices, accumulate=False, **place)

        def written() -> Handle:
            return F.index(g, indices, **place).sum_to_size(tuple(values.shape))

        return outside, written, *(None for _ in indices)


def _block_rank(batch: Batch, first: int) -> int:
    """The number of dimensions that the index tensors of one sample broadcast to."""
    return max(batch.rank(i) for i in range(first, len(batch.operands)))


def _indices_of_samples(batch: Batch, first: int) -> list[Handle]:
    """The index tensors, operands from `first` on, for the dimension of samples and then those of the block."""
    rank = _block_rank(batch, first)
    return [batch.padded(i, rank) for i in range(first, len(batch.operands))]


def _sample_numbers(batch: Batch, first: int) -> Handle:
    """The index of the sample, to be broadcast with the other indices."""
    return F.arange(batch.size).reshape((-1, *(1,) * _block_rank(batch, first)))


def _steps(sizes: tuple[int, ...]) -> list[int]:
    """Row-major strides of a grid of `sizes`."""
    steps = [1]
    for n in reversed(sizes[1:]):
        steps.insert(0, steps[0] * n)
    return steps
