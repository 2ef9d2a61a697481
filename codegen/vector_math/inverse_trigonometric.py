"""asin, acos, atan, atan2; the f32 functions are the f64 ones rounded."""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.registry import math_function, register_through_double

# (asin(x) - x) / x**3 in x**2 on |x| <= 1/2, relative error of asin 2**-59.8
_ASIN = (
    0.032700048290737325,
    -0.021113130137855946,
    0.021787964607141684,
    0.00367334617250794,
    0.010788998993970232,
    0.01139735296097043,
    0.013981010947645223,
    0.01735159615223223,
    0.02237221586866551,
    0.0303819426766336,
    0.044642857175257115,
    0.07499999999970129,
    0.16666666666666763,
)
# (atan(x) - x) / x**3 in x**2 on |x| <= 7/16, relative error of atan 2**-57.7
_ATAN = (
    -0.016279986535795182,
    0.03652588534328589,
    -0.049766403364951736,
    0.058335145443628035,
    -0.06661065165635861,
    0.07691875483889966,
    -0.09090887092704315,
    0.11111110404096806,
    -0.14285714272479316,
    0.19999999999876317,
    -0.3333333333333293,
)
_PI_OVER_2 = (1.5707963267948966, 6.123233995736766e-17)
_PI = (3.141592653589793, 1.2246467991473532e-16)
# tan(a) up to which a centre serves: atan(t) = atan(c) + atan((t - c) / (1 + c t)); (limit, c, atan(c))
_CENTRES = (
    (7 / 16, 0.0, (0.0, 0.0)),
    (11 / 16, 0.5, (0.4636476090008061, 2.2698777452961687e-17)),
    (19 / 16, 1.0, (0.7853981633974483, 3.061616997868383e-17)),
    (39 / 16, 1.5, (0.982793723247329, 1.3903311031230998e-17)),
)


def _asin_polynomial(square: Register) -> Register:
    return ops.horner(square, _ASIN) * square


def _half_angle(magnitude: Register) -> tuple[Register, Register]:
    """(s, c) with asin(m) = pi/2 - 2 (s + c), for 1/2 <= m <= 1; s is a rounded square root."""
    square = (1.0 - magnitude) * 0.5
    root = ops.sqrt(square)
    is_zero = ops.compare("oeq", root, 0.0)
    lost = ops.fma(root, -root, square) / ops.select(is_zero, 1.0, root + root)
    return root, ops.fma(_asin_polynomial(square), root, lost)


@math_function("asin", "double", ulp=1.2)
def asin_f64(x: Register) -> Register:
    """Arc sine in f64, at most 1.2 ulp; nan outside [-1, 1], keeps the sign of zero."""
    magnitude = ops.fabs(x)
    small = ops.fma(_asin_polynomial(x * x), magnitude, magnitude)
    root, correction = _half_angle(magnitude)
    large = _PI_OVER_2[0] - (2.0 * root - (_PI_OVER_2[1] - 2.0 * correction))
    return ops.copysign(ops.select(ops.compare("olt", magnitude, 0.5), small, large), x)


@math_function("acos", "double", ulp=1.2)
def acos_f64(x: Register) -> Register:
    """Arc cosine in f64, at most 1.2 ulp; nan outside [-1, 1]."""
    magnitude = ops.fabs(x)
    small = _PI_OVER_2[0] - (x - (_PI_OVER_2[1] - x * _asin_polynomial(x * x)))
    root, correction = _half_angle(magnitude)
    near_one = 2.0 * (root + correction)
    near_minus_one = _PI[0] - (2.0 * root - (_PI[1] - 2.0 * correction))
    large = ops.select(ops.compare("ogt", x, 0.0), near_one, near_minus_one)
    return ops.select(ops.compare("olt", magnitude, 0.5), small, large)


def _first_quadrant(y: Register, x: Register) -> tuple[Register, Register]:
    """atan(y / x) in two parts for y, x >= 0 not both zero or infinite, moderate in size."""
    numerator, denominator = -x, y
    high, low = y.like(_PI_OVER_2[0]), y.like(_PI_OVER_2[1])
    for limit, centre, (centre_high, centre_low) in reversed(_CENTRES):
        within = ops.compare("ole", y, x * limit)
        numerator = ops.select(within, ops.fma(x, -centre, y), numerator)
        denominator = ops.select(within, ops.fma(y, y.like(centre), x), denominator)
        high = ops.select(within, centre_high, high)
        low = ops.select(within, centre_low, low)
    t = numerator / denominator
    square = t * t
    return ops.quick_two_sum(high, t + ops.fma(ops.horner(square, _ATAN) * square, t, low))


@math_function("atan", "double", ulp=1.0)
def atan_f64(x: Register) -> Register:
    """Arc tangent in f64, at most 1 ulp; keeps the sign of zero."""
    # beyond 2**60 the result is pi/2 already, and an infinite x would divide infinities
    magnitude = ops.fabs(x)
    limited = ops.select(ops.compare("ogt", magnitude, 2.0**60), 2.0**60, magnitude)
    high, low = _first_quadrant(limited, x.like(1.0))
    return ops.copysign(high + low, x)


@math_function("atan2", "double", ulp=1.6, arity=2)
def atan2_f64(y: Register, x: Register) -> Register:
    """Angle of the point (x, y) in f64, at most 1.6 ulp, with C's conventions at zeros and infinities."""
    height, width = _moderate(ops.fabs(y), ops.fabs(x))
    high, low = _first_quadrant(height, width)
    is_left = ops.compare("slt", ops.bits(x), 0)
    angle = ops.select(is_left, _PI[0] - (high - (_PI[1] - low)), high + low)
    angle = ops.copysign(angle, y)
    return ops.select(ops.compare("uno", x, y), x + y, angle)


def _moderate(y: Register, x: Register) -> tuple[Register, Register]:
    """The same ratio without overflow, underflow, 0 / 0 or inf / inf on the way."""
    infinity_y, infinity_x = ops.compare("oeq", y, float("inf")), ops.compare("oeq", x, float("inf"))
    any_infinite = infinity_y | infinity_x
    y = ops.select(any_infinite, ops.select(infinity_y, y.like(1.0), 0.0), y)
    x = ops.select(any_infinite, ops.select(infinity_x, x.like(1.0), 0.0), x)
    largest = ops.intrinsic("maxnum", y, x)
    scale = ops.select(ops.compare("ogt", largest, 2.0**1000), y.like(2.0**-4), 1.0)
    scale = ops.select(ops.compare("olt", largest, 2.0**-900), 2.0**100, scale)
    y, x = y * scale, x * scale
    # the origin: atan2(0, +0) is 0 as for a positive x
    return y, ops.select(ops.compare("oeq", largest, 0.0), 1.0, x)


for _name, _arity in (("asin", 1), ("acos", 1), ("atan", 1), ("atan2", 2)):
    register_through_double(_name, arity=_arity)
