"""log, log1p, log2, log10: split off the exponent, m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1 or its
atanh form.

In f64 with f = m - 1 and s = f / (2 + f): log(m) = f - f**2/2 + s (f**2/2 + s**2 P(s**2)), as in fdlibm.
"""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.exponential import LN_2_PARTS
from tracegraph.codegen.vector_math.formats import FORMATS, power_of_two
from tracegraph.codegen.vector_math.registry import math_function, register_through_double

# (log(1 + f) - f + f**2/2) / f**3, relative error of log 2**-27.3
_POLYNOMIAL_F32 = (
    -0.07641217112541199,
    0.12766963243484497,
    -0.13159947097301483,
    0.14200934767723083,
    -0.1662331074476242,
    0.20001262426376343,
    -0.250008225440979,
    0.3333333134651184,
)
# (2 atanh(s) - 2 s) / s**3 in s**2, relative error of log 2**-59.5
_POLYNOMIAL_F64 = (
    0.14798723956623125,
    0.15313791278862934,
    0.18183573710389075,
    0.22222198408151977,
    0.2857142874383082,
    0.3999999999940901,
    0.6666666666666735,
)
_SQRT_HALF_BITS = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}
_LOG2_E = (1.4426950408889634, 2.0355273740931033e-17)
_LOG10_E = (0.4342944819032518, 1.098319650216765e-17)
# log10(2): the high part has 11 trailing zero bits, for an exact product with the exponent
_LOG10_2 = (float.fromhex("0x1.34413509f7800p-2"), float.fromhex("0x1.fef311f12b358p-46"))


def split(x: Register) -> tuple[Register, Register]:
    """(m, n) with x = m * 2**n, m in [sqrt(1/2), sqrt(2)), n an integer; x positive and finite."""
    form = FORMATS[x.type]
    subnormal = ops.compare("olt", x, form.tiny)
    shift = form.mantissa_bits + 2
    pattern = ops.bits(ops.select(subnormal, x * 2.0**shift, x))
    n = (pattern - _SQRT_HALF_BITS[x.type]) >> form.mantissa_bits
    m = ops.from_bits(pattern - (n << form.mantissa_bits))
    return m, n - ops.select(subnormal, n.like(shift), 0)


def _special(x: Register, result: Register) -> Register:
    """The logarithm at infinity, at zero, and nan below."""
    result = ops.select(ops.compare("oeq", x, math.inf), math.inf, result)
    result = ops.select(ops.compare("oeq", x, 0.0), -math.inf, result)
    return ops.select(ops.compare("ult", x, 0.0), math.nan, result)


def _to_float(n: Register, llvm_type: str) -> Register:
    if llvm_type == "float":
        return ops.convert("sitofp", n, "float")
    # AVX2 has no conversion from i64, the low half is enough
    return ops.convert("sitofp", ops.convert("trunc", n, "i32"), "double")


def _log_f32_kernel(f: Register, n: Register) -> Register:
    """log(1 + f) + n ln2."""
    high, low = LN_2_PARTS["float"]
    square = f * f
    y = ops.fma(n, low, ops.horner(f, _POLYNOMIAL_F32) * f * square)
    return ops.fma(n, high, f + ops.fma(square, -0.5, y))


def _log_f64_tail(f: Register) -> tuple[Register, Register]:
    """(f**2/2, t) with log(1 + f) = f - f**2/2 + t."""
    s = f / (f + 2.0)
    square = s * s
    half = f * f * 0.5
    return half, s * ops.fma(ops.horner(square, _POLYNOMIAL_F64), square, half)


def _log_f64_kernel(f: Register, n: Register) -> Register:
    """log(1 + f) + n ln2."""
    high, low = LN_2_PARTS["double"]
    half, tail = _log_f64_tail(f)
    return ops.fma(n, high, f - (half - ops.fma(n, low, tail)))


_KERNELS = {"float": _log_f32_kernel, "double": _log_f64_kernel}


def log_positive(x: Register) -> Register:
    """The logarithm of a positive finite number."""
    m, n = split(x)
    return _KERNELS[x.type](m - 1.0, _to_float(n, x.type))


def _log1p(x: Register) -> Register:
    one_plus, lost = ops.two_sum(x, x.like(1.0))
    m, n = split(one_plus)
    # what rounding 1 + x lost, scaled along with it; 2**-n ends as 0 for the largest n, where nothing was lost
    f = (m - 1.0) + lost * power_of_two(-ops.intrinsic("smin", n, FORMATS[x.type].bias))
    result = _special(one_plus, _KERNELS[x.type](f, _to_float(n, x.type)))
    return ops.select(ops.compare("oeq", x, 0.0), x, result)


def _log_in_base(x: Register, base_factor: tuple[float, float], exponent: tuple[float, float]) -> Register:
    """log(x) * factor with factor and log(2) * factor in two parts each, in f64."""
    m, n = split(x)
    f = m - 1.0
    half, tail = _log_f64_tail(f)
    high, low = ops.quick_two_sum(f, -half)
    product, error = ops.two_product(high, base_factor[0])
    rest = ops.fma(low + tail, base_factor[0], ops.fma(high, base_factor[1], error))
    whole, lost = ops.quick_two_sum(_to_float(n, "double") * exponent[0], product)
    rest = ops.fma(_to_float(n, "double"), exponent[1], rest + lost)
    return _special(x, whole + rest)


@math_function("log", "float", ulp=1.0)
def log_f32(x: Register) -> Register:
    """log in f32, at most 1 ulp; log(0) = -inf, nan below."""
    return _special(x, log_positive(x))


@math_function("log", "double", ulp=1.0)
def log_f64(x: Register) -> Register:
    """log in f64, at most 1 ulp."""
    return _special(x, log_positive(x))


@math_function("log1p", "float", ulp=1.5)
def log1p_f32(x: Register) -> Register:
    """log(1 + x) in f32, at most 1.5 ulp; keeps the sign of zero."""
    return _log1p(x)


@math_function("log1p", "double", ulp=1.5)
def log1p_f64(x: Register) -> Register:
    """log(1 + x) in f64, at most 1.5 ulp; keeps the sign of zero."""
    return _log1p(x)


@math_function("log2", "double", ulp=1.0)
def log2_f64(x: Register) -> Register:
    """Base-2 logarithm in f64, at most 1 ulp, exact at powers of two."""
    return _log_in_base(x, _LOG2_E, (1.0, 0.0))


@math_function("log10", "double", ulp=1.2)
def log10_f64(x: Register) -> Register:
    """Base-10 logarithm in f64, at most 1.2 ulp."""
    return _log_in_base(x, _LOG10_E, _LOG10_2)


register_through_double("log2")
register_through_double("log10")
