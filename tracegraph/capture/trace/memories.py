"""Where the values of a graph being recorded lie: in whose memory, under whose version counter, with whose history."""

from __future__ import annotations

from tracegraph.ir import Graph, Node, Value
from tracegraph.ops.kinds import View


def written_positions(node: Node) -> tuple[int, ...]:
    """Positions of the operands that a call writes to."""
    return getattr(node.call_op, "mutates", ())


def root_of(value: Value) -> Value:
    """The value whose memory `value` views, itself if it is no view."""
    while value.node.is_call and isinstance(value.node.target, View):
        value = value.node.operands[0]
    return value


def written_roots(graph: Graph) -> set[Value]:
    """The values in whose memory a graph writes."""
    return {root_of(node.operands[i]) for node in graph.calls for i in written_positions(node)}


def is_rebinding(node: Node) -> bool:
    """Whether a call gives a tensor other memory."""
    return node.is_call and bool(getattr(node.target, "rebinds", ()))


def beginning(value: Value) -> Value:
    """The value at which the history of a leaf begins: what it was before it was given other memory."""
    while is_rebinding(value.node):
        (position,) = value.node.call_op.rebinds  # type: ignore[attr-defined]
        value = value.node.operands[position]
    return value


def counter_of(value: Value) -> Value:
    """The value whose version counter `value` shares, itself if that is its own."""
    while value.node.is_call and isinstance(value.node.target, View):
        if is_rebinding(value.node):
            value = beginning(value)
        elif view_op(value.node).shares_version:
            value = value.node.operands[0]
        else:
            break
    return value


def view_chain(base: Value, view: Value) -> list[Node]:
    """The views that make `view` of `base`, first applied first."""
    chain: list[Node] = []
    while view is not base:
        chain.insert(0, view.node)
        view = view.node.operands[0]
    return chain


def view_op(node: Node) -> View:
    """The operation of a view."""
    assert isinstance(node.target, View)
    return node.target


def is_tracked_view(node: Node) -> bool:
    """Whether a node makes a view that follows the history of what it views."""
    return node.is_call and isinstance(node.target, View) and node.target.shares_history
