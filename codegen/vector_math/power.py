"""pow: exp(y log|x|) with the logarithm in twice the precision, then C's rules for signs, zeros and
infinities.
"""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.exponential import expm1_reduced, reduce
from tracegraph.codegen.vector_math.formats import scale_by_power
from tracegraph.codegen.vector_math.logarithm import log_positive, split
from tracegraph.codegen.vector_math.registry import call_math, math_function

# ((2 atanh(s) - 2 s) / s**3 - 2/3) / s**2 in s**2, relative error of log 2**-73
_LOG_TAIL = (
    0.11982237996348478,
    0.11675726056272151,
    0.1333626698196592,
    0.15384558370729873,
    0.18181818844714975,
    0.22222222217785195,
    0.2857142857144385,
    0.3999999999999998,
)
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# ln 2: the high part has 11 trailing zero bits, for an exact product with the exponent
_LN_2 = (0.6931471805598903, 5.497923018708371e-14)


def _log_extended(x: Register) -> tuple[Register, Register]:
    """log(x) in two parts for positive finite x, relative error about 2**-66."""
    m, n = split(x)
    exponent = ops.convert("sitofp", ops.convert("trunc", n, "i32"), "double")
    f = m - 1.0
    # s = f / (2 + f) in two parts
    divisor, divisor_low = ops.two_sum(f, f.like(2.0))
    s = f / divisor
    s_low = ops.fma(s, -divisor_low, ops.fma(s, -divisor, f)) / divisor
    square, square_low = ops.two_product(s, s)
    square_low = ops.fma(s + s, s_low, square_low)
    # 2/3 + s**2 P(s**2), times s**3, in two parts
    factor, factor_low = ops.quick_two_sum(
        square.like(_TWO_THIRDS[0]), ops.fma(ops.horner(square, _LOG_TAIL), square, _TWO_THIRDS[1])
    )
    cube, cube_low = ops.two_product(square, s)
    cube_low = ops.fma(square, s_low, ops.fma(square_low, s, cube_low))
    tail, tail_low = ops.two_product(cube, factor)
    tail_low = ops.fma(cube, factor_low, ops.fma(cube_low, factor, tail_low))
    # n ln2 + 2 s + tail
    high, low = ops.quick_two_sum(s + s, tail)
    low = low + (s_low + s_low + tail_low)
    whole, lost = ops.two_sum(exponent * _LN_2[0], high)
    return ops.quick_two_sum(whole, lost + ops.fma(exponent, _LN_2[1], low))


def _exp_extended(high: Register, low: Register) -> Register:
    """exp(high + low) in f64 for |high| <= 800."""
    r, k = reduce(high)
    return scale_by_power(expm1_reduced(r + low) + 1.0, k)


def _power_of_magnitude_f64(x: Register, y: Register) -> Register:
    """x**y for positive finite x and finite y."""
    high, low = _log_extended(x)
    # y so large that the result is 0, 1 or infinite anyway must not overflow the product
    y = ops.clamp(y, -(2.0**80), 2.0**80)
    product, error = ops.two_product(high, y)
    error = ops.fma(low, y, error)
    clamped = ops.clamp(product, -800.0, 800.0)
    inside = ops.compare("oeq", clamped, product)
    return _exp_extended(clamped, ops.select(inside, error, 0.0))


def _power_of_magnitude_f32(x: Register, y: Register) -> Register:
    """x**y for positive finite x and finite y, all of them f32 widened to f64."""
    return call_math("exp", log_positive(x) * y)


def _with_special_cases(x: Register, y: Register, regular: Register) -> Register:
    """C's pow from |x|**y of the regular case; x and y in f64."""
    magnitude, size = ops.fabs(x), ops.fabs(y)
    grows = ops.compare("ogt", y, 0.0)
    # zero and infinity to a finite power
    result = ops.select(ops.compare("oeq", magnitude, 0.0), ops.select(grows, x.like(0.0), math.inf), regular)
    result = ops.select(ops.compare("oeq", magnitude, math.inf), ops.select(grows, x.like(math.inf), 0.0), result)
    # anything to an infinite power
    toward_infinity = ops.compare("ogt", magnitude, 1.0) ^ ops.compare("olt", y, 0.0)
    at_infinity = ops.select(toward_infinity, x.like(math.inf), 0.0)
    at_infinity = ops.select(ops.compare("oeq", magnitude, 1.0), 1.0, at_infinity)
    result = ops.select(ops.compare("oeq", size, math.inf), at_infinity, result)
    # negative bases
    is_integer = ops.compare("oeq", ops.intrinsic("trunc", y), y)
    half = y * 0.5
    is_odd = is_integer & ops.compare("une", ops.intrinsic("trunc", half), half)
    is_odd = is_odd & ops.compare("olt", size, math.inf)
    sign_set = ops.compare("slt", ops.bits(x), 0)
    result = ops.select(is_odd & sign_set, -result, result)
    no_root = ops.compare("olt", x, 0.0) & ops.compare("ogt", magnitude, 0.0)
    no_root = no_root & ops.compare("olt", magnitude, math.inf) & (is_integer ^ 1)
    result = ops.select(no_root, math.nan, result)
    # nan passes through, except that x**0 and 1**y are 1 for every x and y
    result = ops.select(ops.compare("uno", x, y), math.nan, result)
    is_one = ops.compare("oeq", x, 1.0) | ops.compare("oeq", y, 0.0)
    return ops.select(is_one, 1.0, result)


def _regular_base(x: Register) -> Register:
    """|x|, or 1 where the special cases decide."""
    magnitude = ops.fabs(x)
    regular = ops.compare("ogt", magnitude, 0.0) & ops.compare("olt", magnitude, math.inf)
    return ops.select(regular, magnitude, 1.0)


@math_function("pow", "double", ulp=1.1, arity=2)
def pow_f64(x: Register, y: Register) -> Register:
    """x**y in f64, at most 1.1 ulp, with C's conventions."""
    return _with_special_cases(x, y, _power_of_magnitude_f64(_regular_base(x), y))


@math_function("pow", "float", ulp=0.51, arity=2)
def pow_f32(x: Register, y: Register) -> Register:
    """x**y in f32, at most 0.51 ulp, with C's conventions."""
    wide_x, wide_y = ops.convert("fpext", x, "double"), ops.convert("fpext", y, "double")
    regular = _power_of_magnitude_f32(_regular_base(wide_x), wide_y)
    return ops.convert("fptrunc", _with_special_cases(wide_x, wide_y, regular), "float")
