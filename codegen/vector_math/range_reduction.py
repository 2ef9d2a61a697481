"""Reducing angles: x = n pi/2 + r with |r| <= pi/4, for every finite x.

Up to `2**20` (f64) or `2**30` (f32, computed in f64) by subtracting n times pi/2 given in three parts (Cody
and Waite); beyond that by multiplying the integer mantissa with the bits of 2/pi that matter, a window
chosen by the exponent (Payne and Hanek, SIGNUM Newsletter 18, 1983). Both are computed and one is selected,
so loops vectorise.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.formats import F64, nearest_integer

_TWO_OVER_PI = 0.6366197723675814
_PI_OVER_2 = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)

# 1184 bits of 2/pi after the binary point
_TWO_OVER_PI_BITS = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e006492eea09d1921c"
    "fe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f"
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d08"
    "56033046",
    16,
)
_BITS = 1184
# zero bits in front, for exponents whose window begins before the binary point
_LEADING_ZEROS = 64
_WINDOWS = 74
_TABLE = "tg.two_over_pi"


@dataclass(frozen=True, slots=True)
class Reduced:
    """An angle as quadrant (an i64, only the two low bits count) and remainder in two parts."""

    quadrant: Register
    high: Register
    low: Register


def _table_text() -> str:
    """Window i: the 64 bits that begin at bit 16 i."""
    total = _LEADING_ZEROS + _BITS
    windows = [(_TWO_OVER_PI_BITS >> (total - 64 - 16 * i)) & (2**64 - 1) for i in range(_WINDOWS)]
    signed = [w - 2**64 if w >> 63 else w for w in windows]
    return f"[{_WINDOWS} x i64] [{', '.join(f'i64 {w}' for w in signed)}], align 64"


def reduce_angle_f64(magnitude: Register) -> Reduced:
    """The angle of an f64 that is not negative, relative error of the remainder 2**-70 or less."""
    n, quadrant = nearest_integer(magnitude * _TWO_OVER_PI)
    first = ops.fma(n, -_PI_OVER_2[0], magnitude)
    product, error = ops.two_product(n, _PI_OVER_2[1])
    high, low = ops.two_sum(first, -product)
    moderate = Reduced(quadrant, high, low - ops.fma(n, _PI_OVER_2[2], error))
    is_large = ops.compare("ogt", magnitude, 2.0**20)
    return _select(is_large, _reduce_large(magnitude, is_large, mantissa_bits=53, pieces=4), moderate)


def reduce_angle_f32(magnitude: Register) -> Reduced:
    """The angle of an f32 that is not negative, given and reduced in f64; the low part is zero."""
    n, quadrant = nearest_integer(magnitude * _TWO_OVER_PI)
    high = ops.fma(n, -_PI_OVER_2[1], ops.fma(n, -_PI_OVER_2[0], magnitude))
    is_large = ops.compare("ogt", magnitude, 2.0**30)
    large = _reduce_large(magnitude, is_large, mantissa_bits=24, pieces=2)
    zero = magnitude.like(0.0)
    return _select(is_large, Reduced(large.quadrant, large.high + large.low, zero), Reduced(quadrant, high, zero))


def _select(condition: Register, a: Reduced, b: Reduced) -> Reduced:
    return Reduced(
        ops.select(condition, a.quadrant, b.quadrant),
        ops.select(condition, a.high, b.high),
        ops.select(condition, a.low, b.low),
    )


def _reduce_large(magnitude: Register, is_large: Register, *, mantissa_bits: int, pieces: int) -> Reduced:
    """Payne and Hanek on a value of at least 1, whose last 53 - mantissa_bits bits are zero.

    x = m 2**q with an integer m. Bits of 2/pi of weight 2**(q-j) with j < q - 1 contribute multiples of 4 to
    x * 2/pi and are left out; the following ones come in pieces of 48 bits, 2**-46 the unit of the first.
    """
    pattern = ops.bits(magnitude)
    fraction = pattern & ((1 << F64.mantissa_bits) - 1)
    mantissa = ops.from_bits(fraction | ((F64.bias + mantissa_bits - 1) << F64.mantissa_bits))
    exponent = ops.logical_shift_right(pattern, F64.mantissa_bits)
    first_bit = exponent - (F64.bias + mantissa_bits - 1) + (_LEADING_ZEROS - 2)
    first_bit = ops.select(is_large, first_bit, 0)
    units = [_piece(first_bit, k) * 2.0 ** (-46 - 48 * k) for k in range(pieces)]
    if pieces == 2:
        return _sum_two(mantissa, units)
    return _sum_four(mantissa, units)


def _piece(first_bit: Register, number: int) -> Register:
    """Bits first_bit + 48 * number .. + 47 of the table as an integer in f64."""
    function = first_bit.function
    function.module.constant(_TABLE, _table_text())
    window = ops.load_constant(function, _TABLE, _WINDOWS, (first_bit >> 4) + 3 * number)
    bits = ops.logical_shift_right(window << (first_bit & 15), 16)
    # 2**52 + bits by construction of the pattern: i64 to f64 without a conversion instruction
    return ops.from_bits(bits | ((F64.bias + 52) << 52)) - 2.0**52


def _drop_multiples_of_four(x: Register) -> Register:
    return ops.fma(ops.round_even(x * 0.25), -4.0, x)


def _turns_to_angle(n: Register, high: Register, low: Register) -> Reduced:
    """n + high + low quarter turns as quadrant and radians."""
    high, low = ops.quick_two_sum(high, low)
    product, error = ops.two_product(high, _PI_OVER_2[0])
    rest = ops.fma(high, _PI_OVER_2[1], ops.fma(low, _PI_OVER_2[0], error))
    high, low = ops.quick_two_sum(product, rest)
    return Reduced(ops.bits(n + F64.magic), high, low)


def _sum_two(mantissa: Register, units: list[Register]) -> Reduced:
    p0, e0 = ops.two_product(mantissa, units[0])
    s, e = ops.two_sum(_drop_multiples_of_four(p0), e0)
    n = ops.round_even(s)
    return _turns_to_angle(n, s - n, ops.fma(mantissa, units[1], e))


def _sum_four(mantissa: Register, units: list[Register]) -> Reduced:
    p0, e0 = ops.two_product(mantissa, units[0])
    p1, e1 = ops.two_product(mantissa, units[1])
    p2, e2 = ops.two_product(mantissa, units[2])
    s, a = ops.two_sum(_drop_multiples_of_four(p0), e0)
    s, b = ops.two_sum(s, _drop_multiples_of_four(p1))
    n = ops.round_even(s)
    # the closest an f64 comes to a multiple of pi/2 is 2**-61: what cancels must be summed exactly
    c, c_error = ops.two_sum(p2, e1)
    d, d_error = ops.two_sum(c, a)
    g, g_error = ops.two_sum(d, b)
    high, low = ops.two_sum(s - n, g)
    rest = ops.fma(mantissa, units[3], c_error + d_error + g_error + e2)
    return _turns_to_angle(n, high, low + rest)
