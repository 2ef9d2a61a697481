"""The fused op: inference from its body, text form, meaning."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import dtypes, ir
from tracegraph.errors import IRError, ParseError
from tracegraph.ir.fused import FUSED, free_symbols, fused_attributes, nest_attributes
from tracegraph.ir.loop_nest import Nest

TEXT = """graph f(%x: f32[s0, 4], %y: f32[4]) {
  %0: f32[s0, 4], %1: f32[s0] = fused(%x, %y, body=graph body(%a: f32[s0, 4], %b: f32[4]) {
    %0: f32[s0, 4] = add(%a, %b)
    %1: f32[s0] = sum(%0, dim=[1], keepdim=false)
    return %0, %1
  }, loops=[s0, 4], reduced=[1], sizes=[s0], stores=[[0, 1], [0]])
  return %1, %0
}"""


def test_text_round_trip() -> None:
    graph = ir.verify(ir.parse(TEXT))
    assert str(graph) == TEXT


def test_meaning_is_that_of_the_body() -> None:
    x, y = np.arange(12, dtype=np.float32).reshape(3, 4), np.ones(4, np.float32)
    total, added = ir.interpret(ir.parse(TEXT), x, y)
    np.testing.assert_array_equal(added, x + y)
    np.testing.assert_array_equal(total, (x + y).sum(1))


def test_sizes_that_no_operand_has() -> None:
    """A body may mention a size that none of its inputs shows: `sizes` gives it."""
    text = """graph g(%x: f32[s0], %y: f32[]) {
  %0: f32[s0] = fused(%y, body=graph body(%a: f32[]) {
    %0: f32[s0] = full(dtype=f32, fill_value=2.0, size=[s0])
    %1: f32[s0] = mul(%0, %a)
    return %1
  }, loops=[s0], reduced=[], sizes=[s0], stores=[[0]])
  return %0
}"""
    (found,) = ir.interpret(ir.parse(text), np.zeros(3, np.float32), np.array(4, np.float32))
    np.testing.assert_array_equal(found, np.full(3, 8, np.float32))


def test_nest_is_read_from_the_attributes() -> None:
    (node,) = ir.parse(TEXT).calls
    nest = nest_attributes(node.attrs)
    assert nest is not None and (nest.reduced, nest.stores) == ((1,), ((0, 1), (0,)))
    body = node.attrs["body"]
    assert isinstance(body, ir.Graph) and free_symbols(body) == ("s0",)
    assert fused_attributes(body, nest).keys() == node.attrs.keys()


def _body() -> ir.Graph:
    return ir.parse("graph b(%a: f32[4]) {\n  %0: f32[4] = neg(%a)\n  return %0\n}")


def test_operands_must_be_what_the_body_takes() -> None:
    attrs = fused_attributes(_body(), Nest((4,), (), ((0,),)))
    with pytest.raises(IRError, match=r"takes \(f32\[4\]\), got \(f32\[5\]\)"):
        FUSED.infer(ir.TensorType(dtypes.float32, (5,)), **attrs)


@pytest.mark.parametrize("nest", [Nest((5,), (), ((0,),)), Nest((4,), (), ()), Nest((4,), (), ((0, 0),))])
def test_loops_must_fit_the_results(nest: Nest) -> None:
    with pytest.raises((IRError, ValueError)):
        FUSED.infer(ir.TensorType(dtypes.float32, (4,)), **fused_attributes(_body(), nest))


def test_wrong_text_is_refused() -> None:
    with pytest.raises(ParseError, match="cannot be stored"):
        ir.parse(TEXT.replace("loops=[s0, 4]", "loops=[s0, 5]"))
