"""How dtypes live in LLVM: in memory, in registers, and the conversions between.

16-bit floats are computed on as `float` registers that hold values of the narrow format; `round_to`
restores that after each operation. bf16 is rounded in integer arithmetic (nearest, ties to even, nan kept):
targets without native support would call a library otherwise. Bools are `i1` registers and bytes in memory.
"""

from __future__ import annotations

import numpy as np

from tracegraph import dtypes
from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, Register
from tracegraph.dtypes import DType

_MEMORY_TYPES: dict[DType, str] = {
    dtypes.bool_: "i8",
    dtypes.uint8: "i8",
    dtypes.int8: "i8",
    dtypes.int16: "i16",
    dtypes.int32: "i32",
    dtypes.int64: "i64",
    dtypes.float16: "half",
    dtypes.bfloat16: "i16",
    dtypes.float32: "float",
    dtypes.float64: "double",
}
_REGISTER_TYPES: dict[DType, str] = _MEMORY_TYPES | {
    dtypes.bool_: "i1",
    dtypes.float16: "float",
    dtypes.bfloat16: "float",
}


def memory_type(dtype: DType) -> str:
    """The LLVM type of an element in a buffer."""
    return _MEMORY_TYPES[dtype]


def register_type(dtype: DType) -> str:
    """The LLVM type of a scalar in a register."""
    return _REGISTER_TYPES[dtype]


def constant(function: FunctionText, value: float | int | bool, dtype: DType) -> Register:
    """A literal, rounded to its dtype as eager does with Python scalars."""
    if dtype.is_floating:
        with np.errstate(over="ignore"):
            value = float(dtype.np.type(value))
    return function.const(value, register_type(dtype))


def load(function: FunctionText, pointer: Register, dtype: DType) -> Register:
    """Read one element into a register."""
    text = f"load {memory_type(dtype)}, ptr {pointer.text}, align {dtype.itemsize}"
    return _from_memory(function.instruction(text, memory_type(dtype)), dtype)


def store(function: FunctionText, value: Register, pointer: Register, dtype: DType) -> None:
    """Write a register to memory."""
    stored = to_memory(value, dtype)
    function.line(f"store {stored.type} {stored.text}, ptr {pointer.text}, align {dtype.itemsize}")


def _from_memory(stored: Register, dtype: DType) -> Register:
    if dtype.is_bool:
        return ops.compare("ne", stored, 0)
    if dtype is dtypes.float16:
        return ops.convert("fpext", stored, "float")
    if dtype is dtypes.bfloat16:
        return ops.from_bits(ops.convert("zext", stored, "i32") << 16)
    return stored


def to_memory(value: Register, dtype: DType) -> Register:
    """A register in the form it is stored in; the value is already one of the dtype's."""
    if dtype.is_bool:
        return ops.convert("zext", value, "i8")
    if dtype is dtypes.float16:
        return ops.convert("fptrunc", value, "half")
    if dtype is dtypes.bfloat16:
        return ops.convert("trunc", ops.logical_shift_right(ops.bits(value), 16), "i16")
    return value


def round_to(value: Register, dtype: DType) -> Register:
    """A computed register rounded to a value of the dtype."""
    if dtype is dtypes.float16:
        return ops.convert("fpext", ops.convert("fptrunc", value, "half"), "float")
    if dtype is dtypes.bfloat16:
        return _round_bfloat16(value)
    return value


def _round_bfloat16(value: Register) -> Register:
    pattern = ops.bits(value)
    odd = ops.logical_shift_right(pattern, 16) & 1
    rounded = (pattern + 0x7FFF + odd) & -0x10000
    quiet = (pattern | 0x400000) & -0x10000
    return ops.from_bits(ops.select(ops.is_nan(value), quiet, rounded))


def cast(value: Register, source: DType, target: DType) -> Register:
    """Convert between dtypes.

    Floats to integers truncate towards zero through i64, as eager does: what i64 cannot hold becomes its
    minimum, what the target cannot hold wraps. Everything to bool compares with zero; nan is true.
    """
    if source is target:
        return value
    if target.is_bool:
        return ops.compare("une" if value.is_float else "ne", value, 0)
    if target.is_floating:
        return _to_float(value, source, target)
    if source.is_floating:
        return _integer_resize(_float_to_i64(value), True, register_type(target))
    return _integer_resize(value, source.is_signed, register_type(target))


def _to_float(value: Register, source: DType, target: DType) -> Register:
    wide = register_type(target)
    if not source.is_floating:
        instruction = "sitofp" if source.is_signed else "uitofp"
        return round_to(ops.convert(instruction, value, wide), target)
    if value.type == wide:
        return round_to(value, target)
    if wide == "double":
        return ops.convert("fpext", value, "double")
    narrow = _round_to_odd(value) if target is dtypes.float16 else ops.convert("fptrunc", value, "float")
    return round_to(narrow, target)


def _round_to_odd(value: Register) -> Register:
    """An f64 as f32, inexact results with the last bit set: rounding once more to f16 is then exact."""
    nearest = ops.convert("fptrunc", value, "float")
    back = ops.convert("fpext", nearest, "double")
    pattern = ops.bits(nearest)
    is_even = ops.compare("eq", pattern & 1, 0)
    inexact = ops.compare("one", back, value) & is_even
    too_large = ops.compare("ogt", ops.fabs(back), ops.fabs(value))
    return ops.from_bits(pattern + ops.select(inexact, ops.select(too_large, pattern.like(-1), 1), 0))


def _float_to_i64(value: Register) -> Register:
    limit = 2.0**63
    inside = ops.compare("olt", ops.fabs(value), limit)
    converted = ops.convert("fptosi", ops.select(inside, value, 0.0), "i64")
    return ops.select(inside, converted, -(2**63))


def _integer_resize(value: Register, signed: bool, target: str) -> Register:
    source_bits, target_bits = int(value.type[1:]), int(target[1:])
    if source_bits == target_bits:
        return value
    if source_bits > target_bits:
        return ops.convert("trunc", value, target)
    return ops.convert("sext" if signed and source_bits > 1 else "zext", value, target)
