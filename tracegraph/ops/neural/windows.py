"""Sliding windows over the last two dimensions: their geometry, and the two primitives that read and undo them.

`unfold2d` reads the window of every output position; a convolution is its result times the weights, a pooling a
reduction over it. `fold2d` adds every window element back to where it was read, in gather form: each element of the
image sums the windows that cover it, so nothing is scattered and it fuses like any reduction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegraph.errors import ArgumentError, ShapeError, ValueRangeError
from tracegraph.ir import Kind, TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Reduce, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Definition, Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Element
from tracegraph.ops.kinds.batching import folded_images
from tracegraph.ops.numerics.scalar import cast_array


@dataclass(frozen=True)
class Windows:
    """Geometry of sliding windows over (height, width); `padding` is (top, bottom, left, right)."""

    kernel_size: tuple[Dim, Dim]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def check(self, op: str) -> None:
        """Check the attributes.

        Raises:
            ValueRangeError: a size, stride or dilation below 1, or a negative padding.
        """
        for name, values, least in (
            ("kernel_size", self.kernel_size, 1),
            ("stride", self.stride, 1),
            ("dilation", self.dilation, 1),
            ("padding", self.padding, 0),
        ):
            if any(dims.is_below(v, least) for v in values):
                raise ValueRangeError(f"{op}: {name}={list(values)} must be at least {least} everywhere")

    def extent(self, axis: int) -> Dim:
        """Elements from the first to the last element of a window, inclusive."""
        return (self.kernel_size[axis] - 1) * self.dilation[axis] + 1

    def padded(self, axis: int) -> int:
        return self.padding[2 * axis] + self.padding[2 * axis + 1]

    def count(self, axis: int, size: Dim) -> Dim:
        """How many windows fit in `size` elements."""
        return (size + self.padded(axis) - self.extent(axis)) // self.stride[axis] + 1

    def output_size(self, op: str, image: Any) -> tuple[Dim, Dim]:
        """Windows along height and width of an image [..., height, width].

        Raises:
            ShapeError: not one window fits.
        """
        size = image.shape[-2:]
        counts = self.count(0, size[0]), self.count(1, size[1])
        if any(dims.is_below(n, 1) for n in counts):
            raise ShapeError(
                f"{op}: a window of {self.extent(0)} x {self.extent(1)} (kernel_size {list(self.kernel_size)}, "
                f"dilation {list(self.dilation)}) does not fit into input {describe(image)} padded by "
                f"{list(self.padding)}"
            )
        return counts

    @property
    def is_padded(self) -> bool:
        """Whether there may be padding: it may vary with the size of the image."""
        return not dims.same_shape(self.padding, (0, 0, 0, 0))

    @property
    def is_trivial(self) -> bool:
        """Whether each window is one element, the windows in place."""
        return self.kernel_size == (1, 1) and self.stride == (1, 1) and not self.is_padded

    @property
    def tiles(self) -> bool:
        """Whether the windows lie side by side, without overlap, gap or padding."""
        return self.kernel_size == self.stride and not self.is_padded and self.dilation == (1, 1)

    def attrs(self) -> dict[str, Any]:
        """As attributes of `unfold2d` and `fold2d`."""
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
        }

    def position(self, axis: int, window: Index, offset: Index) -> Index:
        """The image index of element `offset` of a window along `axis`; may lie in the padding."""
        return window * self.stride[axis] - self.padding[2 * axis] + offset * self.dilation[axis]


def inside(k: Any, position: Index, size: Dim) -> Scalar:
    """Whether an index lies within [0, size)."""
    scalar = k.index_scalar(position)
    return (scalar >= 0) & (scalar < k.index_scalar(size))


WINDOW_SIGNATURE = "kernel_size: pair, stride: pair = 1, padding: ints = 0, dilation: pair = 1"


class WindowOp(Definition):
    """An op with window attributes; `padding` may be one int, (height, width) or (top, bottom, left, right)."""

    batched = folded_images

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        attrs["padding"] = four_sides(self.name, attrs["padding"])
        windows_of(attrs).check(self.name)
        return operands, attrs


def windows_of(attrs: dict[str, Any]) -> Windows:
    """The geometry in canonical attributes."""
    return Windows(attrs["kernel_size"], attrs["stride"], attrs["padding"], attrs["dilation"])


def four_sides(op: str, padding: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Padding as (top, bottom, left, right) from one int, (height, width) or all four.

    Raises:
        ArgumentError: another number of ints.
    """
    if len(padding) == 1:
        return padding * 4
    if len(padding) == 2:
        return padding[0], padding[0], padding[1], padding[1]
    if len(padding) != 4:
        raise ArgumentError(f"{op}: padding={list(padding)} must be one int, (height, width) or four ints")
    return padding


