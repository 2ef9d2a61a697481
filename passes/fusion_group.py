"""Groups of nodes that become one kernel, and when a node or another group may join.

A group has loops, and every value in it a site: the loop that each of its axes runs along (-1 for an axis of size 1).

    loops [n, 64], reduced {1}:   x * 2 at (0, 1)     sum(x * 2, dim=1) at (0,)     its mean, kept, at (0, -1)

Sites use all loops, or exactly those that are not reduced; so every value is computed once per element. A reader
joins if the positions it reads agree with the sites; that fixes its own site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tracegraph.ir import Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.evaluator import Position
from tracegraph.ir.loop_nest import Nest, nest_of
from tracegraph.ir.node_rules import reduce_rule
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.passes.fusion_reads import Reads, variables

#: nodes and operands per kernel: beyond, compile time grows and registers run out
MAX_NODES, MAX_OPERANDS = 48, 24

Site = tuple[int, ...]


@dataclass(eq=False)
class Group:
    """Nodes of one kernel.

    Attributes:
        loops: their extents; empty also for a group around a scatter or a scan, which has loops of its own.
        reduced: the reduced loops, in order.
        sites: where values are computed; None for values evaluated wherever they are read.
        read: sites at which values from elsewhere are read, of those that are read at one.
        root: the scatter or scan that the group ends in.
        opaque: whether the group is one node that is no kernel: a product, a library call.
        before: groups this one depends on, directly.
    """

    loops: tuple[Dim, ...]
    reduced: tuple[int, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    sites: dict[Value, Site | None] = field(default_factory=dict)
    read: dict[Value, Site] = field(default_factory=dict)
    root: Node | None = None
    opaque: bool = False
    before: set[Group] = field(default_factory=set)

    @property
    def outer(self) -> tuple[int, ...]:
        return tuple(n for n in range(len(self.loops)) if n not in self.reduced)

    @property
    def has_own_loops(self) -> bool:
        """Whether no other group can share the loops of this one."""
        return self.root is not None or self.opaque

    @property
    def is_pointwise(self) -> bool:
        return (
            not self.reduced
            and not self.has_own_loops
            and not any(rule_of(n.call_op) is Rule.REDUCE for n in self.nodes)
        )

    def admits(self, site: Sequence[int], reduced: Sequence[int]) -> bool:
        """Whether a value may be computed at `site` if the loops `reduced` are reduced."""
        used = sorted(n for n in site if n >= 0)
        outer = [n for n in range(len(self.loops)) if n not in reduced]
        return used == outer or used == list(range(len(self.loops)))

    def nest(self, results: Sequence[Value]) -> Nest | None:
        """The loops as the fused node states them."""
        if self.root is not None:
            return None
        return Nest(self.loops, self.reduced, tuple(self.sites[v] or () for v in results))


def opaque_group(node: Node) -> Group:
    """A group that stays one node."""
    return Group((), nodes=[node], sites=dict.fromkeys(node.values), opaque=True)


def new_group(node: Node) -> Group:
    """A group of one node that has an element, reduce, scatter or scan rule."""
    if rule_of(node.call_op) not in (Rule.ELEMENT, Rule.REDUCE):
        return Group((), nodes=[node], sites=dict.fromkeys(node.values), root=node)
    nest = nest_of(node)
    return Group(nest.loops, nest.reduced, [node], {node.value: nest.stores[0]})


def first_fit(node: Node, group: Group) -> Fit:
    """How the only node of a new group sits in it."""
    site = group.sites[node.value] or ()
    axes = variables("a", node.value.type.shape)
    loop_of = {str(v): n for v, n in zip(axes, site, strict=True) if isinstance(v, SymExpr)}
    if rule_of(node.call_op) is Rule.REDUCE:
        inner = [v for v in variables("r", reduce_rule(node).extents) if isinstance(v, SymExpr)]
        loop_of |= {str(v): n for v, n in zip(inner, group.reduced, strict=True)}
    return Fit(site, group.reduced, loop_of)


@dataclass(frozen=True)
class Fit:
    """How a node joins a group: where its result is computed, and which loops are reduced afterwards."""

    site: Site
    reduced: tuple[int, ...]
    #: the loop of each variable of the node
    loop_of: Mapping[str, int]


def fit(node: Node, reads: Reads, group: Group) -> Fit | None:
    """The place of `node` in `group`, which computes something that it reads; None if the loops do not fit."""
    if group.has_own_loops or len(group.nodes) >= MAX_NODES:
        return None
    loop_of = _unify(((group.sites[v], i) for v, i in reads.found if v in group.sites), {})
    if loop_of is None:
        return None
    shape = node.value.type.shape
    extents = reduce_rule(node).extents if rule_of(node.call_op) is Rule.REDUCE else ()
    axes, inner = variables("a", shape), variables("r", extents)
    sizes = {str(v): d for v, d in zip((*axes, *inner), (*shape, *extents), strict=True) if isinstance(v, SymExpr)}
    if not _complete(loop_of, sizes, group) or not _same_sizes(loop_of, sizes, group):
        return None
    site = tuple(loop_of[str(v)] if isinstance(v, SymExpr) else -1 for v in axes)
    reduced = group.reduced
    if rule_of(node.call_op) is Rule.REDUCE:
        reduced = tuple(loop_of[str(v)] for v in inner if isinstance(v, SymExpr))
        if list(reduced) != sorted(reduced) or (not group.is_pointwise and reduced != group.reduced):
            return None
        if sorted((*reduced, *(n for n in site if n >= 0))) != list(range(len(group.loops))):
            return None
    if not group.admits(site, reduced) or not _keeps_rows(site):
        return None
    return Fit(site, reduced, loop_of)


def _unify(reads: Iterable[tuple[Site | None, Position]], loop_of: dict[str, int]) -> dict[str, int] | None:
    """The loop of every variable such that each position read is the site of the value; None if there is no such."""
    for site, position in reads:
        if site is None:
            return None
        for loop, index in zip(site, position, strict=True):
            if loop < 0:
                if isinstance(index, SymExpr) or index != 0:
                    return None
                continue
            if not isinstance(index, SymExpr) or str(index) != _plain(index):
                return None
            if loop_of.setdefault(str(index), loop) != loop:
                return None
    return loop_of if len(set(loop_of.values())) == len(loop_of) else None


def _plain(index: SymExpr) -> str:
    """The name of the variable that an index is, or an empty string."""
    (monomial, coefficient), *rest = index.terms
    if rest or coefficient != 1 or len(monomial) != 1 or monomial[0].fn != "sym":
        return ""
    name = str(monomial[0].args[0])
    return name if name[0] in "ar" else ""


def _complete(loop_of: dict[str, int], sizes: Mapping[str, Dim], group: Group) -> bool:
    """Give the remaining variables the remaining loops of their size, in order."""
    free = [n for n in range(len(group.loops)) if n not in loop_of.values()]
    for name, size in sizes.items():
        if name not in loop_of:
            found = next((n for n in free if dims.same(group.loops[n], size)), None)
            if found is None:
                return False
            free.remove(found)
            loop_of[name] = found
    return True


def _same_sizes(loop_of: Mapping[str, int], sizes: Mapping[str, Dim], group: Group) -> bool:
    return all(dims.same(group.loops[n], sizes[name]) for name, n in loop_of.items())


def _keeps_rows(site: Site) -> bool:
    """Whether memory is still walked along: the last axis of a value runs along its innermost loop."""
    used = [n for n in site if n >= 0]
    return not used or used[-1] == max(used)


def join(group: Group, node: Node, place: Fit) -> None:
    """Enter `node` in `group`."""
    group.nodes.append(node)
    group.sites[node.value] = place.site
    group.reduced = place.reduced


def site_of(position: Position, place: Fit) -> Site | None:
    """The loops that a position read by a placed node runs along; None if it is not that simple."""
    site: list[int] = []
    for index in position:
        loop = place.loop_of.get(_plain(index)) if isinstance(index, SymExpr) else -1 if index == 0 else None
        if loop is None:
            return None
        site.append(loop)
    return tuple(site)


def merged_loops(group: Group, other: Group, shared: Iterable[tuple[Site, Site]]) -> dict[int, int] | None:
    """The loops of `group` that the loops of `other` are, given sites that must coincide; None if they are not."""
    if group.has_own_loops or other.has_own_loops or len(group.loops) != len(other.loops):
        return None
    if len(group.nodes) + len(other.nodes) > MAX_NODES:
        return None
    loop_of: dict[int, int] = {}
    for mine, theirs in shared:
        for a, b in zip(mine, theirs, strict=True):
            if (a < 0) != (b < 0) or (b >= 0 and loop_of.setdefault(b, a) != a):
                return None
    if sorted(loop_of) != list(range(len(other.loops))) or len(set(loop_of.values())) != len(loop_of):
        return None
    if any(not dims.same(group.loops[a], other.loops[b]) for b, a in loop_of.items()):
        return None
    reduced = tuple(loop_of[n] for n in other.reduced)
    if list(reduced) != sorted(reduced):
        return None
    if not (group.is_pointwise or other.is_pointwise) and reduced != group.reduced:
        return None
    moved = [_moved(site, loop_of) for site in other.sites.values() if site is not None]
    return loop_of if all(_keeps_rows(site) for site in moved) else None


def _moved(site: Site, loop_of: Mapping[int, int]) -> Site:
    return tuple(loop_of.get(n, -1) for n in site)


def merge(group: Group, other: Group, loop_of: Mapping[int, int]) -> None:
    """Move everything from `other` into `group`, whose loops it shares."""
    if group.is_pointwise:
        group.reduced = tuple(loop_of[n] for n in other.reduced)
    group.nodes += other.nodes
    group.sites |= {v: None if site is None else _moved(site, loop_of) for v, site in other.sites.items()}
    group.read |= {v: _moved(site, loop_of) for v, site in other.read.items()}


def absorb(group: Group, other: Group) -> None:
    """Move a pointwise group into the only group that reads it, to be evaluated wherever that one reads."""
    group.nodes += other.nodes
    group.sites |= dict.fromkeys(other.sites)
