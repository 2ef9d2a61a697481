"""Graphs for derivatives of derivatives: a compiled call taken apart again.

The first derivative of a compiled call is the backward graph, made for speed: it remembers no formula. For the
derivative of a derivative the formulas are needed as they were, and the primal values they read, which the backward
graph's own inputs suffice to restore. Those values count as further outputs of the call, so that the gradient of
what a formula did with them has somewhere to go:

    graph f(%x: f32[4] primal, %t0: f32[4] cotangent) {       graph f.primal(%x: f32[4] primal) {
      %0: f32[4] = exp(%x)                                      %0: f32[4] = exp(%x)
      %1: f32[4] = mul(%t0, %0)                        -->      return %0, %0
      return %0, %1, %0                                       }
    }

    graph f.pullback(%given0: f32[4] saved, %t0: f32[4] cotangent, %t1: f32[4] cotangent) {
      %0: f32[4] = add(%t0, %t1)
      %1: f32[4] = mul(%0, %given0)
      return %1
    }

The pull-back reads nothing but the kept values and cotangents; executed on the tape, it is itself differentiable.

Where somebody asks for the gradient of an output that other outputs were computed from (a hook, say), the pull-back
hands it out when it is complete, and goes on with what it is given for it, here `%changed0`:

    graph f(%x: f32[4] primal) {        graph f.pullback(%given0: f32[4] saved, %t0: f32[] cotangent,
      %0: f32[4] = exp(%x)                               %changed0: f32[4] cotangent) {
      %1: f32[] = sum(%0)         -->     %0: f32[4] = expand(%t0, size=[4])    // handed out
      return %0, %1                       %1: f32[4] = mul(%changed0, %given0)
    }                                     return %1
                                        }
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tracegraph.aot.dataflow import needed
from tracegraph.aot.joint import Inspection, Joint, differentiate
from tracegraph.errors import IRError
from tracegraph.ir import Graph, Node, Rebuilder, Role, TensorType, Value, rebuild
from tracegraph.ir.interpreter import at_sizes
from tracegraph.ir.subgraphs import subgraphs, symbols_of


def primal_graph(joint: Joint) -> Graph:
    """From the inputs of the primal graph to its differentiable outputs, then the kept values."""
    outputs = (*(joint.results[i] for i in joint.differentiable), *joint.kept)
    nodes = needed(outputs, joint.graph)
    rebuilder = Rebuilder(joint.graph, f"{joint.graph.name}.primal")
    for node in joint.graph.nodes:
        if node in nodes or (node.op == "placeholder" and node.role is not Role.COTANGENT):
            rebuilder.copy(node)
    rebuilder.builder.output(*map(rebuilder.operand, outputs))
    return rebuilder.graph


def with_kept(joint: Joint) -> Joint:
    """The joint graph with the kept values among the outputs, after the others.

    What it reads is what derivatives of gradients read. Of the kept values, those with a history have cotangents.
    """
    outputs = (*joint.results, *joint.kept)
    nodes = needed(outputs, joint.graph)
    rebuilder = Rebuilder(joint.graph, f"{joint.graph.name}.with_kept")
    for node in joint.graph.nodes:
        if node in nodes or (node.op == "placeholder" and node.role is not Role.COTANGENT):
            rebuilder.copy(node)
    rebuilder.builder.output(*map(rebuilder.operand, outputs))
    requires_grad = [i in joint.requiring for i in range(joint.inputs)]
    cotangents = [i in joint.differentiable for i in range(joint.outputs)] + [True] * len(joint.kept)
    copied = ((h, rebuilder.mapping.get(h.value)) for h in joint.held)
    held = [replace(h, value=v) for h, v in copied if isinstance(v, Value)]
    return differentiate(rebuilder.graph, requires_grad, cotangents, held=held)


class Pullback(NamedTuple):
    """A pull-back, and which gradients of outputs it hands out on the way, in order.

    Attributes:
        requiring: positions of the inputs that it returns the gradients of, as the tape reaches them.
    """

    graph: Graph
    requiring: tuple[int, ...]
    inspections: tuple[Inspection, ...]


def pullback_graph(
    primal: Graph,
    requires_grad: Sequence[bool],
    kept: int,
    present: Sequence[bool],
    inspected: Collection[int] = (),
) -> Pullback:
    """From the last `kept` outputs of `primal` and the cotangents of the `present` outputs to the gradients.

    The gradients of the outputs `inspected` are handed out.

    Raises:
        IRError: a formula reads a value that is not kept.
    """
    joint = differentiate(primal, requires_grad, present, inspected=inspected)
    given = joint.results[len(joint.results) - kept :]
    wanted = (*joint.gradients, *(i.gradient for i in joint.inspections))
    nodes = needed(wanted, joint.graph, frozenset(v for v in given if isinstance(v, Value)))
    rebuilder = Rebuilder(joint.graph, f"{primal.name.removesuffix('.primal')}.pullback")
    for i, value in enumerate(given):
        assert isinstance(value, Value)
        rebuilder.mapping[value] = rebuilder.builder.placeholder(value.type, f"given{i}", Role.SAVED)
    for node in joint.graph.nodes:
        if node in nodes and node.op == "placeholder" and node.role is not Role.COTANGENT:
            raise IRError(f"a gradient formula of {primal.name} reads {node.value!r}, which is not kept")
        if node in nodes or node.role is Role.COTANGENT:
            rebuilder.copy(node)
    rebuilder.builder.output(*map(rebuilder.operand, joint.gradients))
    copied = rebuilder.mapping
    inspections = [
        Inspection(i.output, copied[i.gradient], copied[i.changed])  # type: ignore[arg-type]
        for i in joint.inspections
    ]
    return Pullback(rebuilder.graph, joint.requiring, tuple(inspections))


def at_fixed_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph for these values of its size symbols alone."""

    def visit(rebuilder: Rebuilder, node: Node) -> bool:
        builder = rebuilder.builder
        builder.location = node.location
        if node.op == "placeholder":
            shape = at_sizes(node.value.type.shape, sizes)
            fixed = TensorType(node.value.type.dtype, shape)  # type: ignore[arg-type]
            rebuilder.replace(node, builder.placeholder(fixed, node.name, node.role))
        elif node.is_call:
            operands = [at_sizes(o, sizes) for o in rebuilder.operands(node)]
            attrs = {k: at_sizes(v, sizes) for k, v in node.attrs.items()} | _bodies_at_fixed_sizes(node, sizes)
            rebuilder.replace(node, *builder.call_all(node.call_op, *operands, **attrs))  # type: ignore[arg-type]
        else:
            return False
        return True

    return rebuild(graph, visit)


def _bodies_at_fixed_sizes(node: Node, sizes: Mapping[str, int]) -> dict[str, object]:
    """The attributes of a node that holds graphs, in as far as these depend on sizes."""
    bodies = subgraphs(node)
    if not bodies:
        return {}
    values = at_sizes(node.attrs["sizes"], sizes)
    inner = dict(zip(symbols_of(bodies.values()), values, strict=True))  # type: ignore[call-overload]
    return {name: at_fixed_sizes(body, inner) for name, body in bodies.items()} | {"sizes": ()}
