"""The scalar handler that prints LLVM instructions; also what `emit` uses for the statements of a kernel.

User-level float arithmetic carries `contract` (a product and a sum may fuse) and nothing else. Everything an
operation does beyond one instruction stands in `scalar_integer`, `scalar_storage`, `scalar_float` or
`vector_math`.
"""

from __future__ import annotations

from collections.abc import Callable

from tracegraph.codegen.emission import scalar_float, scalar_integer, scalar_storage
from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, Register
from tracegraph.codegen.loops.scalar_handler import PythonScalar, Scalar, ScalarHandler
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS
from tracegraph.codegen.vector_math import MATH_FUNCTIONS, call_math
from tracegraph.codegen.vector_math.philox import call_philox
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError

# a product may fuse with a sum; nothing else is allowed to change results
CONTRACT = "contract"
# on the accumulator of a `reduce` loop: any order
REORDER = "reassoc contract"

Emitter = Callable[..., Register]

_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTEGER_ARITHMETIC = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_FLOAT_INTRINSICS = {
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "round": "roundeven",
    "abs": "fabs",
    "copysign": "copysign",
    "fma": "fma",
    "minimum": "minimum",
    "maximum": "maximum",
}
_COMPARISONS = {
    "lt": ("olt", "slt", "ult"),
    "le": ("ole", "sle", "ule"),
    "gt": ("ogt", "sgt", "ugt"),
    "ge": ("oge", "sge", "uge"),
    "eq": ("oeq", "eq", "eq"),
    "ne": ("une", "ne", "ne"),
}
_FLOAT_EMITTERS: dict[str, Emitter] = {
    "neg": lambda x: -x,
    "recip": lambda x: 1.0 / x,
    "rsqrt": lambda x: 1.0 / ops.sqrt(x),
    "sign": scalar_float.sign,
    "fmod": scalar_float.fmod,
    "mod": scalar_float.floor_mod,
    "floordiv": scalar_float.floor_div,
    "truncdiv": scalar_float.trunc_div,
    "isnan": ops.is_nan,
    "isinf": scalar_float.is_infinite,
    "isfinite": scalar_float.is_finite,
    "signbit": scalar_float.sign_bit,
}
_INTEGER_EMITTERS: dict[str, Callable[[Register, Register, bool], Register]] = {
    "floordiv": scalar_integer.floor_div,
    "mod": scalar_integer.floor_mod,
    "truncdiv": lambda a, b, signed: scalar_integer.trunc_div_mod(a, b, signed)[0],
    "fmod": lambda a, b, signed: scalar_integer.trunc_div_mod(a, b, signed)[1],
    "shl": scalar_integer.shift_left,
    "shr": scalar_integer.shift_right,
    "pow": scalar_integer.power,
}
_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_BOOL_EXTREMA = {"minimum": "and", "maximum": "or"}


class LlvmScalars(ScalarHandler):
    """Scalars are registers of one function."""

    def __init__(self, function: FunctionText) -> None:
        self.function = function

    def literal(self, value: PythonScalar, dtype: DType) -> Scalar:
        return self.wrap(scalar_storage.constant(self.function, value, dtype), dtype)

    def emit(self, op: str, operands: tuple[Scalar, ...], dtype: DType) -> Scalar:
        registers = tuple(register_of(x) for x in operands)
        if op == "cast":
            return self.wrap(scalar_storage.cast(registers[0], operands[0].dtype, dtype), dtype)
        if op == "where":
            return self.wrap(ops.select(*registers), dtype)
        if op == "philox":
            seed, draw, position, word = registers
            return self.wrap(call_philox(seed, draw, position, word), dtype)
        result = _emit(op, registers, operands[0].dtype)
        if dtype.is_floating and not SCALAR_OPS[op].is_exact:
            result = scalar_storage.round_to(result, dtype)
        return self.wrap(result, dtype)

    def wrap(self, register: Register, dtype: DType) -> Scalar:
        """A register as a scalar of this handler."""
        return Scalar(self, dtype, register)


def register_of(x: Scalar) -> Register:
    """The register behind a scalar of an `LlvmScalars`."""
    if not isinstance(x.payload, Register):
        raise DTypeError(f"{x!r} is not an LLVM scalar")
    return x.payload


