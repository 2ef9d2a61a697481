"""Size symbols replaced: in types, attributes, operands and the graphs that nodes hold."""

from __future__ import annotations

from tracegraph import ir
from tracegraph.ir import dim as dims
from tracegraph.ir.substitution import with_symbols_replaced

BEFORE = """graph f(%p: bool[], %x: f32[s0, 4], %y: f32[s1, 4]) {
  %0: f32[s1] = cond(%p, %y, false_graph=graph g(%a: f32[s1, 4]) {
    %0: f32[s1] = sum(%a, dim=[1], keepdim=false)             // model.py:7
    return %0
  }, sizes=[s1], true_graph=graph h(%a: f32[s1, 4]) {
    %0: f32[s1] = full(dtype=f32, fill_value=1.5, size=[s1])
    return %0
  })  // model.py:6
  %1: f32[s1] = mul(%0, s1)                                   // model.py:8
  return %x, %1, s1
}"""


def test_one_symbol_for_two() -> None:
    after = with_symbols_replaced(ir.parse(BEFORE), {"s1": dims.sym("s0")})
    assert str(ir.verify(after)) == BEFORE.replace("s1", "s0")


def test_a_number_for_a_symbol() -> None:
    after = with_symbols_replaced(ir.parse(BEFORE), {"s1": 3})
    expected = ir.parse(BEFORE.replace("sizes=[s1]", "sizes=[]").replace("s1", "3"))
    assert str(ir.verify(after)) == str(expected)
