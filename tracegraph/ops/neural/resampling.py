"""Signals, images and volumes in other sizes: interpolation along each axis, and channels moved into pixels."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, ShapeError, ValueRangeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described, is_number
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived

#: elements of the result per element of the input, if that is what was asked for
Factor: TypeAlias = "float | SymExpr | None"
# the modes, and how many spatial dimensions they are for (None: any)
_RANKS = {
    "nearest": None,
    "nearest-exact": None,
    "area": None,
    "linear": 1,
    "bilinear": 2,
    "trilinear": 3,
    "bicubic": 2,
}
# weights of the cubic convolution (Keys 1981), with the parameter of image libraries
_CUBIC = -0.75


#: dtypes of most samples: the 16-bit ones are computed in float32
_WIDE = (dtypes.float32, dtypes.float64)


@define_op
class Interpolate(Derived):
    """[N, C, L], [N, C, H, W] or [N, C, D, H, W] resampled to `size`, or to `scale_factor` times its size.

    `mode`: "nearest" (rounds down), "nearest-exact" (rounds), "linear", "bilinear", "trilinear", "bicubic", "area".
    With `align_corners` the centres of the corner elements stay where they are, else the corners of the area.

    Raises:
        ValueRangeError: arguments that contradict one another, or an unknown mode.
        ShapeError: an input of another number of dimensions.
    """

    method = False
    signature = (
        "(input: Tensor, size: OptionalInts = None, scale_factor: any = None, mode: str = 'nearest', "
        "align_corners: any = None, recompute_scale_factor: any = None, antialias: bool = False)"
    )
    samples = samples(
        call(A((2, 3, 4, 5)), scale_factor=2),
        call(A((1, 2, 4, 5)), (6, 3), mode="bilinear", align_corners=False, dtypes=_WIDE),
        call(A((1, 2, 3, 4)), (5, 8), mode="bilinear", align_corners=True, dtypes=_WIDE),
        call(A((1, 2, 4)), 7, mode="linear", dtypes=_WIDE),
        call(A((1, 1, 4, 5)), (7, 6), mode="bicubic", dtypes=_WIDE),
        call(A((1, 2, 2, 3, 2)), scale_factor=(2, 1.5, 2), mode="nearest-exact", dtypes=_WIDE),
    )

    def decompose(
        self,
        x: Handle,
        *,
        size: Any,
        scale_factor: Any,
        mode: str,
        align_corners: bool | None,
        recompute_scale_factor: bool | None,
        antialias: bool,
    ) -> Handle:
        self._check(x, mode, align_corners, antialias)
        target, factors = self._target(x, size, scale_factor)
        if recompute_scale_factor:
            factors = (None,) * len(target)
        if mode == "area":
            return _averaged(x, target)
        wide = x.to(x.dtype.compute)
        for axis, (count, factor) in enumerate(zip(target, factors, strict=True), 2):
            if mode.startswith("nearest"):
                wide = _nearest(wide, axis, count, factor, 0.5 if mode == "nearest-exact" else 0.0)
            else:
                sample = _cubic if mode == "bicubic" else _linear
                wide = sample(wide, axis, _positions(wide, axis, count, factor, bool(align_corners), mode))
        return wide.to(x.dtype)

    def _check(self, x: Handle, mode: str, align_corners: bool | None, antialias: bool) -> None:
        if mode not in _RANKS:
            raise ValueRangeError(f"interpolate: mode={mode!r} must be one of {', '.join(_RANKS)}")
        if antialias:
            raise ValueRangeError("interpolate: antialias=True is not supported")
        if align_corners is not None and (mode.startswith("nearest") or mode == "area"):
            raise ValueRangeError(f"interpolate: align_corners={align_corners} means nothing to mode={mode!r}")
        rank = _RANKS[mode]
        if x.ndim not in (3, 4, 5) or (rank is not None and x.ndim != rank + 2):
            wanted = f"{rank + 2} dimensions" if rank else "3, 4 or 5 dimensions"
            raise ShapeError(f"interpolate: mode={mode!r} takes an input of {wanted}, got {describe(x)}")

    def _target(self, x: Handle, size: Any, scale_factor: Any) -> tuple[tuple[Dim, ...], tuple[Factor, ...]]:
        """The spatial sizes, and the factors they come from."""
        rank = x.ndim - 2
        given = size if scale_factor is None else scale_factor
        if given is None or (size is not None and scale_factor is not None):
            raise ValueRangeError("interpolate: pass either size or scale_factor")
        listed = tuple(given) if isinstance(given, tuple) else (given,)
        listed = listed * rank if len(listed) == 1 else listed
        if not all(map(is_number, listed)):
            raise ArgumentError(f"interpolate: size and scale_factor must be numbers, got {described(given)}")
        if len(listed) != rank:
            raise ValueRangeError(f"interpolate: {given!r} must be one number or {rank}, for {describe(x)}")
        if scale_factor is None:
            target, factors = listed, (None,) * rank
        else:
            target = tuple(_scaled(n, f) for n, f in zip(x.shape[2:], listed, strict=True))
            factors = tuple(f if isinstance(f, SymExpr) else float(f) for f in listed)
        if any(dims.is_below(n, 1) for n in target):
            raise ShapeError(f"interpolate: sizes {list(target)} must be at least 1 everywhere, for {describe(x)}")
        return target, factors


def _scaled(size: Dim, factor: float | SymExpr) -> Dim:
    if isinstance(factor, SymExpr):
        return size * factor
    if float(factor).is_integer():
        return size * int(factor)
    if dims.is_static(size):
        return math.floor(size * factor)
    # a fraction of a size that is not known: PyTorch's floor of the product, in integers
    numerator, denominator = float(factor).as_integer_ratio()
    return size * numerator // denominator


def _averaged(x: Handle, target: tuple[Dim, ...]) -> Handle:
    if x.ndim == 5:
        return F.adaptive_avg_pool3d(x, target)
    return F.adaptive_avg_pool2d(x, target) if x.ndim == 4 else F.adaptive_avg_pool1d(x, *target)


def _ratio(size: Dim, count: Dim, factor: Factor, dtype: DType) -> Any:
    """Elements of the input per element of the result."""
    if factor is None:
        return _quotient(size, count, dtype)
    return _quotient(1, factor, dtype) if isinstance(factor, SymExpr) else 1.0 / factor


def _quotient(numerator: Dim, denominator: Dim, dtype: DType) -> Any:
    if isinstance(numerator, int) and isinstance(denominator, int):
        return numerator / denominator
    return F.full((), numerator, dtype=dtype) / F.full((), denominator, dtype=dtype)


def _nearest(x: Handle, axis: int, count: Dim, factor: Factor, offset: float) -> Handle:
    size, working = x.shape[axis], x.dtype
    place = (F.arange(count, dtype=working) + offset) * _ratio(size, count, factor, working)
    return x.index_select(axis, place.floor().to(dtypes.int64).clamp(max=size - 1))


def _positions(x: Handle, axis: int, count: Dim, factor: Factor, align_corners: bool, mode: str) -> Handle:
    """Where the elements of the result lie among those of the input."""
    size, working = x.shape[axis], x.dtype
    number = F.arange(count, dtype=working)
    if align_corners:
        return number * (_quotient(size - 1, count - 1, working) if not equal(count, 1) else 0.0)
    place = (number + 0.5) * _ratio(size, count, factor, working) - 0.5
    return place if mode == "bicubic" else place.clamp(min=0.0)


def _along(axis: int, weights: Handle, x: Handle) -> Handle:
    return weights.reshape((-1, *(1,) * (x.ndim - axis - 1)))


def _linear(x: Handle, axis: int, place: Handle) -> Handle:
    first = place.floor().to(dtypes.int64).clamp(max=x.shape[axis] - 1)
    second = (first + 1).clamp(max=x.shape[axis] - 1)
    weight = _along(axis, place - first.to(place.dtype), x)
    return x.index_select(axis, first) * (1 - weight) + x.index_select(axis, second) * weight


def _cubic(x: Handle, axis: int, place: Handle) -> Handle:
    first = place.floor()
    t = place - first
    weights = (_far(t + 1), _near(t), _near(1 - t), _far(2 - t))
    total = None
    for offset, weight in enumerate(weights, -1):
        index = (first.to(dtypes.int64) + offset).clamp(0, x.shape[axis] - 1)
        term = x.index_select(axis, index) * _along(axis, weight, x)
        total = term if total is None else total + term
    return total


def _near(t: Handle) -> Handle:
    """Weight of an element at most 1 away."""
    return ((_CUBIC + 2) * t - (_CUBIC + 3)) * t * t + 1


def _far(t: Handle) -> Handle:
    """Weight of an element 1 to 2 away."""
    return ((_CUBIC * t - 5 * _CUBIC) * t + 8 * _CUBIC) * t - 4 * _CUBIC


# ------------------------------------------------------------------------------------------------ channels


@define_op
class PixelShuffle(Derived):
    """[..., C * r * r, H, W] as [..., C, H * r, W * r]: each pixel's channels laid out as a block of r by r pixels."""

    method = False
    signature = "(input: Tensor, upscale_factor: int)"
    samples = samples(call(A((1, 8, 2, 3)), 2))

    def decompose(self, x: Handle, *, upscale_factor: int) -> Handle:
        r = upscale_factor
        if r < 1 or x.ndim < 3 or not equal(x.shape[-3] % (r * r), 0):
            raise ShapeError(
                f"pixel_shuffle: {describe(x)} must be [..., C, H, W], C a multiple of upscale_factor={r} squared"
            )
        *outer, c, h, w = x.shape
        n = len(outer)
        blocks = x.reshape((*outer, c // (r * r), r, r, h, w))
        return blocks.permute((*range(n), n, n + 3, n + 1, n + 4, n + 2)).reshape((*outer, c // (r * r), h * r, w * r))


@define_op
class PixelUnshuffle(Derived):
    """[..., C, H * r, W * r] as [..., C * r * r, H, W]: what `pixel_shuffle` undoes."""

    method = False
    signature = "(input: Tensor, downscale_factor: int)"
    samples = samples(call(A((1, 2, 4, 6)), 2))

    def decompose(self, x: Handle, *, downscale_factor: int) -> Handle:
        r = downscale_factor
        if r < 1 or x.ndim < 3 or not (equal(x.shape[-1] % r, 0) and equal(x.shape[-2] % r, 0)):
            raise ShapeError(
                f"pixel_unshuffle: {describe(x)} must be [..., C, H, W], H and W multiples of downscale_factor={r}"
            )
        *outer, c, h, w = x.shape
        n = len(outer)
        blocks = x.reshape((*outer, c, h // r, r, w // r, r))
        return blocks.permute((*range(n), n, n + 2, n + 4, n + 1, n + 3)).reshape((*outer, c * r * r, h // r, w // r))


@define_op
class ChannelShuffle(Derived):
    """The channels of [N, C, ...] dealt out again: the first of every one of `groups` groups, then the second, ..."""

    method = False
    signature = "(input: Tensor, groups: int)"
    samples = samples(call(A((1, 6, 2)), 3))

    def decompose(self, x: Handle, *, groups: int) -> Handle:
        if x.ndim < 3 or groups < 1 or not equal(x.shape[1] % groups, 0):
            raise ShapeError(f"channel_shuffle: {describe(x)} must be [N, C, ...], C a multiple of groups={groups}")
        n, c, *size = x.shape
        return x.reshape((n, groups, c // groups, *size)).transpose(1, 2).reshape((n, c, *size))
