"""Convolutions: windows times weights (im2col), so that compiled code is a copy and a matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, equal_shapes, type_of
from tracegraph.ops.kinds import Composite, Derived
from tracegraph.ops.kinds.batching import folded_images
from tracegraph.ops.neural.windows import Windows, four_sides, strided_windows
from tracegraph.ops.numerics.scalar import cast_array

OPERANDS = "input: Tensor, weight: Tensor, bias: OptionalTensor = None"
Attrs = dict[str, Any]


@define_op
class Conv2d(Composite):
    """Cross-correlation of images [N, C, H, W] (or [C, H, W]) with `weight` [O, C / groups, kh, kw].

    `padding` is an int, (height, width), 'valid', 'same' (stride 1 only), or (top, bottom, left, right).
    """

    signature = f"({OPERANDS}, stride: pair = 1, padding: any = 0, dilation: pair = 1, groups: int = 1)"
    method = False
    shape_only = ("bias",)
    autocast = Autocast.LOW
    samples = samples(
        call(A((2, 3, 6, 5)), A((4, 3, 3, 3)), A((4,))),
        call(A((2, 3, 6, 5)), A((4, 3, 3, 2)), A((4,)), stride=(2, 1), padding=1),
        call(A((1, 4, 7, 7)), A((6, 2, 3, 3)), padding=(1, 2), dilation=2, groups=2),
        call(A((2, 4, 5, 5)), A((4, 1, 3, 3)), padding="same", groups=4),
        call(A((2, 3, 5, 5)), A((2, 3, 2, 2)), padding="same"),
        call(A((2, 3, 4, 4)), A((5, 3, 1, 1)), A((5,))),
        call(A((3, 6, 5)), A((4, 3, 3, 3)), A((4,))),
        call(A((0, 3, 6, 5)), A((4, 3, 3, 3)), A((4,))),
    )
    batched = folded_images

    def canonicalize(self, operands: tuple[Any, ...], attrs: Attrs) -> tuple[tuple[Any, ...], Attrs]:
        attrs["padding"] = padding_sides(self.name, operands[1], attrs)
        return operands, attrs

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        x, weight, bias = operands
        check_convolution(self.name, x, weight, bias, attrs["groups"], channel_dim=1)
        assert isinstance(x, TensorType) and isinstance(weight, TensorType)
        batch = x.shape[:-3]
        return (x.with_shape((*batch, weight.shape[0], *windows_of(weight, attrs).output_size(self.name, x))),)

    def eager(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, **attrs: Any) -> np.ndarray:
        (type,) = self.infer(type_of(x), type_of(weight), None if bias is None else type_of(bias), **attrs)
        x, weight = cast_array(x, type.dtype.compute), cast_array(weight, type.dtype.compute)
        images = x if x.ndim == 4 else x[None]
        groups, windows = attrs["groups"], windows_of(weight, attrs)
        columns = _columns_array(images, windows, groups, type.shape[-2:])
        result = np.matmul(weight.reshape(*_split(weight.shape[0], groups), -1), columns).reshape(type.shape)
        if bias is not None:
            result += cast_array(bias, type.dtype.compute)[:, None, None]
        return cast_array(result, type.dtype)

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        check_convolution(self.name, x, weight, bias, attrs["groups"], channel_dim=1)
        dtype, compute = x.dtype, x.dtype.compute
        images = x.to(compute) if x.ndim == 4 else x.to(compute).unsqueeze(0)
        windows, groups = windows_of(weight, attrs), attrs["groups"]
        size = windows.output_size(self.name, images)
        matrix = weight.to(compute).reshape((*_split(weight.shape[0], groups), dims.product(weight.shape[1:])))
        result = matrix.matmul(columns(images, windows, groups))
        result = result.reshape((images.shape[0], weight.shape[0], *size))
        if bias is not None:
            result = result + bias.to(compute).reshape((bias.shape[0], 1, 1))
        return (result if x.ndim == 4 else result.squeeze(0)).to(dtype)

    def vjp(
        self, g: Handle, y: Handle, x: Handle, weight: Handle, bias: Handle | None,
        *, stride: Any, padding: Any, dilation: Any, groups: int,
    ) -> Gradient:  # fmt: skip
        windows = Windows(tuple(weight.shape[-2:]), stride, padding, dilation)
        batched = g.ndim == 4

        def input_gradient() -> Handle:
            images = transposed(_batch(g), weight, windows, groups, tuple(x.shape[-2:]))
            return images if batched else images.squeeze(0)

        return (
            input_gradient,
            lambda: weight_gradient(_batch(g), _batch(x), windows, groups).reshape(tuple(weight.shape)),
            None if bias is None else lambda: _batch(g).sum((0, 2, 3)),
        )


@define_op
class ConvTranspose2d(Derived):
    """The transpose of `conv2d` as a map of images: from [N, C, H, W] by `weight` [C, O / groups, kh, kw].

    The output has (H - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding rows.
    """

    signature = (
        f"({OPERANDS}, stride: pair = 1, padding: pair = 0, output_padding: pair = 0, groups: int = 1, "
        "dilation: pair = 1)"
    )
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((2, 3, 4, 5)), A((3, 4, 3, 3)), A((4,))),
        call(A((2, 3, 4, 5)), A((3, 4, 3, 2)), A((4,)), stride=2, padding=1, output_padding=1),
        call(A((1, 4, 3, 3)), A((4, 3, 3, 3)), stride=(2, 1), groups=2, dilation=2),
        call(A((3, 4, 5)), A((3, 4, 3, 3)), A((4,))),
    )

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        groups = attrs["groups"]
        check_convolution(self.name, x, weight, bias, groups, channel_dim=0)
        dtype, compute = x.dtype, x.dtype.compute
        (ph, pw), dilation, stride = attrs["padding"], attrs["dilation"], attrs["stride"]
        windows = Windows(tuple(weight.shape[2:]), stride, (ph, ph, pw, pw), dilation)
        windows.check(self.name)
        _check_output_padding(attrs["output_padding"], stride, dilation)
        size = tuple(
            (x.shape[axis - 2] - 1) * stride[axis] - windows.padded(axis) + windows.extent(axis) + extra
            for axis, extra in enumerate(attrs["output_padding"])
        )
        images = x.to(compute) if x.ndim == 4 else x.to(compute).unsqueeze(0)
        result = transposed(images, weight.to(compute), windows, groups, size)
        if bias is not None:
            result = result + bias.to(compute).reshape((bias.shape[0], 1, 1))
        return (result if x.ndim == 4 else result.squeeze(0)).to(dtype)


@define_op
class Conv1d(Derived):
    """Cross-correlation of signals [N, C, L] (or [C, L]) with `weight` [O, C / groups, kernel]."""

    signature = f"({OPERANDS}, stride: int = 1, padding: any = 0, dilation: int = 1, groups: int = 1)"
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((2, 3, 9)), A((4, 3, 3)), A((4,))),
        call(A((2, 4, 9)), A((4, 2, 3)), stride=2, padding=1, dilation=2, groups=2),
        call(A((2, 3, 9)), A((4, 3, 4)), A((4,)), padding="same"),
        call(A((3, 9)), A((4, 3, 3))),
    )

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        _check_signal(self.name, x, weight)
        return F.conv2d(x.unsqueeze(-2), weight.unsqueeze(-2), bias, **image_attrs(self.name, attrs)).squeeze(-2)


@define_op
class ConvTranspose1d(Derived):
    """The transpose of `conv1d`: from [N, C, L] by `weight` [C, O / groups, kernel]."""

    signature = (
        f"({OPERANDS}, stride: int = 1, padding: int = 0, output_padding: int = 0, groups: int = 1, dilation: int = 1)"
    )
    method = False
    autocast = Autocast.LOW
    samples = samples(call(A((2, 3, 5)), A((3, 4, 3)), A((4,)), stride=2, padding=1, output_padding=1))

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        _check_signal(self.name, x, weight)
        spread = {
            "stride": (1, attrs["stride"]),
            "padding": (0, attrs["padding"]),
            "output_padding": (0, attrs["output_padding"]),
            "dilation": (1, attrs["dilation"]),
        }
        return F.conv_transpose2d(
            x.unsqueeze(-2), weight.unsqueeze(-2), bias, groups=attrs["groups"], **spread
        ).squeeze(-2)


# ------------------------------------------------------------------------------------------------ building blocks


def columns(images: Handle, windows: Windows, groups: int) -> Handle:
    """Windows as columns: [N, C * kernel, windows], or [N, groups, C / groups * kernel, windows]."""
    n, c, *size = images.shape
    if not windows.is_trivial:
        size = list(windows.output_size("conv2d", images))
        images = F.unfold2d(images, **windows.attrs())
    rows = dims.product((c, *windows.kernel_size))
    return images.reshape((n, *_split(rows, groups), dims.product(tuple(size))))


def _columns_array(images: np.ndarray, windows: Windows, groups: int, size: tuple[Any, ...]) -> np.ndarray:
    n, c, *_ = images.shape
    rows = c * windows.kernel_size[0] * windows.kernel_size[1]
    if not windows.is_trivial:
        images = strided_windows(images, windows, (n, c, *windows.kernel_size, *size), 0)
    return images.reshape(n, *_split(rows, groups), size[0] * size[1])


def transposed(images: Handle, weight: Handle, windows: Windows, groups: int, size: tuple[Dim, ...]) -> Handle:
    """Apply the transpose of the convolution by `weight`: images [N, O, h, w] to [N, C, *size]."""
    n, o, h, w = images.shape
    split = _split(o, groups)
    matrix = weight.reshape((*split, dims.product(tuple(weight.shape[1:]))))
    cols = matrix.transpose(-2, -1).matmul(images.reshape((n, *split, h * w)))
    channels = weight.shape[1] * groups
    if windows.is_trivial:
        return cols.reshape((n, channels, h, w))
    cols = cols.reshape((n, channels, *windows.kernel_size, h, w))
    return F.fold2d(cols, size, stride=windows.stride, padding=windows.padding, dilation=windows.dilation)


def weight_gradient(g: Handle, images: Handle, windows: Windows, groups: int) -> Handle:
    """Sum over the batch of g @ columns^T: [groups, O / groups, C / groups * kernel] or without groups."""
    n, o, h, w = g.shape
    matrix = g.reshape((n, *_split(o, groups), h * w))
    return matrix.matmul(columns(images, windows, groups).transpose(-2, -1)).sum(0)


def _split(channels: Dim, groups: int) -> tuple[Dim, ...]:
    return (channels,) if groups == 1 else (groups, channels // groups)


def _batch(images: Handle) -> Handle:
    return images if images.ndim == 4 else images.unsqueeze(0)


def windows_of(weight: Any, attrs: Attrs) -> Windows:
    """The windows that a weight [.., kernel height, kernel width] looks through."""
    return Windows(tuple(weight.shape[-2:]), attrs["stride"], attrs["padding"], attrs["dilation"])


def image_attrs(op: str, attrs: Attrs) -> Attrs:
    """Attributes of a convolution of signals as those of images of height 1."""
    padding = attrs["padding"]
    if not isinstance(padding, str):
        padding = padding if isinstance(padding, tuple) else (padding,)
        if len(padding) != 1:
            raise ArgumentError(f"{op}: padding={list(padding)} must be one int, 'same' or 'valid'")
        padding = (0, padding[0])
    return {
        "stride": (1, attrs["stride"]),
        "padding": padding,
        "dilation": (1, attrs["dilation"]),
        "groups": attrs["groups"],
    }


# ------------------------------------------------------------------------------------------------ checks


def padding_sides(op: str, weight: Any, attrs: Attrs) -> tuple[int, int, int, int]:
    """The padding attribute as (top, bottom, left, right).

    Raises:
        ValueRangeError: an unknown word, or 'same' with a stride.
        ArgumentError: neither a word nor ints.
    """
    padding = attrs["padding"]
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if attrs["stride"] != (1, 1):
            raise ValueRangeError(f"{op}: padding='same' needs stride 1, got {list(attrs['stride'])}")
        total = [d * (k - 1) for d, k in zip(attrs["dilation"], weight.shape[-2:], strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    if isinstance(padding, str):
        raise ValueRangeError(f"{op}: padding={padding!r} must be 'same', 'valid' or numbers")
    listed = padding if isinstance(padding, tuple) else (padding,)
    if not all(hasattr(p, "__index__") for p in listed):
        raise ArgumentError(f"{op}: padding={padding!r} must be an int, two ints, 'same' or 'valid'")
    sides: tuple[Any, ...] = tuple(p if isinstance(p, SymExpr) else p.__index__() for p in listed)
    return four_sides(op, sides)


def check_convolution(op: str, x: Any, weight: Any, bias: Any, groups: int, channel_dim: int) -> None:
    """Check operand shapes; `channel_dim` is the dimension of `weight` that meets the input's channels.

    Raises:
        ShapeError, DTypeError, ValueRangeError: they do not fit.
    """
    if len(x.shape) not in (3, 4) or len(weight.shape) != 4:
        raise ShapeError(
            f"{op}: input {describe(x)} must be [N, C, H, W] or [C, H, W], "
            f"and weight {describe(weight)} have 4 dimensions"
        )
    if groups < 1 or any(dims.is_static(n) and n % groups for n in (x.shape[-3], weight.shape[0])):
        raise ValueRangeError(
            f"{op}: groups={groups} must divide the {x.shape[-3]} channels of input {describe(x)} and the "
            f"{weight.shape[0]} of weight {describe(weight)}"
        )
    expected = weight.shape[1] * groups if channel_dim else weight.shape[0]
    if not equal(x.shape[-3], expected):
        raise ShapeError(
            f"{op}: input {describe(x)} has {x.shape[-3]} channels, weight {describe(weight)} expects {expected} "
            f"with groups={groups}"
        )
    channels = weight.shape[0] if channel_dim else weight.shape[1] * groups
    if bias is not None and not equal_shapes(tuple(bias.shape), (channels,)):
        raise ShapeError(f"{op}: bias {describe(bias)} must have shape [{channels}] to fit weight {describe(weight)}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.dtype is not x.dtype:
            raise DTypeError(
                f"{op}: input {describe(x)} and {name} {describe(t)} differ in dtype; convert one with .to(...)"
            )
    if x.dtype not in dtypes.FLOATING_DTYPES:
        raise DTypeError(f"{op}: input {describe(x)} must be floating; convert it with .to(...)")


def _check_signal(op: str, x: Any, weight: Any) -> None:
    if len(x.shape) not in (2, 3) or len(weight.shape) != 3:
        raise ShapeError(
            f"{op}: input {describe(x)} must be [N, C, L] or [C, L], and weight {describe(weight)} have 3 dimensions"
        )


def _check_output_padding(extra: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> None:
    if any(not 0 <= e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueRangeError(
            f"conv_transpose2d: output_padding={list(extra)} must be at least 0 and less than the stride "
            f"{list(stride)} or the dilation {list(dilation)}"
        )
