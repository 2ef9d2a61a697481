"""Memory planning: a place for every value, reusing what is no longer needed.

    %0 = exp(%x); %1 = neg(%0); %2 = sum(%1); return %2
    -->
    buf0   steps 0-2   %0, %1          neg writes over its operand, which nobody reads again
    out0   steps 2-3   %2

- Outputs are written straight into fresh memory; inputs and constants are never written.
- A view whose elements lie at an offset and fixed strides in its operand's storage is that placement and no step.
- A pointwise kernel may write over an operand that dies with it, if it reads each element only where it writes it.
- All else gets storages in one arena; storages that are never live at the same step may share bytes, which
  `MemoryPlan.layout` decides once the sizes are known.

A step is the position of a node in the graph.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from tracegraph.ir import Graph, Kind, Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.evaluator import Position
from tracegraph.ir.fused import nest_attributes
from tracegraph.ir.loop_nest import Nest, body_of, body_operands, levels_of, nest_of, survey
from tracegraph.ir.memory_plan import MemoryPlan, Placement, Space, Storage, whole
from tracegraph.ir.node_rules import is_reduction, reduce_rule
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ir.signature import call_signature
from tracegraph.ir.subgraphs import subgraphs, with_sizes_shown
from tracegraph.passes.view_places import ViewPlaces


def plan_memory(graph: Graph) -> MemoryPlan:
    """Places for the values of `graph`, and of the graphs that its nodes hold."""
    held = {body: None for node in graph.nodes for body in subgraphs(node).values()}
    return replace(_Planner(graph).run(), bodies={body: _plan_body(body) for body in held})


def _plan_body(graph: Graph) -> MemoryPlan:
    shown, sizes = with_sizes_shown(graph)
    return replace(plan_memory(shown), shown_sizes=sizes)


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps = {node: step for step, node in enumerate(graph.nodes)}
        self.placements: dict[Value, Placement] = {}
        self.counts = dict.fromkeys(Space, 0)
        self.storages: list[Storage] = []
        self.views: set[Value] = set()
        self.view_places = ViewPlaces()
        #: values computed straight into the memory of an output
        self.returned = {self._computed_as(value) for value in graph.outputs if isinstance(value, Value)}
        #: positions of the operands that a result may overwrite, by what the call says
        self.aligned: dict[Hashable, tuple[int, ...]] = {}
        #: last step that reads a storage, through whatever view
        self.last: dict[Storage, int] = {}

    def run(self) -> MemoryPlan:
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self._own(node.value, Space.INPUT)
            elif node.op == "constant":
                self._own(node.value, Space.CONSTANT)
            elif node.op == "call":
                self._call(node)
        outputs, copies = self._outputs()
        final = {s: replace(s, last=self.last.get(s, s.first)) for s in self.storages}
        placements = {v: replace(p, storage=final[p.storage]) for v, p in self.placements.items()}
        return MemoryPlan(
            self.graph,
            tuple(final.values()),
            placements,
            tuple(None if s is None else final[s] for s in outputs),
            frozenset(self.views),
            tuple((v, final[s]) for v, s in copies),
        )

    # ------------------------------------------------------------------------------------ placing

    def _own(self, value: Value, space: Space, step: int = 0) -> Storage:
        """A new storage for `value` alone."""
        storage = Storage(space, self.counts[space], value.type.dtype, value.type.numel, step)
        self.counts[space] += 1
        self.storages.append(storage)
        self._place(value, whole(storage, value.type.shape))
        return storage

    def _place(self, value: Value, placement: Placement) -> None:
        self.placements[value] = placement
        storage = placement.storage
        uses = [self.steps[user] for user in value.users]
        self.last[storage] = max(self.last.get(storage, storage.first), *uses, storage.first)

    def _call(self, node: Node) -> None:
        if node.call_op.kind is Kind.VIEW and node.operands:
            placement = self.view_places.of(node, self.placements[node.operands[0]])
            if placement is not None:
                self._place(node.value, placement)
                self.views.add(node.value)
                return
        taken: set[Storage] = set()
        for result, value in enumerate(node.values):
            operand = None if value in self.returned else self._overwritable(node, result, taken)
            if operand is None:
                space = Space.OUTPUT if value in self.returned else Space.ARENA
                self._own(value, space, self.steps[node])
            else:
                taken.add(self.placements[operand].storage)
                self._place(value, whole(self.placements[operand].storage, value.type.shape))

    def _overwritable(self, node: Node, result: int, taken: set[Storage]) -> Value | None:
        """An operand that dies at `node` and whose storage result number `result` may be written over."""
        dying = [o for o in dict.fromkeys(node.operands) if self._dies_at(o, node) and _fits(o, node.values[result])]
        dying = [o for o in dying if self.placements[o].storage not in taken]
        if not dying:
            return None
        aligned = self._aligned_operands(node, result)
        shared = [self.placements[o].storage for o in node.operands]
        return next((o for o in dying if o in aligned and shared.count(self.placements[o].storage) == 1), None)

    def _aligned_operands(self, node: Node, result: int) -> set[Value]:
        key = call_signature(node), result
        if key not in self.aligned:
            self.aligned[key] = aligned_operands(node, result)
        operands = body_operands(node)
        return {operands[position] for position in self.aligned[key]}

    def _dies_at(self, operand: Value, node: Node) -> bool:
        placement = self.placements[operand]
        return (
            placement.storage.space is Space.ARENA
            and placement.is_whole(operand.type.shape)
            and self.last[placement.storage] == self.steps[node]
        )

    # ------------------------------------------------------------------------------------ outputs

    def _computed_as(self, value: Value) -> Value:
        """The value whose elements, all of them in order, `value` shows through views; itself if it is no such view."""
        views: list[Node] = []
        root = value
        while root.node.is_call and root.node.call_op.kind is Kind.VIEW:
            views.append(root.node)
            root = root.node.operands[0]
        storage = Storage(Space.OUTPUT, 0, root.type.dtype, root.type.numel)
        placement: Placement | None = whole(storage, root.type.shape)
        for node in reversed(views):
            placement = placement and self.view_places.of(node, placement)
        is_shown = placement is not None and placement.is_whole(value.type.shape)
        return root if is_shown and root.node.is_call else value

    def _outputs(self) -> tuple[list[Storage | None], list[tuple[Value, Storage]]]:
        """A storage for each output, none used twice; and what remains to be copied there."""
        outputs: list[Storage | None] = []
        copies: list[tuple[Value, Storage]] = []
        for value in self.graph.outputs:
            if not isinstance(value, Value):
                outputs.append(None)
                continue
            placement = self.placements[value]
            is_whole = placement.storage.space is Space.OUTPUT and placement.is_whole(value.type.shape)
            if is_whole and placement.storage not in outputs:
                outputs.append(placement.storage)
                continue
            storage = Storage(
                Space.OUTPUT, self.counts[Space.OUTPUT], value.type.dtype, value.type.numel, len(self.steps) - 1
            )
            self.counts[Space.OUTPUT] += 1
            self.storages.append(storage)
            outputs.append(storage)
            copies.append((value, storage))
        return outputs, copies


def _fits(operand: Value, result: Value) -> bool:
    return operand.type.dtype is result.type.dtype and dims.same(operand.type.numel, result.type.numel)


# ---------------------------------------------------------------------------------------------------- in place


def aligned_operands(node: Node, result: int) -> tuple[int, ...]:
    """Positions in `body_operands` of what `result` may overwrite.

    Such an operand is read only where the result is stored, and in no round after its own.
    """
    loops = kernel_loops(node)
    if loops is None:
        return ()
    body, nest = loops
    value = body.outputs[result]
    assert isinstance(value, Value)
    if nest.reduced and (not nest.is_full(result) or any(map(_reads_twice, body.calls))):
        return ()
    stored = _position(nest.store_position(result), value.type.shape)
    level = levels_of(body)[value]
    misaligned = {
        access.source
        for access in survey(body, nest).accesses
        if access.level > level or not dims.same_shape(_position(access.index, access.source.type.shape), stored)
    }
    return tuple(n for n, placeholder in enumerate(body.placeholders) if placeholder not in misaligned)


def _reads_twice(node: Node) -> bool:
    """Whether a reduction passes over its operand twice in one round, as `argmax` does."""
    return is_reduction(node) and reduce_rule(node).combine.startswith("arg")


def _position(index: Position, shape: tuple[dims.Dim, ...]) -> Position:
    """A position without the axes of size 1, which do not move it."""
    return tuple(i for i, d in zip(index, shape, strict=True) if not (isinstance(d, int) and d == 1))


def kernel_loops(node: Node) -> tuple[Graph, Nest] | None:
    """Body and loops of a node that runs as a loop nest; None for scatters, scans, products and library calls."""
    if node.call_op.kind is Kind.FUSED:
        nest = nest_attributes(node.attrs)
        return None if nest is None else (node.attrs["body"], nest)  # type: ignore[return-value]
    if rule_of(node.call_op) in (Rule.ELEMENT, Rule.REDUCE):
        return body_of(node), nest_of(node)
    return None
