"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import binary, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


class Function(Pointwise):
    """Base of the functions of one angle or number; integers become float32."""

    promotion = "float"
    inplace = True
    recompute_cost = 20
    samples = unary(dtypes=dtypes.ALL)


@define_op
class Sin(Function):
    """Sine."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.sin(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * x.cos()


@define_op
class Cos(Function):
    """Cosine."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.cos(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * -x.sin()


@define_op
class Tan(Function):
    """Tangent."""

    samples = unary(-1.2, 1.2, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.tan(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (y * y + 1)


@define_op
class Asin(Function):
    """Inverse sine; nan outside [-1, 1]."""

    aliases = ("arcsin",)
    samples = unary(-0.9, 0.9, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.asin(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (1 - x * x).rsqrt()


@define_op
class Acos(Function):
    """Inverse cosine; nan outside [-1, 1]."""

    aliases = ("arccos",)
    samples = unary(-0.9, 0.9, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.acos(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * -(1 - x * x).rsqrt()


@define_op
class Atan(Function):
    """Inverse tangent."""

    aliases = ("arctan",)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.atan(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g / (x * x + 1)


@define_op
class Atan2(Pointwise):
    """Angle of the point (other, input): atan(input / other) in the right quadrant."""

    aliases = ("arctan2",)
    signature = "(input: Number, other: Number)"
    promotion = "float"
    inplace = True
    recompute_cost = 30
    samples = binary(0.2, 2, 0.2, 2, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.atan2(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        scale = g / (a * a + b * b)
        scale = scale.masked_fill(scale.isnan() | scale.isinf(), 0)  # no slope at the origin
        return lambda: scale * b, lambda: scale * -a


@define_op
class Sinh(Function):
    """Hyperbolic sine."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.sinh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * x.cosh()


@define_op
class Cosh(Function):
    """Hyperbolic cosine."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.cosh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * x.sinh()


@define_op
class Tanh(Function):
    """Hyperbolic tangent."""

    def eager(self, x: np.ndarray) -> Any:
        return np.tanh(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.tanh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (1 - y * y)


@define_op
class Asinh(Function):
    """Inverse hyperbolic sine."""

    aliases = ("arcsinh",)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.asinh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (x * x + 1).rsqrt()


@define_op
class Acosh(Function):
    """Inverse hyperbolic cosine; nan below 1."""

    aliases = ("arccosh",)
    samples = unary(1.2, 3, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.acosh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (x * x - 1).rsqrt()


@define_op
class Atanh(Function):
    """Inverse hyperbolic tangent; infinite at -1 and 1, nan beyond."""

    aliases = ("arctanh",)
    samples = unary(-0.9, 0.9, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.atanh(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g / (1 - x * x)


@define_op
class Sinc(Function):
    """sin(pi x) / (pi x), 1 at 0."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        angle = x * math.pi
        return k.where(x == 0, 1.0, k.sin(angle) / angle)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * ((x * math.pi).cos() - y) / x.masked_fill(x == 0, 1)


class AngleConversion(Pointwise):
    """Base of deg2rad and rad2deg."""

    promotion = "float"
    inplace = True
    samples = unary(dtypes=dtypes.ALL)
    factor = 1.0

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x * self.factor

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * self.factor


@define_op
class Deg2rad(AngleConversion):
    """Degrees to radians."""

    factor = math.pi / 180


@define_op
class Rad2deg(AngleConversion):
    """Radians to degrees."""

    factor = 180 / math.pi
