"""Convolution and pooling of volumes [N, C, D, H, W], made of those of images.

A convolution sees the depth of its kernel as further channels. Pools are separable: first over height and width,
then over the depth.
"""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, ShapeError, ValueRangeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived
from tracegraph.ops.neural.convolution import OPERANDS

Attrs = dict[str, Any]
_WIDE = (dtypes.float32, dtypes.float64)


def triple(op: str, name: str, value: Any) -> tuple[Any, Any, Any]:
    """`3` means (3, 3, 3).

    Raises:
        ArgumentError: neither an int nor three.
    """
    listed = tuple(value) if isinstance(value, tuple) else (value,)
    listed = listed * 3 if len(listed) == 1 else listed
    if len(listed) != 3:
        raise ArgumentError(f"{op}: argument {name!r} must be an int or three ints, got {value!r}")
    return listed


def _batched(op: str, x: Handle) -> Handle:
    if x.ndim not in (4, 5):
        raise ShapeError(f"{op}: input {describe(x)} must be [N, C, D, H, W] or [C, D, H, W]")
    return x if x.ndim == 5 else x.unsqueeze(0)


def _depth_slice(x: Handle, start: Dim, count: Dim, step: int) -> Handle:
    return x[:, :, start : start + (count - 1) * step + 1 : step]


@define_op
class Conv3d(Derived):
    """Cross-correlation of volumes [N, C, D, H, W] (or [C, D, H, W]) with `weight` [O, C / groups, kd, kh, kw]."""

    signature = f"({OPERANDS}, stride: ints = 1, padding: any = 0, dilation: ints = 1, groups: int = 1)"
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((1, 2, 4, 3, 3)), A((3, 2, 2, 2, 2)), A((3,))),
        call(A((1, 4, 5, 4, 4)), A((2, 2, 2, 3, 2)), stride=(2, 1, 1), padding=1, dilation=2, groups=2, dtypes=_WIDE),
        call(A((2, 4, 3, 3)), A((1, 2, 3, 3, 3)), padding="same", dtypes=_WIDE),
    )

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        volumes = _batched(self.name, x)
        if weight.ndim != 5:
            raise ShapeError(f"conv3d: weight {describe(weight)} must have 5 dimensions: [O, C / groups, kd, kh, kw]")
        (sd, *stride), (dd, *dilation) = (triple(self.name, n, attrs[n]) for n in ("stride", "dilation"))
        kernel, padding = weight.shape[2], attrs["padding"]
        before, after, plane = self._depth_padding(padding, kernel, sd, dd)
        volumes = F.pad(volumes, (0, 0, 0, 0, before, after)) if (before, after) != (0, 0) else volumes
        span = volumes.shape[2] - dd * (kernel - 1) - 1
        if span < 0:
            raise ShapeError(
                f"conv3d: the depth {x.shape[-3]} of input {describe(x)}, padded by {before + after}, is smaller than "
                f"that of the kernel {describe(weight)} with dilation {dd}"
            )
        n, channels, _, height, width = volumes.shape
        depth = span // sd + 1
        layers = F.stack([_depth_slice(volumes, k * dd, depth, sd) for k in range(kernel)], 2)
        images = layers.permute((0, 3, 1, 2, 4, 5)).reshape((n * depth, channels * kernel, height, width))
        options = {"stride": tuple(stride), "padding": plane, "dilation": tuple(dilation), "groups": attrs["groups"]}
        result = F.conv2d(images, weight.flatten(1, 2), bias, **options)
        result = result.reshape((n, depth, *result.shape[1:])).permute((0, 2, 1, 3, 4)).contiguous()
        return result if x.ndim == 5 else result.squeeze(0)

    def _depth_padding(self, padding: Any, kernel: int, stride: int, dilation: int) -> tuple[int, int, Any]:
        """Padding before and after in depth, and that of the images."""
        if padding == "same":
            if stride != 1:
                raise ValueRangeError(f"conv3d: padding='same' needs stride 1, got {stride}")
            total = dilation * (kernel - 1)
            return total // 2, total - total // 2, padding
        if isinstance(padding, str):
            return 0, 0, padding  # 'valid', or an error of the images
        depth, *plane = triple(self.name, "padding", padding)
        return depth, depth, tuple(plane)


