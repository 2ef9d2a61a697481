"""Views by strides: any regular selection of the elements of a contiguous tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, DataDependentError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, OperandTypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Shape, Strides, contiguous_strides, overlaps_itself
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.kinds import View
from tracegraph.ops.kinds.batching import Batch


@define_op
class AsStrided(View):
    """The elements of a contiguous tensor seen with other sizes and strides, from `storage_offset` on.

    Places are counted from the first element of this tensor, and must lie within it; a `storage_offset` that is given
    counts from the start of the memory, as in PyTorch.

    Raises:
        ShapeError: the tensor is not contiguous, or the view reaches beyond its elements.
        DataDependentError: `storage_offset` is given while tracing, which does not know where memory starts.
    """

    signature = "(input: Tensor, size: size, stride: ints, storage_offset: OptionalInt = None)"
    samples = samples(
        call(A((3, 4)), (2, 2), (4, 1), dtypes=dtypes.ALL),
        call(A((7,)), (3, 3), (2, 1)),
        call(A((4,)), (2, 3), (0, 1)),
        call(A((5,)), (), ()),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (x,), size, stride, offset = operands, attrs["size"], attrs["stride"], attrs["storage_offset"]
        if offset is not None:
            if not hasattr(x, "storage_offset"):
                raise DataDependentError("as_strided() with a storage_offset")
            offset = offset - x.storage_offset()
        if len(size) != len(stride):
            raise ArgumentError(f"as_strided: size={list(size)} and stride={list(stride)} differ in length")
        if not x.is_contiguous():
            raise ShapeError(
                f"as_strided: the tensor of shape {list(x.shape)} and strides {list(x.stride())} is not contiguous; "
                "call contiguous() first, or view the tensor it was made from"
            )
        check_within(tuple(x.shape), size, stride, offset or 0)
        return operands, {"size": size, "stride": stride, "storage_offset": offset or 0}

    def infer(self, x: TensorType, *, size: Shape, stride: Strides, storage_offset: Dim) -> tuple[TensorType, ...]:
        return (x.with_shape(size),)

    def eager(self, x: np.ndarray, *, size: Any, stride: Any, storage_offset: int) -> np.ndarray:
        flat = x.reshape(-1)[storage_offset:]
        return np.lib.stride_tricks.as_strided(flat, size, tuple(s * x.itemsize for s in stride))

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        return attrs["stride"]

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        (x,) = types
        assert isinstance(x, TensorType)
        place: Index = attrs["storage_offset"]
        for i, step in zip(index, attrs["stride"], strict=True):
            place = place + i * step
        return tuple(place // step % n for n, step in zip(x.shape, contiguous_strides(x.shape), strict=True))

    def batched(self, batch: Batch) -> Any:
        if batch.attrs["storage_offset"] is not None:
            return NotImplemented  # counted in the memory of all samples
        (x,), size, stride = batch.operands, batch.attrs["size"], batch.attrs["stride"]
        return batch.call([x], size=(batch.size, *size), stride=(x.stride()[0], *stride))

    def scatter(self, base: Handle, source: Handle, *, size: Shape, stride: Strides, storage_offset: Dim) -> Handle:
        if overlaps_itself(size, stride):
            raise ShapeError(
                f"writing to a tensor of shape {list(size)} and strides {list(stride)}: several of its elements share "
                "one place in memory; clone() it first"
            )
        return F.put(base, places(size, stride, storage_offset), source)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, size: Shape, stride: Strides, storage_offset: Dim) -> Gradient:
        return F.put(g.new_zeros(tuple(x.shape)), places(size, stride, storage_offset), g, True)


def check_within(shape: Shape, size: Shape, stride: Strides, offset: Dim) -> None:
    """Check that a strided view stays within the elements of a contiguous tensor of `shape`.

    Raises:
        ShapeError: it does not.
        ValueRangeError: a size or stride is negative.
    """
    if any(n < 0 for n in (*size, *stride)):
        raise ValueRangeError(f"as_strided: size={list(size)} and stride={list(stride)} must not be negative")
    if any(isinstance(n, int) and n == 0 for n in size):
        return
    last = offset
    for n, step in zip(size, stride, strict=True):
        last = last + (n - 1) * step
    if offset < 0 or last >= dims.product(shape):
        raise ShapeError(
            f"as_strided: size={list(size)}, stride={list(stride)} reach from element {offset} to {last} of a tensor "
            f"of shape {list(shape)}"
        )


def places(size: Shape, stride: Strides, offset: Dim) -> Handle:
    """The places in memory of the elements of a view, in its shape."""
    found = F.full((), offset, dtype=dtypes.int64)
    for axis, (n, step) in enumerate(zip(size, stride, strict=True)):
        found = found + (F.arange(n) * step).reshape((n, *(1,) * (len(size) - axis - 1)))
    return found
