"""The joint graph computes what the tape computes, to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from random_graphs import assert_same, inputs_for, random_graphs, unwarned

import tracegraph as tg
from tracegraph import ir
from tracegraph.aot import WriteBack, differentiate, functionalise
from tracegraph.autograd import grad
from tracegraph.ir import Graph, Role
from tracegraph.ops.graphs.graph_module import GraphModule


def parse(text: str) -> Graph:
    return ir.verify(ir.parse(text))


def on_tape(
    graph: Graph, inputs: list[np.ndarray], requiring: list[bool]
) -> tuple[list, list, dict[int, tg.Tensor | None]]:
    """Outputs, cotangents of the differentiable ones (all 1, 2, ...), and gradients by input, by the tape.

    Gradients stand in the order in which the tape finds them, the missing ones last.
    """
    tensors = [tg.Tensor(a.copy(), r) for a, r in zip(inputs, requiring, strict=True)]
    outputs = GraphModule(graph, tg.Tensor)(*tensors)
    roots = [o for o in outputs if isinstance(o, tg.Tensor) and o.requires_grad]
    cotangents = [tg.Tensor(np.full(r.shape, i, r.dtype.np)) for i, r in enumerate(roots, 1)]
    wanted = {i: t for i, t in enumerate(tensors) if t.requires_grad}
    reached: list[int] = []
    for position, leaf in wanted.items():
        leaf.register_hook(lambda _, position=position: reached.append(position))
    gradients = grad(roots, list(wanted.values()), cotangents, allow_unused=True) if roots else [None] * len(wanted)
    found = dict(zip(wanted, gradients, strict=True))
    return list(outputs), cotangents, {i: found[i] for i in [*reached, *(i for i in wanted if i not in reached)]}


def check(graph: Graph, inputs: list[np.ndarray], requiring: list[bool]) -> None:
    joint = differentiate(graph, requiring)
    ir.verify(joint.graph)
    with unwarned():
        outputs, cotangents, gradients = on_tape(graph, inputs, requiring)
        found = ir.interpret(joint.graph, *inputs, *(c.numpy() for c in cotangents))
    if any(n.call_op.kind is ir.Kind.CONTROL for n in graph.calls):
        assert set(joint.requiring) == set(gradients)  # a program's loop is recorded in another way than a graph's
    else:
        assert joint.requiring == tuple(gradients)
    for a, b in zip(found, [*outputs, *map(gradients.get, joint.requiring)], strict=True):
        assert_same(a, b.detach().numpy() if isinstance(b, tg.Tensor) else b)


def test_the_gradient_of_a_graph() -> None:
    graph = parse("""graph f(%x: f32[3, 4], %w: f32[3, 4] parameter) {
  %0: f32[3, 4] = mul(%x, %w)
  %1: f32[3, 4] = exp(%0)
  %2: f32[3, 4] = add(%1, %w)
  return %2
}""")
    joint = differentiate(graph, [False, True])
    assert (joint.differentiable, joint.requiring) == ((0,), (1,))
    assert [p.role for p in joint.graph.placeholders] == [Role.PRIMAL, Role.PARAMETER, Role.COTANGENT]
    check(graph, inputs_for(graph), [False, True])


def test_detach_stops_gradients() -> None:
    graph = parse("""graph f(%x: f32[3], %y: f32[3]) {
  %0: f32[3] = detach(%x)
  %1: f32[3] = mul(%0, %y)
  return %0, %1
}""")
    joint = differentiate(graph, [True, True])
    assert joint.differentiable == (1,)
    assert joint.requiring == (1, 0)  # what no gradient reaches comes last
    assert joint.gradients[1] is None
    check(graph, inputs_for(graph), [True, True])


def test_a_write_outside_grad_mode_leaves_the_history_as_it_is() -> None:
    """Clamping a weight under no_grad before it is used: the weight still gets its gradient."""
    captured = parse("""graph f(%w: f32[3] parameter) {
  %0: f32[3] = detach(%w)
  %1: f32[3] = clamp(%0, -0.5, 0.5)
  copy_(%0, %1)
  %2: f32[3] = mul(%w, %w)
  return %2
}""")
    pure, record = functionalise(captured)
    assert record.written == {0}
    assert record.write_backs == (WriteBack(0, 0, keeps_history=True),)
    joint = differentiate(pure, [True], record.takes_cotangent(len(pure.outputs)))
    assert joint.differentiable == (1,)
    w, cotangent = np.float32([-2, 0.25, 3]), np.float32([1, 1, 1])
    written, _, gradient = ir.interpret(joint.graph, w, cotangent)
    np.testing.assert_array_equal(written, np.float32([-0.5, 0.25, 0.5]))
    np.testing.assert_array_equal(gradient, 2 * np.float32([-0.5, 0.25, 0.5]))


def test_outputs_without_cotangent() -> None:
    graph = parse("""graph f(%x: f32[3]) {
  %0: f32[3] = exp(%x)
  %1: f32[3] = neg(%x)
  return %0, %1
}""")
    joint = differentiate(graph, [True], [False, True])
    assert joint.differentiable == (1,)
    assert len(joint.cotangents) == 1
    (gradient,) = joint.gradients
    assert isinstance(gradient, ir.Value) and gradient.node.call_op.name == "neg"


def test_integers_and_numbers_are_no_outputs_to_differentiate() -> None:
    graph = parse("""graph f(%x: f32[3], %n: i64[3]) {
  %0: i64[3] = add(%n, 1)
  %1: bool[3] = gt(%x, 0)
  return %0, %1, 3, none
}""")
    joint = differentiate(graph, [True, True])
    assert joint.differentiable == ()
    assert joint.requiring == (0,)
    assert joint.gradients == (None,)


def test_several_results_of_which_one_is_used() -> None:
    graph = parse("""graph f(%x: f32[3, 4]) {
  %0: f32[3], %1: i64[3] = max_dim(%x, dim=1, keepdim=false)
  %2: f32[3] = mul(%0, 2)
  return %2, %1
}""")
    check(graph, inputs_for(graph), [True])


def test_an_input_returned_as_it_is_passes_its_cotangent() -> None:
    graph = parse("""graph f(%x: f32[3]) {
  %0: f32[3] = exp(%x)
  return %x, %0
}""")
    check(graph, inputs_for(graph), [True])


def test_locations_of_gradients_are_those_of_the_forward_line() -> None:
    graph = parse("""graph f(%x: f32[3]) {
  %0: f32[3] = exp(%x)                                        // model.py:12
  return %0
}""")
    joint = differentiate(graph, [True])
    assert {str(n.location) for n in joint.graph.calls} == {"model.py:12"}


def test_symbolic_sizes() -> None:
    sizes = ir.ShapeEnv()
    sizes.fresh(5)
    with sizes.active():
        joint = differentiate(
            parse("""graph f(%x: f32[s0, 4], %w: f32[4]) {
  %0: f32[s0, 4] = mul(%x, %w)
  %1: f32[] = mean(%0, dim=none, keepdim=false)
  return %1
}"""),
            [True, True],
        )
        ir.verify(joint.graph)
    assert [str(g.type) for g in joint.gradients if isinstance(g, ir.Value)] == ["f32[s0, 4]", "f32[4]"]
    assert not sizes.guards


@given(random_graphs(wanted=lambda op: op.is_differentiable))
def test_random_graphs(graph: Graph) -> None:
    inputs = inputs_for(graph)
    check(graph, inputs, [a.dtype.kind == "f" and i % 3 != 2 for i, a in enumerate(inputs)])


def test_reads_of_inputs_and_outputs_and_the_cotangents_that_lead_there() -> None:
    graph = parse("""graph f(%x: f32[3], %y: f32[3]) {
  %0: f32[3] = exp(%x)
  %1: f32[2] = basic_index(%0, index=[[1, 3, 1]])
  %2: f32[3] = mul(%x, %y)
  %3: f32[3] = add(%2, %y)
  return %1, %3
}""")
    reads = differentiate(graph, [True, False]).reads
    assert [(r.input, r.output, f"{r.what} of {r.op}", str(r.type), set(r.cotangents)) for r in reads] == [
        (1, None, "an operand of mul", "f32[3]", {1}),
        (None, 0, "the result of exp", "f32[3]", {0}),
    ]
