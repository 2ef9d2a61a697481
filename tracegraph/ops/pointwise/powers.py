"""Powers, roots and reciprocals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, binary, call, samples, unary
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import NUMPY, Scalars


@define_op
class Pow(Pointwise):
    """`input` to the power `exponent`.

    Exponents for which there is an op of its own (2, 0.5, -0.5, -1) call that op. Integers to the power of negative
    integers are 0, but for the powers of 1 and -1; as a Python number such an exponent is an error.
    """

    signature = "(input: Number, exponent: Number)"
    operators = ("__pow__",)
    accepts = "if"
    element_numbers = (1,)
    inplace = True
    recompute_cost = 40
    samples = samples(
        *binary(0.2, 2, -2, 2, number=3)(),
        *binary(-3, 3, 0, 3, dtypes=dtypes.INTEGER_DTYPES, number=3)(),
        call(A((3, 5), -2, 2), 3.0),
        call(A((3, 5), -2, 2), 2, dtypes=REAL),
        call(A((3, 5), 0.2, 2), -0.5),
        call(2, A((3, 5)), dtypes=(dtypes.float32, dtypes.float64)),
    )

    def apply(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        x, exponent = operands
        if not is_tensor(x) or type(exponent) not in (int, float, SymExpr):
            return super().apply(operands, attrs)
        is_floating = x.dtype.is_floating
        is_square = type(exponent) is int and exponent == 2
        if type(exponent) is not SymExpr and exponent in _SPECIAL and (is_floating or is_square):
            return getattr(F, _SPECIAL[exponent])(x)
        if type(exponent) is not float and not is_floating and dims.is_below(exponent, 0):
            raise DTypeError(f"pow: integers cannot be raised to the negative integer {exponent}; use a float")
        return super().apply(operands, attrs)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return x * x * x if np.ndim(y) == 0 and y == 3 else NUMPY.pow(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.pow(x, y)

    def vjp(self, g: Handle, y: Handle, base: Handle, exponent: Handle) -> Gradient:
        def to_base() -> Handle:
            if not is_tensor(exponent):
                return g * exponent * base ** (exponent - 1) if exponent else F.zeros_like(g)
            return g * F.where(exponent == 0, 0, exponent * F.pow(base, exponent - 1))

        def to_exponent() -> Handle:
            # 0 ** x is constant for x > 0; elsewhere y * log(base)
            at_zero = (exponent >= 0) if not is_tensor(base) and base == 0 else (base == 0) & (exponent >= 0)
            log_base = F.log(base) if is_tensor(base) else float(np.log(base)) if base > 0 else 0.0
            return g * F.where(at_zero, 0, y * log_base)

        return to_base, to_exponent


@define_op
class FloatPower(Derived):
    """`input` to the power `exponent`, computed in float64."""

    signature = "(input: Number, exponent: Number)"
    inplace = True
    samples = samples(
        call(A((3, 5), 0.5, 2), A((5,)), dtypes=REAL), call(A((67,), 1, 3), 2, dtypes=REAL), call(2, A((3, 5)))
    )

    def decompose(self, x: Handle, exponent: Handle) -> Handle:
        wide = [o.to(dtypes.float64) if is_tensor(o) else o * 1.0 for o in (x, exponent)]
        return F.pow(*wide)


_SPECIAL = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


@define_op
class Square(Pointwise):
    """Elements times themselves; bools become int64."""

    inplace = True
    samples = unary(dtypes=dtypes.ALL)

    def promote(self, types: Any) -> Any:
        compute, result = super().promote(types)
        return (dtypes.int64, dtypes.int64) if compute.is_bool else (compute, result)

    def eager(self, x: np.ndarray) -> Any:
        return np.multiply(x, x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x * x

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * (x * 2)


@define_op
class Sqrt(Pointwise):
    """Square root; nan for negative elements."""

    promotion = "float"
    inplace = True
    recompute_cost = 6
    samples = unary(0.1, 3, dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray) -> Any:
        return np.sqrt(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.sqrt(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g / (y * 2)


@define_op
class Rsqrt(Pointwise):
    """1 / sqrt(x)."""

    promotion = "float"
    inplace = True
    recompute_cost = 8
    samples = unary(0.1, 3, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.rsqrt(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g * -0.5 * (y * y * y)


@define_op
class Reciprocal(Pointwise):
    """1 / x."""

    promotion = "float"
    inplace = True
    recompute_cost = 4
    samples = unary(0.5, 3, dtypes=dtypes.ALL)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.recip(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return -g * (y * y)


@define_op
class Hypot(Pointwise):
    """sqrt(input**2 + other**2) without overflow."""

    signature = "(input: Tensor, other: Tensor)"
    accepts = "f"
    inplace = True
    recompute_cost = 12
    samples = binary(0.2, 2, number=None)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.hypot(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        x, y = k.abs(x), k.abs(y)
        larger, smaller = k.maximum(x, y), k.minimum(x, y)
        ratio = smaller / larger
        scaled = larger * k.sqrt(ratio * ratio + 1.0)
        # where the ratio is 0 / 0 or inf / inf, the larger is the length; an infinite side outweighs a nan
        infinite = (x == float("inf")) | (y == float("inf"))
        return k.where(infinite, float("inf"), k.where(larger == 0, larger, scaled))

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g * (a / y), lambda: g * (b / y)


@define_op
class Ldexp(Derived):
    """input * 2**other; integers become float32."""

    signature = "(input: Tensor, other: Tensor)"
    samples = binary(-3, 3, number=None)

    def decompose(self, x: Handle, y: Handle) -> Handle:
        return x * F.pow(2.0, y if y.dtype.is_floating else y.to(dtypes.float32))
