"""Composite ops in terms of simpler ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph.ir import Builder, Graph, Operand, Rebuilder, Value
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Recorder
from tracegraph.passes.pass_manager import graph_pass


def has_rule(op: Definition) -> bool:
    """Whether the code generator is told by the op itself how to compute it."""
    return rule_of(op) is not Rule.NONE


@graph_pass
def decompose(graph: Graph, keep: Callable[[Definition], bool] = has_rule) -> Graph:
    """Replace ops by their decompositions until only ops are left that `keep` wants or that have none.

        %0: f32[4, 8] = linear(%x, %w, %b)     %0: f32[3, 8] = permute(%w, dims=[1, 0])
        return %0                       -->    %1: f32[4, 8] = matmul(%x, %0)
                                               %2: f32[4, 8] = add(%1, %b)
                                               return %2

    By default the ops are kept that have a rule for the code generator.
    """
    if not any(_expands(node.target, keep) for node in graph.nodes):
        return graph
    rebuilder = Rebuilder(graph)
    expander = _Expander(rebuilder.builder, keep)
    for node in graph.nodes:
        op = node.target
        if isinstance(op, Definition) and _expands(op, keep):
            rebuilder.builder.location = node.location
            rebuilder.replace(node, *expander.expand(op, rebuilder.operands(node), dict(node.attrs)))
        else:
            rebuilder.copy(node)
    return rebuilder.graph


def _expands(op: object, keep: Callable[[Definition], bool]) -> bool:
    return isinstance(op, Definition) and op.decompose is not None and not keep(op)


class _Expander(Recorder):
    """Records calls, ops to be decomposed as the calls they are made of."""

    def __init__(self, builder: Builder, keep: Callable[[Definition], bool]) -> None:
        super().__init__(builder)
        self.keep = keep

    def expand(self, op: Definition, operands: tuple[Operand, ...], attrs: dict[str, Any]) -> list[Value]:
        """The results of a call, made of simpler ones."""
        handles = tuple(self.traced(a) if isinstance(a, Value) else a for a in operands)
        results = self.handle(op, handles, attrs)
        return [r.value for r in (results if isinstance(results, tuple) else (results,))]

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if not _expands(op, self.keep):
            return super().handle(op, operands, attrs)
        assert op.decompose is not None
        with self.active():
            return op.expand(operands, attrs)
