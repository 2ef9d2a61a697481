"""Limits of constant folding: sizes, errors, numbers that are not exact."""

from __future__ import annotations

import numpy as np

from tracegraph import ir
from tracegraph.ir import Graph
from tracegraph.passes.constant_fold import constant_fold


def calls(graph: Graph) -> list[str]:
    return [n.call_op.name for n in graph.calls]


def test_the_size_limit() -> None:
    graph = ir.parse("""graph f() {
  %c0: f32[3] = constant([1.0, 2.0, 3.0])
  %0: f32[3] = exp(%c0)
  return %0
}""")
    assert calls(constant_fold(graph, size_limit=3)) == []
    assert constant_fold(graph, size_limit=2) is graph


def test_a_call_that_raises_is_left_to_raise_at_run_time() -> None:
    graph = ir.parse("""graph f() {
  %c0: f32[3] = constant([1.0, 2.0, 3.0])
  %c1: i64[2] = constant([1, 7])
  %0: f32[2] = gather(%c0, %c1, dim=0)
  return %0
}""")
    assert constant_fold(graph) is graph


def test_integers_that_floats_do_not_hold_stay_tensors() -> None:
    for number, expected in ((2**24, "16777216"), (2**24 + 1, "%0")):
        graph = ir.parse(f"""graph f(%x: f32[3]) {{
  %0: i64[3] = full(dtype=i64, fill_value={number}, size=[3])
  %1: f32[3] = add(%x, %0)
  return %1
}}""")
        assert f"add(%x, {expected})" in str(constant_fold(graph))


def test_results_are_computed_once_and_dense() -> None:
    graph = ir.parse("""graph f() {
  %c0: f32[2, 3] = constant([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
  %0: f32[3, 2] = permute(%c0, dims=[1, 0])
  return %0
}""")
    (output,) = constant_fold(graph).outputs
    assert isinstance(output, ir.Value)
    array = output.node.target
    assert isinstance(array, np.ndarray) and array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[1, 4], [2, 5], [3, 6]])
