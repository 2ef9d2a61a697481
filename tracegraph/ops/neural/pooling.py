"""Pooling: reductions over sliding windows.

All of it is `unfold2d` and a reduction, which fuse into one loop with masked loads; gradients are `fold2d` of
elementwise arithmetic, one loop in gather form. The eager rules visit the kernel's offsets instead of unfolding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.dtypes import DType, from_numpy
from tracegraph.errors import DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Composite, Derived
from tracegraph.ops.kinds.batching import folded_images
from tracegraph.ops.neural.windows import Windows, fold, strided_windows
from tracegraph.ops.numerics.scalar import cast_array

Attrs = dict[str, Any]
MAX_SIGNATURE = (
    "(input: Tensor, kernel_size: pair, stride: OptionalPair = None, padding: pair = 0, dilation: pair = 1, "
    "ceil_mode: bool = False)"
)
MAX_SAMPLES = samples(
    call(A((2, 3, 6, 8), distinct=True), 2),
    call(A((2, 3, 7, 7), distinct=True), 3, stride=2, padding=1),
    call(A((1, 2, 7, 6), distinct=True), (2, 3), stride=(1, 2), dilation=(2, 1), padding=(0, 1)),
    call(A((1, 2, 6, 6), distinct=True), 3, stride=2, ceil_mode=True),
    call(A((3, 6, 6), distinct=True), 2),
    call(A((0, 3, 4, 4)), 2),
)


def lowest(dtype: DType) -> float | int:
    """The neutral element of maximum."""
    if dtype.is_bool:
        raise DTypeError("the maxima of windows are not defined for dtype bool; convert the operand")
    return float("-inf") if dtype.is_floating else int(np.iinfo(dtype.np).min)


class WindowedPool(Composite):
    """Common ground: attributes of PyTorch's pools, images with or without a batch dimension."""

    method = False
    batched = folded_images

    def canonicalize(self, operands: tuple[Any, ...], attrs: Attrs) -> tuple[tuple[Any, ...], Attrs]:
        attrs["stride"] = attrs["stride"] or attrs["kernel_size"]
        Windows(attrs["kernel_size"], attrs["stride"], (0, 0, 0, 0), attrs.get("dilation", (1, 1))).check(self.name)
        if any(not 0 <= 2 * p <= k for p, k in zip(attrs["padding"], attrs["kernel_size"], strict=True)):
            raise ValueRangeError(
                f"{self.name}: padding={list(attrs['padding'])} must be at least 0 and at most half of kernel_size="
                f"{list(attrs['kernel_size'])}"
            )
        return operands, attrs

    def geometry(self, x: Any, attrs: Attrs) -> tuple[Windows, tuple[Dim, Dim]]:
        """The windows over images of `x`, and how many there are; `ceil_mode` becomes padding at the far sides.

        Raises:
            ShapeError: `x` is no image, or no window fits.
        """
        if len(x.shape) not in (3, 4):
            raise ShapeError(f"{self.name}: input {describe(x)} must be [N, C, H, W] or [C, H, W]")
        (ph, pw), dilation = attrs["padding"], attrs.get("dilation", (1, 1))
        windows = Windows(attrs["kernel_size"], attrs["stride"], (ph, ph, pw, pw), dilation)
        if attrs["ceil_mode"]:
            bottom, right = (ceil_padding(windows, axis, x.shape[axis - 2]) for axis in (0, 1))
            windows = Windows(windows.kernel_size, windows.stride, (ph, ph + bottom, pw, pw + right), dilation)
        return windows, windows.output_size(self.name, x)


def ceil_padding(windows: Windows, axis: int, size: Dim) -> Any:
    """Elements to add at the far side so that the last, partial window counts.

    It counts only if it starts within the image or the near padding, as in PyTorch.
    """
    stride, near = windows.stride[axis], windows.padding[2 * axis]
    missing = (windows.extent(axis) - size - windows.padded(axis)) % stride
    if dims.same(missing, 0):
        return 0
    starts_within = stride + near <= windows.extent(axis)  # whatever the size is
    return missing if starts_within or windows.count(axis, size) * stride < size + near else 0


def _batched(x: Handle) -> Handle:
    return x if x.ndim == 4 else x.unsqueeze(0)


def _like(result: Handle, x: Handle) -> Handle:
    return result if x.ndim == 4 else result.squeeze(0)


# ------------------------------------------------------------------------------------------------ maximum


