"""The primitive views: other shapes, orders and repetitions of the same memory.

With `basic_index` these are all the ops whose result aliases their operand; `rearranging` derives the rest (transpose,
squeeze, split, ...) from them.

`view` is a view or an error; `reshape` is decided when it is called, on eager and traced tensors alike: a `view` if
the strides allow one, else `clone` and `view`. Traced tensors know their strides (see `layout`), so that a captured
graph aliases exactly where the eager program does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DataDependentError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, OperandTypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Shape, Strides, contiguous_strides, matching_blocks, resolve_size, view_strides
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.kinds import View
from tracegraph.ops.kinds.batching import Batch, along_dims

#: operands and attributes of a bound call
Bound = tuple[tuple[Any, ...], dict[str, Any]]


def _shape(types: OperandTypes) -> Shape:
    (x,) = types
    assert isinstance(x, TensorType)
    return x.shape


@define_op
class ViewOp(View):
    """The same memory with another shape; one size may be -1. `view(dtype)` reads its bytes as another dtype.

    Raises:
        ShapeError: the number of elements differs, or the strides allow no view (`reshape` copies then).
    """

    name = "view"
    signature = "(input: Tensor, size: size)"
    samples = samples(
        call(A((3, 4)), (2, 6), dtypes=dtypes.ALL),
        call(A((6, 4)), (-1,)),
        call(A((12,)), (3, 1, -1)),
        call(A(()), (1, 1)),
        call(A((0, 4)), (2, 0)),
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`view(dtype)` reads the bytes as elements of another dtype; capture leaves that to eager tensors."""
        dtype = args[1] if len(args) == 2 else kwargs.get("dtype")
        if type(dtype) is not dtypes.DType:
            return super().__call__(*args, **kwargs)
        if not hasattr(args[0], "reinterpreted"):
            raise DataDependentError("view() with another dtype")
        return args[0].reinterpreted(dtype)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        (x,) = operands
        size = resolve_size("view", attrs["size"], x.shape)
        if not x.is_contiguous() and view_strides(tuple(x.shape), x.stride(), size) is None:
            raise ShapeError(
                f"view: a tensor of shape {list(x.shape)} and strides {list(x.stride())} cannot be seen as "
                f"{list(size)} without copying; use reshape(...)"
            )
        return operands, {"size": size}

    def infer(self, x: TensorType, *, size: Shape) -> tuple[TensorType, ...]:
        return (x.with_shape(resolve_size("view", size, x.shape)),)

    def eager(self, x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
        return x.reshape(size)

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        return view_strides(_shape(types), strides, attrs["size"]) or contiguous_strides(attrs["size"])

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        shape, size = _shape(types), attrs["size"]
        position: list[Index] = [0] * len(shape)
        if any(isinstance(d, int) and d == 0 for d in shape):
            return tuple(position)
        for block, counterpart in matching_blocks(shape, size):
            linear: Index = 0
            for axis in counterpart:
                linear = linear * size[axis] + index[axis]
            for axis in reversed(block[1:]):
                position[axis] = linear % shape[axis]
                linear = linear // shape[axis]
            if block:
                position[block[0]] = linear
        return tuple(position)

    def batched(self, batch: Batch) -> Handle:
        return batch.call(batch.operands, size=(batch.size, *batch.attrs["size"]))

    def scatter(self, base: Handle, source: Handle, *, size: Shape) -> Handle:
        return F.reshape(source, tuple(base.shape))

    def compose(self, shape: Shape, first: Any, second: Any) -> dict[str, Any] | None:
        return dict(second)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, size: Shape) -> Gradient:
        return F.reshape(g, tuple(x.shape))


