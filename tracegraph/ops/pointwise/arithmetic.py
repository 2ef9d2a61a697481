"""Sums, differences, products, quotients and remainders; signs and absolute values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir.rules import OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, binary, call, samples, unary
from tracegraph.ops.core.sym_float import Float
from tracegraph.ops.core.weak_numbers import fitting
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import Scalars

BINARY = "(input: Number, other: Number)"
SCALED = "(input: Number, other: Number, *, alpha: number = 1)"


class Scaled(Pointwise):
    """Base of `add` and `sub`, whose second operand may be multiplied by `alpha`."""

    signature = SCALED
    inplace = True

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Alpha becomes a multiplication of its own, in the dtype of the result.

        Raises:
            DTypeError: an alpha that the dtype of the result cannot hold.
        """
        alpha = attrs.pop("alpha")
        if type(alpha) is int and alpha == 1:
            return operands, attrs
        x, y = operands
        common = self.promote(tuple([TensorType(o.dtype, tuple(o.shape)) if is_tensor(o) else o for o in operands]))[0]
        if isinstance(alpha, bool) and not common.is_bool:
            raise DTypeError(f"{self.name}: alpha={alpha} is a bool, the result is {common.long_name}")
        if isinstance(alpha, Float) and not common.is_floating:
            raise DTypeError(f"{self.name}: alpha={alpha} must be an integer for integer operands")
        alpha = fitting(self.name, "alpha", alpha, common)
        return (x, (y.to(common) if is_tensor(y) else y) * alpha), attrs


