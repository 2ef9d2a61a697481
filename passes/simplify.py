"""Algebraic simplification: every call is tried against the rewrite rules as it is made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from tracegraph.ir import Graph, Node, Operand, Rebuilder, Value
from tracegraph.ir.op import Op
from tracegraph.passes.pass_manager import graph_pass
from tracegraph.passes.rewrite import Candidate, Exactness, Rule, build
from tracegraph.passes.rules import ALL_RULES

RulesByOp: TypeAlias = Mapping[str, list[Rule]]


@graph_pass
def simplify(graph: Graph, fastmath: bool = False) -> Graph:
    """Apply the rewrite rules of `passes/rules` wherever they match.

        %0: f32[4] = neg(%x)
        %1: f32[4] = neg(%0)            -->    %0: f32[4] = exp(%x)
        %2: f32[4] = mul(%1, 1)                return %0
        %3: f32[4] = exp(%2)
        return %3

    Rules make terms smaller or bring them to the form that other rules expect, so this ends. With `fastmath` the
    rules that change nan, infinities, signed zeros or roundings apply too.
    """
    return apply_rules(graph, rules_by_op(fastmath))


def apply_rules(graph: Graph, rules: RulesByOp) -> Graph:
    """Apply rules, given by the op they begin with; `graph` itself if none matches."""
    simplifier = _Simplifier(graph, rules)
    for node in graph.nodes:
        simplifier.visit(node)
    return simplifier.rebuilder.graph if simplifier.applied else graph


@cache
def rules_by_op(fastmath: bool) -> RulesByOp:
    """The rules that may be applied, by the op they begin with, in the order of their files."""
    found: dict[str, list[Rule]] = {}
    for rule in ALL_RULES:
        if fastmath or rule.exactness is not Exactness.FASTMATH:
            found.setdefault(rule.pattern.op, []).append(rule)
    return found


class _Simplifier:
    """Rebuilds a graph; operands are simplified before the calls that use them."""

    def __init__(self, graph: Graph, rules: RulesByOp) -> None:
        self.rebuilder = Rebuilder(graph)
        self.rules = rules
        self.applied = 0

    def visit(self, node: Node) -> None:
        if node.is_call and len(node.values) == 1 and node.call_op.name in self.rules:
            self.rebuilder.builder.location = node.location
            operands = self.rebuilder.operands(node)
            candidate = Candidate(node.call_op, operands, node.attrs, node.value.type)
            replacement = self.rewritten(candidate)
            if replacement is not None:
                self.rebuilder.replace(node, replacement)
                return
        self.rebuilder.copy(node)

    def rewritten(self, candidate: Candidate) -> Operand:
        """What the first rule that matches puts in the place of a call; None if no rule does."""
        for rule in self.rules.get(candidate.op.name, ()):
            bindings = rule.match(candidate)
            if bindings is not None:
                self.applied += 1
                return build(rule.replacement, bindings, candidate.type, self.call)
        return None

    def call(self, op: Op, operands: tuple[Operand, ...], attrs: Mapping[str, object]) -> Value:
        """Append a call, itself simplified first."""
        builder = self.rebuilder.builder
        types = op.infer(*(o.type if isinstance(o, Value) else o for o in operands), **attrs)
        replacement = self.rewritten(Candidate(op, operands, attrs, types[0]))
        if isinstance(replacement, Value):
            return replacement
        return builder.call(op, *operands, **attrs)
