"""Dead code elimination."""

from __future__ import annotations

from tracegraph.ir import Graph, Node, Rebuilder, Value
from tracegraph.passes.pass_manager import graph_pass


@graph_pass
def dce(graph: Graph) -> Graph:
    """Remove what no output and no effect depends on. Inputs stay, and so do calls that may fail (`Op.may_raise`).

    %0: f32[4] = exp(%x)
    %1: f32[4] = neg(%x)        -->        %0: f32[4] = neg(%x)
    return %1                              return %0
    """
    live = live_nodes(graph)
    if len(live) == len(graph.nodes):
        return graph
    rebuilder = Rebuilder(graph)
    for node in graph.nodes:
        if node in live:
            rebuilder.copy(node)
    return rebuilder.graph


def live_nodes(graph: Graph) -> set[Node]:
    """Inputs, the output, effects, calls that may fail, and all that they depend on."""
    live: set[Node] = set()
    needed: set[Value] = set()
    for node in reversed(graph.nodes):
        anchored = node.op in ("placeholder", "output") or not node.is_pure
        if anchored or not needed.isdisjoint(node.values) or node.may_raise:
            live.add(node)
            needed.update(node.operands)
    return live
