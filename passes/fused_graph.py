"""Rebuilding a graph with groups of nodes as `fused` nodes, in an order in which every value comes before its use."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from tracegraph.ir import Builder, Graph, Kind, Node, Operand, Rebuilder, Value
from tracegraph.ir.fused import FUSED, fused_attributes
from tracegraph.ir.loop_nest import is_literal
from tracegraph.ir.memory_plan import Placement, Space, Storage, whole
from tracegraph.passes.fusion_group import Group
from tracegraph.passes.fusion_reads import FreeNodes
from tracegraph.passes.view_places import ViewPlaces


def fused_graph(graph: Graph, group_of: Mapping[Node, Group], free: FreeNodes) -> Graph:
    """`graph` with every group of several nodes as one `fused` node.

    Free nodes are copied into the groups that read through them; they stay on their own where a node outside all
    groups, or the output, needs them, and where they are a view that is no more than a placement in memory.
    """
    return _Rebuild(graph, group_of, free).run()


class _Rebuild:
    def __init__(self, graph: Graph, group_of: Mapping[Node, Group], free: FreeNodes) -> None:
        self.graph, self.free = graph, free
        #: what must be computed: the output, and calls that may fail
        self.wanted = [*graph.output_node.operands, *(v for n in graph.calls if n.may_raise for v in n.values[:1])]
        live = _live(graph, self.wanted)
        self.group_of = {node: group for node, group in group_of.items() if node in live}
        for group in set(group_of.values()):
            group.nodes = [node for node in group.nodes if node in live]
        self.position = {node: n for n, node in enumerate(graph.nodes)}
        self.rebuilder = Rebuilder(graph)
        self.views = ViewPlaces()
        self.placed: dict[Value, Placement | None] = {}
        #: what each item, a group or a free node on its own, reads from outside
        self.read: dict[Group | Node, list[Value]] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.op in ("placeholder", "constant"):
                self.rebuilder.copy(node)
        self._collect()
        needed = {v for values in self.read.values() for v in values} | set(self.graph.output_node.operands)
        needed.update(v for v in self.wanted if not v.users)
        for item in self._ordered():
            if isinstance(item, Node):
                self.rebuilder.copy(item)
            else:
                self._emit(item, needed)
        self.rebuilder.copy(self.graph.output_node)
        return self.rebuilder.graph

    # ------------------------------------------------------------------------------------ items and their order

    def _collect(self) -> None:
        """Find all items by what is wanted, from there backwards."""
        stack = [self._item(v.node) for v in self.wanted]
        while stack:
            item = stack.pop()
            if item is None or item in self.read:
                continue
            self.read[item] = self._outside(item)
            stack += [self._item(v.node) for v in self.read[item]]

    def _item(self, node: Node) -> Group | Node | None:
        """What a node is emitted as; None for inputs and constants."""
        return self.group_of.get(node, node) if node.is_call else None

    def _outside(self, item: Group | Node) -> list[Value]:
        """The values an item takes from elsewhere."""
        if isinstance(item, Node):
            return list(item.operands)
        if _is_single(item) and not self._inlines(item):
            return list(item.nodes[0].operands)
        inside = {*item.nodes, *self._free_in(item)}
        found = dict.fromkeys(o for n in self._by_position(inside) for o in n.operands if o.node not in inside)
        return [v for v in found if not is_literal(v)]

    def _inlines(self, group: Group) -> bool:
        """Whether free nodes are evaluated inside the kernel of a group."""
        return not group.opaque and bool(self._free_in(group))

    def _free_in(self, group: Group) -> set[Node]:
        """The free nodes that the nodes of a group read through, views that stay on their own excepted."""
        found: set[Node] = set()
        members = set(group.nodes)
        stack = [o.node for n in group.nodes for o in n.operands]
        while stack:
            node = stack.pop()
            if node in self.free and node not in found and not self._is_placed(node, members):
                found.add(node)
                stack += [o.node for o in node.operands]
        return found

    def _is_placed(self, node: Node, members: set[Node]) -> bool:
        """Whether a free node is a view of memory that is not written by `members`.

        Such a view costs nothing outside the kernel, and kernels that read different slices become the same.
        """
        root = node
        while root in self.free and root.call_op.kind is Kind.VIEW and root.operands:
            root = root.operands[0].node
        if root is node or root in members or root in self.free or any(map(is_literal, root.values)):
            return False
        return self._placement(node.value) is not None

    def _placement(self, value: Value) -> Placement | None:
        """Where a view lies in the memory of what it views; None if its elements have no fixed strides."""
        if value not in self.placed:
            node = value.node
            if node in self.free:
                source = self._placement(node.operands[0])
                self.placed[value] = source and self.views.of(node, source)
            else:
                storage = Storage(Space.ARENA, 0, value.type.dtype, value.type.numel)
                self.placed[value] = whole(storage, value.type.shape)
        return self.placed[value]

    def _by_position(self, nodes: set[Node]) -> list[Node]:
        return sorted(nodes, key=self.position.__getitem__)

    def _ordered(self) -> list[Group | Node]:
        """Items so that each comes after what it reads, otherwise in the order of the graph."""
        waiting = {
            item: {i for v in values if (i := self._item(v.node)) is not None} for item, values in self.read.items()
        }
        users: dict[Group | Node, list[Group | Node]] = {item: [] for item in waiting}
        for item, sources in waiting.items():
            for source in sources:
                users[source].append(item)
        heap = [(self._place(item), n, item) for n, item in enumerate(waiting) if not waiting[item]]
        heapq.heapify(heap)
        ordered: list[Group | Node] = []
        count = len(waiting)
        while heap:
            *_, item = heapq.heappop(heap)
            ordered.append(item)
            for user in users[item]:
                waiting[user].discard(item)
                if not waiting[user]:
                    count += 1
                    heapq.heappush(heap, (self._place(user), count, user))
        assert len(ordered) == len(waiting), "groups depend on one another in a cycle"
        return ordered

    def _place(self, item: Group | Node) -> int:
        return self.position[item] if isinstance(item, Node) else max(self.position[n] for n in item.nodes)

    # ------------------------------------------------------------------------------------ emitting

    def _emit(self, group: Group, needed: set[Value]) -> None:
        if _is_single(group) and not self._inlines(group):
            self.rebuilder.copy(group.nodes[0])
            return
        inside = self._by_position({*group.nodes, *self._free_in(group)})
        results = [v for n in inside for v in n.values if v in needed and n in self.group_of]
        inputs = self.read[group]
        body = _body(inside, inputs, results)
        nest = group.nest(results)
        builder = self.rebuilder.builder
        builder.location = inside[-1].location
        operands = [self.rebuilder.operand(v) for v in inputs]
        values = builder.call_all(FUSED, *operands, **fused_attributes(body, nest))
        self.rebuilder.mapping.update(zip(results, values, strict=True))


def _live(graph: Graph, wanted: Sequence[Value]) -> set[Node]:
    """The nodes that `wanted` needs."""
    live = {graph.output_node, *(v.node for v in wanted)}
    for node in reversed(graph.nodes):
        if node in live:
            live.update(operand.node for operand in node.operands)
    return live


def _is_single(group: Group) -> bool:
    return len(group.nodes) == 1


def _body(nodes: list[Node], inputs: list[Value], results: list[Value]) -> Graph:
    """The nodes as a graph of their own."""
    builder = Builder("body")
    inner: dict[Value, Operand] = {v: builder.placeholder(v.type) for v in inputs}
    for node in nodes:
        for operand in node.operands:
            if operand not in inner:
                inner[operand] = builder.constant(operand.node.target)  # type: ignore[arg-type]
        builder.location = node.location
        arguments = tuple(inner[a] if isinstance(a, Value) else a for a in node.args)
        inner.update(zip(node.values, builder.call_again(node, arguments), strict=True))
    return builder.output(*(inner[v] for v in results))
