"""The loops of a kernel, as far as passes need to know them: which sizes, which reduced, what is stored where.

A body (a small graph, see `fused`) together with a `Nest` is one kernel:

    for i0 < loops[0], i1 < loops[1], ...        loops listed in `reduced` run inside the others
        reductions combine over all reduced loops
        result k is stored at stores[k]: the loop of each axis, or -1 for an axis of size 1

Values fall into levels: what depends on no reduction is level 0; the result of a reduction is one level above its
operands. The reduced loops run once per level that needs them: softmax takes three rounds over a row.

`survey` measures a body without generating anything: what it reads at which positions, in which round, at what cost.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tracegraph.errors import IRError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr, is_one, is_zero
from tracegraph.ir.evaluator import Evaluator, Position
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.node_rules import is_reduction, reduce_rule
from tracegraph.ir.op import Kind
from tracegraph.ir.probe import Probe, ProbeScalar
from tracegraph.ir.rules import Reduce


@dataclass(frozen=True)
class Nest:
    """Loops of a kernel; see the module's docstring."""

    loops: tuple[Dim, ...]
    reduced: tuple[int, ...]
    stores: tuple[tuple[int, ...], ...]

    @cached_property
    def variables(self) -> tuple[SymExpr, ...]:
        """The loop variables `i0`, `i1`, ..."""
        return tuple(dims.sym(f"i{n}") for n in range(len(self.loops)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"i{n}" for n in range(len(self.loops)))

    @cached_property
    def ranges(self) -> dict[str, Dim]:
        return dict(zip(self.names, self.loops, strict=True))

    @property
    def outer(self) -> tuple[int, ...]:
        """The loops that are not reduced."""
        return tuple(n for n in range(len(self.loops)) if n not in self.reduced)

    def store_position(self, result: int) -> Position:
        """Where result number `result` is stored, in terms of the loop variables."""
        return tuple(self.variables[n] if n >= 0 else 0 for n in self.stores[result])

    def is_full(self, result: int) -> bool:
        """Whether a result is stored inside the reduced loops."""
        return any(n in self.reduced for n in self.stores[result])


def body_of(node: Node) -> Graph:
    """A graph of the one call `node`, with its tensor operands as placeholders."""
    from tracegraph.ir.builder import Builder

    builder = Builder(node.call_op.name)
    inputs: dict[Value, Value] = {o: builder.placeholder(o.type) for o in body_operands(node)}
    for operand in node.operands:
        if operand not in inputs:
            inputs[operand] = builder.constant(operand.node.target)  # type: ignore[arg-type]
    arguments = tuple(inputs[a] if isinstance(a, Value) else a for a in node.args)
    return builder.output(*builder.call_all(node.call_op, *arguments, **node.attrs))


def body_operands(node: Node) -> list[Value]:
    """The operands of a call that are placeholders of its body, in order."""
    if node.call_op.kind is Kind.FUSED:
        return list(node.operands)
    return [o for o in dict.fromkeys(node.operands) if not is_literal(o)]


def nest_of(node: Node) -> Nest:
    """The loops of a call on its own, for ops with an element or a reduce rule."""
    if is_reduction(node):
        return _reduction_nest(node)
    return elementwise_nest(node.value.type.shape)


def elementwise_nest(shape: tuple[Dim, ...]) -> Nest:
    """The loops over a result of `shape`."""
    loops, store = _loops_over(shape)
    return Nest(loops, (), (store,))


def _loops_over(shape: tuple[Dim, ...]) -> tuple[tuple[Dim, ...], tuple[int, ...]]:
    """The loops over a shape, and the loop of each axis."""
    kept = [axis for axis, size in enumerate(shape) if not is_one(size)]
    return tuple(shape[a] for a in kept), tuple(kept.index(a) if a in kept else -1 for a in range(len(shape)))


def _reduction_nest(node: Node) -> Nest:
    """Loops in the order of the axes of the operand where each loop walks along one of them, else results first."""
    rule = reduce_rule(node)
    outer, store = _loops_over(node.value.type.shape)
    inner = tuple(e for e in rule.extents if not is_one(e))
    nest = Nest(outer + inner, tuple(range(len(outer), len(outer) + len(inner))), (store,))
    order = _axis_order(node, nest)
    if order is None:
        return nest
    place = {old: new for new, old in enumerate(order)}
    return Nest(
        tuple(nest.loops[n] for n in order),
        tuple(sorted(place[n] for n in nest.reduced)),
        (tuple(place[n] if n >= 0 else -1 for n in store),),
    )


def _axis_order(node: Node, nest: Nest) -> list[int] | None:
    """The loops in the order in which they index the operand, if the reduced ones keep their order."""
    positions = [a.index for a in survey(body_of(node), nest).accesses]
    if not positions:
        return None
    names = {str(v): n for n, v in enumerate(nest.variables)}
    order = [names.get(str(i), -1) for i in positions[0] if not (isinstance(i, int) and i == 0)]
    reduced = [n for n in order if n in nest.reduced]
    return order if sorted(order) == list(range(len(nest.loops))) and reduced == sorted(reduced) else None


def inner_position(rule: Reduce, nest: Nest) -> Position:
    """The index of the reduction domain: the variables of the reduced loops, 0 for extents of 1.

    Raises:
        IRError: the reduced loops are not the extents.
    """
    variables = iter([(nest.variables[n], nest.loops[n]) for n in nest.reduced])
    position: list[Dim] = []
    for extent in rule.extents:
        variable, size = (0, 1) if is_one(extent) else next(variables, (0, -1))
        if not dims.same(size, extent):
            raise IRError(f"a reduction over {rule.extents} does not fit the loops {nest.loops} reduced {nest.reduced}")
        position.append(variable)
    return tuple(position)


def levels_of(body: Graph) -> dict[Value, int]:
    """The level of every value: how many reductions lie one after the other below it."""
    levels: dict[Value, int] = {}
    for node in body.nodes:
        above = 1 if is_reduction(node) else 0
        level = above + max((levels[o] for o in node.operands), default=0)
        levels.update((value, level) for value in node.values)
    return levels


def reductions_by_level(body: Graph) -> dict[int, list[Node]]:
    """The reductions of each round, by the level of their operands."""
    levels = levels_of(body)
    found: dict[int, list[Node]] = {}
    for node in body.calls:
        if is_reduction(node):
            found.setdefault(levels[node.value] - 1, []).append(node)
    return found


@dataclass(frozen=True)
class Access:
    """One place where a body reads a placeholder or a constant."""

    source: Value
    index: Position
    level: int
    masked: bool


@dataclass
class Survey:
    """What `survey` found.

    Attributes:
        accesses: the reads of placeholders and constants.
        scalar_indices: positions turned into scalars.
        sites: the position at which a value is needed; where there are several, a tuple longer than the shape.
        rounds: the rounds in which a value is computed.
        costs: the work to compute an element of a value from what the kernel reads.
        data_ranges: extents of data-dependent indices.
    """

    accesses: list[Access] = field(default_factory=list)
    scalar_indices: list[Dim] = field(default_factory=list)
    sites: dict[Value, Position] = field(default_factory=dict)
    rounds: dict[Value, set[int]] = field(default_factory=dict)
    costs: dict[Value, float] = field(default_factory=dict)
    data_ranges: dict[str, Dim] = field(default_factory=dict)


def survey(body: Graph, nest: Nest) -> Survey:
    """Measure the kernel of `body` in the loops of `nest`.

    Raises:
        IRError: the body does not fit the loops: a reduction is needed at two positions, or at one inside its own
            loops.
    """
    return _Surveyor(body, nest).run()


class _Surveyor(Evaluator):
    """Evaluates backwards from the results; a reduction met on the way notes its position and is evaluated later."""

    def __init__(self, body: Graph, nest: Nest) -> None:
        self.probe = Probe()
        super().__init__(self.probe, self._read, ChainMap(nest.ranges, self.probe.data_ranges))
        self.body, self.nest = body, nest
        self.levels = levels_of(body)
        self.found = Survey(data_ranges=self.probe.data_ranges)
        self.level = 0

    def run(self) -> Survey:
        for result, value in enumerate(self.body.outputs):
            if isinstance(value, Value):
                self._root(self.levels[value], [(value, self.nest.store_position(result))])
        for level in sorted(by_level := reductions_by_level(self.body), reverse=True):
            for node in by_level[level]:
                self._reduction(level, node)
        self.found.scalar_indices = self.probe.indices
        return self.found

    def _root(self, level: int, wanted: Sequence[tuple[Value, Position]]) -> None:
        self.level = level
        with self.scope():
            for value, position in wanted:
                self.at(value, position)

    def _reduction(self, level: int, node: Node) -> None:
        if node.value not in self.found.sites:
            return  # nothing asks for it
        rule = reduce_rule(node)
        if any(map(is_zero, rule.extents)):
            return  # no term is ever needed
        self.level = level
        with self.scope():
            index = self.found.sites[node.value]
            rule.term(self.handler, self.loader(node), index, inner_position(rule, self.nest))

    def apply(self, node: Node, index: Position) -> ProbeScalar:
        value = node.value
        self.found.rounds.setdefault(value, set()).add(self.level)
        if not is_reduction(node):
            if self.found.sites.setdefault(value, index) is not index:
                self.found.sites[value] = self._common(self.found.sites[value], index)
            before = self.probe.cost
            scalar = super().apply(node, index)
            self.found.costs.setdefault(value, self.probe.cost - before)
            return scalar
        known = self.found.sites.setdefault(value, index)
        if not dims.same_shape(known, index):
            raise IRError(f"{node.call_op.name} is needed at {known} and at {index}, which one kernel cannot do")
        inner = {self.nest.names[n] for n in self.nest.reduced}
        if any(dims.symbols(i) & inner for i in index):
            raise IRError(f"{node.call_op.name} is needed at {index}, inside its own loops")
        return self.probe.scalar(value.type.dtype)

    @staticmethod
    def _common(known: Position, index: Position) -> Position:
        """The position if there is only one; a value met at several has none (an empty tuple of the wrong length)."""
        return known if dims.same_shape(known, index) else (0,) * (len(index) + 1)

    def _read(self, value: Value, index: Position, mask: ProbeScalar | None, fill: object) -> ProbeScalar:
        self.found.accesses.append(Access(value, index, self.level, mask is not None))
        return self.probe.scalar(value.type.dtype)


def is_literal(value: Value) -> bool:
    """Whether a value is a constant of one element, which kernels contain as a literal."""
    return value.node.op == "constant" and getattr(value.node.target, "size", 0) == 1
