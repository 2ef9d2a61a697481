"""Common subexpression elimination."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from tracegraph.ir import Graph, Node, Rebuilder, Value
from tracegraph.ir.signature import attributes_key, constant_key, value_key
from tracegraph.passes.pass_manager import graph_pass


@graph_pass
def cse(graph: Graph) -> Graph:
    """Make equal pure calls, and equal constants, once.

        %0: f32[4] = exp(%x)                   %0: f32[4] = exp(%x)
        %1: f32[4] = exp(%x)            -->    %1: f32[4] = add(%0, %0)
        %2: f32[4] = add(%0, %1)               return %1
        return %2

    Numbers are equal if they are the same number of the same type: 0.0 and -0.0 differ, and so do 1, 1.0 and true.
    """
    first: dict[Hashable, Node] = {}
    leader: dict[Value, Value] = {}
    for node in graph.nodes:
        key = _key(node, leader)
        if key is None:
            continue
        known = first.setdefault(key, node)
        if known is not node:
            leader.update(zip(node.values, known.values, strict=True))
    if not leader:
        return graph
    rebuilder = Rebuilder(graph)
    for node in graph.nodes:
        if node.values and node.values[0] in leader:
            rebuilder.replace(node, *(rebuilder.mapping[leader[v]] for v in node.values))
        else:
            rebuilder.copy(node)
    return rebuilder.graph


def _key(node: Node, leader: dict[Value, Value]) -> Hashable | None:
    """Equal for nodes that compute the same; None for nodes that must stay."""
    if isinstance(node.target, np.ndarray):
        return constant_key(node.target)
    if not node.is_call or not node.is_pure or not node.values:
        return None
    operands = tuple(leader.get(a, a) if isinstance(a, Value) else value_key(a) for a in node.args)
    return node.call_op.name, operands, attributes_key(node)
