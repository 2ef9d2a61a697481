"""What gradient formulas read: by the formulas' own account, and as whoever calls the graph must know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from tracegraph.aot.dataflow import memory_of
from tracegraph.aot.record import Held
from tracegraph.ir import Graph, Node, Operand, TensorType, Value
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.backward_pass import read_results


class Keeps(Enum):
    """What the tape keeps for a gradient formula, which says what the formula reads of a tensor that is given other
    memory (`tensor.data = other`) before backward.
    """

    #: the elements, in the memory where they were
    ELEMENTS = auto()
    #: the tensor: the formula reads what it holds in backward
    TENSOR = auto()
    #: the tensor or its elements, for one or another of the operations that a control flow operation stands for
    PARTS = auto()


class FormulaRead(NamedTuple):
    """A formula of the operation `op` reads `value`, if gradients come from these cotangents.

    Attributes:
        what: what it reads: "an operand" or "the result".
        is_live: it reads an input as it is in backward.
        keeps: what the tape keeps for it.
    """

    value: Value
    what: str
    op: str
    cotangents: frozenset[int]
    is_live: bool = False
    keeps: Keeps = Keeps.TENSOR


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
        keeps: what the tape keeps for the formula.
        is_tensor: it reads the input or output itself, and no view of it.
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
    keeps: Keeps = Keeps.TENSOR
    is_tensor: bool = True

    @property
    def is_overwritten(self) -> bool:
        return self.before != self.writes


def aliased_reads(
    reads: Iterable[FormulaRead], inputs: Sequence[Value], results: Sequence[Operand], held: Iterable[Held]
) -> Iterator[Read]:
    """The reads of memory that whoever calls the graph can write to, of inputs and outputs, and of what is gone."""
    places = {v: Held(v, i, None, 0, 0, True) for i, v in enumerate(inputs)}
    for i, result in enumerate(results):
        if isinstance(result, Value):
            memory = memory_of(result)
            places.setdefault(memory, Held(memory, None, i, 0, 0, True))
    places.update({h.value: h for h in held})
    for value, what, op, cotangents, is_live, keeps in dict.fromkeys(reads):
        place = places.get(memory_of(value))
        if place is not None:
            anew = is_live and place.input is not None
            before = place.writes if is_live else place.before  # it reads what is there when the call has ended
            is_tensor = place.is_tensor and value is place.value
            yield Read(
                place.input, place.output, what, op, value.type, cotangents, anew, before, place.writes, keeps,
                is_tensor,
            )  # fmt: skip


def tensors_of_inputs(values: Iterable[Operand], inputs: Sequence[Value], held: Iterable[Held]) -> list[int | None]:
    """For each value, the position of the input that the tape keeps where a formula reads the value."""
    positions: dict[Operand, int | None] = {v: i for i, v in enumerate(inputs)}
    positions.update({h.value: h.input for h in held if h.is_tensor})
    return [positions.get(_read_for(v)) for v in values]


def _read_for(value: Operand) -> Operand:
    """The value in whose place formulas read `value` in backward, itself of most."""
    op = value.node.target if isinstance(value, Value) else None
    if not isinstance(value, Value) or not isinstance(op, Definition) or op.read_for is None:
        return value
    return value.node.args[op.read_for]


def readers_by_value(reads: Iterable[FormulaRead], nodes: Sequence[Node]) -> dict[Value, frozenset[int]]:
    """By value, the numbers of the cotangents that reach formulas which read it, or what `nodes` compute from it.

    Inputs that are read as they are in backward do not count for that.
    """
    readers: dict[Value, frozenset[int]] = {}
    for value, _, _, cotangents, is_live, _ in reads:
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


def read_and_overwritten(graph: Graph) -> dict[Node, list[int]]:
    """Positions of operands that gradients read although they are written to: `x.mul_(w)` is `copy_(x, mul(x, w))`.

    The tape keeps a copy of their elements, as the write is the operation's own.
    """
    kept: dict[Node, list[int]] = {}
    for write in graph.calls:
        for target, source in [write.operands] if write.call_op.name == "copy_" else ():
            node = source.node
            op = node.target
            if node.is_call and target in node.args and isinstance(op, Definition) and op.vjp is not None:
                reads = op.vjp_reads(len(node.args)).operands
                kept[node] = [
                    i for i, (a, is_read) in enumerate(zip(node.args, reads, strict=True)) if a is target and is_read
                ]
    return kept


def may_be_read(value: Value) -> bool:
    """Whether a gradient formula reads the elements of `value`, if it is evaluated."""
    for node in (value.node, *value.users):
        op = node.target
        if not isinstance(op, Definition) or not op.is_differentiable:
            continue
        if op.vjp is None:
            return True  # its decomposition decides
        operands, results = op.vjp_reads(len(node.args))
        read = [a for a, is_read in zip(node.args, operands, strict=True) if is_read]
        if any(v is value for v in (*read, *(read_results(node, op) if results else ()))):
            return True
    return False


def is_read_unversioned(value: Value) -> bool:
    """Whether a gradient formula reads `value` as it is in backward, written to or not."""
    return any(
        any(node.args[i] is value for i in op.unversioned_operands(node.attrs))
        for node in value.users
        if isinstance(op := node.target, Definition)
    )
