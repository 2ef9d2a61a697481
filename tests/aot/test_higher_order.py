"""Graphs for derivatives of derivatives, as text."""

from __future__ import annotations

import pytest

from tracegraph import ir
from tracegraph.aot import differentiate
from tracegraph.aot.higher_order import at_fixed_sizes, primal_graph, pullback_graph
from tracegraph.errors import IRError
from tracegraph.ir import Graph

EXP = """graph f(%x: f32[4] primal, %y: f32[4] primal) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = mul(%0, %y)
  return %1
}"""


def parse(text: str) -> Graph:
    return ir.verify(ir.parse(text))


def test_kept_values_are_those_that_formulas_read() -> None:
    joint = differentiate(parse(EXP), [True, False], keep=True)
    assert (
        str(primal_graph(joint))
        == """graph f.primal(%x: f32[4] primal, %y: f32[4] primal) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = mul(%0, %y)
  return %1, %y, %0
}"""
    )
    assert joint.with_history == (False, True)


def test_pullback_of_outputs_and_kept_values() -> None:
    primal = primal_graph(differentiate(parse(EXP), [True, False], keep=True))
    first = pullback_graph(ir.verify(primal), [True, False], 2, [True, False, False]).graph
    assert (
        str(ir.verify(first)).replace(" saved", "")
        == """graph f.pullback(%given0: f32[4], %given1: f32[4], %t0: f32[4] cotangent) {
  %0: f32[4] = mul(%t0, %given0)
  %1: f32[4] = mul(%0, %given1)
  return %1
}"""
    )
    second = pullback_graph(primal, [True, False], 2, [False, False, True]).graph
    assert (
        str(ir.verify(second)).replace(" saved", "")
        == """graph f.pullback(%given0: f32[4], %given1: f32[4], %t0: f32[4] cotangent) {
  %0: f32[4] = mul(%t0, %given1)
  return %0
}"""
    )


def test_pullback_hands_out_the_gradient_of_an_output() -> None:
    graph = parse("""graph f(%x: f32[4] primal) {
  %0: f32[4] = exp(%x)
  %1: f32[] = sum(%0, dim=none, keepdim=false)
  return %0, %1
}""")
    joint = differentiate(graph, [True], keep=True)
    assert joint.output_sources == (frozenset({1}), frozenset())
    pulled = pullback_graph(primal_graph(joint), [True], 1, [False, True, False], inspected=[0])
    assert (
        str(ir.verify(pulled.graph)).replace(" saved", "")
        == """graph f.pullback(%given0: f32[4], %t0: f32[] cotangent, %changed0: f32[4] cotangent) {
  %0: f32[4] = expand(%t0, size=[4])
  %1: f32[4] = mul(%changed0, %given0)
  return %1
}"""
    )
    (inspection,) = pulled.inspections
    assert (inspection.output, inspection.changed.node.name) == (0, "changed0")
    assert inspection.gradient.node.call_op.name == "expand"


def test_a_value_that_is_not_kept_is_an_error() -> None:
    with pytest.raises(IRError, match=r"%x.*not kept"):
        pullback_graph(parse(EXP), [True, False], 0, [True])


def test_what_lies_below_a_value_without_gradient_is_kept_too() -> None:
    """The loss has no gradient of its weights; the gradient of the loss has."""
    graph = parse("""graph f(%x: f32[2, 3], %t: i64[2], %w: f32[3]) {
  %0: f32[3] = sin(%w)
  %1: f32[] = nll_loss(%x, %t, %0, reduction="mean", ignore_index=-100)
  return %1
}""")
    joint = differentiate(graph, [True, False, True], keep=True)
    assert graph.placeholders[2].node.name in {v.node.name for v in joint.kept if isinstance(v, ir.Value)}


def test_sizes_are_filled_in() -> None:
    environment = ir.ShapeEnv()
    environment.fresh(5)
    with environment.active():
        graph = parse("""graph f(%x: f32[s0, 4] primal) {
  %0: f32[s0*4] = view(%x, size=[s0*4])
  %1: f32[s0*4] = mul(%0, s0)
  return %1
}""")
    assert (
        str(at_fixed_sizes(graph, {"s0": 3}))
        == """graph f(%x: f32[3, 4] primal) {
  %0: f32[12] = view(%x, size=[12])
  %1: f32[12] = mul(%0, 3)
  return %1
}"""
    )
