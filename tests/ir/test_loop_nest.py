"""Loops of single calls, levels, and what a survey of a body finds."""

from __future__ import annotations

import pytest

from tracegraph import ir
from tracegraph.errors import IRError
from tracegraph.ir.loop_nest import Nest, body_of, levels_of, nest_of, survey
from tracegraph.ir.node_rules import reduce_rule


def node_of(call: str, inputs: str, type: str) -> ir.Node:
    graph = ir.parse(f"graph g({inputs}) {{\n  %0: {type} = {call}\n  return %0\n}}")
    return next(graph.calls)


@pytest.mark.parametrize(
    ("call", "inputs", "type", "loops", "reduced", "stores"),
    [
        ("add(%x, %x)", "%x: f32[s0, 1, 4]", "f32[s0, 1, 4]", "[s0, 4]", (), ((0, -1, 1),)),
        ("exp(%x)", "%x: f32[]", "f32[]", "[]", (), ((),)),
        ("sum(%x, dim=[1], keepdim=false)", "%x: f32[3, 4]", "f32[3]", "[3, 4]", (1,), ((0,),)),
        ("sum(%x, dim=[0], keepdim=true)", "%x: f32[3, 4]", "f32[1, 4]", "[3, 4]", (0,), ((-1, 1),)),
        ("sum(%x, dim=[0, 2], keepdim=false)", "%x: f32[3, 4, 5]", "f32[4]", "[3, 4, 5]", (0, 2), ((1,),)),
        ("matmul(%x, %y)", "%x: f32[3, 4], %y: f32[4, 5]", "f32[3, 5]", "[3, 5, 4]", (2,), ((0, 1),)),
    ],
)
def test_nest_of_a_call(call: str, inputs: str, type: str, loops: str, reduced: object, stores: object) -> None:
    nest = nest_of(node_of(call, inputs, type))
    assert (str(list(nest.loops)), nest.reduced, nest.stores) == (loops, reduced, stores)


def test_contraction_is_a_sum_of_products() -> None:
    rule = reduce_rule(node_of("matmul(%x, %y)", "%x: f16[3, 4], %y: f16[4, 5]", "f16[3, 5]"))
    assert (rule.extents, rule.combine, rule.accumulator.name) == ((4,), "add", "f32")


SOFTMAX = """graph body(%x: f32[8, 16]) {
  %0: f32[8, 1] = amax(%x, dim=[1], keepdim=true)
  %1: f32[8, 16] = sub(%x, %0)
  %2: f32[8, 16] = exp(%1)
  %3: f32[8, 1] = sum(%2, dim=[1], keepdim=true)
  %4: f32[8, 16] = div(%2, %3)
  return %4
}"""


def test_levels() -> None:
    body = ir.parse(SOFTMAX)
    levels = levels_of(body)
    assert [levels[node.value] for node in body.calls] == [1, 1, 1, 2, 2]


def test_survey() -> None:
    body = ir.parse(SOFTMAX)
    found = survey(body, Nest((8, 16), (1,), ((0, 1),)))
    assert {(str(a.index), a.level) for a in found.accesses} == {("(i0, i1)", level) for level in range(3)}
    _, _, exponential, total, _ = (node.value for node in body.calls)
    assert found.rounds[exponential] == {1, 2}
    assert str(found.sites[total]) == "(i0, 0)"
    assert found.costs[exponential] > found.costs[exponential.node.operands[0]] > 0


def test_a_reduction_inside_its_own_loops() -> None:
    with pytest.raises(IRError, match="inside its own loops"):
        survey(ir.parse(SOFTMAX), Nest((8, 16), (0,), ((0, 1),)))


def test_a_reduction_over_other_loops() -> None:
    body = ir.parse("graph body(%x: f32[4, 8]) {\n  %0: f32[4] = sum(%x, dim=[1], keepdim=false)\n  return %0\n}")
    with pytest.raises(IRError, match="does not fit the loops"):
        survey(body, Nest((4, 7), (1,), ((0,),)))


def test_a_reduction_needed_at_two_positions() -> None:
    text = """graph body(%x: f32[4, 4]) {
  %0: f32[4] = sum(%x, dim=[1], keepdim=false)
  %1: f32[4, 1] = view(%0, size=[4, 1])
  %2: f32[4, 4] = add(%1, %0)
  return %2
}"""
    with pytest.raises(IRError, match="sum is needed at"):
        survey(ir.parse(text), Nest((4, 4), (1,), ((0, 1),)))


def test_body_of_a_call_repeats_operands_once() -> None:
    body = body_of(node_of("add(%x, %x)", "%x: f32[4]", "f32[4]"))
    assert len(body.placeholders) == 1
