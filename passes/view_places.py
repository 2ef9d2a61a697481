"""Views as placements: where in memory the elements of a view lie, if they lie at fixed strides."""

from __future__ import annotations

from collections.abc import Hashable

from tracegraph.ir import Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.evaluator import Evaluator, Position
from tracegraph.ir.index_math import flatten, linear, simplify
from tracegraph.ir.loop_nest import body_of
from tracegraph.ir.memory_plan import Placement
from tracegraph.ir.probe import Probe, ProbeScalar
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ir.signature import call_signature, dims_key, value_key


class ViewPlaces:
    """The placements of views; those of equal views of like placements are found once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Dim, tuple[Dim, ...]] | None] = {}

    def of(self, node: Node, source: Placement) -> Placement | None:
        """The placement of a view whose operand lies at `source`; None if its elements have no fixed strides."""
        key = call_signature(node), value_key(source.offset), dims_key(source.strides)
        if key not in self._known:
            self._known[key] = _offset_and_strides(node, source)
        found = self._known[key]
        return None if found is None else Placement(source.storage, *found)


def _offset_and_strides(node: Node, source: Placement) -> tuple[Dim, tuple[Dim, ...]] | None:
    if rule_of(node.call_op) is not Rule.ELEMENT or len(node.operands) != 1:
        return None
    shape = node.value.type.shape
    variables = tuple(dims.sym(f"i{axis}") for axis in range(len(shape)))
    ranges = dict(zip(map(str, variables), shape, strict=True))
    index = _read_at(node, variables)
    if index is None:
        return None
    address = simplify(flatten(index, source.strides, source.offset), ranges)
    parts = linear(address, ranges)
    if parts is None or any(dims.symbols(x) & set(ranges) for x in (parts[0], *parts[1].values())):
        return None
    return parts[0], tuple(parts[1].get(str(v), 0) for v in variables)


def _read_at(node: Node, variables: Position) -> Position | None:
    """Which element of its operand a view shows at `variables`; None if the operand is a literal."""
    reads: list[Position] = []
    probe = Probe()

    def read(value: Value, index: Position, mask: ProbeScalar | None, fill: object) -> ProbeScalar:
        reads.append(index)
        return probe.scalar(value.type.dtype)

    body = body_of(node)
    if not body.placeholders:
        return None
    (result,) = body.outputs
    assert isinstance(result, Value)
    ranges = dict(zip(map(str, variables), result.type.shape, strict=True))
    Evaluator(probe, read, ranges).at(result, variables)
    (index,) = reads
    return index
