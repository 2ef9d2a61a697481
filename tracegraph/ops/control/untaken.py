"""The branch of a `cond` that is not taken: what only it reads has a gradient, of zeros."""

from __future__ import annotations

from collections.abc import Iterable

from tracegraph import dtypes
from tracegraph.ir import Graph, Operand, Value
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Definition, Handle


def inputs_of(output: Operand, graph: Graph) -> list[int]:
    """Positions of the inputs of `graph` to whose gradients that of an output adds."""
    reached: set[Value] = set()
    todo = [output]
    while todo:
        value = todo.pop()
        if not isinstance(value, Value) or value in reached or not value.type.dtype.is_floating:
            continue
        reached.add(value)
        op = value.node.target if value.node.is_call else None
        if isinstance(op, Definition) and op.is_differentiable:
            todo += value.node.operands
    return [i for i, placeholder in enumerate(graph.placeholders) if placeholder in reached]


def joined(result: Handle, others: Iterable[Handle]) -> Handle:
    """`result`, of a history that leads to those of `others` that require grad, with zeros."""
    if not result.dtype.is_floating:
        return result
    for other in others:
        if other.requires_grad:
            never = result.new_tensor(False, dtype=dtypes.bool_)
            result = F.where(never, other.sum().to(result.dtype), result)
    return result
