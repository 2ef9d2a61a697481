"""Keys of what a graph says, for tables of work already done: equal for equal content, whatever the names.

An unrolled loop repeats the same few small graphs many times; what is found out about one of them holds for all.
Keys compare sizes by their terms, so looking one up never asks for a decision about symbolic sizes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.types import TensorType

#: constants with more elements are compared by identity
COMPARED_ELEMENTS = 1024


def value_key(value: object) -> Hashable:
    """Equal for equal numbers of one type, sizes, types and attributes; 0.0 and -0.0 differ, as do 1, 1.0 and true."""
    if isinstance(value, float):
        return "float", value.hex()
    if isinstance(value, SymExpr):
        return value.terms
    if isinstance(value, tuple):
        return tuple(map(value_key, value))
    if isinstance(value, TensorType):
        return value.dtype.name, dims_key(value.shape)
    if isinstance(value, Graph):
        return graph_signature(value)
    return type(value), value


def dims_key(shape: Sequence[Dim]) -> Hashable:
    """Equal for shapes of the same expressions."""
    return tuple([d.terms if isinstance(d, SymExpr) else d for d in shape])


def constant_key(array: np.ndarray) -> Hashable:
    """Equal for arrays of the same bits; large ones must be the same object, and stay alive as long as the key."""
    if array.size > COMPARED_ELEMENTS:
        return "constant", id(array)
    return "constant", array.dtype, array.shape, array.tobytes()


def attributes_key(node: Node) -> Hashable:
    """Equal for the same attributes."""
    return tuple([(name, value_key(value)) for name, value in sorted(node.attrs.items())])


def call_signature(node: Node) -> Hashable:
    """Equal for calls of one op with the same attributes on operands of the same types, repeated alike.

    What the operands are does not matter, except for constants of one element, which kernels contain.
    """
    numbers: dict[Value, int] = {}
    operands = []
    for operand in node.args:
        if not isinstance(operand, Value):
            operands.append(value_key(operand))
        elif operand in numbers:
            operands.append(("again", numbers[operand]))
        else:
            numbers[operand] = len(numbers)
            operands.append(source_key(operand))
    return node.call_op.name, tuple(operands), attributes_key(node)


def graph_signature(graph: Graph) -> Hashable:
    """Equal for graphs of the same nodes in the same order."""
    numbers: dict[Value, int] = {}
    nodes: list[Hashable] = []
    for node in graph.nodes:
        operands = tuple([("%", numbers[a]) if isinstance(a, Value) else value_key(a) for a in node.args])
        if node.is_call:
            nodes.append((node.call_op.name, operands, attributes_key(node)))
        else:
            nodes.append((node.op, operands, *(source_key(v) for v in node.values)))
        for value in node.values:
            numbers[value] = len(numbers)
    return tuple(nodes)


def source_key(value: Value) -> Hashable:
    """What a reader may know of a value without looking at how it is computed."""
    array = value.node.target
    if isinstance(array, np.ndarray) and array.size == 1:
        return constant_key(array)
    return value_key(value.type)
