"""Fusion: nodes that can share loops become one kernel.

    %0 = mul(%x, 2); %1 = amax(%0, dim=[1], keepdim=true); %2 = sub(%0, %1); %3 = exp(%2); return %3
    -->
    %0 = fused(%x, body=graph body(...) {mul, amax, sub, exp}, loops=[s0, 64], reduced=[1], stores=[[0, 1]])

One pass over the nodes, in order. A node joins the group that computes one of its operands if the group's loops fit
(`fusion_group`), else it begins a group. Then the groups of its other operands are merged in where loops agree, or
absorbed where nothing else reads them and evaluating them at the positions read costs no more than computing them
once. At the end, groups that read the same value with the same loops are merged, so that it is read once.

- Values needed outside their group are results of the fused node; everything else lives in registers.
- Views, small constants and cheap functions of one value are copied into every group that reads through them.
- Groups never form a cycle: a group is not joined by a node that also depends on it through another group.
- Only reductions over the same loops share a group; the code generator runs them in rounds over these loops.

What an op is follows from its rules (`ir.rules`); matrix products and ops without rules stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracegraph.ir import Graph, Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.bounds import at_most
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.passes.fused_graph import fused_graph
from tracegraph.passes.fusion_group import (
    MAX_NODES,
    MAX_OPERANDS,
    Fit,
    Group,
    absorb,
    first_fit,
    fit,
    join,
    merge,
    merged_loops,
    new_group,
    opaque_group,
    site_of,
)
from tracegraph.passes.fusion_reads import FreeNodes, Reads, is_empty
from tracegraph.passes.pass_manager import graph_pass

#: work per element up to which a value may be evaluated more often than it has elements
CHEAP = 4.0
_GROUPED = (Rule.ELEMENT, Rule.REDUCE, Rule.SCATTER, Rule.SCAN)


@graph_pass
def fuse(graph: Graph) -> Graph:
    """Nodes that can share loops become one `fused` node, a kernel.

    %0 = exp(%x); %1 = sum(%0, dim=[1], keepdim=false); return %1
    -->
    %0 = fused(%x, body=graph body(...) {exp, sum}, loops=[s0, 64], reduced=[1], sizes=[s0], stores=[[0]]); return %0
    """
    return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.free = FreeNodes()
        self.position = {node: n for n, node in enumerate(graph.nodes)}
        self.group_of: dict[Node, Group] = {}
        self.reads: dict[Node, Reads] = {}

    def run(self) -> Graph:
        for node in self.graph.calls:
            if node not in self.free:
                self._place(node)
        self._merge_readers()
        return fused_graph(self.graph, self.group_of, self.free)

    # ------------------------------------------------------------------------------------ placing nodes

    def _place(self, node: Node) -> None:
        if not _is_grouped(node):
            self._enter(opaque_group(node), node)
            return
        reads = self.reads[node] = self.free.reads_of(node)
        producers = self._producers(reads)
        group, place = self._joined(node, reads, producers)
        self._enter(group, node)
        if place is not None:
            sites = ((value, site_of(position, place)) for value, position in reads.found)
            group.read |= {value: site for value, site in sites if site is not None}
        for other in producers:
            if other is not group:
                self._take_in(group, other, node, reads, place)

    def _producers(self, reads: Reads) -> list[Group]:
        """The groups that compute what a node reads, largest loops first, latest first."""
        found = dict.fromkeys(self.group_of[v.node] for v, _ in reads.found if v.node in self.group_of)
        return sorted(found, key=lambda g: (len(g.loops), self._span(g)[1]), reverse=True)

    def _joined(self, node: Node, reads: Reads, producers: list[Group]) -> tuple[Group, Fit | None]:
        """The group `node` goes to, and how it sits there; None for a scatter or a scan."""
        if rule_of(node.call_op) in (Rule.ELEMENT, Rule.REDUCE):
            for group in producers:
                place = fit(node, reads, group)
                if place is not None and not self._closes_cycle(node, group) and self._has_room(group, [node]):
                    join(group, node, place)
                    return group, place
        group = new_group(node)
        return group, None if group.root is not None else first_fit(node, group)

    def _enter(self, group: Group, node: Node) -> None:
        self.group_of[node] = group
        group.before |= {g for g in self._sources(node) if g is not group}

    def _take_in(self, group: Group, other: Group, node: Node, reads: Reads, place: Fit | None) -> None:
        """Merge or absorb a group whose results `node`, newly in `group`, reads."""
        if self._depends(other, group) or self._depends_beyond(group, other) or not self._has_room(group, other.nodes):
            return
        taken = [(v, i) for v, i in reads.found if v in other.sites]
        sites = [(site_of(i, place) if place else None, other.sites[v]) for v, i in taken]
        shared = [(mine, theirs) for mine, theirs in sites if mine is not None and theirs is not None]
        loop_of = merged_loops(group, other, shared) if len(shared) == len(taken) else None
        if loop_of is not None:
            merge(group, other, loop_of)
            self._replace(other, group)
        elif self._may_absorb(group, other, node, reads):
            absorb(group, other)
            self._replace(other, group)

    def _may_absorb(self, group: Group, other: Group, node: Node, reads: Reads) -> bool:
        """Whether evaluating `other` where `node` reads it saves work: nothing else needs it, nor more elements."""
        if not other.is_pointwise or len(group.nodes) + len(other.nodes) > MAX_NODES:
            return False
        if any(user is not node and user not in other.nodes for v in other.sites for user in self._users(v)):
            return False
        if any(n.may_raise and not dims.same(reads.volume, n.value.type.numel) for n in other.nodes):
            return False  # what is checked is checked for every element
        if sum(self.reads[n].cost for n in other.nodes) <= CHEAP:
            return True
        taken = [v for v, _ in reads.found if v in other.sites]
        return len(taken) == 1 and at_most(reads.volume, taken[0].type.numel)

    def _replace(self, old: Group, new: Group) -> None:
        """Let `new` stand for `old`, whose nodes it has taken."""
        for node in old.nodes:
            self.group_of[node] = new
        for group in set(self.group_of.values()):
            if old in group.before:
                group.before.discard(old)
                group.before.add(new)
        new.before |= old.before
        new.before.discard(new)
        new.before.discard(old)

    # ------------------------------------------------------------------------------------ readers of one value

    def _merge_readers(self) -> None:
        """Merge independent groups that walk over the same value in the same loops."""
        for value in [v for node in self.graph.nodes for v in node.values]:
            readers = dict.fromkeys(
                g for user in self._users(value) if (g := self.group_of.get(user)) and len(g.read.get(value, ())) > 0
            )
            for group in readers:
                for other in readers:
                    if self._is_current(group) and self._is_current(other) and group is not other:
                        self._merge_if_independent(group, other, value)

    def _is_current(self, group: Group) -> bool:
        return self.group_of[group.nodes[0]] is group

    def _merge_if_independent(self, group: Group, other: Group, value: Value) -> None:
        mine, theirs = group.read[value], other.read[value]
        if len([n for n in mine if n >= 0]) != len(group.loops) or self._depends(group, other):
            return
        if self._depends(other, group) or not self._has_room(group, other.nodes):
            return
        loop_of = merged_loops(group, other, [(mine, theirs)])
        if loop_of is not None:
            merge(group, other, loop_of)
            self._replace(other, group)

    # ------------------------------------------------------------------------------------ the graph of groups

    def _sources(self, node: Node) -> Iterator[Group]:
        """The groups whose results `node` needs, directly or through free nodes."""
        for operand in node.operands:
            if operand.node in self.group_of:
                yield self.group_of[operand.node]
            elif operand.node in self.free:
                yield from self._sources(operand.node)

    def _users(self, value: Value) -> Iterator[Node]:
        """The nodes that need `value`, seen through free nodes."""
        for user in value.users:
            if user in self.free:
                for result in user.values:
                    yield from self._users(result)
            else:
                yield user

    def _closes_cycle(self, node: Node, group: Group) -> bool:
        """Whether `node` depends on `group` through another group too."""
        return any(other is not group and self._depends(other, group) for other in self._sources(node))

    def _depends_beyond(self, group: Group, other: Group) -> bool:
        """Whether `group` depends on `other` through a third group."""
        return any(third is not other and self._depends(third, other) for third in group.before)

    def _depends(self, group: Group, other: Group) -> bool:
        """Whether `group` depends on `other`, directly or not."""
        earliest = self._span(other)[0]
        seen, stack = {group}, [group]
        while stack:
            for before in stack.pop().before:
                if before is other:
                    return True
                if before not in seen and self._span(before)[1] > earliest:
                    seen.add(before)
                    stack.append(before)
        return False

    def _span(self, group: Group) -> tuple[int, int]:
        """The first and the last position of a group's nodes."""
        positions = [self.position[n] for n in group.nodes]
        return min(positions), max(positions)

    def _has_room(self, group: Group, nodes: list[Node]) -> bool:
        """Whether the kernel stays of a size that compiles well with `nodes` in it."""
        together = {*group.nodes, *nodes}
        read = {o for n in together for o in n.operands if o.node not in together}
        return len(together) <= MAX_NODES and len(read) <= MAX_OPERANDS


def _is_grouped(node: Node) -> bool:
    """Whether a node may share a kernel: it has loops, and runs them."""
    return rule_of(node.call_op) in _GROUPED and node.is_pure and not is_empty(node.value)
