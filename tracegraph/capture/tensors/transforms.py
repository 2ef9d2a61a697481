"""What `tracegraph.func` asks of histories, of tensors of the trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.capture.stack.values import is_tensor
from tracegraph.func import levels
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def call_left(tracer: Tracer, results: Sequence[Traced], own: Sequence[Traced]) -> list[Traced]:
    """`levels.left` of tensors of the trace."""
    values = {t.value for t in own if is_tensor(t)}
    begins = {i.value for i in tracer.inputs if i.tensor.requires_grad}
    begins.update(value for value, _ in tracer.tensors.leaves() if value not in values)
    kept = [r.requires_grad and _reaches(tracer, r, begins) for r in results]
    found: list[Traced] = [r if is_kept else tracer.native(r.detach) for r, is_kept in zip(results, kept, strict=True)]
    return tracer.fresh(found)


def _reaches(tracer: Tracer, result: Traced, begins: set[Any]) -> bool:
    return any(not begins.isdisjoint(node.values) for node in tracer.tensors.history(result.value))


def call_end(tracer: Tracer, own: Sequence[Traced]) -> None:
    """`levels.end` of tensors of the trace: what a graph computes has no history that begins at them."""
    for tensor in own:
        tracer.tensors.end_leaf(tensor)


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {levels.left: call_left, levels.end: call_end}