@define_op
class Permute(View):
    """The dimensions in another order: result dimension `i` is dimension `dims[i]` of the operand.

    Raises:
        ShapeError: `dims` does not name every dimension once.
    """

    signature = "(input: Tensor, dims: dims)"
    samples = samples(
        call(A((2, 3, 4)), (2, 0, 1), dtypes=dtypes.ALL),
        call(A((3, 4)), (-1, 0)),
        call(A(()), ()),
        call(A((0, 4)), (1, 0)),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        if len(attrs["dims"]) != operands[0].ndim:
            raise ShapeError(
                f"permute: dims={list(attrs['dims'])} must order all {operands[0].ndim} dimensions of the tensor of "
                f"shape {list(operands[0].shape)}"
            )
        return operands, attrs

    def infer(self, x: TensorType, *, dims: tuple[int, ...]) -> tuple[TensorType, ...]:
        return (x.with_shape(tuple(x.shape[d] for d in dims)),)

    def eager(self, x: np.ndarray, *, dims: tuple[int, ...]) -> np.ndarray:
        return x.transpose(dims)

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        return tuple(strides[d] for d in attrs["dims"])

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        return tuple(index[d] for d in _inverse(attrs["dims"]))

    def batched(self, batch: Batch) -> Handle:
        return batch.call(batch.operands, dims=(0, *(d + 1 for d in batch.attrs["dims"])))

    def scatter(self, base: Handle, source: Handle, *, dims: tuple[int, ...]) -> Handle:
        return F.permute(source, _inverse(dims))

    def compose(self, shape: Shape, first: Any, second: Any) -> dict[str, Any] | None:
        return {"dims": tuple(first["dims"][d] for d in second["dims"])}

    def vjp(self, g: Handle, y: Handle, x: Handle, *, dims: tuple[int, ...]) -> Gradient:
        return F.permute(g, _inverse(dims))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@define_op
class Expand(View):
    """Dimensions of size 1 repeated to `size` without copying; -1 keeps a size, new dimensions come first.

    Raises:
        ShapeError: a size other than 1 would have to change.
    """

    broadcasts = True
    aliases = ("broadcast_to",)
    signature = "(input: Tensor, size: size)"
    samples = samples(
        call(A((3, 1)), (3, 4), dtypes=dtypes.ALL),
        call(A((3, 1)), (2, -1, 4)),
        call(A(()), (2, 3)),
        call(A((4,)), (4,)),
        call(A((1, 4)), (0, 4)),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        return operands, {"size": expanded_size(tuple(operands[0].shape), attrs["size"])}

    def infer(self, x: TensorType, *, size: Shape) -> tuple[TensorType, ...]:
        return (x.with_shape(expanded_size(x.shape, size)),)

    def eager(self, x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
        new = len(size) - x.ndim
        steps = (0 if n == 1 and m != 1 else s for n, m, s in zip(x.shape, size[new:], x.strides, strict=True))
        return np.lib.stride_tricks.as_strided(x, size, (*(0 for _ in range(new)), *steps))

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        shape, size = _shape(types), attrs["size"]
        new = len(size) - len(shape)
        kept = (s if dims.same(n, m) else 0 for n, m, s in zip(shape, size[new:], strides, strict=True))
        return (*(0 for _ in range(new)), *kept)

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        shape, size = _shape(types), attrs["size"]
        new = len(size) - len(shape)
        return tuple(i if dims.same(n, m) else 0 for n, m, i in zip(shape, size[new:], index[new:], strict=True))

    def batched(self, batch: Batch) -> Handle:
        size = batch.attrs["size"]
        return batch.call([batch.padded(0, len(size))], size=(batch.size, *size))

    def scatter(self, base: Handle, source: Handle, *, size: Shape) -> Handle:
        new = len(size) - len(base.shape)
        grown = [m for n, m in zip((1,) * new + tuple(base.shape), size, strict=True) if not equal(n, m)]
        if grown:
            raise ShapeError(
                f"writing to a tensor of shape {list(size)} expanded from {list(base.shape)}: several of its elements "
                "share one place in memory; clone() it first"
            )
        return F.reshape(source, tuple(base.shape))

    def compose(self, shape: Shape, first: Any, second: Any) -> dict[str, Any] | None:
        return dict(second)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, size: Shape) -> Gradient:
        return g.sum_to_size(tuple(x.shape))


def expanded_size(shape: Shape, size: Shape) -> Shape:
    """`size` with -1 resolved, checked to be an expansion of `shape`.

    Raises:
        ShapeError: it is none; names the sizes that do not fit.
    """
    new = len(size) - len(shape)
    if new < 0:
        raise ShapeError(f"expand: size {list(size)} has fewer dimensions than the tensor of shape {list(shape)}")
    result: list[Dim] = []
    for i, wanted in enumerate(map(dims.settled, size)):
        keep = isinstance(wanted, int) and wanted == -1
        if i < new:
            if isinstance(wanted, int) and wanted < 0:
                raise ShapeError(f"expand: size {wanted} of the new dimension {i} in {list(size)} must not be negative")
            result.append(wanted)
        elif keep or dims.same(wanted, shape[i - new]):
            result.append(shape[i - new])
        elif not (isinstance(wanted, int) and wanted < 0) and shape[i - new] == 1:
            result.append(wanted)
        elif shape[i - new] == wanted:
            result.append(shape[i - new])
        else:
            raise ShapeError(
                f"expand: the expanded size {wanted} must match the existing size {shape[i - new]} at dimension {i}, "
                f"which is not 1; target sizes {list(size)}, tensor sizes {list(shape)}"
            )
    return tuple(result)


@define_op
class Diagonal(View):
    """The elements where dimensions `dim1` and `dim2` have indices `i` and `i + offset`, as the last dimension."""

    signature = "(input: Tensor, offset: int = 0, dim1: dim = 0, dim2: dim = 1)"
    samples = samples(
        call(A((3, 4)), dtypes=dtypes.ALL),
        call(A((4, 3)), 1),
        call(A((2, 3, 4)), -1, 0, 2),
        call(A((2, 3, 4)), 0, -1, 1),
        call(A((3, 3)), 5),
    )
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        if operands[0].ndim < 2:
            raise ShapeError(f"diagonal: needs at least 2 dimensions, got shape {list(operands[0].shape)}")
        if attrs["dim1"] == attrs["dim2"]:
            raise ShapeError(f"diagonal: dim1 and dim2 are the same dimension {attrs['dim1']}")
        return operands, attrs

    def infer(self, x: TensorType, *, offset: int, dim1: int, dim2: int) -> tuple[TensorType, ...]:
        return (x.with_shape((*_without(x.shape, dim1, dim2), _diagonal_length(x.shape, offset, dim1, dim2))),)

    def eager(self, x: np.ndarray, *, offset: int, dim1: int, dim2: int) -> np.ndarray:
        shape = (*_without(x.shape, dim1, dim2), _diagonal_length(x.shape, offset, dim1, dim2))
        strides = (*_without(x.strides, dim1, dim2), x.strides[dim1] + x.strides[dim2])
        start: list[slice] = [slice(None)] * x.ndim
        start[dim1], start[dim2] = slice(max(-offset, 0), None), slice(max(offset, 0), None)
        return np.lib.stride_tricks.as_strided(x[tuple(start)], shape, strides)

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        dim1, dim2 = attrs["dim1"], attrs["dim2"]
        return (*_without(strides, dim1, dim2), strides[dim1] + strides[dim2])

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        offset, dim1, dim2 = attrs["offset"], attrs["dim1"], attrs["dim2"]
        *others, along = index
        rest = iter(others)
        chosen = {dim1: along + max(-offset, 0), dim2: along + max(offset, 0)}
        return tuple(chosen[d] if d in chosen else next(rest) for d in range(len(_shape(types))))

    def scatter(self, base: Handle, source: Handle, *, offset: int, dim1: int, dim2: int) -> Handle:
        rows, columns = _diagonal_places(source, offset, dim1 > dim2)
        low, high = sorted((dim1, dim2))
        return F.index_write(base, source, [rows, columns], dims=(low, high), at=base.ndim - 2, accumulate=False)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, offset: int, dim1: int, dim2: int) -> Gradient:
        return self.scatter(g.new_zeros(tuple(x.shape)), g, offset=offset, dim1=dim1, dim2=dim2)


def _without(items: tuple[Any, ...], *positions: int) -> tuple[Any, ...]:
    return tuple(item for i, item in enumerate(items) if i not in positions)


def _diagonal_length(shape: Shape, offset: int, dim1: int, dim2: int) -> Dim:
    rows, columns = shape[dim1] - max(-offset, 0), shape[dim2] - max(offset, 0)
    length = rows if dims.same(rows, columns) or rows < columns else columns
    return length if length > 0 else 0


def _diagonal_places(source: Handle, offset: int, transposed: bool) -> tuple[Handle, Handle]:
    """Indices along the lower and the higher dimension, of the diagonal that `source` holds the elements of."""
    along = F.arange(source.shape[-1])
    rows, columns = along + max(-offset, 0), along + max(offset, 0)
    return (columns, rows) if transposed else (rows, columns)


@define_op
class Unfold(View):
    """Windows of `size` elements along `dimension`, every `step` elements; the elements of a window come last.

    Raises:
        ShapeError: the window is longer than the dimension.
        ValueRangeError: `step` is not positive.
    """

    signature = "(input: Tensor, dimension: dim, size: int, step: int)"
    samples = samples(
        call(A((3, 7)), 1, 3, 2, dtypes=dtypes.ALL),
        call(A((7, 2)), 0, 3, 1),
        call(A((6,)), -1, 2, 3),
    )
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        (x,), size = operands, attrs["size"]
        length = x.shape[attrs["dimension"]] if x.ndim else 1
        if dims.is_below(size, 0) or size > length:
            raise ShapeError(f"unfold: size {size} does not fit dimension {attrs['dimension']} of size {length}")
        if attrs["step"] < 1:
            raise ValueRangeError(f"unfold: step must be positive, got {attrs['step']}")
        return operands, attrs

    def infer(self, x: TensorType, *, dimension: int, size: int, step: int) -> tuple[TensorType, ...]:
        windows = (x.shape[dimension] - size) // step + 1
        return (x.with_shape((*x.shape[:dimension], windows, *x.shape[dimension + 1 :], size)),)

    def eager(self, x: np.ndarray, *, dimension: int, size: int, step: int) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dimension, writeable=True)
        return windows[(slice(None),) * dimension + (slice(None, None, step), ...)]

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        d = attrs["dimension"]
        return (*strides[:d], strides[d] * attrs["step"], *strides[d + 1 :], strides[d])

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        d = attrs["dimension"]
        return (*index[:d], index[d] * attrs["step"] + index[-1], *index[d + 1 : -1])

    def scatter(self, base: Handle, source: Handle, *, dimension: int, size: int, step: int) -> Handle:
        if step < size:
            raise ShapeError(
                f"writing to windows of size {size} every {step} elements: they share memory; clone() them first"
            )
        return self._write(base, source, dimension, size, step, accumulate=False)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, dimension: int, size: int, step: int) -> Gradient:
        return self._write(g.new_zeros(tuple(x.shape)), g, dimension, size, step, accumulate=True)

    def _write(self, base: Handle, source: Handle, dimension: int, size: int, step: int, accumulate: bool) -> Handle:
        starts = F.arange(source.shape[dimension]) * step
        places = starts.unsqueeze(1) + F.arange(size)
        values = source.movedim(-1, dimension + 1)
        return F.index_write(base, values, [places], dims=(dimension,), at=dimension, accumulate=accumulate)
