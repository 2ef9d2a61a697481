"""Walks along the values of a graph that several stages of this package take."""

from __future__ import annotations

from collections.abc import Sequence

from tracegraph.ir import Graph, Kind, Node, Operand, Value


def needed(outputs: Sequence[Operand], graph: Graph, given: frozenset[Value] = frozenset()) -> set[Node]:
    """The nodes, placeholders among them, that `outputs` are computed by when the values of `given` are known."""
    wanted = {o for o in outputs if isinstance(o, Value)} - given
    nodes: set[Node] = set()
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.values):
            nodes.add(node)
            wanted.update(o for o in node.operands if o not in given)
    return nodes


def memory_of(value: Value) -> Value:
    """The value whose memory a view shows; itself, if it is no view."""
    while value.node.is_call and value.node.call_op.kind is Kind.VIEW:
        value = value.node.operands[0]
    return value
