"""What the algorithms need to know of the two floating formats, and moving values across the exponent
field.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register


@dataclass(frozen=True, slots=True)
class Format:
    """An IEEE binary format. Adding `magic` rounds to an integer that then stands in the low mantissa bits."""

    llvm_type: str
    mantissa_bits: int
    bias: int
    magic: float
    magic_bits: int
    tiny: float


F32 = Format("float", 23, 127, 12582912.0, 0x4B400000, 2.0**-126)
F64 = Format("double", 52, 1023, 6755399441055744.0, 0x4338000000000000, 2.0**-1022)
FORMATS = {"float": F32, "double": F64}


def power_of_two(exponent: Register) -> Register:
    """2**exponent as a float of the width of the integer `exponent`, which must be in the normal range."""
    form = F32 if exponent.type == "i32" else F64
    return ops.from_bits((exponent + form.bias) << form.mantissa_bits)


def scale_by_power(x: Register, exponent: Register) -> Register:
    """X * 2**exponent for any exponent that leaves the range at most once over: exact, or rounded once."""
    half = exponent >> 1
    return x * power_of_two(half) * power_of_two(exponent - half)


def nearest_integer(x: Register) -> tuple[Register, Register]:
    """(rint(x) as a float, the same as an integer); |x| below 2**(mantissa bits - 1); nan gives garbage."""
    form = FORMATS[x.type]
    shifted = x + form.magic
    return shifted - form.magic, ops.bits(shifted) - form.magic_bits
