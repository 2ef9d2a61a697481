"""Images sampled at any places: the spatial transformer (Jaderberg et al. 2015)."""

from __future__ import annotations

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived

MODES = ("bilinear", "nearest")
#: dtypes of most samples
_WIDE = (dtypes.float32, dtypes.float64)
PADDING_MODES = ("zeros", "border", "reflection")


@define_op
class AffineGrid(Derived):
    """The places `theta` [N, 2, 3] maps the pixels of images of `size` (N, C, H, W) to: [N, H, W, 2], x before y."""

    method = False
    signature = "(theta: Tensor, size: ints, align_corners: bool = False)"
    samples = samples(call(A((2, 2, 3)), (2, 1, 3, 4)), call(A((1, 2, 3)), (1, 1, 2, 2), True, dtypes=_WIDE))

    def decompose(self, theta: Handle, *, size: tuple[Dim, ...], align_corners: bool) -> Handle:
        if theta.ndim != 3 or len(size) != 4 or not (equal(theta.shape[1], 2) and equal(theta.shape[2], 3)):
            raise ShapeError(f"affine_grid: theta {describe(theta)} must be [N, 2, 3], size={list(size)} (N, C, H, W)")
        n, _, height, width = size
        across, down = (self._line(theta, count, align_corners) for count in (width, height))
        x, y = F.meshgrid(across, down, indexing="xy")
        base = F.stack([x, y, F.ones_like(x)], -1).reshape((1, height * width, 3))
        return base.matmul(theta.transpose(1, 2)).reshape((n, height, width, 2))

    def _line(self, theta: Handle, count: Dim, align_corners: bool) -> Handle:
        """Centres of the pixels between -1 and 1."""
        number = F.arange(count, dtype=theta.dtype)
        if align_corners:
            return number * 2 / (count - 1) - 1 if not equal(count, 1) else number
        return (number * 2 + 1) / count - 1


@define_op
class GridSample(Derived):
    """Images [N, C, H, W] at the places `grid` [N, h, w, 2] gives, (-1, -1) being the upper left corner, x before y.

    `padding_mode` says what lies outside: "zeros", the "border" pixels, or the image by "reflection".
    """

    method = False
    signature = (
        "(input: Tensor, grid: Tensor, mode: str = 'bilinear', padding_mode: str = 'zeros', align_corners: any = None)"
    )
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((1, 2, 4, 5)), A((1, 2, 3, 2), -1.2, 1.2), differentiable=False, dtypes=_WIDE),  # kinks between pixels
        call(
            A((1, 2, 4, 5)),
            A((1, 2, 3, 2)),
            padding_mode="reflection",
            align_corners=True,
            differentiable=False,
            dtypes=_WIDE,
        ),
        call(A((1, 1, 3, 3)), A((1, 2, 2, 2)), "nearest", "border", differentiable=False, dtypes=_WIDE),
    )

    def decompose(self, x: Handle, grid: Handle, *, mode: str, padding_mode: str, align_corners: bool | None) -> Handle:
        if x.ndim != 4 or grid.ndim != 4 or not (equal(grid.shape[-1], 2) and equal(grid.shape[0], x.shape[0])):
            raise ShapeError(
                f"grid_sample: input {describe(x)} must be [N, C, H, W], and grid {describe(grid)} [N, h, w, 2]"
            )
        if mode not in MODES or padding_mode not in PADDING_MODES:
            raise ValueRangeError(
                f"grid_sample: mode={mode!r} must be one of {MODES}, padding_mode={padding_mode!r} of {PADDING_MODES}"
            )
        places = [_pixel(grid[..., axis], x.shape[3 - axis], padding_mode, bool(align_corners)) for axis in range(2)]
        if mode == "nearest":
            return _pixels(x, places[0].round(), places[1].round())
        left, top = places[0].floor(), places[1].floor()
        right_weight, bottom_weight = places[0] - left, places[1] - top
        total = None
        for right in (0, 1):
            for bottom in (0, 1):
                weight = (right_weight if right else 1 - right_weight) * (
                    bottom_weight if bottom else 1 - bottom_weight
                )
                term = _pixels(x, left + right, top + bottom) * weight.unsqueeze(1)
                total = term if total is None else total + term
        return total


def _pixel(place: Handle, size: Dim, padding_mode: str, align_corners: bool) -> Handle:
    """Places between -1 and 1 in pixels, brought inside as the padding mode says."""
    place = (place + 1) / 2 * (size - 1) if align_corners else ((place + 1) * size - 1) / 2
    if padding_mode == "reflection":
        low = 0.0 if align_corners else -0.5
        span = size - 1 if align_corners else size
        place = (place - low).abs()
        flips, rest = F.floor(place / span), F.fmod(place, span)
        place = F.where(flips % 2 == 0, rest, span - rest) + low
    return place if padding_mode == "zeros" else place.clamp(0, size - 1)


def _pixels(x: Handle, column: Handle, row: Handle) -> Handle:
    """The pixels at whole places, zero outside: [N, C, h, w]."""
    n, c, height, width = x.shape
    is_inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    index = F.where(is_inside, row * width + column, 0).to(dtypes.int64)
    _, h, w = index.shape
    found = F.gather(x.reshape((n, c, height * width)), 2, index.reshape((n, 1, h * w)).expand((n, c, h * w)))
    return F.where(is_inside.unsqueeze(1), found.reshape((n, c, h, w)), 0)
