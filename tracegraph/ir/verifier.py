"""The invariants of a graph, executable. Runs between passes in tests and under the debug setting."""

from __future__ import annotations

from tracegraph.errors import TracegraphError, VerifyError
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.printer import print_graph


def verify(graph: Graph) -> Graph:
    """Check `graph` and return it.

    Checked: placeholders first and one output last; every operand defined above its use (SSA); use lists exact;
    every stated type is what inference gives; nested graphs are valid too.

    Raises:
        VerifyError: the first violation, with the op, its operand types, the user's line and three lines of IR.
    """
    defined: set[Value] = set()
    uses: dict[Value, dict[Node, None]] = {}
    seen_other = False
    for position, node in enumerate(graph.nodes):
        if node.graph is not graph:
            _fail(graph, position, "the node belongs to another graph")
        if node.op == "placeholder" and seen_other:
            _fail(graph, position, "a placeholder stands after other nodes")
        seen_other |= node.op != "placeholder"
        if (node.op == "output") != (position == len(graph.nodes) - 1):
            _fail(graph, position, "the output must be the last node, and the last node the output")
        for operand in node.operands:
            if operand not in defined:
                _fail(graph, position, "an operand is not defined above its use")
            uses.setdefault(operand, {})[node] = None
        if node.op == "call":
            _check_call(graph, position, node)
        defined.update(node.values)
    for value in defined:
        if set(value.users) != set(uses.get(value, {})):
            _fail(graph, graph.nodes.index(value.node), "the use list does not match the uses")
    if not graph.nodes:
        raise VerifyError(f"graph {graph.name} is empty: it has no output")
    return graph


def _check_call(graph: Graph, position: int, node: Node) -> None:
    operands = [a.type if isinstance(a, Value) else a for a in node.args]
    try:
        node.call_op.check_call(operands, node.attrs)
    except TracegraphError as e:
        raise _failure(graph, position, str(e)) from e
    try:
        types = node.call_op.infer(*operands, **node.attrs)
    except TracegraphError as e:
        raise _failure(graph, position, f"inference fails: {e}") from e
    if types != tuple(v.type for v in node.values):
        _fail(graph, position, f"inference gives {', '.join(map(str, types))}")
    for attr in node.attrs.values():
        if isinstance(attr, Graph):
            verify(attr)


def _fail(graph: Graph, position: int, problem: str) -> None:
    raise _failure(graph, position, problem)


def _failure(graph: Graph, position: int, problem: str) -> VerifyError:
    node = graph.nodes[position]
    what = node.call_op.name if node.is_call else node.op
    operands = ", ".join(str(a.type) if isinstance(a, Value) else str(a) for a in node.args)
    where = f" at {node.location}" if node.location else ""
    return VerifyError(f"graph {graph.name}: {what}({operands}){where}: {problem}\n{_excerpt(graph, position)}")


def _excerpt(graph: Graph, position: int) -> str:
    """Three lines of IR around a node; a broken graph may not print, then only its node kinds."""
    try:
        lines = print_graph(graph).splitlines()[1:-1]
    except KeyError:  # an operand from nowhere has no name
        lines = [n.op for n in graph.nodes]
    inputs = sum(n.op == "placeholder" for n in graph.nodes)
    at = max(position - inputs, 0)
    return "\n".join(
        ("> " if i == at else "  ") + lines[i].strip() for i in range(max(at - 1, 0), min(at + 2, len(lines)))
    )
