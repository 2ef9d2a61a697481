"""Which contractions become calls of BLAS, with which arguments, and that all compute the product."""

from __future__ import annotations

import pytest
from compiling import check, products

from tracegraph.codegen.emission import blas

needs_blas = pytest.mark.skipif(blas.find() is None, reason="this process has no BLAS")


def matmul(inputs: str, result: str, views: str = "", call: str = "matmul(%x, %y)") -> str:
    return f"graph g({inputs}) {{\n{views}  %p: {result} = {call}\n  return %p\n}}".replace(
        "%p", f"%{views.count('=')}"
    )


@needs_blas
@pytest.mark.parametrize(
    ("text", "product"),
    [
        (matmul("%x: f32[9, 20], %y: f32[20, 11]", "f32[9, 11]"), "[9, 20] @ [20, 11]: in0 in1 out0"),
        (matmul("%x: f64[9, 20], %y: f64[20, 11]", "f64[9, 11]"), "gemm f64"),
        (matmul("%x: f32[s0, 20], %y: f32[20, 11]", "f32[s0, 11]"), "[s0, 20] @ [20, 11]"),
        # a stack of rows is one tall matrix
        (matmul("%x: f32[2, 9, 20], %y: f32[20, 11]", "f32[2, 9, 11]"), "[18, 20] @ [20, 11]: in0 in1 out0"),
        (matmul("%x: f32[2, 9, 20], %y: f32[2, 20, 11]", "f32[2, 9, 11]"), "for each of [2]"),
        (matmul("%x: f32[2, 3, 9, 20], %y: f32[3, 20, 11]", "f32[2, 3, 9, 11]"), "for each of"),
        (matmul("%x: f32[2, 1, 9, 20], %y: f32[3, 20, 11]", "f32[2, 3, 9, 11]"), "for each of"),
        (matmul("%x: f32[30], %y: f32[30, 40]", "f32[40]"), "[1, 30] @ [30, 40]"),
        (matmul("%x: f32[40, 30], %y: f32[30]", "f32[40]"), "[40, 30] @ [30, 1]"),
    ],
)
def test_products(text: str, product: str) -> None:
    (found,) = products(check(text, sizes={"s0": 7}))
    assert product in found


@needs_blas
def test_transposed_operands_are_not_copied() -> None:
    text = """graph g(%x: f32[20, 9], %y: f32[11, 20]) {
  %0: f32[9, 20] = permute(%x, dims=[1, 0])
  %1: f32[20, 11] = permute(%y, dims=[1, 0])
  %2: f32[9, 11] = matmul(%0, %1)
  return %2
}"""
    executable = check(text)
    assert products(executable) == ["gemm f32 [9, 20] @ [20, 11]: in0^T in1^T out0"]
    assert len(executable.program.steps) == 1


@needs_blas
def test_heads_of_attention_are_strided_batches() -> None:
    text = """graph g(%q: f32[2, 9, 32], %k: f32[2, 9, 32]) {
  %0: f32[2, 9, 4, 8] = view(%q, size=[2, 9, 4, 8])
  %1: f32[2, 4, 9, 8] = permute(%0, dims=[0, 2, 1, 3])
  %2: f32[2, 9, 4, 8] = view(%k, size=[2, 9, 4, 8])
  %3: f32[2, 4, 8, 9] = permute(%2, dims=[0, 2, 3, 1])
  %4: f32[2, 4, 9, 9] = matmul(%1, %3)
  return %4
}"""
    executable = check(text, fused=False)
    assert products(executable) == ["gemm f32 [9, 8] @ [8, 9]: in0 in1^T out0 for each of [2, 4]"]
    assert len(executable.program.steps) == 1


@pytest.mark.parametrize(
    "text",
    [
        matmul("%x: i32[9, 20], %y: i32[20, 11]", "i32[9, 11]"),
        matmul("%x: f16[9, 20], %y: f16[20, 11]", "f16[9, 11]"),
        matmul("%x: bf16[9, 20], %y: bf16[20, 11]", "bf16[9, 11]"),
        matmul("%x: f32[3, 4], %y: f32[4, 5]", "f32[3, 5]"),
        matmul("%x: f32[s0, 4], %y: f32[4]", "f32[s0]"),
        # every row the same: BLAS takes no stride of 0
        matmul(
            "%x: f32[20], %y: f32[20, 11]",
            "f32[9, 11]",
            "  %0: f32[9, 20] = expand(%x, size=[9, 20])\n",
            "matmul(%0, %y)",
        ),
    ],
)
def test_generated_kernels(text: str) -> None:
    check(text, sizes={"s0": 3})


@pytest.mark.parametrize("sizes", [{"s0": 0, "s1": 20}, {"s0": 9, "s1": 0}, {"s0": 0, "s1": 0}, {"s0": 1, "s1": 1}])
def test_empty_and_single_sizes(sizes: dict[str, int]) -> None:
    check(matmul("%x: f32[s0, s1], %y: f32[s1, 11]", "f32[s0, 11]"), sizes=sizes)


def test_overlapping_rows_are_not_given_to_blas() -> None:
    """Windows that overlap in memory are rows closer together than they are long."""
    text = """graph g(%x: f32[30], %y: f32[20, 11]) {
  %0: f32[11, 20] = unfold(%x, dimension=0, size=20, step=1)
  %1: f32[11, 11] = matmul(%0, %y)
  return %1
}"""
    assert not products(check(text, fused=False))
