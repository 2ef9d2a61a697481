"""Emitted LLVM text: the ABI, several kernels in a module, what licenses vectorisation."""

import re
from pathlib import Path

import pytest

from tracegraph.codegen.emission.emit import emit_kernel, entry_symbol, kernel_module
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm.llvm_text import ModuleText
from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.loop_text import parse_kernel
from tracegraph.errors import VerifyError


def load(name: str) -> Kernel:
    return parse_kernel((Path(__file__).parent / "kernels" / f"{name}.kernel").read_text())


def test_abi() -> None:
    text = kernel_module(load("gelu_broadcast"))
    header = next(line for line in text.splitlines() if line.startswith("define i32 @gelu_broadcast("))
    assert (
        "(ptr noalias nocapture readonly %x, ptr noalias nocapture readonly %bias, "
        "ptr noalias nocapture writeonly %y, i64 %n, i64 %m, float %scale) noinline nounwind"
    ) in header
    assert "define i32 @gelu_broadcast.entry(ptr noalias %buffers, ptr noalias %sizes, ptr noalias %scalars)" in text
    assert entry_symbol(load("gelu_broadcast")) == "gelu_broadcast.entry"


def test_an_output_that_is_read_again_is_not_writeonly() -> None:
    text = kernel_module(load("softmax"))
    assert "ptr noalias nocapture %y" in text


def test_kernels_share_a_module_and_its_math_functions() -> None:
    module = ModuleText()
    for name in ("softmax", "half_sum", "layer_norm"):
        emit_kernel(module, load(name))
    text = module.render()
    assert text.count("define internal float @tg.exp.f32(") == 1
    assert len(re.findall(r"define i32 @", text)) == 3
    jit.optimise(text)
    with pytest.raises(ValueError, match="already defines @softmax"):
        emit_kernel(module, load("softmax"))


def test_only_reduce_loops_may_reorder() -> None:
    assert "fadd reassoc" in kernel_module(load("softmax"))
    scan = kernel_module(load("cumsum"))
    assert "reassoc" not in scan
    assert "fadd contract" in scan


def test_no_fast_math_by_default() -> None:
    for path in (Path(__file__).parent / "kernels").glob("*.kernel"):
        text = kernel_module(parse_kernel(path.read_text()))
        assert not re.search(r"\b(fast|nnan|ninf|arcp|afn)\b", text), path.name


def test_reductions_and_pointwise_loops_become_vectors() -> None:
    lanes = jit.host().vector_bits // 32
    for name in ("softmax", "layer_norm", "gelu_broadcast", "half_sum"):
        assert f"<{lanes} x float>" in jit.optimise(kernel_module(load(name))), name


def test_masked_loads_become_masked_vectors() -> None:
    text = """kernel pad(in x: f32[n], out y: f32[n + 2], size n) {
  let %length: i64 = index(n)
  for i in 0..n + 2 vector {
    let %p: i64 = index(i - 1)
    let %a: bool = ge(%p, 0)
    let %b: bool = lt(%p, %length)
    let %c: bool = and(%a, %b)
    let %v: f32 = load x[i - 1] where %c else 0.0
    store y[i] = %v
  }
}"""
    assert "llvm.masked.load" in jit.optimise(kernel_module(parse_kernel(text)))


def test_a_broken_kernel_is_refused() -> None:
    with pytest.raises(VerifyError, match="%q is not defined here"):
        kernel_module(parse_kernel("kernel k(out y: f32[1]) { store y[0] = %q }"))


def test_unvectorisable_loops_compile_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    text = """kernel k(inout y: f32[n], in at: i64[n], size n) {
  for i in 0..n vector {
    let %p: i64 = load at[i]
    let %v: f32 = load y[%p]
    store y[i] += %v
  }
}"""
    jit.optimise(kernel_module(parse_kernel(text)))
    assert capfd.readouterr().err == ""