def emit_update(op: str, acc: Register, operand: Register, dtype: DType, *, reorder: bool) -> Register:
    """The next value of an accumulator; `reorder` where a `reduce` loop permits any order."""
    if reorder and acc.is_float and op in _ARITHMETIC:
        result = acc.function.binary(_ARITHMETIC[op], acc, operand, REORDER)
    elif reorder and acc.is_float:
        # without nsz the sign of a zero would pin the order
        result = ops.intrinsic(_FLOAT_INTRINSICS[op], acc, operand, flags="nsz")
    else:
        result = _emit(op, (acc, operand), dtype)
    return scalar_storage.round_to(result, dtype)


def _emit(op: str, registers: tuple[Register, ...], dtype: DType) -> Register:
    if op in _COMPARISONS:
        return _compare(op, registers[0], registers[1], dtype)
    if op.startswith("logical_"):
        return _logical(op, registers, dtype)
    if dtype.is_floating:
        return _emit_float(op, registers, dtype)
    if dtype.is_bool:
        return _emit_bool(op, registers)
    return _emit_integer(op, registers, dtype.is_signed)


def _emit_float(op: str, registers: tuple[Register, ...], dtype: DType) -> Register:
    first = registers[0]
    if op in _ARITHMETIC:
        return first.function.binary(_ARITHMETIC[op], first, registers[1], CONTRACT)
    if op in _FLOAT_INTRINSICS:
        return ops.intrinsic(_FLOAT_INTRINSICS[op], first, *registers[1:])
    if op in _FLOAT_EMITTERS:
        return _FLOAT_EMITTERS[op](*registers)
    if op == "nextafter":
        return scalar_float.next_after(first, registers[1], dtype)
    if (op, first.type) in MATH_FUNCTIONS:
        return call_math(op, *registers)
    raise DTypeError(f"{op} has no LLVM form for {dtype.name}")


def _emit_integer(op: str, registers: tuple[Register, ...], signed: bool) -> Register:
    first, function = registers[0], registers[0].function
    if op in _INTEGER_ARITHMETIC:
        return function.binary(_INTEGER_ARITHMETIC[op], first, registers[1])
    if op in _INTEGER_EMITTERS:
        return _INTEGER_EMITTERS[op](first, registers[1], signed)
    if op in ("minimum", "maximum"):
        return ops.intrinsic(f"{'s' if signed else 'u'}{op[:3]}", first, registers[1])
    if op == "neg":
        return -first
    if op == "not":
        return first ^ -1
    if op == "abs":
        return ops.select(ops.compare("slt", first, 0), -first, first) if signed else first
    if op == "sign":
        positive = ops.convert("zext", ops.compare("ne", first, 0), first.type)
        return ops.select(ops.compare("slt", first, 0), -1, positive) if signed else positive
    raise DTypeError(f"{op} has no LLVM form for {first.type}")


def _emit_bool(op: str, registers: tuple[Register, ...]) -> Register:
    first = registers[0]
    if op == "not":
        return first ^ 1
    instruction = _BOOL_EXTREMA.get(op) or _INTEGER_ARITHMETIC.get(op)
    if instruction not in ("and", "or", "xor"):
        raise DTypeError(f"{op} has no LLVM form for bool")
    return first.function.binary(instruction, first, registers[1])


def _compare(op: str, a: Register, b: Register, dtype: DType) -> Register:
    ordered, signed, unsigned = _COMPARISONS[op]
    if dtype.is_floating:
        return ops.compare(ordered, a, b)
    return ops.compare(signed if dtype.is_signed else unsigned, a, b)


def _logical(op: str, registers: tuple[Register, ...], dtype: DType) -> Register:
    truths = [_truth(x, dtype) for x in registers]
    if op == "logical_not":
        return truths[0] ^ 1
    return truths[0].function.binary(_LOGICAL[op], truths[0], truths[1])


def _truth(x: Register, dtype: DType) -> Register:
    return x if dtype.is_bool else ops.compare("une" if dtype.is_floating else "ne", x, 0)
