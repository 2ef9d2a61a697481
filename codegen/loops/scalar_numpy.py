"""The reference meaning of each scalar operation, on numpy scalars.

A value is a numpy scalar of its dtype. 16-bit floats compute in f32 and round. Math functions compute in
f64 and round, which is at least as exact as any bound the compiled ones promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tracegraph.dtypes import DType, float64


def literal(value: float | int | bool, dtype: DType) -> Any:
    """A Python scalar as a value of the dtype."""
    with np.errstate(over="ignore"):
        return dtype.np.type(value)


def apply_scalar(op: str, values: Sequence[Any], operand_dtype: DType, result_dtype: DType) -> Any:
    """`op(values)`; all operands but a `where` condition have `operand_dtype`."""
    with np.errstate(all="ignore"):
        if op in ("const", "cast"):
            return cast(values[0], operand_dtype, result_dtype)
        if op == "where":
            return values[1] if values[0] else values[2]
        if op == "nextafter" and operand_dtype.itemsize == 2:
            return np.nextafter(values[0], values[1])
        if operand_dtype.is_floating:
            compute = float64 if op in _MATH else operand_dtype.compute
            values = [compute.np.type(x) for x in values]
            return result_dtype.np.type((_MATH.get(op) or _FLOAT.get(op) or _COMMON[op])(*values))
        function = _INTEGER.get(op) or _COMMON[op]
        return result_dtype.np.type(function(*values))


def cast(value: Any, source: DType, target: DType) -> Any:
    """Conversion: floats to integers through i64, where what does not fit becomes the minimum."""
    if target.is_bool:
        return np.bool_(value != 0)
    if source.is_floating and target.is_integer:
        wide = float(value)
        inside = math.isfinite(wide) and abs(wide) < 2.0**63
        return np.int64(int(wide) if inside else -(2**63)).astype(target.np)
    return np.asarray(value).astype(target.np)[()]


def philox_words(seed: int, draw: int, position: int) -> tuple[int, int, int, int]:
    """The four 32-bit words of Philox4x32-10 at a position of a draw (Salmon et al., SC 2011)."""
    mask = 0xFFFFFFFF
    words = (position & mask, position >> 32 & mask, draw & mask, draw >> 32 & mask)
    key = (seed & mask, seed >> 32 & mask)
    for _ in range(10):
        first, second = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = (
            second >> 32 ^ words[1] ^ key[0],
            second & mask,
            first >> 32 ^ words[3] ^ key[1],
            first & mask,
        )
        key = (key[0] + 0x9E3779B9 & mask, key[1] + 0xBB67AE85 & mask)
    return words


def _philox(seed: Any, draw: Any, position: Any, word: Any) -> int:
    return philox_words(int(seed), int(draw), int(position))[int(word) & 3]


def _guarded(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Integer division, 0 where the divisor is."""
    return lambda a, b: function(a, b) if b != 0 else 0


def _truncated_quotient(a: Any, b: Any) -> Any:
    quotient = abs(int(a)) // abs(int(b))
    return np.asarray(quotient if (a < 0) == (b < 0) else -quotient).astype(np.asarray(a).dtype)


def _integer_power(a: Any, exponent: Any) -> Any:
    if exponent >= 0:
        return np.power(a, exponent)
    if a == 1:
        return 1
    return (1 if exponent % 2 == 0 else -1) if a == -1 else 0


def _float_power(a: Any, exponent: Any) -> Any:
    # one element each: np.power takes a shortcut for the scalar exponent 0.5 that is wrong at -inf
    return np.power(np.array([a, a]), np.array([exponent, exponent]))[0]


def _fma(a: Any, b: Any, c: Any) -> Any:
    if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
        return a * b + c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    # a zero has the sign that IEEE addition gives it
    return float(exact) if exact else a * b + c


def _lgamma(a: Any) -> float:
    # math raises at the poles
    is_pole = a <= 0 and a == np.floor(a)
    return math.inf if is_pole else math.lgamma(a)


def _erfinv(a: Any) -> float:
    """Newton's method on erf, or on erfc in the tails, which halves the digits left to find in every step."""
    if not abs(a) < 1:
        return math.copysign(math.inf, a) if abs(a) == 1 else math.nan
    target = abs(float(a))
    x = math.sqrt(-math.log1p(-target)) if target > 0.5 else target
    for _ in range(60):
        residual = math.erf(x) - target if target < 0.5 else (1 - target) - math.erfc(x)
        x -= residual * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return math.copysign(x, a)


def _float_minimum(a: Any, b: Any) -> Any:
    return -(-a + -b) if a == b == 0 else np.minimum(a, b)


def _float_maximum(a: Any, b: Any) -> Any:
    return a + b if a == b == 0 else np.maximum(a, b)


def _shift_left(a: Any, count: Any) -> Any:
    return np.left_shift(a, count) if 0 <= count < 8 * a.itemsize else 0


def _shift_right(a: Any, count: Any) -> Any:
    bits = 8 * a.itemsize
    if 0 <= count < bits:
        return np.right_shift(a, count)
    return -1 if a < 0 else 0


_COMMON: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
    "abs": np.abs,
    "sign": np.sign,
}
_FLOAT: dict[str, Callable[..., Any]] = {
    "div": lambda a, b: a / b,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "truncdiv": lambda a, b: np.trunc(a / b),
    "fmod": np.fmod,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "recip": lambda a: 1 / a,
    "minimum": _float_minimum,
    "maximum": _float_maximum,
    "copysign": np.copysign,
    "nextafter": np.nextafter,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
}
_MATH: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": math.erf,
    "erfc": math.erfc,
    "erfinv": _erfinv,
    "lgamma": _lgamma,
    "hypot": np.hypot,
    "pow": _float_power,
    "fma": _fma,
}
_INTEGER: dict[str, Callable[..., Any]] = {
    "floordiv": _guarded(np.floor_divide),
    "mod": _guarded(np.remainder),
    "truncdiv": _guarded(_truncated_quotient),
    "fmod": _guarded(np.fmod),
    "shl": _shift_left,
    "shr": _shift_right,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "pow": _integer_power,
    "philox": _philox,
}
