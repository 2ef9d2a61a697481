"""Integer operations whose LLVM instruction is undefined somewhere: division, shifts, powers.

Division by zero gives 0 (eager code reports it before a kernel runs), the minimum divided by -1 wraps,
shift counts out of range shift everything out.
"""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register


def trunc_div_mod(a: Register, b: Register, signed: bool) -> tuple[Register, Register]:
    """(quotient towards zero, remainder with the sign of a); both 0 for b = 0."""
    is_zero = ops.compare("eq", b, 0)
    if not signed:
        safe = ops.select(is_zero, 1, b)
        quotient = a.function.binary("udiv", a, safe)
        return ops.select(is_zero, 0, quotient), ops.select(is_zero, 0, a - quotient * safe)
    # minimum / -1 traps: divide by 1 and negate instead, which wraps
    is_minus_one = ops.compare("eq", b, -1)
    safe = ops.select(is_zero | is_minus_one, 1, b)
    quotient = a.function.binary("sdiv", a, safe)
    remainder = ops.select(is_zero, 0, a - quotient * safe)
    quotient = ops.select(is_minus_one, -a, quotient)
    return ops.select(is_zero, 0, quotient), remainder


def floor_div(a: Register, b: Register, signed: bool) -> Register:
    """The quotient rounded towards minus infinity."""
    quotient, remainder = trunc_div_mod(a, b, signed)
    return quotient - _correction(b, remainder) if signed else quotient


def floor_mod(a: Register, b: Register, signed: bool) -> Register:
    """The remainder with the sign of b."""
    _, remainder = trunc_div_mod(a, b, signed)
    if not signed:
        return remainder
    return remainder + _correction(b, remainder) * b


def _correction(b: Register, remainder: Register) -> Register:
    """1 where truncation and floor differ: a remainder whose sign is not that of b."""
    differs = ops.compare("slt", b ^ remainder, 0) & ops.compare("ne", remainder, 0)
    return ops.convert("zext", differs, b.type)


def shift_left(a: Register, count: Register, signed: bool) -> Register:
    """A * 2**count, wrapping; 0 for counts out of range."""
    del signed  # both shift in zeros
    width = int(a.type[1:])
    inside = ops.compare("ult", count, width)
    return ops.select(inside, a << ops.select(inside, count, 0), 0)


def shift_right(a: Register, count: Register, signed: bool) -> Register:
    """A // 2**count; counts out of range leave the sign only."""
    width = int(a.type[1:])
    inside = ops.compare("ult", count, width)
    if signed:
        return a >> ops.select(inside, count, width - 1)
    return ops.select(inside, ops.logical_shift_right(a, ops.select(inside, count, 0)), 0)


def power(a: Register, exponent: Register, signed: bool) -> Register:
    """a**exponent, wrapping; a negative exponent gives the quotient truncated to an integer, 0 for a = 0."""
    module = a.function.module
    symbol = f"tg.ipow.{a.type}{'' if signed else '.unsigned'}"
    if not module.has_function(symbol):
        _define_power(module, symbol, a.type, signed)
    return a.function.call(symbol, a.type, (a, exponent))


def _define_power(module: ModuleText, symbol: str, llvm_type: str, signed: bool) -> None:
    """Define the loop of squarings, one round for each bit of the exponent."""
    header = (
        f"internal {llvm_type} @{symbol}({llvm_type} %base, {llvm_type} %exponent) "
        "nounwind willreturn nosync memory(none)"
    )
    text = FunctionText(module, header)
    base = Register(text, "%base", llvm_type)
    exponent = Register(text, "%exponent", llvm_type)
    text.branch_to("loop")
    result = Register(text, "%result", llvm_type)
    square = Register(text, "%square", llvm_type)
    rest = Register(text, "%rest", llvm_type)
    text.line(f"%result = phi {llvm_type} [1, %entry], [%next.result, %loop]")
    text.line(f"%square = phi {llvm_type} [%base, %entry], [%next.square, %loop]")
    text.line(f"%rest = phi {llvm_type} [%exponent, %entry], [%next.rest, %loop]")
    factor = ops.select(ops.compare("ne", rest & 1, 0), square, 1)
    text.line(f"%next.result = mul {llvm_type} {result.text}, {factor.text}")
    text.line(f"%next.square = mul {llvm_type} {square.text}, {square.text}")
    text.line(f"%next.rest = lshr {llvm_type} {rest.text}, 1")
    more = ops.compare("ne", Register(text, "%next.rest", llvm_type), 0)
    text.line(f"br i1 {more.text}, label %loop, label %done")
    text.label("done")
    total = Register(text, "%next.result", llvm_type)
    if signed:
        total = ops.select(ops.compare("slt", exponent, 0), _reciprocal_power(base, exponent), total)
    text.line(f"ret {llvm_type} {total.text}")
    module.define(symbol, text.render())


def _reciprocal_power(base: Register, exponent: Register) -> Register:
    """1 / base**|exponent| truncated: 1 for 1, plus or minus 1 for -1, else 0."""
    sign = ops.select(ops.compare("eq", exponent & 1, 0), exponent.like(1), -1)
    of_minus_one = ops.select(ops.compare("eq", base, -1), sign, 0)
    return ops.select(ops.compare("eq", base, 1), 1, of_minus_one)