@define_op
class ConvTranspose3d(Derived):
    """The transpose of `conv3d`: from [N, C, D, H, W] by `weight` [C, O / groups, kd, kh, kw]."""

    signature = (
        f"({OPERANDS}, stride: ints = 1, padding: ints = 0, output_padding: ints = 0, groups: int = 1, "
        "dilation: ints = 1)"
    )
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((1, 2, 2, 3, 3)), A((2, 3, 2, 2, 2)), A((3,)), stride=2, padding=1, output_padding=1),
        call(A((4, 3, 2, 2)), A((4, 1, 2, 2, 2)), groups=2, dilation=2, dtypes=_WIDE),
    )

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None, **attrs: Any) -> Handle:
        volumes = _batched(self.name, x)
        if weight.ndim != 5:
            raise ShapeError(f"{self.name}: weight {describe(weight)} must be [C, O / groups, kd, kh, kw]")
        names = ("stride", "padding", "output_padding", "dilation")
        options = {name: triple(self.name, name, attrs[name]) for name in names}
        (stride, padding, extra, dilation) = (options[name][0] for name in names)
        if not 0 <= extra < max(stride, dilation):
            raise ValueRangeError(f"{self.name}: output_padding={extra} must be less than the stride or the dilation")
        plane: Attrs = {name: value[1:] for name, value in options.items()} | {"groups": attrs["groups"]}
        n, channels, depth, height, width = volumes.shape
        images = volumes.transpose(1, 2).reshape((n * depth, channels, height, width))
        full = (depth - 1) * stride + dilation * (weight.shape[2] - 1) + 1
        total = None
        for k in range(weight.shape[2]):
            layer = F.conv_transpose2d(images, weight[:, :, k], None, **plane)
            layer = layer.reshape((n, depth, *layer.shape[1:])).transpose(1, 2)
            empty = layer.new_zeros((*layer.shape[:2], full, *layer.shape[3:]))
            placed = F.slice_scatter(empty, layer, 2, k * dilation, k * dilation + (depth - 1) * stride + 1, stride)
            total = placed if total is None else total + placed
        result = F.pad(total, (0, 0, 0, 0, -padding, extra - padding))
        if bias is not None:
            result = result + bias.reshape((-1, 1, 1, 1))
        return result if x.ndim == 5 else result.squeeze(0)


# ------------------------------------------------------------------------------------------------ pools


def _in_planes(x: Handle) -> Handle:
    """[N, C, D, H, W] as images [N, C * D, H, W]."""
    return x.flatten(1, 2)


def _pooled(x: Handle, pool: Any, options: Attrs) -> Handle:
    """`pool`, of images, applied to height and width and then to depth; options by name as triples."""
    planes = pool(_in_planes(x), **{name: value[1:] for name, value in options.items()})
    n, channels, depth = x.shape[:3]
    *_, height, width = planes.shape
    columns = planes.reshape((n, channels, depth, height * width))
    neutral = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
    result = pool(columns, **{name: (value[0], neutral[name]) for name, value in options.items()})
    return result.reshape((n, channels, result.shape[2], height, width))


class VolumePool(Derived):
    """Base of pools with windows."""

    method = False

    def options(self, attrs: Attrs) -> Attrs:
        """The windows' attributes as triples."""
        attrs = {**attrs, "stride": attrs["kernel_size"] if attrs["stride"] is None else attrs["stride"]}
        names = [name for name in ("kernel_size", "stride", "padding", "dilation") if name in attrs]
        return {name: triple(self.name, name, attrs[name]) for name in names}


