"""The rules of an op as they read at one node: with its operands and attributes filled in.

Who asks has made sure, by `rule_of`, that the op has the rule.
"""

from __future__ import annotations

from typing import Any, cast

from tracegraph.ir.dim import Dim, is_one
from tracegraph.ir.graph import Node, Value
from tracegraph.ir.rules import (
    Contract,
    ContractRule,
    ElementRule,
    Index,
    Load,
    Reduce,
    ReduceRule,
    Rule,
    Scalar,
    Scan,
    ScanRule,
    Scatter,
    ScatterRule,
    rule_of,
)


def operand_types(node: Node) -> tuple[object, ...]:
    """The operands as `Op.infer` and the rules take them."""
    return tuple(a.type if isinstance(a, Value) else a for a in node.args)


def is_reduction(node: Node) -> bool:
    """Whether a call combines terms over a domain: it has a reduce or a contract rule."""
    return node.is_call and rule_of(node.call_op) in (Rule.REDUCE, Rule.CONTRACT)


def element(node: Node, k: Any, load: Load, index: tuple[Index, ...]) -> Scalar:
    """The element of a call at `index`, by its element rule."""
    return cast("ElementRule", node.call_op).element(k, load, index, operand_types(node), dict(node.attrs))


def reduce_rule(node: Node) -> Reduce:
    """What the reduce rule of a call says; a contraction is a sum of products."""
    if rule_of(node.call_op) is Rule.CONTRACT:
        return _sum_of_products(contract_rule(node), node)
    return cast("ReduceRule", node.call_op).reduce(operand_types(node), dict(node.attrs))


def scan_rule(node: Node) -> Scan:
    """What the scan rule of a call says."""
    return cast("ScanRule", node.call_op).scan(operand_types(node), dict(node.attrs))


def scatter_rule(node: Node) -> Scatter:
    """What the scatter rule of a call says."""
    return cast("ScatterRule", node.call_op).scatter(operand_types(node), dict(node.attrs))


def contract_rule(node: Node) -> Contract:
    """What the contract rule of a call says."""
    return cast("ContractRule", node.call_op).contract(operand_types(node), dict(node.attrs))


def label_sizes(rule: Contract, node: Node) -> dict[str, Dim]:
    """The size of every label of a contraction; an axis of size 1 gives way to another."""
    sizes: dict[str, Dim] = {}
    for labels, operand in zip((rule.lhs, rule.rhs), node.args, strict=False):
        assert isinstance(operand, Value)
        for label, size in zip(labels, operand.type.shape, strict=True):
            if label not in sizes or is_one(sizes[label]):
                sizes[label] = size
    return sizes


def _sum_of_products(rule: Contract, node: Node) -> Reduce:
    """A contraction as the sum over the labels that the result lacks."""
    sizes = label_sizes(rule, node)
    summed = [label for label in dict.fromkeys(rule.lhs + rule.rhs) if label not in rule.out]
    dtype = node.value.type.dtype

    def term(k: Any, load: Load, index: tuple[Index, ...], inner: tuple[Index, ...]) -> Scalar:
        at = dict(zip(rule.out, index, strict=True)) | dict(zip(summed, inner, strict=True))
        factors = [
            k.cast(load(n, tuple(at[x] for x in labels)), dtype.compute)
            for n, labels in enumerate((rule.lhs, rule.rhs))
        ]
        return factors[0] * factors[1]

    return Reduce(
        tuple(sizes[label] for label in summed), "add", dtype.compute, term, lambda k, total: k.cast(total, dtype)
    )
