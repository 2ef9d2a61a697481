"""Error functions, gamma functions."""

from __future__ import annotations

import math
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ValueRangeError
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples, unary
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import Scalars

#: derivative of erf at 0
ERF_SLOPE = 2 / math.sqrt(math.pi)


class SpecialFunction(Pointwise):
    """Base of the functions of one number; integers become float32."""

    promotion = "float"
    inplace = True
    recompute_cost = 40
    samples = unary(dtypes=dtypes.ALL)


@define_op
class Erf(SpecialFunction):
    """Error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.erf(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * ((-(x * x)).exp() * ERF_SLOPE)


@define_op
class Erfc(SpecialFunction):
    """1 - erf(x), accurate where erf is near 1."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.erfc(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * ((-(x * x)).exp() * -ERF_SLOPE)


@define_op
class Erfinv(SpecialFunction):
    """The inverse of erf; infinite at -1 and 1, nan beyond."""

    samples = unary(-0.9, 0.9, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.erfinv(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * ((y * y).exp() / ERF_SLOPE)


@define_op
class Lgamma(SpecialFunction):
    """Logarithm of |gamma(x)|; infinite at 0 and the negative integers."""

    recompute_cost = 60
    samples = unary(0.2, 4, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.lgamma(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * x.digamma()


# The asymptotic series of digamma and trigamma are used from here on; below, recurrence reaches up to it.
_LARGE = 10
# B_2k / 2k for digamma and B_2k for trigamma, Bernoulli numbers; the first term left out is below 1e-17 at x = 10
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_TRIGAMMA = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def series(x: Scalar, coefficients: tuple[float, ...]) -> Scalar:
    """c0 + c1 x + c2 x**2 + ..."""
    total = x * coefficients[-1]
    for c in reversed(coefficients[1:-1]):
        total = (total + c) * x
    return total + coefficients[0]


@define_op
class Digamma(SpecialFunction):
    """Derivative of lgamma; nan at the negative integers, -inf at 0 and inf at -0.

    Below 10, digamma(x) = digamma(x + 1) - 1 / x; negative x are reflected.
    """

    recompute_cost = 80
    samples = unary(0.2, 4, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        negative = x <= 0
        z = k.where(negative, 1.0 - x, x)
        total = k.const(0, k.dtype(x))
        for _ in range(_LARGE):
            small = z < _LARGE
            total = k.where(small, total - k.recip(z), total)
            z = k.where(small, z + 1.0, z)
        inverse = k.recip(z * z)
        total = total + k.log(z) - 0.5 / z - inverse * series(inverse, _DIGAMMA)
        # pi cot(pi x), with the integer part taken off first
        turn = (x - k.trunc(x)) * math.pi
        reflected = total - math.pi / k.tan(turn)
        pole = k.where(x == 0, k.copysign(k.const(math.inf, k.dtype(x)), -x), k.const(math.nan, k.dtype(x)))
        return k.where(negative, k.where(x == k.trunc(x), pole, reflected), total)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * F.polygamma(1, x)


@define_op
class Polygamma(Pointwise):
    """The n-th derivative of digamma, for n = 0 (digamma itself) and n = 1 (trigamma)."""

    signature = "(n: int, input: Tensor)"
    method = False
    promotion = "float"
    recompute_cost = 80
    samples = samples(
        *(call(1, A(s, 0.2, 4), dtypes=dtypes.ALL, differentiable=False) for s in ((3, 5), (67,), (), (0, 4)))
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        n = args[0] if args else kwargs.get("n")
        if n == 0:
            return F.digamma(*args[1:], **{k: v for k, v in kwargs.items() if k != "n"})
        if n != 1:
            raise ValueRangeError(f"polygamma: n must be 0 or 1, got {n}")
        return super().__call__(*args, **kwargs)

    def scalar(self, k: Scalars, x: Scalar, n: int) -> Scalar:
        negative = x <= 0
        z = k.where(negative, 1.0 - x, x)
        total = k.const(0, k.dtype(x))
        for _ in range(_LARGE):
            small = z < _LARGE
            total = k.where(small, total + k.recip(z * z), total)
            z = k.where(small, z + 1.0, z)
        inverse = k.recip(z)
        square = inverse * inverse
        total = total + inverse + square * 0.5 + square * inverse * series(square, _TRIGAMMA)
        sine = k.sin((x - k.trunc(x)) * math.pi)
        reflected = math.pi**2 / (sine * sine) - total
        return k.where(negative, reflected, total)


@define_op
class Mvlgamma(Derived):
    """The logarithm of the multivariate gamma function of dimension `p`, for elements above (p - 1) / 2."""

    signature = "(input: Tensor, p: int)"
    samples = samples(*(call(A(s, 1.2, 4), 3, dtypes=dtypes.FLOATING_DTYPES) for s in ((3, 5), ())))

    def decompose(self, x: Handle, *, p: int) -> Handle:
        if p < 1:
            raise ValueRangeError(f"mvlgamma: p={p} must be at least 1")
        total = x.lgamma()
        for i in range(1, p):
            total = total + (x - i / 2).lgamma()
        return total + p * (p - 1) / 4 * math.log(math.pi)