@define_op
class Unfold2d(WindowOp, Element):
    """The windows of images: [N, C, H, W] to [N, C, kernel height, kernel width, windows down, windows across].

    Elements of windows that lie in the padding are `fill`.
    """

    signature = f"(input: Tensor, {WINDOW_SIGNATURE}, fill: number = 0)"
    method = False
    shape_only = ("x",)
    samples = samples(
        call(A((2, 3, 5, 6)), 3),
        call(A((2, 3, 5, 6)), (3, 2), stride=(2, 1), padding=1),
        call(A((1, 2, 7, 7)), 3, dilation=2, padding=(2, 1)),
        call(A((1, 1, 4, 4)), 2, stride=2, padding=(0, 1, 0, 1), fill=-1.5),
        call(A((0, 2, 4, 4)), 2),
    )

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        check_images(self.name, x)
        windows = windows_of(attrs)
        return (x.with_shape((*x.shape[:2], *windows.kernel_size, *windows.output_size(self.name, x))),)

    def eager(self, x: np.ndarray, **attrs: Any) -> np.ndarray:
        fill = attrs["fill"]
        (type,) = self.infer(type_of(x), **attrs)
        return np.ascontiguousarray(strided_windows(x, windows_of(attrs), type.shape, fill))

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        (x,) = types
        assert isinstance(x, TensorType)
        windows = windows_of(attrs)
        n, c, *offsets, row, column = index
        position = tuple(windows.position(a, w, o) for a, (w, o) in enumerate(zip((row, column), offsets, strict=True)))
        masks = [inside(k, position[a], x.shape[2 + a]) for a in (0, 1) if not dims.same(windows.padded(a), 0)]
        if not masks:
            return load(0, (n, c, *position))
        mask = masks[0] & masks[1] if len(masks) == 2 else masks[0]
        return load(0, (n, c, *position), mask, attrs["fill"])

    def vjp(
        self, g: Handle, y: Handle, x: Handle, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, fill: Any
    ) -> Gradient:
        return fold(g, tuple(x.shape[2:]), Windows(kernel_size, stride, padding, dilation))


def fold(cols: Handle, size: tuple[Dim, Dim], windows: Windows) -> Handle:
    """`fold2d`; windows that tile the image are only put in place."""
    n, c, height, width, rows, columns = cols.shape
    if windows.tiles and dims.same(rows * height, size[0]) and dims.same(columns * width, size[1]):
        return cols.permute((0, 1, 4, 2, 5, 3)).reshape((n, c, *size))
    return F.fold2d(cols, size, stride=windows.stride, padding=windows.padding, dilation=windows.dilation)