@define_op
class Add(Scaled):
    """Sum of the operands, `other` multiplied by `alpha`; `logical or` of bools."""

    commutative = True
    operators = ("__add__",)
    samples = binary(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.add(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x | y if k.dtype(x).is_bool else x + y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return g, g


@define_op
class Sub(Scaled):
    """Difference of the operands, `other` multiplied by `alpha`; not defined for bools."""

    aliases = ("subtract",)
    operators = ("__sub__",)
    accepts = "if"
    samples = binary(dtypes=REAL)

    def promote(self, types: OperandTypes) -> tuple[DType, DType]:
        if any(isinstance(t, bool) or (isinstance(t, TensorType) and t.dtype.is_bool) for t in types):
            listed = ", ".join(map(str, types))
            raise DTypeError(
                f"{self.name}({listed}): not defined for dtype bool; use ^ or logical_xor(), ~ to invert a mask, or "
                "convert the operand"
            )
        return super().promote(types)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.subtract(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x - y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return g, lambda: -g


@define_op
class Rsub(Derived):
    """`other` less `alpha` times `input`."""

    signature = SCALED
    samples = samples(call(A((3, 5)), A((5,)), dtypes=REAL), call(A((3, 5)), 1.5, alpha=2))

    def decompose(self, x: Handle, y: Handle, alpha: float) -> Handle:
        return F.sub(y, x, alpha=alpha)


@define_op
class Mul(Pointwise):
    """Product of the operands; `logical and` of bools."""

    commutative = True
    aliases = ("multiply",)
    signature = BINARY
    operators = ("__mul__",)
    inplace = True
    samples = binary(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.multiply(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x & y if k.dtype(x).is_bool else x * y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g * b, lambda: g * a


# --------------------------------------------------------------------------------------------- division


@define_op
class Div(Pointwise):
    """True quotient, floating also for integers.

    With `rounding_mode="floor"` it is `floor_divide`, with "trunc" `trunc_divide`, which keep integers.
    """

    aliases = ("divide", "true_divide")
    signature = BINARY
    operators = ("__truediv__",)
    promotion = "float"
    inplace = True
    recompute_cost = 4
    samples = binary(low2=0.5, high2=2, dtypes=dtypes.ALL)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mode = kwargs.pop("rounding_mode", None)
        if mode is None:
            return super().__call__(*args, **kwargs)
        if mode not in _ROUNDED:
            raise ValueRangeError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {mode!r}")
        return getattr(F, _ROUNDED[mode])(*args, **kwargs)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.true_divide(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x / y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g / b, lambda: -g * (a / b) / b


_ROUNDED = {"floor": "floor_divide", "trunc": "trunc_divide"}


class IntegerDivision(Pointwise):
    """Base of the divisions that are defined for integers, where a divisor of 0 is an error."""

    signature = BINARY
    accepts = "if"
    inplace = True
    recompute_cost = 8
    samples = samples(
        *binary(low2=1, high2=3, dtypes=dtypes.INTEGER_DTYPES, number=2)(),
        *binary(low2=0.6, high2=0.9)(),
        call(A((67,), -50, 50), -3, dtypes=REAL[1:]),
    )

    def may_raise(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> bool:
        """Integers do by a divisor of 0; numbers are known not to be."""
        is_floating = any(o.dtype.is_floating if isinstance(o, TensorType) else isinstance(o, float) for o in operands)
        return not is_floating and not (isinstance(operands[1], int) and operands[1] != 0)

    def check_divisor(self, k: Scalars, x: Scalar) -> None:
        """End the execution if an integer divisor is 0.

        Raises:
            ElementError: it is.
        """
        if k.dtype(x).is_integer:
            k.check(x != 0, f"{self.name}: integer division by zero")


@define_op
class FloorDivide(IntegerDivision):
    """Quotient rounded down, as Python's `//`."""

    operators = ("__floordiv__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        self.check_divisor(k, y)
        return k.floordiv(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return _no_slope(g), _no_slope(g)


@define_op
class TruncDivide(IntegerDivision):
    """Quotient rounded towards zero, as C's `/` on integers; `div(rounding_mode="trunc")`."""

    method = False

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        self.check_divisor(k, y)
        if k.dtype(x).is_floating:
            return k.trunc(x / y)
        quotient = k.floordiv(x, y)
        rounded_down = (quotient * y != x) & ((x < 0) != (y < 0))
        return k.where(rounded_down, quotient + 1, quotient)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return _no_slope(g), _no_slope(g)


@define_op
class Remainder(IntegerDivision):
    """Remainder of the division rounded down; it has the sign of the divisor, as Python's `%`."""

    operators = ("__mod__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        self.check_divisor(k, y)
        return k.mod(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return g, lambda: -g * F.div(a, b, rounding_mode="floor")


@define_op
class Fmod(IntegerDivision):
    """Remainder of the division rounded towards zero; it has the sign of the dividend, as C's `fmod`."""

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        self.check_divisor(k, y)
        if k.dtype(x).is_floating:
            return k.copysign(k.mod(k.abs(x), k.abs(y)), x)
        remainder = k.mod(x, y)
        return k.where((remainder != 0) & ((x < 0) != (y < 0)), remainder - y, remainder)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return g, lambda: -g * F.div(a, b, rounding_mode="trunc")


def _no_slope(g: Handle) -> Gradient:
    """The gradient of a step function: 0, whatever comes back."""
    return lambda: F.zeros_like(g)


# --------------------------------------------------------------------------------------------- signs


@define_op
class Neg(Pointwise):
    """Negation; not defined for bools."""

    involution = True
    aliases = ("negative",)
    operators = ("__neg__",)
    accepts = "if"
    inplace = True
    samples = unary(dtypes=REAL)

    def eager(self, x: np.ndarray) -> Any:
        return np.negative(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return -x

    def vjp(self, g: Handle, y: Handle, a: Handle) -> Gradient:
        return -g


@define_op
class Positive(Derived):
    """The tensor itself; not defined for bools."""

    operators = ("__pos__",)
    samples = samples(call(A((3, 5)), dtypes=REAL))

    def decompose(self, x: Handle) -> Handle:
        if x.dtype.is_bool:
            raise DTypeError("positive: not defined for dtype bool; convert the operand")
        return x


@define_op
class Abs(Pointwise):
    """Absolute value; the gradient at 0 is 0."""

    idempotent = True
    aliases = ("absolute",)
    operators = ("__abs__",)
    accepts = "if"
    inplace = True
    samples = unary(dtypes=REAL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.abs(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * x.sign()


@define_op
class Sign(Pointwise):
    """-1, 0 or 1 by the sign; 0 for nan. Bools stay as they are."""

    idempotent = True
    aliases = ("sgn",)
    inplace = True
    samples = unary(dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        dtype = k.dtype(x)
        if dtype.is_bool:
            return x
        if not dtype.is_signed:
            return k.cast(x > 0, dtype)
        return k.cast(x > 0, dtype) - k.cast(x < 0, dtype)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return _no_slope(g)


@define_op
class Copysign(Pointwise):
    """Magnitude of `input` with the sign of `other`."""

    signature = BINARY
    promotion = "float"
    inplace = True
    samples = binary(dtypes=REAL)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.copysign(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g * a.sign() * y.sign(), _no_slope(g)


@define_op
class Heaviside(Pointwise):
    """0 for negative elements (and nan), 1 for positive ones, `values` at 0."""

    signature = "(input: Tensor, values: Tensor)"
    inplace = True
    samples = binary(dtypes=REAL, differentiable=False, number=None)

    def scalar(self, k: Scalars, x: Scalar, values: Scalar) -> Scalar:
        dtype = k.dtype(x)
        return k.where(x == 0, values, k.cast(x > 0, dtype))