@define_op
class MaxPool2d(WindowedPool):
    """Maximum of each window of images [N, C, H, W] or [C, H, W]; nan propagates.

    `stride` defaults to `kernel_size`.
    """

    zero_signs = False
    signature = MAX_SIGNATURE
    samples = MAX_SAMPLES

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return (x.with_shape((*x.shape[:-2], *self.geometry(x, attrs)[1])),)

    def eager(self, x: np.ndarray, **attrs: Any) -> np.ndarray:
        images, windows, size = _window_array(self, x, attrs)
        result = images[:, :, 0, 0].copy()
        for i, j in list(np.ndindex(*windows.kernel_size))[1:]:
            np.maximum(result, images[:, :, i, j], out=result)
        return cast_array(result.reshape(*x.shape[:-2], *size), from_numpy(x.dtype))

    def decompose(self, x: Handle, **attrs: Any) -> Handle:
        windows, _ = self.geometry(x, attrs)
        return _like(F.unfold2d(_batched(x), **windows.attrs(), fill=lowest(x.dtype)).amax((2, 3)), x)

    def vjp(self, g: Handle, y: Handle, x: Handle, **attrs: Any) -> Gradient:
        """Each window's gradient goes to its first maximum."""
        windows, size = self.geometry(x, attrs)
        images, grads = _batched(x), _batched(g)
        chosen = _batched(F.max_pool2d_offsets(x, **attrs))
        n, c = images.shape[:2]
        offsets = F.arange(dims.product(windows.kernel_size)).reshape((*windows.kernel_size, 1, 1))
        hit = chosen.reshape((n, c, 1, 1, *size)) == offsets
        spread = F.where(hit, grads.reshape((n, c, 1, 1, *size)), 0.0)
        return _like(fold(spread, tuple(x.shape[-2:]), windows), x)


@define_op
class MaxPool2dOffsets(WindowedPool):
    """Where in each window its first maximum is, counted row by row within the kernel: int64."""

    name = "max_pool2d_offsets"
    signature = MAX_SIGNATURE
    samples = MAX_SAMPLES

    def eager(self, x: np.ndarray, **attrs: Any) -> np.ndarray:
        images, windows, size = _window_array(self, x, attrs)
        best = images[:, :, 0, 0].copy()
        offsets = np.zeros(best.shape, np.int64)
        for i, j in list(np.ndindex(*windows.kernel_size))[1:]:
            candidate = images[:, :, i, j]
            # `not <=` is true of nan too; the first nan stays
            better = ~(candidate <= best) & ~np.isnan(best)
            np.copyto(best, candidate, where=better)
            np.putmask(offsets, better, i * windows.kernel_size[1] + j)
        return offsets.reshape(*x.shape[:-2], *size)

    def decompose(self, x: Handle, **attrs: Any) -> Handle:
        windows, size = self.geometry(x, attrs)
        images = _batched(x)
        cells = F.unfold2d(images, **windows.attrs(), fill=lowest(x.dtype))
        flat = cells.reshape((*images.shape[:2], dims.product(windows.kernel_size), *size))
        return _like(flat.argmax(2), x)


