"""Gradients that a graph states itself: `custom_vjp` in joint graphs, `with_history` made pure."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import ir
from tracegraph.aot import differentiate, functionalise
from tracegraph.aot.higher_order import primal_graph, pullback_graph
from tracegraph.errors import IRError
from tracegraph.ir import Graph
from tracegraph.passes import optimise

SAVED_RESULT = """graph f(%x: f32[4] primal) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = detach(%0)
  %2: f32[4] = custom_vjp(%1, %x, backward=graph backward(%g: f32[4], %y: f32[4]) {
    %0: f32[4] = mul(%g, %y)
    %1: f32[4] = neg(%0)
    return %1
  }, inputs=1, outputs=1, saved_results=[0], sizes=[])
  return %2
}"""


def parse(text: str) -> Graph:
    graph = ir.verify(ir.parse(text))
    assert str(graph) == text
    return graph


def test_the_gradient_is_the_backward_graph() -> None:
    joint = differentiate(parse(SAVED_RESULT), [True])
    assert str(ir.verify(joint.graph)).split("sizes=[])\n")[1] == (
        """  %3: f32[4] = mul(%t0, %2)
  %4: f32[4] = neg(%3)
  return %2, %4
}"""
    )
    assert [(r.output, r.what, r.op) for r in joint.reads] == [(0, "a saved tensor", "autograd.Function")]


def test_outside_of_gradients_nothing_is_left_of_it() -> None:
    assert (
        str(optimise(parse(SAVED_RESULT)))
        == """graph f(%x: f32[4] primal) {
  %0: f32[4] = exp(%x)
  return %0
}"""
    )


def test_derivatives_of_the_gradient_go_through_the_backward_graph() -> None:
    """The saved result is a result of the node: its own gradient is the backward graph again."""
    joint = differentiate(parse(SAVED_RESULT), [True], keep=True)
    assert len(joint.kept) == 1
    pulled = pullback_graph(primal_graph(joint), [True], 1, [False, True]).graph
    assert str(ir.verify(pulled)).replace(" saved", "").replace(" cotangent", "") == (
        """graph f.pullback(%given0: f32[4], %t0: f32[4]) {
  %0: f32[4] = mul(%t0, %given0)
  %1: f32[4] = neg(%0)
  return %1
}"""
    )


def test_inputs_without_gradient_and_absent_cotangents() -> None:
    graph = parse(
        """graph f(%x: f32[2] primal, %w: f32[2] parameter) {
  %0: f32[2] = exp(%x)
  %1: f32[2] = neg(%w)
  %2: f32[2], %3: f32[2] = custom_vjp(%0, %1, %x, %w, %x, backward=graph b(%g: f32[2], %h: f32[2], %s: f32[2]) {
    %0: f32[2] = mul(%g, %s)
    %1: f32[2] = add(%0, %h)
    return %1, none
  }, backward_of_1=graph b(%h: f32[2], %s: f32[2]) {
    return none, %h
  }, inputs=2, outputs=2, saved_results=[], sizes=[])
  return %2, %3
}"""
    )
    joint = differentiate(graph, [True, True])
    assert joint.asks_presence
    x, w, g, h = (np.float32([i, i + 1]) for i in range(4))
    found = ir.interpret(joint.graph, x, w, g, h)
    np.testing.assert_array_equal(found[2], g * x + h)
    assert found[3] is None
    second = differentiate(graph, [True, True], [False, True])
    assert second.requiring == (1, 0)
    assert ir.interpret(second.graph, x, w, h)[3] is None
    np.testing.assert_array_equal(ir.interpret(second.graph, x, w, h)[2], h)
    # no graph is for the first alone: the other gradient is zeros
    first = differentiate(graph, [True, True], [True, False])
    np.testing.assert_array_equal(ir.interpret(first.graph, x, w, g)[2], g * x)


def test_writes_in_the_backward_graph_are_made_pure() -> None:
    pure, _ = functionalise(
        ir.verify(
            ir.parse("""graph f(%x: f32[4] primal) {
  %0: f32[4] = custom_vjp(%x, %x, backward=graph backward(%g: f32[4]) {
    %0: f32[4] = clone(%g)
    %1: f32[4] = mul(%0, 2)
    copy_(%0, %1)
    return %0
  }, inputs=1, outputs=1, saved_results=[], sizes=[])
  return %0
}""")
        )
    )
    assert "copy_(" not in str(pure)
    joint = differentiate(pure, [True])
    g = np.float32([1, 2, 3, 4])
    np.testing.assert_array_equal(ir.interpret(joint.graph, g, g)[1], 2 * g)


def test_an_alias_with_a_history_of_its_own() -> None:
    """The result lies in the memory of the input, and its gradient is that of the second operand."""
    graph = parse(
        """graph f(%x: f32[4] primal) {
  %0: f32[4] = neg(%x)
  %1: f32[4] = with_history(%x, %0)
  return %1
}"""
    )
    pure, record = functionalise(graph)
    assert (
        str(pure)
        == """graph f(%x: f32[4] primal) {
  %0: f32[4] = neg(%x)
  return %0
}"""
    )
    assert str(record) == "// result 0: detach() of input 0, a view, with the history of output 0"


def test_an_alias_sees_later_writes() -> None:
    """And keeps its history."""
    pure, record = functionalise(
        ir.verify(
            ir.parse("""graph f(%x: f32[4] primal, %y: f32[4] primal) {
  %0: f32[4] = mul(%x, 2)
  %1: f32[4] = custom_vjp(%0, %x, backward=graph backward(%g: f32[4]) {
    return %g
  }, inputs=1, outputs=1, saved_results=[], sizes=[])
  %2: f32[4] = with_history(%0, %1)
  %3: f32[4] = detach(%0)
  copy_(%3, %y)
  %4: f32[4] = neg(%2)
  return %4
}""")
        )
    )
    assert not record.write_backs
    joint = differentiate(pure, [True, False])
    x, y, g = (np.float32([i, 1, 2, 3]) for i in range(3))
    result, gradient = ir.interpret(joint.graph, x, y, g)
    np.testing.assert_array_equal(result, -y)
    np.testing.assert_array_equal(gradient, -g)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("graph b(%g: f32[3]) {\n return %g\n}", r"backward takes \(f32\[3\]\), is given \(f32\[4\]\)"),
        ("graph b(%g: f32[4]) {\n return %g, %g\n}", r"backward gives \(f32\[4\], f32\[4\]\) for inputs \(f32\[4\]\)"),
        ("3", "the attribute 'backward' must be a graph"),
    ],
)
def test_a_graph_that_does_not_fit(body: str, message: str) -> None:
    text = f"""graph f(%x: f32[4] primal) {{
  %0: f32[4] = custom_vjp(%x, %x, backward={body}, inputs=1, outputs=1, saved_results=[], sizes=[])
  return %0
}}"""
    with pytest.raises(IRError, match=message):
        ir.parse(text)