def strided_windows(x: np.ndarray, windows: Windows, shape: tuple[Any, ...], fill: float) -> np.ndarray:
    """The windows of `x` as a read-only strided view (of a padded copy, if there is padding)."""
    top, bottom, left, right = windows.padding
    if any(windows.padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    sn, sc, sh, sw = x.strides
    (dh, dw), (th, tw) = windows.dilation, windows.stride
    strides = (sn, sc, sh * dh, sw * dw, sh * th, sw * tw)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


@define_op
class Fold2d(WindowOp):
    """Add windows back into images: the transpose of `unfold2d`.

    From [N, C, kernel height, kernel width, windows down, windows across] to [N, C, H, W], where `output_size` is
    (H, W); window elements that lie in the padding are dropped.
    """

    kind = Kind.WINDOWED
    signature = "(input: Tensor, output_size: pair, *, stride: pair = 1, padding: ints = 0, dilation: pair = 1)"
    method = False
    shape_only = ("cols",)
    samples = samples(
        call(A((2, 3, 3, 3, 3, 4)), (5, 6)),
        call(A((2, 3, 3, 2, 3, 7)), (5, 6), stride=(2, 1), padding=1),
        call(A((1, 2, 3, 3, 7, 5)), (7, 7), dilation=2, padding=(2, 1)),
        call(A((0, 2, 2, 2, 3, 3)), (4, 4)),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        attrs["padding"] = four_sides(self.name, attrs["padding"])
        return operands, attrs

    def windows(self, cols: Any, attrs: dict[str, Any]) -> Windows:
        return Windows(tuple(cols.shape[2:4]), attrs["stride"], attrs["padding"], attrs["dilation"])

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (cols,) = operands
        assert isinstance(cols, TensorType)
        if cols.ndim != 6:
            raise ShapeError(f"fold2d: input {cols} must have 6 dimensions: [N, C, kernel (2), windows (2)]")
        windows, size = self.windows(cols, attrs), attrs["output_size"]
        windows.check(self.name)
        for axis in (0, 1):
            count = windows.count(axis, size[axis])
            if not dims.same(count, cols.shape[4 + axis]) and count != cols.shape[4 + axis]:
                raise ShapeError(
                    f"fold2d: input {cols} has {cols.shape[4 + axis]} windows along dimension {4 + axis}, an image of "
                    f"{list(size)} has {count} (stride {list(windows.stride)}, padding {list(windows.padding)}, "
                    f"dilation {list(windows.dilation)})"
                )
        return (cols.with_shape((*cols.shape[:2], *size)),)

    def eager(self, cols: np.ndarray, **attrs: Any) -> np.ndarray:
        (type,) = self.infer(type_of(cols), **attrs)
        windows = self.windows(cols, attrs)
        height, width = attrs["output_size"]
        if windows.tiles and type.numel == cols.size:
            return np.ascontiguousarray(cols.transpose(0, 1, 4, 2, 5, 3)).reshape(type.shape)
        top, bottom, left, right = windows.padding
        padded = (*cols.shape[:2], height + top + bottom, width + left + right)
        total = np.zeros(padded, type.dtype.compute.np)
        (dh, dw), (th, tw) = windows.dilation, windows.stride
        rows, columns = cols.shape[4:]
        for i in range(cols.shape[2]):
            for j in range(cols.shape[3]):
                target = total[:, :, i * dh : i * dh + rows * th : th, j * dw : j * dw + columns * tw : tw]
                target += cols[:, :, i, j]
        return cast_array(np.ascontiguousarray(total[:, :, top : top + height, left : left + width]), type.dtype)

    def reduce(self, types: OperandTypes, attrs: dict[str, Any]) -> Reduce:
        """out[n, c, y, x] = sum over the offsets (i, j) of the windows that have (y, x) at (i, j)."""
        (cols,) = types
        assert isinstance(cols, TensorType)
        windows = self.windows(cols, attrs)
        accumulator = cols.dtype.compute

        def term(k: Any, load: Load, index: tuple[Index, ...], inner: tuple[Index, ...]) -> Scalar:
            n, c, *image = index
            first, down = _covering_window(k, windows, 0, image[0], inner[0], cols.shape[4])
            second, across = _covering_window(k, windows, 1, image[1], inner[1], cols.shape[5])
            return k.cast(load(0, (n, c, *inner, down, across), first & second), accumulator)

        return Reduce(cols.shape[2:4], "add", accumulator, term, lambda k, total: k.cast(total, cols.dtype))

    def vjp(
        self, g: Handle, y: Handle, cols: Handle, *, output_size: Any, stride: Any, padding: Any, dilation: Any
    ) -> Gradient:
        return F.unfold2d(g, tuple(cols.shape[2:4]), stride=stride, padding=padding, dilation=dilation)


def _covering_window(
    k: Any, windows: Windows, axis: int, image: Index, offset: Index, count: Dim
) -> tuple[Scalar, Index]:
    """Whether there is a window with image index `image` at `offset`, and which it is."""
    start = image + windows.padding[2 * axis] - offset * windows.dilation[axis]
    stride = windows.stride[axis]
    if stride == 1:
        return inside(k, start, count), start
    window = start // stride
    return (k.index_scalar(start % stride) == 0) & inside(k, window, count), window


def check_images(op: str, x: Any) -> None:
    """Check that `x` is a batch of images.

    Raises:
        ShapeError: it does not have 4 dimensions.
    """
    if len(x.shape) != 4:
        raise ShapeError(f"{op}: input {describe(x)} must have 4 dimensions: [batch, channels, height, width]")
