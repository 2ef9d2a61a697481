"""Differences of neighbours, and areas under sampled curves."""

from __future__ import annotations

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived


@define_op
class Diff(Derived):
    """Differences of neighbours along `dim`, `n` times over; `prepend` and `append` are joined to the ends first."""

    signature = (
        "(input: Tensor, n: int = 1, dim: dim = -1, prepend: OptionalTensor = None, append: OptionalTensor = None)"
    )
    samples = samples(
        call(A((3, 5)), dtypes=dtypes.ALL),
        call(A((3, 5)), 2, 0),
        call(A((3, 5)), 1, -1, A((3, 1)), A((3, 2))),
        call(A((5,)), 7),
    )

    def decompose(self, x: Handle, prepend: Handle | None, append: Handle | None, *, n: int, dim: int) -> Handle:
        if not x.ndim:
            raise ShapeError("diff: the input must have at least one dimension")
        if n < 0:
            raise ValueRangeError(f"diff: n={n} must not be negative")
        parts = [t for t in (prepend, x, append) if t is not None]
        x = F.cat(parts, dim) if len(parts) > 1 else x
        for _ in range(n):
            later, earlier = _later(x, dim), _earlier(x, dim)
            x = later.logical_xor(earlier) if x.dtype.is_bool else later - earlier
        return x


def _later(x: Handle, dim: int) -> Handle:
    return x[(*(slice(None),) * dim, slice(1, None))]


def _earlier(x: Handle, dim: int) -> Handle:
    return x[(*(slice(None),) * dim, slice(None, -1))]


class Trapezoids(Derived):
    """Base of the areas: `y` at the points `x`, or at points `dx` apart."""

    signature = "(y: Tensor, x: OptionalTensor = None, *, dx: number = 1, dim: dim = -1)"
    method = False
    samples = samples(
        call(A((3, 5))), call(A((3, 5)), dx=0.5, dim=0), call(A((3, 5)), A((5,))), call(A((3, 5)), A((3, 5)), dim=0)
    )

    def areas(self, y: Handle, x: Handle | None, dx: float, dim: int) -> Handle:
        if not y.ndim:
            raise ShapeError(f"{self.name}({describe(y)}): needs at least one dimension")
        mean = (_later(y, dim) + _earlier(y, dim)) / 2
        if x is None:
            return mean * dx
        steps = F.diff(x, 1, dim if x.ndim == y.ndim else 0)
        return mean * (steps if x.ndim == y.ndim else steps.reshape((-1, *(1,) * (y.ndim - dim - 1))))


@define_op
class Trapezoid(Trapezoids):
    """The area under a curve along `dim`, by the trapezoidal rule."""

    aliases = ("trapz",)

    def decompose(self, y: Handle, x: Handle | None, *, dx: float, dim: int) -> Handle:
        return self.areas(y, x, dx, dim).sum(dim)


@define_op
class CumulativeTrapezoid(Trapezoids):
    """The areas under a curve up to each of its points but the first, by the trapezoidal rule."""

    def decompose(self, y: Handle, x: Handle | None, *, dx: float, dim: int) -> Handle:
        return self.areas(y, x, dx, dim).cumsum(dim)
