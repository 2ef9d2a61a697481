"""lgamma, the logarithm of |gamma(x)|.

Below 8 the recurrence gamma(x + 1) = x gamma(x) moves the argument to [1.5, 2.5), where lgamma(x) / ((x - 1) (x - 2))
is a polynomial; above it is Stirling's series; negative arguments are reflected.
"""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.logarithm import log_positive
from tracegraph.codegen.vector_math.registry import call_math, math_function, register_through_double

# lgamma(2 + t) / (t (t + 1)) on |t| <= 1/2, relative error 2**-55.5
_NEAR_TWO = (
    1.2216496422103598e-07,
    -2.526067616067904e-07,
    3.8633383165033053e-07,
    -8.208370171134069e-07,
    1.8133645175185244e-06,
    -3.8563405494212475e-06,
    8.221237613577563e-06,
    -1.7660187779332438e-05,
    3.816899537913799e-05,
    -8.309527407792198e-05,
    0.000182552631905204,
    -0.00040570738891671285,
    0.000915376922529482,
    -0.002108130834225858,
    0.00499864116469185,
    -0.012384192193367423,
    0.032965000621155864,
    -0.10031730167435393,
    0.42278433509846713,
)
# (lgamma(x) - Stirling's leading terms) * x in 1 / x**2 for x >= 8, error 2**-60.5
_STIRLING = (
    -0.0016532850671391501,
    0.00083730962238572,
    -0.0005952029428990423,
    0.0007936506668303038,
    -0.002777777777609927,
    0.0833333333333333,
)
_HALF_LOG_TWO_PI = 0.9189385332046727
_STIRLING_FROM = 8.0
# a negative argument closer to zero behaves as its magnitude does
_TINY = 2.0**-60


def _moved(x: Register) -> tuple[Register, Register]:
    """(t, p) with |gamma(x)| = gamma(2 + t) * p or, for x < 1.5, gamma(2 + t) / p; 0 < x < 8 and |t| <= 1/2."""
    offset, product = x - 2.0, x.like(1.0)
    for step in range(1, 7):
        beyond = ops.compare("oge", x, step + 1.5)
        offset = ops.select(beyond, x - (step + 2.0), offset)
        product = ops.select(beyond, product * (x - float(step)), product)
    is_low = ops.compare("olt", x, 1.5)
    offset, product = ops.select(is_low, x - 1.0, offset), ops.select(is_low, x, product)
    is_lowest = ops.compare("olt", x, 0.5)
    return ops.select(is_lowest, x, offset), ops.select(is_lowest, x * (x + 1.0), product)


def _lgamma_positive(x: Register) -> Register:
    """lgamma of a positive finite number."""
    is_large = ops.compare("oge", x, _STIRLING_FROM)
    offset, product = _moved(x)
    logarithm = log_positive(ops.select(is_large, x, product))
    near = ops.horner(offset, _NEAR_TWO) * (offset * (offset + 1.0))
    small = near + ops.select(ops.compare("olt", x, 1.5), -logarithm, logarithm) + 0.0  # no zero is negative
    inverse = 1.0 / x
    correction = ops.fma(ops.horner(inverse * inverse, _STIRLING), inverse, _HALF_LOG_TWO_PI)
    large = ops.fma(x - 0.5, logarithm, correction - x)
    return ops.select(is_large, large, small)


@math_function("lgamma", "double", ulp=6.0, magnitude_from=16.0)
def lgamma_f64(x: Register) -> Register:
    """log|gamma(x)| in f64, at most 6 ulp for positive x; for negative x of the larger of result and 16."""
    magnitude = ops.fabs(x)
    regular = ops.compare("ogt", magnitude, 0.0) & ops.compare("olt", magnitude, math.inf)
    limited = ops.select(regular, magnitude, 1.0)
    positive = _lgamma_positive(limited)
    # gamma(x) gamma(-x) = -pi / (x sin(pi x)), the sine of the exact distance to the nearest integer
    distance = ops.fabs(x - ops.round_even(x))
    sine = call_math("sin", distance * math.pi)
    is_pole = ops.compare("oeq", sine, 0.0)
    reflected = -log_positive(ops.select(is_pole, 1.0, limited * sine * (1 / math.pi))) - positive
    reflected = ops.select(is_pole, math.inf, reflected)
    is_reflected = ops.compare("olt", x, -_TINY)
    result = ops.select(is_reflected, reflected, positive)
    result = ops.select(regular, result, math.inf)
    return ops.select(ops.is_nan(x), x, result)


register_through_double("lgamma", magnitude_from=1.0)