@define_op
class MaxPool2dWithIndices(WindowedPool):
    """`max_pool2d`, and the position of each maximum in its flattened image."""

    zero_signs = False
    signature = MAX_SIGNATURE
    result_names = ("values", "indices")
    samples = MAX_SAMPLES

    def decompose(self, x: Handle, **attrs: Any) -> tuple[Handle, Handle]:
        windows, (rows, columns) = self.geometry(x, attrs)
        offsets = F.max_pool2d_offsets(x, **attrs)
        row = windows.position(0, F.arange(rows).reshape((rows, 1)), offsets // windows.kernel_size[1])
        column = windows.position(1, F.arange(columns), offsets % windows.kernel_size[1])
        return F.max_pool2d(x, **attrs), row * x.shape[-1] + column


def _window_array(op: WindowedPool, x: np.ndarray, attrs: Attrs) -> tuple[np.ndarray, Windows, tuple[Any, Any]]:
    """The windows of `x` as a strided view in the compute dtype, padded with the lowest value."""
    type = type_of(x)
    windows, size = op.geometry(type, attrs)
    images = cast_array(x.reshape(-1, *x.shape[-3:]) if x.ndim == 4 else x[None], type.dtype.compute)
    shape = (*images.shape[:2], *windows.kernel_size, *size)
    return strided_windows(images, windows, shape, lowest(type.dtype)), windows, size


# ------------------------------------------------------------------------------------------------ average


@define_op
class AvgPool2d(WindowedPool):
    """Mean of each window of images [N, C, H, W] or [C, H, W].

    Padding counts as zeros, or with `count_include_pad=False` not at all; `divisor_override` replaces the count.
    """

    signature = (
        "(input: Tensor, kernel_size: pair, stride: OptionalPair = None, padding: pair = 0, ceil_mode: bool = False, "
        "count_include_pad: bool = True, divisor_override: OptionalInt = None)"
    )
    samples = samples(
        call(A((2, 3, 6, 8)), 2),
        call(A((2, 3, 7, 7)), 3, stride=2, padding=1),
        call(A((2, 3, 7, 7)), 3, stride=2, padding=1, count_include_pad=False),
        call(A((1, 2, 6, 6)), 3, stride=2, ceil_mode=True, padding=1),
        call(A((1, 2, 6, 6)), 3, divisor_override=2),
        call(A((3, 6, 6)), 2),
    )

    def decompose(self, x: Handle, **attrs: Any) -> Handle:
        windows, _ = self.geometry(x, attrs)
        dtype, images = x.dtype, _batched(x.to(x.dtype.compute))
        total = F.unfold2d(images, **windows.attrs()).sum((2, 3))
        return _like(total / self.divisor(images, windows, attrs), x).to(dtype)

    def divisor(self, images: Handle, windows: Windows, attrs: Attrs) -> Any:
        """The number each window's sum is divided by, or where it varies a tensor of them."""
        if attrs["divisor_override"] is not None:
            return attrs["divisor_override"]
        (ph, pw), sides = attrs["padding"], windows.padding
        is_counted = attrs["count_include_pad"] and dims.same_shape(sides, (ph, ph, pw, pw))
        if is_counted or not windows.is_padded:
            return windows.kernel_size[0] * windows.kernel_size[1]
        height, width = images.shape[-2:]
        if attrs["count_include_pad"]:
            # what ceil_mode added is not counted: windows over an image of ones as large as the padded one
            height, width = height + 2 * ph, width + 2 * pw
            sides = (0, sides[1] - ph, 0, sides[3] - pw)
        ones = F.ones((1, 1, height, width), dtype=images.dtype)
        cells = Windows(windows.kernel_size, windows.stride, sides)
        return F.unfold2d(ones, **cells.attrs()).sum((2, 3))


# ------------------------------------------------------------------------------------------------ one dimension


def _image_attrs(attrs: Attrs) -> Attrs:
    """Attributes of a pool over signals as those of one over images of height 1."""
    pairs = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
    attrs = {**attrs, "stride": attrs["stride"] or attrs["kernel_size"]}
    return {name: (pairs[name], value) if name in pairs else value for name, value in attrs.items()}


def as_image(op: str, x: Handle) -> Handle:
    """A signal as an image of height 1.

    Raises:
        ShapeError: it does not have 2 or 3 dimensions.
    """
    if x.ndim not in (2, 3):
        raise ShapeError(f"{op}: input {describe(x)} must be [N, C, L] or [C, L]")
    return x.unsqueeze(-2)


@define_op
class MaxPool1d(Derived):
    """Maximum of each window of signals [N, C, L] or [C, L]."""

    signature = (
        "(input: Tensor, kernel_size: int, stride: OptionalInt = None, padding: int = 0, dilation: int = 1, "
        "ceil_mode: bool = False)"
    )
    method = False
    samples = samples(call(A((2, 3, 9), distinct=True), 3, stride=2, padding=1))

    def decompose(self, x: Handle, **attrs: Any) -> Handle:
        return F.max_pool2d(as_image(self.name, x), **_image_attrs(attrs)).squeeze(-2)


@define_op
class AvgPool1d(Derived):
    """Mean of each window of signals [N, C, L] or [C, L]."""

    signature = (
        "(input: Tensor, kernel_size: int, stride: OptionalInt = None, padding: int = 0, ceil_mode: bool = False, "
        "count_include_pad: bool = True)"
    )
    method = False
    samples = samples(call(A((2, 3, 9)), 3, stride=2, padding=1))

    def decompose(self, x: Handle, **attrs: Any) -> Handle:
        return F.avg_pool2d(as_image(self.name, x), **_image_attrs(attrs)).squeeze(-2)
