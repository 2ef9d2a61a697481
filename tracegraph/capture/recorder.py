"""Recording user code into the graph: what the general recorder must not know of Python frames and eager tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.break_reasons import Break, Extent
from tracegraph.capture.numbers import TraceNumbers
from tracegraph.ir import Builder, Kind, Value
from tracegraph.ops.definition import Definition
from tracegraph.ops.recording import Recorder, Traced


class CaptureRecorder(Recorder):
    """Accepts no tensor but those the trace has read, and numbers as the graph may have them.

    Args:
        numbers: the numbers of the trace that vary.
        is_leaf: whether a placeholder stands for a leaf that requires grad; writing to one is an error in eager.
    """

    def __init__(self, builder: Builder, numbers: TraceNumbers, is_leaf: Callable[[Value], bool]) -> None:
        super().__init__(builder, lift=self._refuse)
        self._numbers = numbers
        self._is_leaf = is_leaf

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        attrs = {k: self._numbers.known_to_graph(v) for k, v in attrs.items()}
        operands = tuple(map(self._numbers.known_to_graph, self._numbers.lifted(op, operands)))
        mutated = [operands[i] for i in getattr(op, "mutates", ())]
        if not mutated:
            return super().handle(op, operands, attrs)
        if not self.grad_enabled:
            # outside grad mode the elements change and no history does: write to an alias without history
            return super().handle(op, tuple(map(self._detached, operands)), attrs)
        for target in mutated:
            self._write(target, operands)
        return super().handle(op, operands, attrs)

    def _detached(self, operand: Any) -> Any:
        return operand.detach() if isinstance(operand, Traced) and operand.requires_grad else operand

    def _write(self, target: Traced, operands: tuple[Any, ...]) -> None:
        if target.requires_grad and self._is_leaf(root_of(target.value)):
            raise Break(reasons.USER_EXCEPTION, "an in-place operation on a leaf that requires grad", Extent.FRAME)
        if any(isinstance(o, Traced) and o.requires_grad for o in operands):
            target.requires_grad = True

    def _refuse(self, tensor: Any) -> Any:
        raise Break(reasons.UNSUPPORTED_VALUE, "a tensor reached an operation without being read by the trace")


def root_of(value: Value) -> Value:
    """The value whose memory `value` views, itself if it is no view."""
    while value.node.is_call and value.node.call_op.kind is Kind.VIEW:
        value = value.node.operands[0]
    return value
