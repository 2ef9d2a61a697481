"""One form for what can be written in several ways, so that later passes need to know only that one."""

from __future__ import annotations

from tracegraph.ir import Graph, Node, Operand, Rebuilder, Value
from tracegraph.ops.core.definition import Definition
from tracegraph.passes.pass_manager import graph_pass


@graph_pass
def canonicalise(graph: Graph) -> Graph:
    """Order the operands of commutative ops: tensors in the order they are made, then constants, then numbers.

    %0: f32[4] = exp(%x)                   %0: f32[4] = exp(%x)
    %1: f32[4] = add(%0, %x)        -->    %1: f32[4] = add(%x, %0)
    %2: f32[4] = mul(2, %1)                %2: f32[4] = mul(%1, 2)
    return %2                              return %2
    """
    position = {value: i for i, node in enumerate(graph.nodes) for value in node.values}
    swapped = {node for node in graph.nodes if _is_unordered(node, position)}
    if not swapped:
        return graph
    rebuilder = Rebuilder(graph)
    for node in graph.nodes:
        if node not in swapped:
            rebuilder.copy(node)
            continue
        first, second, *rest = rebuilder.operands(node)
        rebuilder.builder.location = node.location
        rebuilder.replace(node, *rebuilder.builder.call_all(node.call_op, second, first, *rest, **node.attrs))
    return rebuilder.graph


def _is_unordered(node: Node, position: dict[Value, int]) -> bool:
    op = node.target
    if not isinstance(op, Definition) or not op.commutative:
        return False
    first, second = (_rank(a, position) for a in node.args[:2])
    return second < first


def _rank(operand: Operand, position: dict[Value, int]) -> int:
    """Tensors by position, constants after all of them, whatever is no tensor last."""
    if not isinstance(operand, Value):
        return 2 * len(position)
    return position[operand] + len(position) * (operand.node.op == "constant")
