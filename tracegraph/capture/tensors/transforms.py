"""What `tracegraph.func` asks of histories, of tensors of the trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.sources import Slot
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import is_tensor
from tracegraph.func import levels
from tracegraph.ir import Value
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def call_left(tracer: Tracer, results: Sequence[Traced], own: Sequence[Traced]) -> list[Traced]:
    """`levels.left` of tensors of the trace.

    Raises:
        Break: a history goes on before the trace, where the tape knows it.
    """
    values = {t.value for t in own if is_tensor(t)}
    found: list[Traced] = [r if _reaches_others(tracer, r, values) else tracer.native(r.detach) for r in results]
    return tracer.fresh(found)


def _reaches_others(tracer: Tracer, result: Traced, own: set[Value]) -> bool:
    if not result.requires_grad:
        return False
    reached = {v for node in tracer.tensors.history(result.value) for v in node.values} - own
    if any(value in reached for value, _ in tracer.tensors.leaves()):
        return True
    begins = [i for i in tracer.inputs if i.value in reached and i.tensor.requires_grad]
    if any(i.is_made or tracer.read(i.tensor.is_leaf, Slot(i.source, "is_leaf")) for i in begins):
        return True
    if begins:
        raise Break(reasons.TENSOR_ATTRIBUTE, "where a history begins that is older than the trace")
    return False


def call_end(tracer: Tracer, own: Sequence[Traced]) -> None:
    """`levels.end` of tensors of the trace: what a graph computes has no history that begins at them."""
    for tensor in own:
        tracer.tensors.end_leaf(tensor)


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {levels.left: call_left, levels.end: call_end}
