"""sin, cos, tan: reduce to |r| <= pi/4 and a quadrant, then one of two polynomials.

The f32 functions compute in f64, where reduction needs no second part; their polynomials are shorter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.range_reduction import Reduced, reduce_angle_f32, reduce_angle_f64
from tracegraph.codegen.vector_math.registry import math_function

# (sin(r) - r) / r**3 in r**2 on |r| <= pi/4, relative error of sin 2**-58 and 2**-37.5
_SIN = (
    1.5896694647548795e-10,
    -2.5050756933911574e-08,
    2.7557313688932746e-06,
    -0.0001984126982981702,
    0.008333333333322458,
    -0.16666666666666632,
)
_SIN_SHORT = (2.7182867610690696e-06, -0.0001983933352129115, 0.008333329387989002, -0.16666666641743905)
# (cos(r) - 1 + r**2/2) / r**4 in r**2, error of cos 2**-64 and 2**-43
_COS = (
    -1.1359827385003087e-11,
    2.087572749082327e-09,
    -2.755731439017194e-07,
    2.4801587289643442e-05,
    -0.0013888888888874448,
    0.0416666666666666,
)
_COS_SHORT = (-2.720957156659594e-07, 2.4799511841406875e-05, -0.0013888883722301879, 0.041666666622476756)

Kernel = Callable[[Reduced], tuple[Register, Register]]


def _kernels_f64(angle: Reduced) -> tuple[Register, Register]:
    """(sin, cos) of the remainder, to f64 precision."""
    r, low = angle.high, angle.low
    square = r * r
    half = square * 0.5
    sine = r + ops.fma(ops.horner(square, _SIN), square * r, ops.fma(half, -low, low))
    whole = 1.0 - half
    rest = ops.fma(ops.horner(square, _COS), square * square, -(r * low))
    return sine, whole + (((1.0 - whole) - half) + rest)


def _kernels_short(angle: Reduced) -> tuple[Register, Register]:
    """(sin, cos) of the remainder, to a little more than f32 precision."""
    r = angle.high
    square = r * r
    sine = ops.fma(ops.horner(square, _SIN_SHORT), square * r, r)
    cosine = ops.fma(ops.horner(square, _COS_SHORT), square * square, ops.fma(square, square.like(-0.5), 1.0))
    return sine, cosine


def _is_odd(quadrant: Register) -> Register:
    return ops.compare("ne", quadrant & 1, 0)


def _rotated(angle: Reduced, kernel: Kernel, quarter_turns: int) -> Register:
    """sin(angle + quarter_turns * pi/2)."""
    sine, cosine = kernel(angle)
    quadrant = angle.quadrant + quarter_turns
    value = ops.select(_is_odd(quadrant), cosine, sine)
    return ops.from_bits(ops.bits(value) ^ ((quadrant & 2) << 62))


def _finite_only(x: Register, result: Register) -> Register:
    """Nan at nan and infinity, where reduction gives garbage."""
    return ops.select(ops.compare("olt", ops.fabs(x), math.inf), result, math.nan)


def _odd_function(x: Register, of_magnitude: Register) -> Register:
    """F(x) from f(|x|): flips the sign with that of x, so that f(-0) = -0."""
    sign = ops.bits(x) ^ ops.bits(ops.fabs(x))
    return _finite_only(x, ops.from_bits(ops.bits(of_magnitude) ^ sign))


def _tangent(angle: Reduced, kernel: Kernel) -> Register:
    sine, cosine = kernel(angle)
    odd = _is_odd(angle.quadrant)
    return ops.select(odd, -cosine, sine) / ops.select(odd, sine, cosine)


def _through_f64(x: Register, function: Callable[[Register], Register]) -> Register:
    return ops.convert("fptrunc", function(ops.convert("fpext", x, "double")), "float")


@math_function("sin", "double", ulp=1.0)
def sin_f64(x: Register) -> Register:
    """Sine in f64, at most 1 ulp for every finite x; keeps the sign of zero."""
    return _odd_function(x, _rotated(reduce_angle_f64(ops.fabs(x)), _kernels_f64, 0))


@math_function("cos", "double", ulp=1.0)
def cos_f64(x: Register) -> Register:
    """Cosine in f64, at most 1 ulp for every finite x."""
    return _finite_only(x, _rotated(reduce_angle_f64(ops.fabs(x)), _kernels_f64, 1))


@math_function("tan", "double", ulp=2.2)
def tan_f64(x: Register) -> Register:
    """Tangent in f64, at most 2.2 ulp for every finite x; keeps the sign of zero."""
    return _odd_function(x, _tangent(reduce_angle_f64(ops.fabs(x)), _kernels_f64))


@math_function("sin", "float", ulp=0.51)
def sin_f32(x: Register) -> Register:
    """Sine in f32, at most 0.51 ulp for every finite x; keeps the sign of zero."""
    return _through_f64(
        x, lambda wide: _odd_function(wide, _rotated(reduce_angle_f32(ops.fabs(wide)), _kernels_short, 0))
    )


@math_function("cos", "float", ulp=0.51)
def cos_f32(x: Register) -> Register:
    """Cosine in f32, at most 0.51 ulp for every finite x."""
    return _through_f64(
        x, lambda wide: _finite_only(wide, _rotated(reduce_angle_f32(ops.fabs(wide)), _kernels_short, 1))
    )


@math_function("tan", "float", ulp=0.51)
def tan_f32(x: Register) -> Register:
    """Tangent in f32, at most 0.51 ulp for every finite x; keeps the sign of zero."""
    return _through_f64(x, lambda wide: _odd_function(wide, _tangent(reduce_angle_f32(ops.fabs(wide)), _kernels_short)))
