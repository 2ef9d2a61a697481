"""A backward pass over a graph that is being recorded: the gradient formulas of its nodes are recorded behind them.

The formulas are those of the eager tape (`Definition.pullback`), in its order, newest node first, and gradients are
summed up in its order too, so that both give the same bits. Whose graph it is, and what a node asks for beyond its
formula, is the business of the classes derived from this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from tracegraph.ir import Node, Value
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Recorder, Traced


class Step(NamedTuple):
    """One node of a backward pass.

    Attributes:
        cotangents: of the results, None where nothing has reached one.
        results: handles on the results of the node.
        operands: its operands, the tensors among them as handles.
        needs: which of the operands have a history that wants their gradients.
    """

    node: Node
    op: Definition
    cotangents: tuple[Traced | None, ...]
    results: tuple[Traced, ...]
    operands: tuple[Any, ...]
    needs: Sequence[bool]


class BackwardPass:
    """Undoes recorded nodes, newest first, and sums up the gradients of values.

    Args:
        recorder: records the formulas, into the graph of the nodes.
        tracked: the values that have a history, or want a gradient themselves.

    Attributes:
        gradients: handles on the gradients so far, by value.
    """

    def __init__(self, recorder: Recorder, tracked: set[Value]) -> None:
        self.recorder = recorder
        self.tracked = tracked
        self.gradients: dict[Value, Traced] = {}

    def accumulate(self, value: Value, gradient: Traced) -> None:
        """Add a gradient of `value`."""
        known = self.gradients.get(value)
        self.gradients[value] = gradient if known is None else F.add(known, gradient)

    def undo(self, nodes: Sequence[Node]) -> None:
        """Send gradients back through `nodes`, which stand in the order of their graph."""
        for node in reversed(nodes):
            self.visit(node)

    def visit(self, node: Node) -> list[Value]:
        """Send the cotangents of a node's results, if it has any, on to its operands; those that they reach."""
        op = node.target
        cotangents = tuple(self.gradients.get(v) for v in node.values)
        if not isinstance(op, Definition) or all(c is None for c in cotangents):
            return []
        self.recorder.builder.location = node.location
        results = tuple(map(self.handle, node.values))
        operands = tuple(self.handle(a) if isinstance(a, Value) else a for a in node.args)
        needs = [a in self.tracked for a in node.args]
        gradients = self.pullback(Step(node, op, cotangents, results, operands, needs))
        reached = []
        for operand, gradient in zip(node.args, gradients, strict=True):
            if isinstance(operand, Value) and gradient is not None:
                self.accumulate(operand, gradient)
                reached.append(operand)
        return reached

    def handle(self, value: Value) -> Traced:
        """The handle by which formulas see a value."""
        return self.recorder.traced(value)

    def pullback(self, step: Step) -> Sequence[Traced | None]:
        """The gradients of the operands of a node, None where there is none or it is not needed."""
        return step.op.pullback(step.cotangents, step.results, step.operands, dict(step.node.attrs), step.needs)


def formula_reads(node: Node, op: Definition, names: Collection[str]) -> Iterator[tuple[Value, str]]:
    """What the tape keeps for a gradient formula that reads the parameters `names`: values, and what to call them."""
    operands_kept, results_kept = op.vjp_reads(len(node.args))
    if results_kept and op.vjp_parameters[0] in names:
        for value in read_results(node, op):
            yield value, "the result"
    for position, (operand, is_kept) in enumerate(zip(node.args, operands_kept, strict=True)):
        if is_kept and isinstance(operand, Value) and op.reads_operand(position, names):
            yield operand, "an operand"


def read_results(node: Node, op: Definition) -> list[Value]:
    """The results that a gradient formula reads that reads results."""
    return [v for v in node.values if v.index not in op.unread_results]
