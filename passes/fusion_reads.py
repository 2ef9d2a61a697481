"""What a node reads, seen through the views and other free nodes between it and the values computed elsewhere.

    %1 = permute(%0, dims=[1, 0]); %2 = add(%1, %b)      %2 at (a0, a1) reads %0 at (a1, a0) and %b at (a1)

Free nodes (views, constants written by a rule, cheap functions of one value) are never computed on their own if a
kernel needs them: each kernel evaluates them at the positions it wants.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from tracegraph.ir import Kind, Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, is_one
from tracegraph.ir.evaluator import Evaluator, Position
from tracegraph.ir.loop_nest import is_literal
from tracegraph.ir.node_rules import reduce_rule, scatter_rule
from tracegraph.ir.probe import Probe, ProbeScalar
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ir.signature import attributes_key, source_key, value_key

#: work up to which a function of one value is computed again by every kernel that needs it
FREE_COST = 2.0


@dataclass(frozen=True)
class Reads:
    """The reads of one node.

    Attributes:
        found: values and positions, in terms of `a0`, `a1`, ... (the result's axes) and `r0`, ... (the reduced ones).
        volume: how many elements each read is made for.
        cost: work per element.
        free: the free nodes evaluated on the way.
    """

    found: tuple[tuple[Value, Position], ...]
    volume: Dim
    cost: float
    free: tuple[Node, ...]


@dataclass(frozen=True)
class _Expression:
    """A node with the free nodes below it, as a tree over what it reads.

    Attributes:
        signature: equal for expressions that read alike.
        leaves: the values read, in the order of first mention.
        free: the free nodes, likewise.
    """

    signature: Hashable
    leaves: tuple[Value, ...]
    free: tuple[Node, ...]

    @classmethod
    def of(cls, root: Node, free: FreeNodes) -> _Expression:
        leaves: dict[Value, int] = {}
        inner: dict[Node, int] = {}

        def visit(node: Node) -> Hashable:
            return node.call_op.name, tuple(map(operand_key, node.args)), attributes_key(node)

        def operand_key(operand: object) -> Hashable:
            if not isinstance(operand, Value):
                return value_key(operand)
            if operand.node not in free:
                return leaves.setdefault(operand, len(leaves)), source_key(operand)
            if operand.node in inner:
                return "again", inner[operand.node]
            inner[operand.node] = len(inner)
            return visit(operand.node)

        return cls(visit(root), tuple(leaves), tuple(inner))


class FreeNodes:
    """Which nodes of a graph are free; the answer for a node is found when it is first asked for."""

    def __init__(self) -> None:
        self._known: dict[Node, bool] = {}
        #: an expression of every kind met, and what it reads
        self._reads: dict[Hashable, tuple[_Expression, Reads]] = {}

    def reads_of(self, node: Node) -> Reads:
        """The reads of a node that has a rule, as `read_by`; those of an equal expression, if there is one."""
        expression = _Expression.of(node, self)
        if expression.signature not in self._reads:
            self._reads[expression.signature] = expression, read_by(node, self)
        known, reads = self._reads[expression.signature]
        value = dict(zip(known.leaves, expression.leaves, strict=True))
        passed = dict(zip(known.free, expression.free, strict=True))
        return replace(
            reads, found=tuple((value[v], i) for v, i in reads.found), free=tuple(passed[n] for n in reads.free)
        )

    def __contains__(self, node: Node) -> bool:
        if node not in self._known:
            self._known[node] = node.is_call and self._is_free(node)
        return self._known[node]

    def _is_free(self, node: Node) -> bool:
        op = node.call_op
        if rule_of(op) is not Rule.ELEMENT or len(node.values) != 1 or is_empty(node.value):
            return False
        if op.kind is Kind.VIEW or not any(not is_literal(o) for o in node.operands):
            return op.kind is Kind.VIEW or self.reads_of(node).cost <= FREE_COST
        if op.kind is not Kind.POINTWISE or not all(map(_inlines, node.users)):
            return False
        reads = self.reads_of(node)
        if len(reads.found) != 1 or reads.cost > FREE_COST:
            return False
        ((source, _),) = reads.found
        narrow = source.type.dtype.itemsize <= node.value.type.dtype.itemsize
        return narrow and dims.same(source.type.numel, node.value.type.numel)


def _inlines(user: Node) -> bool:
    """Whether a user evaluates its operands element by element."""
    return user.is_call and rule_of(user.call_op) not in (Rule.NONE, Rule.CONTRACT)


class _Reader(Evaluator):
    """Evaluates one node at variables; what is not free is noted and not evaluated."""

    def __init__(self, root: Node, free: FreeNodes, ranges: dict[str, Dim]) -> None:
        self.probe = Probe()
        super().__init__(self.probe, self._note, ChainMap(ranges, self.probe.data_ranges))
        self.root, self.free = root, free
        self.found: dict[tuple[object, ...], tuple[Value, Position]] = {}
        self.passed: dict[Node, None] = {}

    def apply(self, node: Node, index: Position) -> ProbeScalar:
        if node is not self.root and node not in self.free:
            return self._note(node.value if len(node.values) == 1 else None, index, None, 0)
        if node is not self.root:
            self.passed[node] = None
        return super().apply(node, index)

    def at(self, value: Value, index: Position, mask: object = None, fill: object = 0) -> ProbeScalar:
        if len(value.node.values) > 1:  # a result of a library call
            return self._note(value, self.position(value, index), None, 0)
        return super().at(value, index, mask, fill)

    def _note(self, value: Value | None, index: Position, mask: object, fill: object) -> ProbeScalar:
        assert value is not None
        self.found.setdefault(self._key(value, index), (value, index))
        return self.probe.scalar(value.type.dtype)


def read_by(node: Node, free: FreeNodes) -> Reads:
    """The reads of a node that has a rule; for a contraction or a library call use its operands."""
    rule = rule_of(node.call_op)
    axes = variables("a", node.value.type.shape)
    ranges = {str(v): d for v, d in zip(axes, node.value.type.shape, strict=True) if isinstance(v, dims.SymExpr)}
    volume = node.value.type.numel
    if rule is Rule.ELEMENT:
        reader = _Reader(node, free, ranges)
        reader.at(node.value, axes)
    elif rule is Rule.REDUCE:
        reduce = reduce_rule(node)
        inner = variables("r", reduce.extents)
        ranges |= {str(v): d for v, d in zip(inner, reduce.extents, strict=True) if isinstance(v, dims.SymExpr)}
        reader = _Reader(node, free, ranges)
        reduce.term(reader.probe, reader.loader(node), axes, inner)
        volume = volume * dims.product(reduce.extents)
    elif rule is Rule.SCATTER:
        scatter = scatter_rule(node)
        steps = variables("r", scatter.extents)
        ranges |= {str(v): d for v, d in zip(steps, scatter.extents, strict=True) if isinstance(v, dims.SymExpr)}
        reader = _Reader(node, free, ranges)
        scatter.update(reader.probe, reader.loader(node), steps)
        if scatter.base is not None:
            reader.loader(node)(scatter.base, axes)
        volume = dims.product(scatter.extents)
    else:
        assert rule is Rule.SCAN
        reader = _Reader(node, free, ranges)
        reader.loader(node)(0, axes)
    return Reads(tuple(reader.found.values()), volume, reader.probe.cost, tuple(reader.passed))


def is_empty(value: Value) -> bool:
    """Whether a value is known to have no elements; there are no positions at which to evaluate it."""
    return any(isinstance(d, int) and d == 0 for d in value.type.shape)


def variables(prefix: str, shape: Iterable[Dim]) -> Position:
    """A variable per axis; 0 for an axis of size 1."""
    return tuple(0 if is_one(d) else dims.sym(f"{prefix}{axis}") for axis, d in enumerate(shape))
