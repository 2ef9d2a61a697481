"""Float operations of a few instructions, with numpy's behaviour at nan, infinities and zeros."""

from __future__ import annotations

import math

from tracegraph import dtypes
from tracegraph.codegen.emission import scalar_storage
from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.dtypes import DType


def sign(x: Register) -> Register:
    """1, -1, 0, or nan."""
    negative = ops.select(ops.compare("olt", x, 0.0), -1.0, x)
    result = ops.select(ops.compare("ogt", x, 0.0), 1.0, negative)
    return ops.select(ops.compare("oeq", x, 0.0), 0.0, result)


def is_infinite(x: Register) -> Register:
    """Whether x is an infinity."""
    return ops.compare("oeq", ops.fabs(x), math.inf)


def is_finite(x: Register) -> Register:
    """Whether x is neither nan nor an infinity."""
    return ops.compare("olt", ops.fabs(x), math.inf)


def sign_bit(x: Register) -> Register:
    """Whether the sign bit is set, of zeros and nan too."""
    return ops.compare("slt", ops.bits(x), 0)


def fmod(a: Register, b: Register) -> Register:
    """The remainder with the sign of a, exact (C's fmod)."""
    return a.function.binary("frem", a, b)


def floor_mod(a: Register, b: Register) -> Register:
    """The remainder with the sign of b (Python's %)."""
    remainder = fmod(a, b)
    crosses = ops.compare("olt", b, 0.0) ^ ops.compare("olt", remainder, 0.0)
    moved = ops.select(crosses, remainder + b, remainder)
    at_zero = ops.select(ops.compare("oeq", remainder, 0.0), ops.copysign(b.like(0.0), b), moved)
    return ops.select(ops.compare("oeq", b, 0.0), math.nan, at_zero)


def floor_div(a: Register, b: Register) -> Register:
    """The quotient rounded towards minus infinity, from the exact remainder (numpy's floor_divide)."""
    remainder = fmod(a, b)
    quotient = (a - remainder) / b
    crosses = ops.compare("olt", b, 0.0) ^ ops.compare("olt", remainder, 0.0)
    crosses = crosses & ops.compare("une", remainder, 0.0)
    quotient = ops.select(crosses, quotient - 1.0, quotient)
    floored = ops.intrinsic("floor", quotient)
    floored = ops.select(ops.compare("ogt", quotient - floored, 0.5), floored + 1.0, floored)
    ratio = a / b
    floored = ops.select(ops.compare("oeq", quotient, 0.0), ops.copysign(b.like(0.0), ratio), floored)
    return ops.select(ops.compare("oeq", b, 0.0), ratio, floored)


def trunc_div(a: Register, b: Register) -> Register:
    """The quotient rounded towards zero."""
    return ops.intrinsic("trunc", a / b)


def next_after(x: Register, towards: Register, dtype: DType) -> Register:
    """The next value of the dtype after x in the direction of the other operand."""
    unit = 1 << 16 if dtype is dtypes.bfloat16 else 1
    if dtype is dtypes.float16:
        return _next_after_half(x, towards)
    step = ops.select(_moves_away_from_zero(x, towards), ops.bits(x).like(unit), -unit)
    moved = ops.from_bits(ops.bits(x) + step)
    smallest = ops.copysign(ops.from_bits(ops.bits(x).like(unit)), towards)
    return _next_after_cases(x, towards, moved, smallest)


def _next_after_half(x: Register, towards: Register) -> Register:
    """`next_after` on the bit patterns of f16; the registers are f32 with f16 values."""
    pattern = ops.convert("bitcast", scalar_storage.to_memory(x, dtypes.float16), "i16")
    step = ops.select(_moves_away_from_zero(x, towards), pattern.like(1), -1)
    moved = ops.convert("fpext", ops.convert("bitcast", pattern + step, "half"), "float")
    smallest = ops.copysign(x.like(2.0**-24), towards)
    return _next_after_cases(x, towards, moved, smallest)


def _moves_away_from_zero(x: Register, towards: Register) -> Register:
    up = ops.compare("olt", x, towards)
    return (ops.compare("ogt", x, 0.0) ^ up) ^ 1


def _next_after_cases(x: Register, towards: Register, moved: Register, smallest: Register) -> Register:
    result = ops.select(ops.compare("oeq", x, 0.0), smallest, moved)
    result = ops.select(ops.compare("oeq", x, towards), towards, result)
    return ops.select(ops.compare("uno", x, towards), math.nan, result)
