"""Rectifiers and their kin: activations made of pieces of lines.

At a kink the gradient follows PyTorch: relu'(0) = 0, relu6'(6) = 0, hardtanh'(limit) = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.errors import DTypeError, ValueRangeError
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, call, samples, unary
from tracegraph.ops.core.weak_numbers import fitting
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


@define_op
class Relu(Pointwise):
    """max(x, 0); nan stays nan.

    -0.0 may become 0.0.
    """

    zero_signs = False
    idempotent = True
    accepts = "if"
    inplace = True
    samples = unary(dtypes=REAL)

    def eager(self, x: np.ndarray) -> Any:
        return np.maximum(x, x.dtype.type(0))

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.maximum(x, k.const(0, k.dtype(x)))

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g.masked_fill(y <= 0, 0)


@define_op
class Hardtanh(Pointwise):
    """Elements limited to [min_val, max_val]."""

    zero_signs = False
    idempotent = True
    signature = "(input: Tensor, min_val: Scalar = -1.0, max_val: Scalar = 1.0)"
    accepts = "if"
    inplace = True
    samples = samples(*unary()(), call(A((3, 5)), -0.5, 0.75))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, low, high = operands
        dtype = x.dtype
        if low > high:
            raise ValueRangeError(f"hardtanh: min_val={low} is above max_val={high}")
        if dtype.is_integer and not dtype.is_signed and low < 0:
            raise DTypeError(
                f"hardtanh: min_val={low} is negative, {dtype.long_name} never is; convert the tensor first"
            )
        low, high = fitting("hardtanh", "min_val", low, dtype), fitting("hardtanh", "max_val", high, dtype)
        return (x, low, high), attrs

    def scalar(self, k: Scalars, x: Scalar, min_val: Scalar, max_val: Scalar) -> Scalar:
        return k.minimum(k.maximum(x, min_val), max_val)

    def vjp(self, g: Handle, y: Handle, x: Handle, min_val: Handle, max_val: Handle) -> Gradient:
        return F.where((x > min_val) & (x < max_val), g, 0)


@define_op
class Relu6(Pointwise):
    """min(max(x, 0), 6)."""

    zero_signs = False
    idempotent = True
    method = False
    accepts = "if"
    samples = unary(-2, 8, dtypes=REAL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return relu6_of(k, x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return F.where((y > 0) & (y < 6), g, 0)


@define_op
class LeakyRelu(Pointwise):
    """x above 0, x * negative_slope elsewhere."""

    inplace = True
    signature = "(input: Tensor, negative_slope: Scalar = 0.01)"
    method = False
    accepts = "f"
    samples = samples(*unary()(), call(A((3, 5)), 0.5))

    def scalar(self, k: Scalars, x: Scalar, negative_slope: Scalar) -> Scalar:
        return k.where(x > 0, x, x * negative_slope)

    def vjp(self, g: Handle, y: Handle, x: Handle, negative_slope: Handle) -> Gradient:
        return F.where(x > 0, g, g * negative_slope)


@define_op
class Prelu(Pointwise):
    """x above 0, x * weight elsewhere; `weight` has one element, or one per channel (dimension 1)."""

    signature = "(input: Tensor, weight: Tensor)"
    accepts = "f"
    autocast = Autocast.LOW
    samples = samples(call(A((3, 5)), A((1,))), call(A((67,)), A(())), call(A((0, 4)), A((1,))))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        input, weight = operands
        if weight.ndim == 1 and input.ndim > 2 and weight.shape[0] != 1:
            weight = weight.reshape((weight.shape[0], *[1] * (input.ndim - 2)))
        return (input, weight), attrs

    def scalar(self, k: Scalars, x: Scalar, weight: Scalar) -> Scalar:
        return k.where(x > 0, x, x * weight)

    def vjp(self, g: Handle, y: Handle, x: Handle, weight: Handle) -> Gradient:
        return lambda: F.where(x > 0, g, g * weight), lambda: F.where(x > 0, 0, g * x)


@define_op
class Threshold(Pointwise):
    """x where it is above `threshold`, `value` elsewhere."""

    inplace = True
    signature = "(input: Tensor, threshold: Scalar, value: Scalar)"
    method = False
    accepts = "if"
    samples = samples(call(A((3, 5)), 0.5, -1.0), call(A((67,)), 1, 20, dtypes=REAL), call(A((0, 4)), 0.0, 0.0))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, limit, value = operands
        limit, value = fitting("threshold", "threshold", limit, x.dtype), fitting("threshold", "value", value, x.dtype)
        return (x, limit, value), attrs

    def scalar(self, k: Scalars, x: Scalar, threshold: Scalar, value: Scalar) -> Scalar:
        return k.where(x <= threshold, value, x)

    def vjp(self, g: Handle, y: Handle, x: Handle, threshold: Handle, value: Handle) -> Gradient:
        return g.masked_fill(x <= threshold, 0)


@define_op
class Hardsigmoid(Pointwise):
    """min(max(x + 3, 0), 6) / 6."""

    method = False
    accepts = "f"
    recompute_cost = 4
    samples = unary(-5, 5)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return relu6_of(k, x + 3.0) / 6.0

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return F.where((x > -3) & (x < 3), g / 6, 0)


@define_op
class Hardswish(Pointwise):
    """x * min(max(x + 3, 0), 6) / 6."""

    method = False
    accepts = "f"
    recompute_cost = 5
    samples = unary(-5, 5)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x * relu6_of(k, x + 3.0) / 6.0

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return F.where(x <= -3, 0, F.where(x >= 3, g, g * (x / 3 + 0.5)))


def relu6_of(k: Scalars, x: Scalar) -> Scalar:
    """Limit x to [0, 6]."""
    dtype = k.dtype(x)
    return k.minimum(k.maximum(x, k.const(0, dtype)), k.const(6, dtype))


@define_op
class Hardshrink(Pointwise):
    """x where |x| > lambd, 0 elsewhere."""

    signature = "(input: Tensor, lambd: Scalar = 0.5)"
    accepts = "f"
    samples = samples(*unary()(), call(A((3, 5)), 1.0))

    def scalar(self, k: Scalars, x: Scalar, lambd: Scalar) -> Scalar:
        return k.where(k.abs(x) <= lambd, k.const(0, k.dtype(x)), x)

    def vjp(self, g: Handle, y: Handle, x: Handle, lambd: Handle) -> Gradient:
        return F.where(x.abs() > lambd, g, 0)


@define_op
class Softshrink(Pointwise):
    """x moved towards 0 by lambd; 0 where |x| <= lambd."""

    signature = "(input: Tensor, lambd: Scalar = 0.5)"
    method = False
    accepts = "f"
    samples = samples(*unary()(), call(A((3, 5)), 1.0))

    def scalar(self, k: Scalars, x: Scalar, lambd: Scalar) -> Scalar:
        zero = x * 0.0  # nan stays nan
        return k.where(x > lambd, x - lambd, k.where(x < -lambd, x + lambd, zero))

    def vjp(self, g: Handle, y: Handle, x: Handle, lambd: Handle) -> Gradient:
        return F.where(x.abs() > lambd, g, 0)
