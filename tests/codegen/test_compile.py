"""Whole graphs, fused and not, compiled against the interpreter: random ones, and one of each structure."""

from __future__ import annotations

import numpy as np
import pytest
from compiling import check, compiled
from hypothesis import given, settings
from random_graphs import assert_same, inputs_for, random_graphs, run

from tracegraph import dtypes
from tracegraph.codegen.compile import compile_program
from tracegraph.ir import Graph
from tracegraph.passes import fuse, plan_memory
from tracegraph.passes.decompose import decompose


@settings(max_examples=60)
@given(random_graphs(calls=14))
def test_random_graphs(graph: Graph) -> None:
    inputs = inputs_for(graph)
    small = decompose(graph)
    wanted = run(small, inputs)
    found = compile_program(plan_memory(fuse(small)))([a.copy() for a in inputs])
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b, exact=False)


@pytest.mark.parametrize("dtype", [d.name for d in dtypes.ALL])
def test_broadcasting_in_every_dtype(dtype: str) -> None:
    text = f"""graph f(%x: {dtype}[s0, 1, 7], %y: {dtype}[5, 1], %z: {dtype}[]) {{
  %0: {dtype}[s0, 5, 7] = add(%x, %y)
  %1: {dtype}[s0, 5, 7] = mul(%0, %z)
  %2: bool[s0, 5, 7] = lt(%1, %x)
  %3: {dtype}[s0, 5, 7] = where(%2, %1, %0)
  return %1, %2, %3
}}"""
    for size in (3, 1, 0):
        check(text, sizes={"s0": size})


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("keepdim", [True, False])
def test_reducing_any_axes(axes: tuple[int, ...], keepdim: bool) -> None:
    """A reduction with producer and epilogue, and its result used on what was reduced where the shapes allow it."""
    kept = [1 if a in axes else s for a, s in enumerate((4, 5, 6)) if keepdim or a not in axes]
    last = "%3: f32[4, 5, 6] = div(%0, %2)\n  return %2, %3" if keepdim else "return %2"
    text = f"""graph f(%x: f32[4, 5, 6]) {{
  %0: f32[4, 5, 6] = exp(%x)
  %1: f32{kept} = sum(%0, dim={list(axes)}, keepdim={str(keepdim).lower()})
  %2: f32{kept} = sqrt(%1)
  {last}
}}"""
    executable = check(text)
    assert len(executable.program.steps) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
def test_special_values_in_reductions(value: float, rng: np.random.Generator) -> None:
    text = """graph f(%x: f32[6, 40]) {
  %0: f32[6] = amax(%x, dim=[1], keepdim=false)
  %1: f32[40] = amin(%x, dim=[0], keepdim=false)
  %2: i64[6] = argmax(%x, dim=1, keepdim=false)
  %3: i64[40] = argmin(%x, dim=0, keepdim=false)
  %4: f32[6] = sum(%x, dim=[1], keepdim=false)
  return %0, %1, %2, %3, %4
}"""
    x = rng.standard_normal((6, 40)).astype(np.float32)
    x[1, 3] = x[1, 20] = x[2, 39] = x[5, 0] = value
    check(text, x)


def test_stages_report_their_products() -> None:
    text = "graph f(%x: f32[4]) {\n  %0: f32[4] = exp(%x)\n  return %0\n}"
    from tracegraph import ir

    seen: dict[str, str] = {}

    def run_stage(stage, title, function, /, *args, shown):
        product = function(*args)
        seen[stage] = shown(product)
        return product

    compile_program(plan_memory(ir.parse(text)), run_stage)
    assert list(seen) == ["lower", "schedule", "emit", "load"]
    assert seen["lower"].count("kernel exp_0") == 2
    assert "define i64 @run(" in seen["emit"]


def test_the_program_lists_its_steps() -> None:
    text = """graph f(%x: f32[9, 20], %y: f32[20, 11]) {
  %0: f32[9, 11] = matmul(%x, %y)
  %1: f32[9, 11] = exp(%0)
  %2: f32[9, 11], %3: i64[9, 11] = sort(%1, dim=1, descending=false)
  return %2, %x
}"""
    lines = str(compiled(text).program).splitlines()
    assert [line.split("(")[0].split()[0] for line in lines] == ["program", "gemm", "kernel", "eager", "kernel"]
