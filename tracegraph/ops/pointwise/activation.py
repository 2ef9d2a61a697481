"""Smooth activations, and those with an exponential tail."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, call, samples, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars

SQRT_HALF = math.sqrt(0.5)
#: sqrt(2 / pi), the scale of gelu's tanh approximation, and its cubic coefficient
GELU_SCALE, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715
#: a factor that is left out
ONE = 1.0


class Tail(Pointwise):
    """Base of scale * (x above 0, alpha * (exp(x / width) - 1) elsewhere)."""

    method = False
    accepts = "f"
    recompute_cost = 20
    samples = unary()

    @abstractmethod
    def constants(self, *scalars: Any) -> tuple[Any, Any, Any]:
        """(scale, alpha, width), made of the operands after x."""

    def scalar(self, k: Scalars, x: Scalar, *scalars: Scalar) -> Scalar:
        scale, alpha, width = self.constants(*scalars)
        below = k.expm1(x if width is ONE else x * (1 / width)) * (scale * alpha)
        return k.where(x > 0, x if scale is ONE else x * scale, below)

    def vjp(self, g: Handle, y: Handle, x: Handle, *scalars: Handle) -> Gradient:
        scale, alpha, width = self.constants(*scalars)
        return g * F.where(x > 0, scale, y * (1 / width) + scale * alpha / width)


@define_op
class Elu(Tail):
    """x above 0, alpha * (exp(x) - 1) elsewhere."""

    inplace = True
    signature = "(input: Tensor, alpha: Scalar = 1.0)"
    samples = samples(*unary()(), call(A((3, 5)), 0.5))

    def constants(self, *scalars: Any) -> tuple[Any, Any, Any]:
        return ONE, scalars[0], ONE


@define_op
class Celu(Tail):
    """x above 0, alpha * (exp(x / alpha) - 1) elsewhere."""

    inplace = True
    signature = "(input: Tensor, alpha: Scalar = 1.0)"
    samples = samples(*unary()(), call(A((3, 5)), 0.5))

    def constants(self, *scalars: Any) -> tuple[Any, Any, Any]:
        return ONE, scalars[0], scalars[0]


@define_op
class Selu(Tail):
    """Self-normalising elu (Klambauer et al. 2017): scale * elu(x, alpha) with their constants."""

    inplace = True

    def constants(self, *scalars: Any) -> tuple[Any, Any, Any]:
        return 1.0507009873554805, 1.6732632423543772, ONE


@define_op
class Gelu(Pointwise):
    """x * Phi(x), with Phi the normal distribution; `approximate="tanh"` approximates it by tanh."""

    signature = '(input: Tensor, approximate: str = "none")'
    method = False
    accepts = "f"
    recompute_cost = 30
    samples = samples(*unary()(), call(A((3, 5)), approximate="tanh"), call(A((67,)), approximate="tanh"))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if attrs["approximate"] not in ("none", "tanh"):
            raise ValueRangeError(f"gelu: approximate must be 'none' or 'tanh', got {attrs['approximate']!r}")
        return operands, attrs

    def scalar(self, k: Scalars, x: Scalar, approximate: str) -> Scalar:
        if approximate == "none":
            return x * 0.5 * (k.erf(x * SQRT_HALF) + 1.0)
        return x * 0.5 * (k.tanh((x + x * x * x * GELU_CUBIC) * GELU_SCALE) + 1.0)

    def vjp(self, g: Handle, y: Handle, x: Handle, approximate: str) -> Gradient:
        if approximate == "none":
            phi = ((x * SQRT_HALF).erf() + 1) * 0.5
            return g * (phi + x * ((x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))))
        square = x * x
        t = ((square * GELU_CUBIC + 1) * x * GELU_SCALE).tanh()
        slope = (square * (3 * GELU_CUBIC) + 1) * GELU_SCALE
        return g * ((t + 1) * 0.5 + x * 0.5 * (1 - t * t) * slope)


@define_op
class Silu(Pointwise):
    """x * sigmoid(x), also called swish."""

    method = False
    accepts = "f"
    recompute_cost = 18
    samples = unary()

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x / (k.exp(-x) + 1.0)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        s = x.sigmoid()
        return g * s * (x * (1 - s) + 1)


@define_op
class Softplus(Pointwise):
    """log(1 + exp(beta x)) / beta, without overflow; x itself where beta x is above `threshold`."""

    signature = "(input: Tensor, beta: Scalar = 1.0, threshold: Scalar = 20.0)"
    method = False
    accepts = "f"
    recompute_cost = 30
    samples = samples(*unary()(), call(A((3, 5)), 2.0, 1.5))

    def scalar(self, k: Scalars, x: Scalar, beta: Scalar, threshold: Scalar) -> Scalar:
        z = x * beta
        return k.where(z > threshold, x, softplus(k, z) * (1 / beta))

    def vjp(self, g: Handle, y: Handle, x: Handle, beta: Handle, threshold: Handle) -> Gradient:
        z = x * beta
        return g * F.where(z > threshold, 1, z.sigmoid())


def softplus(k: Scalars, x: Scalar) -> Scalar:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    return k.maximum(x, k.const(0, k.dtype(x))) + k.log1p(k.exp(-k.abs(x)))


@define_op
class Mish(Pointwise):
    """x * tanh(softplus(x))."""

    method = False
    accepts = "f"
    recompute_cost = 50
    samples = unary()

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x * k.tanh(softplus(k, x))

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        t = F.softplus(x).tanh()
        return g * (t + x * (1 - t * t) * x.sigmoid())


@define_op
class Softsign(Pointwise):
    """x / (1 + |x|)."""

    method = False
    promotion = "float"
    recompute_cost = 6
    samples = unary(dtypes=REAL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x / (k.abs(x) + 1.0)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        width = x.abs() + 1
        return g / (width * width)


@define_op
class Tanhshrink(Pointwise):
    """x - tanh(x)."""

    method = False
    promotion = "float"
    recompute_cost = 22
    samples = unary(dtypes=REAL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x - k.tanh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        t = x.tanh()
        return g * (t * t)
