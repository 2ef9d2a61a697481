"""Recording user code into the graph: what the general recorder must not know of Python frames and eager tensors."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace.default_dtypes import with_own_dtypes
from tracegraph.capture.trace.numbers import TraceNumbers
from tracegraph.capture.trace.random_streams import RandomStreams
from tracegraph.capture.trace.tensor_states import TensorStates
from tracegraph.ir import Builder, lookup
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Recorder, Traced
from tracegraph.ops.random.generator import default_generator
from tracegraph.ops.random.random_bits import NextKey


class CaptureRecorder(Recorder):
    """Accepts no tensor but those the trace has read, and numbers as the graph may have them.

    Args:
        numbers: the numbers of the trace that vary.
        tensors: the states of the tensors of the trace.
        random: the random generators of the trace.
    """

    def __init__(self, builder: Builder, numbers: TraceNumbers, tensors: TensorStates, random: RandomStreams) -> None:
        super().__init__(builder, lift=self._refuse)
        self._numbers = numbers
        self._tensors = tensors
        self._random = random
        #: whether any operation was recorded in grad mode; those outside it are marked in the graph, so it runs in it
        self.needs_grad_mode = False
        self._default_dtype = dtypes.DEFAULT.dtype

    def as_rows(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return self._numbers.as_rows(op, operands)

    def prepared(
        self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self.needs_grad_mode |= self.grad_enabled
        known = self._numbers.known_to_graph
        attrs = {k: known(v) for k, v in attrs.items()}
        operands = tuple(map(known, self._numbers.lifted(op, operands)))
        return with_own_dtypes(op, operands, attrs, self._default_dtype)

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if isinstance(op, NextKey):
            return self._random.key(attrs.get("generator") or default_generator, self._record)
        if op.mutates and self.grad_enabled:
            self._tensors.keep_for_gradients(*operands)
        results = super().handle(op, operands, attrs)
        self._numbers.check_sizes(results)
        return results

    def begin_draws(self) -> Traced:
        self._random.note_draws()
        return super().begin_draws()

    def _record(self, name: str, attrs: dict[str, Any]) -> Any:
        return super().handle(lookup(name), (), attrs)  # type: ignore[arg-type]

    def check_write(self, target: Traced) -> None:
        if self.grad_enabled and target.requires_grad and self._tensors.is_leaf_memory(target.value):
            raise Break(reasons.USER_EXCEPTION, "an in-place operation on a leaf that requires grad")

    def set_requires_grad(self, tensor: Traced, requires_grad: bool) -> None:
        self._tensors.set_requires_grad(tensor, requires_grad)

    def refuse_unrecorded_view(self, view: Traced) -> None:
        raise Break(reasons.USER_EXCEPTION, "a view made outside grad mode of what got a history since", Extent.FRAME)

    def _refuse(self, tensor: Any) -> Any:
        raise Break(reasons.UNSUPPORTED_VALUE, "a tensor reached an operation without being read by the trace")
