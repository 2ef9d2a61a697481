"""sinh, cosh, tanh."""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.exponential import exp_normal, exp_parts
from tracegraph.codegen.vector_math.formats import scale_by_power
from tracegraph.codegen.vector_math.registry import math_function

# (sinh(x) - x) / x**3 in x**2 on |x| <= 1, relative error of sinh 2**-31.5 and 2**-62.9
_SINH = {
    "float": (2.7839155336550903e-06, 0.00019842636538669467, 0.008333311416208744, 0.1666666716337204),
    "double": (
        6.348367012862916e-15,
        7.50789838686834e-13,
        1.606127262754173e-10,
        2.5052089887116664e-08,
        2.7557319308358887e-06,
        0.00019841269841064122,
        0.008333333333333571,
        0.16666666666666666,
    ),
}
# (tanh(x) - x) / x**3 in x**2 on |x| <= 0.625, relative error of tanh 2**-32.3
_TANH_F32 = (
    0.002151528839021921,
    -0.008189050480723381,
    0.021706635132431984,
    -0.05394815653562546,
    0.13333220779895782,
    -0.3333333134651184,
)
# the same as a quotient of polynomials (Cephes, tanh.c)
_TANH_F64_NUMERATOR = (-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3)
_TANH_F64_DENOMINATOR = (
    1.0,
    1.12811678491632931402e2,
    2.23548839060100448583e3,
    4.84406305325125486048e3,
)
_TANH_SMALL = 0.625
# beyond these tanh is 1, and cosh infinite
_TANH_ONE = {"float": 10.0, "double": 22.0}
_COSH_LIMIT = {"float": 90.0, "double": 712.0}


def _half_exp(magnitude: Register) -> Register:
    """exp(magnitude) / 2, finite where cosh is; magnitude not negative."""
    limit = _COSH_LIMIT[magnitude.type]
    p, k = exp_parts(ops.select(ops.compare("ogt", magnitude, limit), limit, magnitude))
    return scale_by_power(p, k - 1)


def _sinh(x: Register) -> Register:
    magnitude, square = ops.fabs(x), x * x
    small = ops.fma(ops.horner(square, _SINH[x.type]) * square, x, x)
    half = _half_exp(magnitude)
    large = ops.copysign(half - 0.25 / half, x)
    return ops.select(ops.compare("olt", magnitude, 1.0), small, large)


def _cosh(x: Register) -> Register:
    half = _half_exp(ops.fabs(x))
    return half + 0.25 / half


@math_function("sinh", "float", ulp=2.0)
def sinh_f32(x: Register) -> Register:
    """Hyperbolic sine in f32, at most 2 ulp."""
    return _sinh(x)


@math_function("sinh", "double", ulp=2.0)
def sinh_f64(x: Register) -> Register:
    """Hyperbolic sine in f64, at most 2 ulp."""
    return _sinh(x)


@math_function("cosh", "float", ulp=2.0)
def cosh_f32(x: Register) -> Register:
    """Hyperbolic cosine in f32, at most 2 ulp."""
    return _cosh(x)


@math_function("cosh", "double", ulp=2.0)
def cosh_f64(x: Register) -> Register:
    """Hyperbolic cosine in f64, at most 2 ulp."""
    return _cosh(x)


@math_function("tanh", "float", ulp=1.5)
def tanh_f32(x: Register) -> Register:
    """Hyperbolic tangent in f32, at most 1.5 ulp; keeps the sign of zero."""
    magnitude, square = ops.fabs(x), x * x
    small = ops.fma(ops.horner(square, _TANH_F32) * square, x, x)
    limited = ops.select(ops.compare("ogt", magnitude, _TANH_ONE["float"]), _TANH_ONE["float"], magnitude)
    large = 1.0 - 2.0 / (exp_normal(limited + limited) + 1.0)
    result = ops.select(ops.compare("olt", magnitude, _TANH_SMALL), small, large)
    return ops.copysign(result, x)


@math_function("tanh", "double", ulp=1.5)
def tanh_f64(x: Register) -> Register:
    """Hyperbolic tangent in f64, at most 1.5 ulp; keeps the sign of zero."""
    magnitude, square = ops.fabs(x), x * x
    is_small = ops.compare("olt", magnitude, _TANH_SMALL)
    limited = ops.select(ops.compare("ogt", magnitude, _TANH_ONE["double"]), _TANH_ONE["double"], magnitude)
    numerator = ops.select(is_small, ops.horner(square, _TANH_F64_NUMERATOR), -2.0)
    denominator = ops.select(is_small, ops.horner(square, _TANH_F64_DENOMINATOR), exp_normal(limited + limited) + 1.0)
    # one division serves both: x + x**3 P/Q for small x, 1 - 2 / (exp(2 x) + 1) otherwise
    factor = ops.select(is_small, magnitude * square, 1.0)
    base = ops.select(is_small, magnitude, 1.0)
    return ops.copysign(ops.fma(factor, numerator / denominator, base), x)
