"""Basic indexing as one view op: integers, slices and new axes, in any number and order.

The attribute `index` is canonical: an entry per leading dimension of the operand, an int (one element, the dimension
disappears) or a triple (start, stop, step) with 0 <= start <= stop <= size and step > 0; and None where a dimension of
size 1 is inserted. Dimensions without an entry are kept whole.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Shape, Strides
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.indexing.index_algebra import compose_entries
from tracegraph.ops.kinds import Element, View
from tracegraph.ops.kinds.batching import Batch

Slice: TypeAlias = tuple[Dim, Dim, Dim]
Entry: TypeAlias = "Dim | Slice | None"
Entries: TypeAlias = tuple[Entry, ...]


def canonical_entries(entries: tuple[Any, ...], shape: Shape, op: str = "x[...]") -> Entries:
    """Ints, slices or triples, and None, in canonical form; trailing whole dimensions are left out.

    Raises:
        IndexRangeError: an int out of range, or more entries than dimensions; names index, dimension and size.
        ValueRangeError: a step that is not positive.
        ArgumentError: an entry of another type.
    """
    consuming = sum(e is not None for e in entries)
    if consuming > len(shape):
        raise IndexRangeError(
            f"{op}: too many indices: {consuming} for a tensor of {len(shape)} dimensions (shape {list(shape)})"
        )
    result: list[Entry] = []
    axis = 0
    for entry in entries:
        if entry is None:
            result.append(None)
            continue
        if isinstance(entry, slice | tuple):
            start, stop, step = entry if isinstance(entry, tuple) else (entry.start, entry.stop, entry.step)
            result.append(canonical_slice(start, stop, step, shape[axis], op))
        else:
            result.append(canonical_position(entry, shape[axis], axis, op))
        axis += 1
    while axis and isinstance(result[-1], tuple) and _is_whole(result[-1], shape[axis - 1]):
        result.pop()
        axis -= 1
    return tuple(result)


def canonical_position(position: Any, size: Dim, axis: int, op: str) -> Dim:
    """An index along an axis, counted from 0."""
    if not isinstance(position, SymExpr):
        if isinstance(position, bool) or not hasattr(position, "__index__"):
            raise ArgumentError(f"{op}: an index must be an int, a slice or None, got {type(position).__name__}")
        position = position.__index__()
    if not -size <= position < size:
        raise IndexRangeError(f"{op}: index {position} is out of bounds for dimension {axis} with size {size}")
    return position + size if position < 0 else position


def canonical_slice(start: Any, stop: Any, step: Any, size: Dim, op: str) -> Slice:
    """A slice of an axis of `size` elements, as a triple."""
    step = 1 if step is None else _bound(step, op)
    if not step > 0:
        raise ValueRangeError(f"{op}: the step of a slice must be greater than zero, got {step}; use flip() to reverse")
    first = 0 if start is None else _clamped(_bound(start, op), size)
    last = size if stop is None else _clamped(_bound(stop, op), size)
    if dims.same(first, 0) or first <= last:
        return first, last, step
    return first, first, step


def _bound(value: Any, op: str) -> Dim:
    if isinstance(value, SymExpr):
        return value
    if not hasattr(value, "__index__"):
        raise ArgumentError(f"{op}: slice bounds must be ints or None, got {type(value).__name__}")
    return value.__index__()


def _clamped(bound: Dim, size: Dim) -> Dim:
    if dims.same(bound, size):
        return size
    if bound < 0:
        bound = bound + size
        return bound if bound >= 0 else 0
    return bound if bound <= size else size


def _is_whole(entry: Slice, size: Dim) -> bool:
    return all(map(dims.same, entry, (0, size, 1)))


def length(entry: Slice) -> Dim:
    """Number of elements a canonical slice selects."""
    start, stop, step = entry
    return (stop - start + step - 1) // step


def indexed_shape(shape: Shape, entries: Entries) -> Shape:
    """The shape of `x[entries]` for x of `shape`."""
    result: list[Dim] = []
    axis = 0
    for entry in entries:
        if entry is None:
            result.append(1)
            continue
        if isinstance(entry, tuple):
            result.append(length(entry))
        axis += 1
    return (*result, *shape[axis:])


def _numpy_index(entries: Entries) -> tuple[Any, ...]:
    # the Ellipsis makes numpy give a 0-d array, which is a view, where it would give a scalar
    return (*(slice(*e) if isinstance(e, tuple) else e for e in entries), ...)


@define_op
class BasicIndex(View):
    """The elements that integers, slices (with positive steps) and new axes select, as a view."""

    title = "x[...]"
    method = False
    signature = "(input: Tensor, index: any)"
    samples = samples(
        call(A((4, 5)), ((1, 4, 2), 3), dtypes=dtypes.ALL),
        call(A((4, 5)), (None, 2)),
        call(A((4, 5, 3)), ((0, 4, 1), None, (1, 5, 3), 1)),
        call(A((4,)), ((2, 2, 1),)),
        call(A(()), (None,)),
        call(A((3, 2)), ()),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return operands, {"index": canonical_entries(attrs["index"], tuple(operands[0].shape), self.title)}

    def infer(self, x: TensorType, *, index: Entries) -> tuple[TensorType, ...]:
        return (x.with_shape(indexed_shape(x.shape, index)),)

    def eager(self, x: np.ndarray, *, index: Entries) -> np.ndarray:
        return x[_numpy_index(index)]

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        result: list[Dim] = []
        rest = iter(strides)
        for entry in attrs["index"]:
            if entry is None:
                result.append(0)
                continue
            stride = next(rest)
            if isinstance(entry, tuple):
                result.append(stride * entry[2])
        return (*result, *rest)

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        rest = iter(index)
        position: list[Index] = []
        for entry in attrs["index"]:
            if entry is None:
                next(rest)
            elif isinstance(entry, tuple):
                start, _, step = entry
                position.append(next(rest) * step + start)
            else:
                position.append(entry)
        return (*position, *rest)

    def compose(self, shape: Shape, first: Any, second: Any) -> dict[str, Any] | None:
        index = compose_entries(shape, first["index"], second["index"])
        return None if index is None else {"index": index}

    def batched(self, batch: Batch) -> Handle:
        index = batch.attrs["index"]
        return batch.call(batch.operands, index=((0, batch.size, 1), *index) if index else ())

    def scatter(self, base: Handle, source: Handle, *, index: Entries) -> Handle:
        return F.basic_index_scatter(base, source, index)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, index: Entries) -> Gradient:
        return F.basic_index_scatter(g.new_zeros(tuple(x.shape)), g, index)


@define_op
class BasicIndexScatter(Element):
    """`input` with the elements that basic indexing selects replaced by those of `source`.

    Raises:
        ShapeError: `source` does not have the shape of `input[index]`.
    """

    title = "x[...] = value"
    method = False
    signature = "(input: Tensor, source: Tensor, index: any)"
    samples = samples(
        call(A((4, 5)), A((2,)), ((1, 4, 2), 3), dtypes=dtypes.ALL),
        call(A((4, 5)), A((1, 5)), (None, 2)),
        call(A((4, 5, 3)), A((4, 1, 2)), ((0, 4, 1), None, (1, 5, 3), 1)),
        call(A((4,)), A((0,)), ((2, 2, 1),)),
        call(A(()), A(()), ()),
    )
    shape_only = ("x", "source")

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, source = operands
        index = canonical_entries(attrs["index"], tuple(x.shape), self.title)
        self._check_source(x, source, index)
        return operands, {"index": index}

    def _check_source(self, x: Any, source: Any, index: Entries) -> None:
        expected, found = indexed_shape(tuple(x.shape), index), tuple(source.shape)
        if not dims.same_shape(expected, found) and expected != found:
            raise ShapeError(
                f"{self.title}: the source has shape {list(found)}, the region written to has {list(expected)}"
            )

    def infer(self, x: TensorType, source: TensorType, *, index: Entries) -> tuple[TensorType, ...]:
        self._check_source(x, source, index)
        return (x,)

    def eager(self, x: np.ndarray, source: np.ndarray, *, index: Entries) -> np.ndarray:
        result = x.copy()
        result[_numpy_index(index)] = source
        return result

    def batched(self, batch: Batch) -> Handle:
        index = batch.attrs["index"]
        return batch.call(batch.every(), index=((0, batch.size, 1), *index) if index else ())

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        x, source = types
        assert isinstance(x, TensorType) and isinstance(source, TensorType)
        inside: Scalar = None
        position: list[Index] = []
        axis = 0
        for entry in attrs["index"]:
            if entry is None:
                position.append(0)
                continue
            for condition in _conditions(k, index[axis], entry, x.shape[axis]):
                inside = condition if inside is None else inside & condition
            if isinstance(entry, tuple):
                position.append((index[axis] - entry[0]) // entry[2])
            axis += 1
        position += index[axis:]
        if inside is None:
            return k.cast(load(1, tuple(position)), x.dtype)
        return k.where(inside, k.cast(load(1, tuple(position), mask=inside), x.dtype), load(0, index))

    def vjp(self, g: Handle, y: Handle, x: Handle, source: Handle, *, index: Entries) -> Gradient:
        return (
            lambda: F.basic_index_scatter(g, g.new_zeros(tuple(source.shape)), index),
            lambda: F.basic_index(g, index),
        )


def _conditions(k: Any, i: Index, entry: Entry, size: Dim) -> list[Scalar]:
    """What says that position `i` of an axis is selected; nothing if every position is."""
    here = k.index_scalar(i)
    if not isinstance(entry, tuple):
        return [here == k.index_scalar(entry)]
    start, stop, step = entry
    conditions = []
    if not dims.same(start, 0):
        conditions.append(here >= k.index_scalar(start))
    if not dims.same(stop, size):
        conditions.append(here < k.index_scalar(stop))
    if not dims.same(step, 1):
        conditions.append(k.index_scalar((i - start) % step) == 0)
    return conditions
