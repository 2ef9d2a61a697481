"""LLVM text building blocks."""

import math

import pytest

from tracegraph.codegen.emission.index_llvm import IndexEmitter
from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register, float_text
from tracegraph.codegen.loops.loop_index import Name, index


def function() -> FunctionText:
    return FunctionText(ModuleText(), "double @f(double %x, i64 %i)")


def test_float_constants_are_exact() -> None:
    assert float_text(0.1, "double") == "0x3FB999999999999A"
    assert float_text(0.1, "float") == "0x3FB99999A0000000"
    assert float_text(1e300, "float") == "0x7FF0000000000000"
    assert float_text(-math.inf, "double") == "0xFFF0000000000000"


def test_operators_print_instructions() -> None:
    f = function()
    x = Register(f, "%x", "double")
    y = 2.0 * x + 1
    f.line(f"ret double {y.text}")
    assert f.render() == (
        "define double @f(double %x, i64 %i) {\nentry:\n"
        "  %t.1 = fmul double 0x4000000000000000, %x\n"
        "  %t.2 = fadd double %t.1, 0x3FF0000000000000\n"
        "  ret double %t.2\n}"
    )


def test_types_must_agree() -> None:
    f = function()
    with pytest.raises(TypeError, match="fadd of double and i64"):
        Register(f, "%x", "double") + Register(f, "%i", "i64")


def test_a_module_has_each_symbol_once() -> None:
    f = function()
    x = Register(f, "%x", "double")
    ops.sqrt(ops.sqrt(x))
    f.module.define("f", "define void @f() { ret void }")
    assert f.module.render().count("declare double @llvm.sqrt.f64(double)") == 1
    with pytest.raises(ValueError, match="already defines @f"):
        f.module.define("f", "")


def test_loop_metadata_numbers_are_unique() -> None:
    module = ModuleText()
    assert [module.loop_metadata(['!"a"']), module.loop_metadata(['!"b"', '!"c"'])] == ["!0", "!2"]
    assert "!2 = distinct !{!2, !3, !4}" in module.render()


def test_division_is_unsigned_where_nothing_is_negative() -> None:
    f = function()
    emitter = IndexEmitter(f, lambda atom: Register(f, f"%{atom.name}", "i64"))
    emitter.not_negative = {"i"}
    emitter.emit((index("i") + 1) // 2 % 3)
    assert "udiv" in f.render()
    assert "urem" in f.render()
    emitter.emit((index("i") - 1) // 2)
    assert "sdiv" in f.render()
    assert emitter.is_not_negative(index("j") % 4)
    assert not emitter.is_not_negative(index("j") * 4)
    assert emitter.emit(index(0)).text == "0"
    assert index("i").substitute({Name("i"): index(3)}) == index(3)
