"""asinh, acosh, atanh, all by way of log1p."""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.registry import call_math, math_function, register_through_double

_LN_2 = 0.6931471805599453
# from here on asinh(x) = acosh(x) = log(2 x) to double precision, and x**2 may overflow
_LARGE = 2.0**60


def _log_of_sum(is_large: Register, x: Register, offset: Register) -> Register:
    """log1p(offset), or log(2 x) for large x (where log1p(x) is log(x))."""
    result = call_math("log1p", ops.select(is_large, x, offset))
    return result + ops.select(is_large, x.like(_LN_2), 0.0)


@math_function("asinh", "double", ulp=3.0)
def asinh_f64(x: Register) -> Register:
    """Inverse hyperbolic sine in f64, at most 3 ulp."""
    magnitude = ops.fabs(x)
    square = magnitude * magnitude
    offset = magnitude + square / (ops.sqrt(square + 1.0) + 1.0)
    return ops.copysign(_log_of_sum(ops.compare("ogt", magnitude, _LARGE), magnitude, offset), x)


@math_function("acosh", "double", ulp=3.0)
def acosh_f64(x: Register) -> Register:
    """Inverse hyperbolic cosine in f64, at most 3 ulp; nan below 1."""
    t = x - 1.0
    offset = t + ops.sqrt(ops.fma(t, t, t + t))
    result = _log_of_sum(ops.compare("ogt", x, _LARGE), x, offset)
    return ops.select(ops.compare("oge", x, 1.0), result, math.nan)


@math_function("atanh", "double", ulp=3.0)
def atanh_f64(x: Register) -> Register:
    """Inverse hyperbolic tangent in f64, at most 3 ulp; infinite at 1, nan beyond."""
    magnitude = ops.fabs(x)
    result = 0.5 * call_math("log1p", (magnitude + magnitude) / (1.0 - magnitude))
    return ops.copysign(result, x)


register_through_double("asinh")
register_through_double("acosh")
register_through_double("atanh")
