"""Size symbols replaced in a whole graph."""

from __future__ import annotations

from collections.abc import Mapping

from tracegraph.ir import dim as dims
from tracegraph.ir.builder import Rebuilder, rebuild
from tracegraph.ir.dim import Dim
from tracegraph.ir.graph import Graph, Node
from tracegraph.ir.interpreter import at_sizes
from tracegraph.ir.subgraphs import sizes_of
from tracegraph.ir.types import TensorType


def with_symbols_replaced(graph: Graph, binding: Mapping[str, Dim]) -> Graph:
    """`graph` with other sizes in the place of some symbols, and the graphs that its nodes hold, where they mean the
    same, likewise; every type is inferred anew.

    With {s1: s0}:

        graph f(%x: f32[s0], %y: f32[s1]) {            graph f(%x: f32[s0], %y: f32[s0]) {
          %0: f32[s1] = exp(%y)                  -->     %0: f32[s0] = exp(%y)
          %1: f32[s0] = add(%x, %0)                      %1: f32[s0] = add(%x, %0)
          return %1                                      return %1
        }                                              }
    """
    if not binding:
        return graph

    def visit(rebuilder: Rebuilder, node: Node) -> bool:
        builder = rebuilder.builder
        builder.location = node.location
        if node.op == "placeholder":
            shape = tuple(dims.evaluate(d, binding) for d in node.value.type.shape)
            rebuilder.replace(node, builder.placeholder(TensorType(node.value.type.dtype, shape), node.name, node.role))
            return True
        if node.op == "output":
            builder.output(*(at_sizes(o, binding) for o in rebuilder.operands(node)))  # type: ignore[arg-type]
            return True
        if node.op != "call":
            return False
        attrs = {name: at_sizes(attr, binding) for name, attr in node.attrs.items()}
        held = {name: with_symbols_replaced(body, binding) for name, body in attrs.items() if isinstance(body, Graph)}
        if held:
            attrs |= {**held, "sizes": sizes_of(held.values())}
        operands = (at_sizes(o, binding) for o in rebuilder.operands(node))
        rebuilder.replace(node, *builder.call_all(node.call_op, *operands, **attrs))  # type: ignore[arg-type]
        return True

    return rebuild(graph, visit)
