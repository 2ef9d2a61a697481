"""Instructions and intrinsics on LLVM registers, as functions: what Python's operators cannot spell."""

from __future__ import annotations

from collections.abc import Sequence

from tracegraph.codegen.llvm.llvm_text import INT_OF_FLOAT, FunctionText, Register, RegisterLike

_INTRINSIC_SUFFIX = {"half": "f16", "float": "f32", "double": "f64"}


def intrinsic(name: str, first: Register, *rest: RegisterLike, flags: str = "") -> Register:
    """`llvm.name` on operands that all have the type of the first, which is also the result's."""
    function, llvm_type = first.function, first.type
    operands = [first, *(first.like(x) for x in rest)]
    symbol = f"llvm.{name}.{_INTRINSIC_SUFFIX.get(llvm_type, llvm_type)}"
    function.module.declare(symbol, f"{llvm_type} @{symbol}({', '.join([llvm_type] * len(operands))})")
    return function.call(symbol, llvm_type, operands, flags)


def fma(a: Register, b: RegisterLike, c: RegisterLike) -> Register:
    """A * b + c, rounded once."""
    return intrinsic("fma", a, b, c)


def fabs(x: Register) -> Register:
    """|x| with the sign bit cleared, nan too."""
    return intrinsic("fabs", x)


def sqrt(x: Register) -> Register:
    """Correctly rounded square root."""
    return intrinsic("sqrt", x)


def copysign(magnitude: Register, sign: Register) -> Register:
    """`magnitude` with the sign bit of `sign`."""
    return intrinsic("copysign", magnitude, sign)


def round_even(x: Register) -> Register:
    """The nearest integer, ties to even, as a float."""
    return intrinsic("roundeven", x)


def compare(predicate: str, a: Register, b: RegisterLike) -> Register:
    """`fcmp` or `icmp` with LLVM's predicate names (`olt`, `une`, `slt`, ...)."""
    instruction = "fcmp" if a.is_float else "icmp"
    return a.function.instruction(f"{instruction} {predicate} {a.type} {a.text}, {a.like(b).text}", "i1")


def is_nan(x: Register) -> Register:
    """Whether x is nan."""
    return compare("uno", x, x)


def select(condition: Register, a: RegisterLike, b: RegisterLike) -> Register:
    """A where the condition holds, else b; at least one of them is a register."""
    if not isinstance(a, Register):
        if not isinstance(b, Register):
            raise TypeError("select needs a register among its alternatives")
        a = b.like(a)
    b = a.like(b)
    text = f"select i1 {condition.text}, {a.type} {a.text}, {b.type} {b.text}"
    return a.function.instruction(text, a.type)


def convert(instruction: str, x: Register, llvm_type: str) -> Register:
    """`fpext`, `sitofp`, `trunc`, ... to the given type."""
    return x.function.instruction(f"{instruction} {x.type} {x.text} to {llvm_type}", llvm_type)


def bits(x: Register) -> Register:
    """The bit pattern of a float as an integer of its width."""
    return convert("bitcast", x, INT_OF_FLOAT[x.type])


def from_bits(pattern: Register) -> Register:
    """The float with this i32 or i64 bit pattern."""
    return convert("bitcast", pattern, "float" if pattern.type == "i32" else "double")


def logical_shift_right(x: Register, count: RegisterLike) -> Register:
    """Shift right, filling with zeros."""
    return x.function.binary("lshr", x, x.like(count))


def horner(x: Register, coefficients: Sequence[float]) -> Register:
    """The polynomial with these coefficients, highest power first, by fused multiply-adds."""
    result = x.like(coefficients[0])
    for coefficient in coefficients[1:]:
        result = fma(result, x, coefficient)
    return result


def clamp(x: Register, low: float, high: float) -> Register:
    """X limited to [low, high]; nan stays nan."""
    x = select(compare("ogt", x, high), high, x)
    return select(compare("olt", x, low), low, x)


def two_sum(a: Register, b: Register) -> tuple[Register, Register]:
    """(s, e) with s = round(a + b) and s + e = a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def quick_two_sum(a: Register, b: Register) -> tuple[Register, Register]:
    """(s, e) as `two_sum`, for |a| >= |b| or a = 0 (Dekker)."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Register, b: RegisterLike) -> tuple[Register, Register]:
    """(p, e) with p = round(a * b) and p + e = a * b exactly."""
    b = a.like(b)
    p = a * b
    return p, fma(a, b, -p)


def load_constant(function: FunctionText, table: str, length: int, position: Register) -> Register:
    """Element `position` (an i64 below `length`) of the module constant `table`, an array of i64."""
    pointer = function.instruction(
        f"getelementptr inbounds [{length} x i64], ptr @{table}, i64 0, i64 {position.text}", "ptr"
    )
    return function.instruction(f"load i64, ptr {pointer.text}, align 8", "i64")
