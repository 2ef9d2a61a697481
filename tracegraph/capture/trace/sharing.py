"""Arguments that share memory: what the graph writes to one of them, the others show.

The graph takes each as an input of its own, and whoever compiles it derives them from the memory that they share
(`aot.functionalise`). So how they lie in it is guarded, and their sizes are fixed. What the trace has decided must not
depend on their being different tensors; where it may, the function runs eagerly.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import GuardKind, Sharing
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace.memories import is_rebinding, root_of, written_positions, written_roots
from tracegraph.ir import Node, Value
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.layout import overlaps_itself
from tracegraph.ops.core.shared_memory import SharedMemory
from tracegraph.tensor.sharing import shared_memories

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Input, Tracer


def guard_sharing(tracer: Tracer) -> bool:
    """Guard how what the graph writes to lies in memory with its other inputs; False to trace again, as their sizes
    must not vary.

    Raises:
        Break: they lie in one memory in a way that graphs know nothing of.
    """
    roots = written_roots(tracer.builder.graph)
    # what a call draws at random lies in new memory
    inputs = [i for i in tracer.inputs if i.has_memory and not tracer.guards.is_drawn(i.source)]
    inputs = [i for i in inputs if i.value.users or i.value in tracer.tensors.counted]
    written = [i for i in inputs if i.value in roots]
    others = [i for i in inputs if i.value not in roots]
    for given in written:
        if _overlaps_itself(given.tensor):
            _refuse(tracer, {given.value}, "a write to a tensor that overlaps itself")
    if not written or len(tracer.inputs) == 1:
        return True
    if not eager.may_overlap([i.tensor for i in written], [i.tensor for i in others]):
        places = tuple(i.source for i in written), tuple(i.source for i in others)
        tracer.guards.add(GuardKind.SEPARATE_STORAGE, None, places)
        return True
    positions = tuple(n for n, i in enumerate(inputs) if i.value in roots)
    memories = shared_memories([i.tensor for i in inputs], positions)
    for memory in memories:
        _check(tracer, memory, [inputs[m.position] for m in memory.members])
    members = [inputs[n] for m in memories for n in m.positions]
    tracer.guards.add(GuardKind.SHARED_STORAGE, None, Sharing(tuple(i.source for i in inputs), positions, memories))
    return not tracer.foresight.fix([i.source for i in members if not i.value.type.is_static])


def _overlaps_itself(tensor: Any) -> bool:
    strides = [abs(s) for s in tensor.stride()]
    return bool(tensor.numel()) and overlaps_itself(tuple(tensor.shape), tuple(strides))


def _check(tracer: Tracer, memory: SharedMemory, members: Sequence[Input]) -> None:
    """Refuse what the trace has taken for different memories, and graphs cannot take for one."""
    calls, values = list(tracer.builder.graph.calls), {i.value for i in members}
    why = memory.refusal
    if any(map(tracer.recorder.has_history, values)):
        why = "a write that gradients flow through"
    elif any(_writes_to(n, values) for n in tracer.builder.graph.nodes[: tracer.last_pass]):
        why = "a write before gradients are taken in the function"
    elif not values.isdisjoint(tracer.tensors.counted):
        why = "a write, and a version asked for"
    elif any(not values.isdisjoint(map(root_of, n.operands)) for n in calls if is_rebinding(n)):
        why = "a write, and other memory given"
    elif any(_reads_in_backward(n, values) for n in calls):
        why = "a write to what a backward function reads"
    elif any(i.tensor.requires_grad for i in tracer.inputs) and not memory.is_countable:
        why = "a write to tensors that count their versions apart"
    if why:
        _refuse(tracer, values, why)


def _refuse(tracer: Tracer, values: Collection[Value], why: str) -> NoReturn:
    """Break at the first write to the memory of one of the values."""
    stop = Break(reasons.ALIASED_INPUTS, why, Extent.FRAME)
    stop.location = next(n.location for n in tracer.builder.graph.calls if _writes_to(n, values))
    raise stop


def _writes_to(node: Node, values: Collection[Value]) -> bool:
    """Whether a node writes to the memory of one of the values."""
    return node.is_call and any(root_of(node.operands[i]) in values for i in written_positions(node))


def _reads_in_backward(node: Node, values: Collection[Value]) -> bool:
    """Whether a node's gradient formula reads the memory of one of the values as it is in backward."""
    op = node.call_op
    positions = op.unversioned_operands(node.attrs) if isinstance(op, Definition) else ()
    return any(isinstance(a := node.args[i], Value) and root_of(a) in values for i in positions)
