"""What gradient formulas read: by the formulas' own account, and as whoever calls the graph must know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tracegraph.aot.dataflow import memory_of
from tracegraph.aot.record import Held
from tracegraph.ir import Node, Operand, TensorType, Value
from tracegraph.ops.core.definition import Definition


class FormulaRead(NamedTuple):
    """A formula of the operation `op` reads `value`, if gradients come from these cotangents.

    Attributes:
        what: what it reads: "an operand" or "the result".
        is_live: it reads an input as it is in backward.
    """

    value: Value
    what: str
    op: str
    cotangents: frozenset[int]
    is_live: bool = False


@dataclass(frozen=True)
class Read:
    """A gradient formula reads what lies in the memory of an input or an output: a write there before backward is
    an error. Or it reads what the graph itself has overwritten, which is one already.

    `before` of the `writes` to that memory which the graph does came before what is read.

    Attributes:
        input: the position of the input; None if it is none.
        output: the position of the output; None if it is none.
        what: what the formula reads: "an operand" or "the result".
        op: the name of the op whose formula it is.
        type: the type of what is read, which may be a view.
        cotangents: numbers of the cotangents that reach the formula; without any of them it is not evaluated.
        is_live: the formula reads an input as it is in backward: a write is no error.
    """

    input: int | None
    output: int | None
    what: str
    op: str
    type: TensorType
    cotangents: frozenset[int]
    is_live: bool = False
    before: int = 0
    writes: int = 0

    @property
    def is_overwritten(self) -> bool:
        return self.before != self.writes


def aliased_reads(
    reads: Iterable[FormulaRead], inputs: Sequence[Value], results: Sequence[Operand], held: Iterable[Held]
) -> Iterator[Read]:
    """The reads of memory that whoever calls the graph can write to, of inputs and outputs, and of what is gone."""
    places = {v: Held(v, i, None, 0, 0) for i, v in enumerate(inputs)}
    for i, result in enumerate(results):
        if isinstance(result, Value):
            memory = memory_of(result)
            places.setdefault(memory, Held(memory, None, i, 0, 0))
    places.update({h.value: h for h in held})
    for value, what, op, cotangents, is_live in dict.fromkeys(reads):
        place = places.get(memory_of(value))
        if place is not None:
            anew = is_live and place.input is not None and not place.writes
            yield Read(place.input, place.output, what, op, value.type, cotangents, anew, place.before, place.writes)


def readers_by_value(reads: Iterable[FormulaRead], nodes: Sequence[Node]) -> dict[Value, frozenset[int]]:
    """By value, the numbers of the cotangents that reach formulas which read it, or what `nodes` compute from it.

    Inputs that are read as they are in backward do not count for that.
    """
    readers: dict[Value, frozenset[int]] = {}
    for value, _, _, cotangents, is_live in reads:
        if not is_live or memory_of(value).node.is_call:
            readers[value] = readers.get(value, frozenset()) | cotangents
    for node in reversed(nodes):
        op = node.target
        below = frozenset[int]().union(*(readers[v] for v in node.values if v in readers))
        if not below or not isinstance(op, Definition):
            continue
        for position, operand in enumerate(node.args):
            if isinstance(operand, Value) and not op.is_for_gradient_alone(position, node.attrs):
                readers[operand] = readers.get(operand, frozenset()) | below
    return readers
