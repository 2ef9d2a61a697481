"""Rules that follow from what ops state of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from tracegraph.ir.op import REGISTRY
from tracegraph.ops.core.definition import Definition
from tracegraph.passes.rewrite import Rule


def property_rules() -> Iterator[Rule]:
    """f(f(x)) == x for involutions, f(f(x)) == f(x) for idempotent ops; further arguments must agree."""
    for op in REGISTRY.values():
        if isinstance(op, Definition) and op.involution:
            yield Rule(f"{_applied(op, _applied(op, 'x'))} -> x")
        if isinstance(op, Definition) and op.idempotent:
            yield Rule(f"{_applied(op, _applied(op, 'x'))} -> {_applied(op, 'x')}")


def _applied(op: Definition, operand: str) -> str:
    """The text of a call, with a variable for every parameter after the first."""
    operands, attributes = iter("ab"), iter("pqr")
    rest = [next(operands) if p.is_operand else f"{p.name}={next(attributes)}" for p in op.binder.parameters[1:]]
    return f"{op.name}({', '.join([operand, *rest])})"
