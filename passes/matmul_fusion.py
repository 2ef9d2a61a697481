"""Several matrix products with a common factor as one wider product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tracegraph.ir import Graph, Node, Rebuilder, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.node_rules import contract_rule
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.passes.pass_manager import graph_pass

#: what one product costs beyond its work, in elements moved: the call, packing, uneven edges
CALL_OVERHEAD = 2048
#: example value of a symbolic size
TYPICAL_SIZE = 64


@graph_pass
def matmul_fusion(graph: Graph) -> Graph:
    """Multiply by a common factor in one product, where putting the other factors side by side costs less.

        %0: f32[512, 8] = matmul(%x, %u)        %0: f32[64, 16] = cat(%u, %v, dim=1)
        %1: f32[512, 8] = matmul(%x, %v)        %1: f32[512, 16] = matmul(%x, %0)
        return %0, %1                     -->   %2: f32[512, 8] = basic_index(%1, index=[[0, 512, 1], [0, 8, 1]])
                                                %3: f32[512, 8] = basic_index(%1, index=[[0, 512, 1], [8, 16, 1]])
                                                return %2, %3

    The same for a common right factor, with the left ones below each other. No product depends on another of its
    group.
    """
    groups = list(_groups(graph))
    if not groups:
        return graph
    fused = {node: group for group in groups for node in group.nodes}
    rebuilder = Rebuilder(graph)
    for node in _in_order(graph, fused):
        if node not in fused:
            rebuilder.copy(node)
        elif node.value not in rebuilder.mapping:
            _multiply(rebuilder, fused[node])
    return rebuilder.graph


@dataclass(frozen=True)
class Group:
    """Products of one op that share operand number `shared` and differ in the other."""

    shared: int
    nodes: tuple[Node, ...]

    @property
    def common(self) -> Value:
        return self.nodes[0].operands[self.shared]

    @property
    def others(self) -> tuple[Value, ...]:
        """The factors that differ."""
        return tuple(n.operands[1 - self.shared] for n in self.nodes)

    @cached_property
    def axes(self) -> tuple[int, int]:
        """The axis along which the other factors are put together, and that of the results."""
        labels = _free_axes(self.nodes[0], self.shared)
        assert labels is not None
        return labels

    def is_profitable(self) -> bool:
        """Whether reading the common factor once, in one call, saves more than the copies cost.

        The other factors are copied, unless they are constants, put together at compile time; so are results that the
        graph returns, which must be dense. Others are read where they lie. A copied element is read and written.
        """
        saved = (len(self.nodes) - 1) * (_elements(self.common) + CALL_OVERHEAD)
        returned = (n.value for n in self.nodes if any(user.op == "output" for user in n.users))
        copied = [*(v for v in self.others if v.node.op != "constant"), *returned]
        return 2 * sum(map(_elements, copied)) < saved


def _elements(value: Value) -> int:
    count = value.type.numel
    return int(dims.evaluate(count, dict.fromkeys(dims.symbols(count), TYPICAL_SIZE)))


# --------------------------------------------------------------------------------------------- finding groups


def _groups(graph: Graph) -> Iterator[Group]:
    """Profitable groups; a product is in one of them at most."""
    merged: dict[Node, tuple[Node, ...]] = {}
    for shared in (0, 1):
        candidates: dict[object, list[Node]] = {}
        for node in graph.calls:
            if node not in merged and (key := _key(node, shared)) is not None:
                candidates.setdefault(key, []).append(node)
        for nodes in candidates.values():
            if len(nodes) > 1:
                group = Group(shared, _independent(nodes, merged))
                if len(group.nodes) > 1 and group.is_profitable():
                    merged.update(dict.fromkeys(group.nodes, group.nodes))
                    yield group


def _key(node: Node, shared: int) -> object | None:
    """Equal for products that fit together; None for what is no product or has no free axis of known size."""
    axes = _free_axes(node, shared)
    if axes is None:
        return None
    other = node.operands[1 - shared].type
    rest = tuple(str(d) for axis, d in enumerate(other.shape) if axis != axes[0])
    known = dims.is_static(other.shape[axes[0]])
    return (node.call_op, node.operands[shared], other.dtype, axes, rest) if known else None


def _free_axes(node: Node, shared: int) -> tuple[int, int] | None:
    """The one axis that only the other factor has: where it is in that factor, and in the result."""
    if not node.is_call or rule_of(node.call_op) is not Rule.CONTRACT or len(node.operands) != 2 or node.attrs:
        return None
    rule = contract_rule(node)
    labels = (rule.lhs, rule.rhs)
    free = [label for label in labels[1 - shared] if label not in labels[shared] and label in rule.out]
    if len(free) != 1 or len(labels[1 - shared]) != 2:
        return None
    return labels[1 - shared].index(free[0]), rule.out.index(free[0])


def _independent(nodes: Iterable[Node], merged: Mapping[Node, tuple[Node, ...]]) -> tuple[Node, ...]:
    """Those of `nodes`, first come first served, of which none depends on another; merged products count as one."""
    chosen: list[Node] = []
    below: set[Node] = set()
    for node in nodes:
        if node in below:
            continue
        dependents = _dependents(node, merged)
        if dependents.isdisjoint(chosen):
            chosen.append(node)
            below |= dependents
    return tuple(chosen)


def _dependents(node: Node, merged: Mapping[Node, tuple[Node, ...]]) -> set[Node]:
    """All nodes that use results of `node`, directly or not."""
    found: set[Node] = set()
    todo = [node]
    while todo:
        for user in todo.pop().users:
            fresh = {user, *merged.get(user, ())} - found
            found |= fresh
            todo.extend(fresh)
    return found


# --------------------------------------------------------------------------------------------- rebuilding


def _in_order(graph: Graph, fused: Mapping[Node, Group]) -> Iterator[Node]:
    """The nodes, each after what it needs; a product in a group needs the operands of the whole group."""
    done: set[Node] = set()
    for root in graph.nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            together = fused[node].nodes if node in fused else (node,)
            needed = [v.node for member in together for v in member.operands if v.node not in done]
            if node not in done and needed:
                stack.extend(reversed(needed))
                continue
            stack.pop()
            if node not in done:
                done.update(together)
                yield node


def _multiply(rebuilder: Rebuilder, group: Group) -> None:
    """One product for a group, and the part of each member."""
    builder = rebuilder.builder
    builder.location = group.nodes[0].location
    axis, result_axis = group.axes
    arrays = [v.node.target for v in group.others if isinstance(v.node.target, np.ndarray)]
    if len(arrays) == len(group.others):
        joined = builder.constant(np.concatenate(arrays, axis))
    else:
        joined = builder.call(lookup("cat"), *map(rebuilder.operand, group.others), dim=axis)
    factors = [rebuilder.operand(group.common), joined]
    product = builder.call(group.nodes[0].call_op, *(factors if group.shared == 0 else reversed(factors)))
    start: Dim = 0
    for node, other in zip(group.nodes, group.others, strict=True):
        stop = start + other.type.shape[axis]
        builder.location = node.location
        index = (*((0, n, 1) for n in product.type.shape[:result_axis]), (start, stop, 1))
        rebuilder.replace(node, builder.call(lookup("basic_index"), product, index=index))
        start = stop