@define_op
class MaxPool3d(VolumePool):
    """Maximum of each window of volumes [N, C, D, H, W] or [C, D, H, W]."""

    signature = (
        "(input: Tensor, kernel_size: ints, stride: OptionalInts = None, padding: ints = 0, dilation: ints = 1, "
        "ceil_mode: bool = False)"
    )
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((1, 2, 4, 4, 4), distinct=True), 2),
        call(A((2, 5, 4, 4), distinct=True), 3, 2, 1, ceil_mode=True, dtypes=_WIDE),
    )

    def decompose(self, x: Handle, *, ceil_mode: bool, **attrs: Any) -> Handle:
        def pool(images: Handle, **options: Any) -> Handle:
            return F.max_pool2d(images, ceil_mode=ceil_mode, **options)

        result = _pooled(_batched(self.name, x), pool, self.options(attrs))
        return result if x.ndim == 5 else result.squeeze(0)


@define_op
class AvgPool3d(VolumePool):
    """Mean of each window of volumes [N, C, D, H, W] or [C, D, H, W]; options as those of `avg_pool2d`."""

    signature = (
        "(input: Tensor, kernel_size: ints, stride: OptionalInts = None, padding: ints = 0, ceil_mode: bool = False, "
        "count_include_pad: bool = True, divisor_override: OptionalInt = None)"
    )
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((1, 2, 4, 4, 4)), 2),
        call(A((2, 5, 4, 4)), 3, 2, 1, count_include_pad=False, dtypes=_WIDE),
        call(A((1, 1, 3, 3, 3)), 2, divisor_override=3, dtypes=_WIDE),
    )

    def decompose(
        self, x: Handle, *, ceil_mode: bool, count_include_pad: bool, divisor_override: int | None, **attrs: Any
    ) -> Handle:
        sums = 1 if divisor_override is not None else None

        def pool(images: Handle, **options: Any) -> Handle:
            return F.avg_pool2d(images, **options, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                                divisor_override=sums)  # fmt: skip

        wide = _batched(self.name, x).to(x.dtype.compute)
        result = _pooled(wide, pool, self.options(attrs))
        if divisor_override is not None:
            result = result / divisor_override
        return (result if x.ndim == 5 else result.squeeze(0)).to(x.dtype)


class AdaptiveVolumePool(Derived):
    """Base of pools over a grid of windows that cover the volume as evenly as possible."""

    method = False
    signature = "(input: Tensor, output_size: sizes_or_none)"
    samples = samples(
        call(A((1, 2, 4, 4, 6), distinct=True), 2), call(A((2, 5, 4, 3), distinct=True), (2, None, 3), dtypes=_WIDE)
    )
    pool: str

    def decompose(self, x: Handle, *, output_size: Any) -> Handle:
        pool, volumes = getattr(F, self.pool), _batched(self.name, x)
        target = triple(self.name, "output_size", output_size)
        depth, height, width = (n if t is None else t for n, t in zip(x.shape[-3:], target, strict=True))
        n, channels = volumes.shape[:2]
        planes = pool(_in_planes(volumes), (height, width))
        columns = planes.reshape((n, channels, volumes.shape[2], dims.product((height, width))))
        result = pool(columns, (depth, None)).reshape((n, channels, depth, height, width))
        return result if x.ndim == 5 else result.squeeze(0)


@define_op
class AdaptiveAvgPool3d(AdaptiveVolumePool):
    """Mean over a grid of `output_size` windows that cover the volume as evenly as possible (None: one per element)."""

    autocast = Autocast.FLOAT32
    pool = "adaptive_avg_pool2d"


@define_op
class AdaptiveMaxPool3d(AdaptiveVolumePool):
    """Maximum over a grid of `output_size` windows that cover the volume as evenly as possible."""

    autocast = Autocast.FLOAT32
    pool = "adaptive_max_pool2d"
