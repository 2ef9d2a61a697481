"""Text form of graphs. Values are numbered densely, attributes sorted, user lines are comments.

`print_graph(parse(text)) == text` holds for every text this module prints, apart from large constants, which print
as a digest (`constant(#1f3a9c02)`) and must be handed to the parser by that digest.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from tracegraph.dtypes import DType
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.graph import Graph, Node, Operand, Value
from tracegraph.ir.op import Op

# Constants up to this many elements print in full.
INLINE_ELEMENTS = 16


def print_graph(graph: Graph, indent: str = "") -> str:
    """The text of `graph`; a graph without an output yet prints without its return line."""
    names = value_names(graph)
    inputs = ", ".join(_placeholder(n, names) for n in graph.nodes if n.op == "placeholder")
    lines = [f"{indent}graph {graph.name}({inputs}) {{"]
    for node in graph.nodes:
        if node.op != "placeholder":
            lines.append(_with_location(f"{indent}  {_node(node, names, indent + '  ')}", node))
    lines.append(f"{indent}}}")
    return "\n".join(lines)


def print_node(node: Node) -> str:
    """One line of the graph's text."""
    names = value_names(node.graph)
    return _placeholder(node, names) if node.op == "placeholder" else _node(node, names, "")


def value_names(graph: Graph) -> dict[Value, str]:
    """`%x` for named placeholders, `%c0` for constants, `%0`, `%1`, ... for results of calls."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    calls = constants = 0
    for node in graph.nodes:
        for value in node.values:
            if node.op == "placeholder":
                name = _unique(node.name or f"arg{len(names)}", taken)
            elif node.op == "constant":
                name = _unique(f"c{constants}", taken)
                constants += 1
            else:
                name = str(calls)
                calls += 1
            names[value] = f"%{name}"
    return names


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 1
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate


def _placeholder(node: Node, names: dict[Value, str]) -> str:
    role = f" {node.role.value}" if node.role else ""
    return f"{names[node.value]}: {node.value.type}{role}"


def _node(node: Node, names: dict[Value, str], indent: str) -> str:
    if node.op == "output":
        return f"return {', '.join(operand_text(a, names) for a in node.args)}".rstrip()
    results = ", ".join(f"{names[v]}: {v.type}" for v in node.values)
    if node.op == "constant":
        assert isinstance(node.target, np.ndarray)
        return f"{results} = constant({constant_text(node.target)})"
    parts = [operand_text(a, names) for a in node.args]
    parts += [f"{key}={attr_text(value, indent)}" for key, value in sorted(node.attrs.items())]
    call = f"{node.call_op.name}({', '.join(parts)})"
    return f"{results} = {call}" if results else call


def _with_location(line: str, node: Node) -> str:
    return f"{line:<60}  // {node.location}" if node.location else line


def operand_text(operand: Operand, names: dict[Value, str]) -> str:
    """The name of a value, or the text of a number."""
    return names[operand] if isinstance(operand, Value) else attr_text(operand)


def attr_text(value: object, indent: str = "") -> str:
    """The text of an attribute: numbers, true, none, "strings", dtypes, [lists], nested graphs."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, int | SymExpr):
        return str(value)
    if isinstance(value, DType):
        return value.name
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(attr_text(v, indent) for v in value)}]"
    if isinstance(value, Graph):
        return print_graph(value, indent).lstrip()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be an attribute")


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)


def constant_text(array: np.ndarray) -> str:
    """`[1.0, 2.0]` for a small array, `#digest` for a large one."""
    if array.size > INLINE_ELEMENTS:
        return f"#{constant_digest(array)}"
    return attr_text(array.astype(np.float64).ravel().tolist() if array.dtype.kind in "fV" else array.ravel().tolist())


def constant_digest(array: np.ndarray) -> str:
    """The name of a large constant in IR text."""
    header = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def tabular(graph: Graph) -> str:
    """FX's `print_tabular` as text: opcode, name, target, args, kwargs."""
    names = value_names(graph)
    rows = [("opcode", "name", "target", "args", "kwargs")]
    for node in graph.nodes:
        target = node.target.name if isinstance(node.target, Op) else node.name or node.op
        args = "(" + ", ".join(operand_text(a, names) for a in node.args) + ")"
        attrs = ", ".join(f"{k}={_cell(v)}" for k, v in sorted(node.attrs.items()))
        rows.append((node.op, ", ".join(names[v] for v in node.values) or "output", target, args, attrs))
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def _cell(attr: object) -> str:
    """An attribute on one line."""
    return f"graph {attr.name}" if isinstance(attr, Graph) else attr_text(attr)
