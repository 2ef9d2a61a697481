"""exp, exp2, expm1: reduce to |r| <= ln2 / 2, a polynomial, scale by a power of two."""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.formats import FORMATS, nearest_integer, power_of_two, scale_by_power
from tracegraph.codegen.vector_math.registry import math_function

# (exp(r) - 1 - r) / r**2 on |r| <= ln2 / 2, relative error of exp 2**-29.8 and 2**-60
_POLYNOMIAL = {
    "float": (
        0.0001979018998099491,
        0.0013944696402177215,
        0.008333497680723667,
        0.04166629537940025,
        0.1666666567325592,
        0.5,
    ),
    "double": (
        1.6029488272404935e-10,
        2.092391083821181e-09,
        2.5052288375575164e-08,
        2.7557243742267947e-07,
        2.75573189339609e-06,
        2.4801587360703588e-05,
        0.00019841269841474227,
        0.0013888888888865687,
        0.008333333333333269,
        0.041666666666666706,
        0.16666666666666666,
        0.5,
    ),
}
_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453
# ln 2 in two parts; the high one has enough trailing zeros for an exact product with the exponent
LN_2_PARTS = {
    "float": (0.693359375, -2.12194440e-4),
    "double": (0.69314718036912381649, 1.90821492927058770002e-10),
}
# beyond these exp is infinite, or zero
_OVERFLOW = {"float": 88.8, "double": 709.8}
_UNDERFLOW = {"float": -104.0, "double": -745.2}
# below this expm1 is -1
_EXPM1_FLOOR = {"float": -17.5, "double": -38.0}


def reduce(x: Register) -> tuple[Register, Register]:
    """(r, k) with x = k ln2 + r, |r| <= ln2 / 2, k an integer; |x| below 2**20."""
    high, low = LN_2_PARTS[x.type]
    n, k = nearest_integer(x * _LOG2_E)
    return ops.fma(n, -low, ops.fma(n, -high, x)), k


def expm1_reduced(r: Register) -> Register:
    """exp(r) - 1 for |r| <= ln2 / 2."""
    return ops.fma(ops.horner(r, _POLYNOMIAL[r.type]), r * r, r)


def exp_parts(x: Register) -> tuple[Register, Register]:
    """(p, k) with exp(x) = p * 2**k, for x within the range where exp is finite and not zero."""
    r, k = reduce(x)
    return expm1_reduced(r) + 1.0, k


def exp_normal(x: Register) -> Register:
    """exp(x) where it is a normal number: cheaper than `exp`, which also covers both ends."""
    p, k = exp_parts(x)
    return p * power_of_two(k)


def _exp(x: Register) -> Register:
    p, k = exp_parts(ops.clamp(x, _UNDERFLOW[x.type], _OVERFLOW[x.type]))
    return scale_by_power(p, k)


def _exp2(x: Register) -> Register:
    form = FORMATS[x.type]
    x = ops.clamp(x, -(form.bias + form.mantissa_bits + 2.0), form.bias + 2.0)
    n, k = nearest_integer(x)
    return scale_by_power(expm1_reduced((x - n) * _LN_2) + 1.0, k)


def _expm1(x: Register) -> Register:
    r, k = reduce(ops.clamp(x, _EXPM1_FLOOR[x.type], _OVERFLOW[x.type]))
    half_scale = power_of_two(k - 1)
    # halves, because 2**k itself overflows for the largest k
    half = ops.fma(half_scale, expm1_reduced(r), half_scale - 0.5)
    return ops.copysign(half + half, x)


@math_function("exp", "float", ulp=1.1)
def exp_f32(x: Register) -> Register:
    """exp in f32, at most 1.1 ulp; exp(-inf) = 0."""
    return _exp(x)


@math_function("exp", "double", ulp=1.1)
def exp_f64(x: Register) -> Register:
    """exp in f64, at most 1.1 ulp."""
    return _exp(x)


@math_function("exp2", "float", ulp=1.3)
def exp2_f32(x: Register) -> Register:
    """2**x in f32, at most 1.3 ulp."""
    return _exp2(x)


@math_function("exp2", "double", ulp=1.3)
def exp2_f64(x: Register) -> Register:
    """2**x in f64, at most 1.3 ulp."""
    return _exp2(x)


@math_function("expm1", "float", ulp=2.0)
def expm1_f32(x: Register) -> Register:
    """exp(x) - 1 in f32, at most 2 ulp; keeps the sign of zero."""
    return _expm1(x)


@math_function("expm1", "double", ulp=2.0)
def expm1_f64(x: Register) -> Register:
    """exp(x) - 1 in f64, at most 2 ulp; keeps the sign of zero."""
    return _expm1(x)
