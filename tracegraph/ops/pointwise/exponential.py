"""Exponentials, logarithms, and what is built from them without losing accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, binary, call, samples, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


@define_op
class Exp(Pointwise):
    """e to the power of the elements."""

    promotion = "float"
    inplace = True
    recompute_cost = 12
    samples = unary(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray) -> Any:
        return np.exp(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.exp(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * y


@define_op
class Exp2(Pointwise):
    """2 to the power of the elements."""

    promotion = "float"
    inplace = True
    recompute_cost = 12
    samples = unary(dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.exp2(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * y * math.log(2)


@define_op
class Expm1(Pointwise):
    """exp(x) - 1, accurate near 0."""

    promotion = "float"
    inplace = True
    recompute_cost = 16
    samples = unary(dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.expm1(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (y + 1)


class Logarithm(Pointwise):
    """Base of the logarithms; -inf at 0, nan below."""

    promotion = "float"
    inplace = True
    recompute_cost = 12
    samples = unary(0.1, 3, dtypes=dtypes.ALL)
    #: natural logarithm of the base
    log_base = 1.0

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g / x if self.log_base == 1.0 else g / (x * self.log_base)


@define_op
class Log(Logarithm):
    """Natural logarithm."""

    def eager(self, x: np.ndarray) -> Any:
        return np.log(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.log(x)


@define_op
class Log2(Logarithm):
    """Logarithm to the base 2."""

    log_base = math.log(2)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.log2(x)


@define_op
class Log10(Logarithm):
    """Logarithm to the base 10."""

    log_base = math.log(10)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.log10(x)


@define_op
class Log1p(Pointwise):
    """log(1 + x), accurate near 0."""

    promotion = "float"
    inplace = True
    recompute_cost = 16
    samples = unary(-0.9, 3, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.log1p(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g / (x + 1)


@define_op
class Xlogy(Pointwise):
    """input * log(other), 0 where input is 0 (also where other is 0), nan where other is nan."""

    signature = "(input: Number, other: Number)"
    promotion = "float"
    inplace = True
    recompute_cost = 14
    samples = binary(-2, 2, 0.1, 3, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.where((x == 0) & ~k.isnan(y), 0.0, x * k.log(y))

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        def to_input() -> Handle:
            if not is_tensor(b):
                return g * (math.log(b) if b > 0 else 0.0)
            slope = F.log(b)
            return g * (slope.masked_fill((a == 0) & (b <= 0), 0))

        return to_input, lambda: g * a / b


@define_op
class Logaddexp(Pointwise):
    """log(exp(input) + exp(other)) without overflow."""

    signature = "(input: Tensor, other: Tensor)"
    accepts = "f"
    recompute_cost = 30
    samples = binary(number=None)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        # equal infinities: their difference is nan
        larger = k.maximum(x, y)
        return k.where((x == y) & (k.abs(x) == math.inf), x, larger + k.log1p(k.exp(-k.abs(x - y))))

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g * (a - b).sigmoid(), lambda: g * (b - a).sigmoid()


@define_op
class Logaddexp2(Pointwise):
    """log2(2**input + 2**other) without overflow."""

    signature = "(input: Tensor, other: Tensor)"
    accepts = "f"
    recompute_cost = 30
    samples = binary(number=None)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        larger = k.maximum(x, y)
        tail = k.log1p(k.exp2(-k.abs(x - y))) * (1 / math.log(2))
        return k.where((x == y) & (k.abs(x) == math.inf), x, larger + tail)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g / ((b - a).exp2() + 1), lambda: g / ((a - b).exp2() + 1)


@define_op
class Sigmoid(Pointwise):
    """Logistic function 1 / (1 + exp(-x))."""

    aliases = ("expit",)
    promotion = "float"
    inplace = True
    recompute_cost = 16
    samples = unary(dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        # exp overflows to inf for x far below 0, which gives the 0 it should
        return k.recip(k.exp(-x) + 1.0)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (1 - y) * y


@define_op
class LogSigmoid(Pointwise):
    """log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)), without overflow or cancellation."""

    name = "logsigmoid"
    method = False
    accepts = "f"
    recompute_cost = 30
    samples = unary()

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.minimum(x, k.const(0, k.dtype(x))) - k.log1p(k.exp(-k.abs(x)))

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (-x).sigmoid()


@define_op
class Logit(Pointwise):
    """log(x / (1 - x)), the inverse of sigmoid; with `eps`, x is first clamped to [eps, 1 - eps]."""

    signature = "(input: Tensor, eps: OptionalScalar = None)"
    promotion = "float"
    inplace = True
    recompute_cost = 14
    samples = samples(
        *unary(0.1, 0.9, dtypes=(dtypes.bool_, *dtypes.FLOATING_DTYPES))(),
        call(A((3, 5), -0.5, 1.5), eps=0.125),
    )

    def scalar(self, k: Scalars, x: Scalar, eps: Scalar | None) -> Scalar:
        if eps is not None:
            x = k.where(x < eps, eps, k.where(x > 1 - eps, 1 - eps, x))
        return k.log(x / (1.0 - x))

    def vjp(self, g: Handle, y: Handle, x: Handle, eps: Handle | None) -> Gradient:
        slope = g / (x * (1 - x))
        low, high, beyond = (0.0, 1.0, math.nan) if eps is None else (eps, 1 - eps, 0.0)
        return slope.masked_fill((x < low) | (x > high), beyond)
