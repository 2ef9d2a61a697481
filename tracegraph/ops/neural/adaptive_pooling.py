"""Pooling to a given output size: windows that cover the image as evenly as possible."""

from __future__ import annotations

from typing import Any

from tracegraph.dtypes import DType, int64
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived
from tracegraph.ops.neural.pooling import as_image


def _target(op: str, x: Any, size: Any) -> tuple[Dim, Dim]:
    if len(x.shape) not in (3, 4):
        raise ShapeError(f"{op}: input {describe(x)} must be [N, C, H, W] or [C, H, W]")
    listed = size if isinstance(size, tuple) else (size, size)
    if len(listed) != 2 or any(s is not None and dims.is_below(s, 1) for s in listed):
        raise ValueRangeError(f"{op}: output_size={size!r} must be one or two positive ints (or None: as the input)")
    height, width = (x.shape[axis - 2] if s is None else s for axis, s in enumerate(listed))
    return height, width


def _even_windows(x: Handle, size: tuple[Dim, Dim]) -> tuple[Dim, Dim] | None:
    """The kernel of equal windows that make `size` outputs, or None if not all sizes that may come give them."""
    pairs = list(zip(x.shape[-2:], size, strict=True))
    return tuple(n // m for n, m in pairs) if all(dims.same(n % m, 0) for n, m in pairs) else None


@define_op
class AdaptiveAvgPool2d(Derived):
    """Mean over a grid of `output_size` windows that cover the image as evenly as possible (None: one per element)."""

    signature = "(input: Tensor, output_size: sizes_or_none)"
    method = False
    samples = samples(
        call(A((2, 3, 6, 8)), 1),
        call(A((2, 3, 6, 8)), (3, 4)),
        call(A((2, 3, 7, 5)), (3, 4)),
        call(A((2, 3, 7, 5)), (None, 2)),
        call(A((3, 6, 6)), 2),
    )

    def decompose(self, x: Handle, *, output_size: Any) -> Handle:
        size = _target(self.name, x, output_size)
        if all(dims.same(s, 1) for s in size):
            return x.to(x.dtype.compute).mean((-2, -1), keepdim=True).to(x.dtype)
        kernel = _even_windows(x, size)
        if kernel is not None:
            return F.avg_pool2d(x, kernel)
        # uneven windows: the mean along each axis is a product with a matrix of weights
        down, across = (_averaging(n, m, x.dtype.compute) for n, m in zip(x.shape[-2:], size, strict=True))
        return down.matmul(x.to(x.dtype.compute)).matmul(across.transpose(0, 1)).to(x.dtype)


@define_op
class AdaptiveMaxPool2d(Derived):
    """Maximum over a grid of `output_size` windows that cover the image as evenly as possible."""

    signature = "(input: Tensor, output_size: sizes_or_none)"
    method = False
    samples = samples(
        call(A((2, 3, 6, 8), distinct=True), (3, 4)),
        call(A((2, 3, 7, 5), distinct=True), (3, 4)),
        call(A((3, 6, 6), distinct=True), 2),
    )

    def decompose(self, x: Handle, *, output_size: Any) -> Handle:
        size = _target(self.name, x, output_size)
        kernel = _even_windows(x, size)
        if kernel is not None:
            return F.max_pool2d(x, kernel)
        return _windowed_max(_windowed_max(x, x.ndim - 2, size[0]), x.ndim - 1, size[1])


def _bounds(size: Dim, count: Dim) -> tuple[Handle, Handle]:
    """First and one past the last index of each of `count` windows over `size` elements."""
    number = F.arange(count, dtype=int64)
    return number * size // count, ((number + 1) * size + (count - 1)) // count


def _averaging(size: Dim, count: Dim, dtype: DType) -> Handle:
    """The matrix [count, size] that takes elements to window means."""
    start, stop = (b.reshape((count, 1)) for b in _bounds(size, count))
    element = F.arange(size, dtype=int64)
    return ((element >= start) & (element < stop)).to(dtype) / (stop - start).to(dtype)


def _windowed_max(x: Handle, axis: int, count: Dim) -> Handle:
    """Maxima along `axis` of `count` uneven windows; short windows repeat their last element."""
    size = x.shape[axis]
    start, stop = (b.reshape((count, 1)) for b in _bounds(size, count))
    longest = (size + count - 1) // count + 1
    elements = F.minimum(start + F.arange(longest, dtype=int64), stop - 1).reshape((count * longest,))
    gathered = x.index_select(axis, elements)
    shape = (*x.shape[:axis], count, longest, *x.shape[axis + 1 :])
    return gathered.reshape(shape).max(axis + 1).values


@define_op
class AdaptiveAvgPool1d(Derived):
    """Mean over `output_size` windows that cover the signal as evenly as possible."""

    signature = "(input: Tensor, output_size: int)"
    method = False
    samples = samples(call(A((2, 3, 9)), 3), call(A((2, 3, 7)), 3))

    def decompose(self, x: Handle, *, output_size: int) -> Handle:
        return F.adaptive_avg_pool2d(as_image(self.name, x), (1, output_size)).squeeze(-2)


@define_op
class AdaptiveMaxPool1d(Derived):
    """Maximum over `output_size` windows that cover the signal as evenly as possible."""

    signature = "(input: Tensor, output_size: int)"
    method = False
    samples = samples(call(A((2, 3, 9), distinct=True), 3))

    def decompose(self, x: Handle, *, output_size: int) -> Handle:
        return F.adaptive_max_pool2d(as_image(self.name, x), (1, output_size)).squeeze(-2)
