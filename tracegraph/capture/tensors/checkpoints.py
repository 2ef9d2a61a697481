"""Checkpointed calls in a trace: the function is part of the graph, and the graph's partition decides what is kept.

Eager execution calls the function once more in backward. A function of which that could be told, because it changes
what exists without it or draws other numbers the second time, breaks the graph; `checkpoint` then runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.checkpoint import checkpoint
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.trace.mutation_watch import MutationWatch
from tracegraph.ir import Node, Value
from tracegraph.ops.kinds import View

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def _call_checkpoint(
    tracer: Tracer,
    function: Any,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`checkpoint(function, *args, **kwargs)`.

    Raises:
        Observed: the function raises.
        Break: it cannot be traced, or would do in backward what it must do once.
    """
    from tracegraph.capture.calls.callables import call

    watch = MutationWatch(tracer, (function, *args, *kwargs.values()))
    before, drawn = set(tracer.builder.graph.nodes), tracer.random.draws
    try:
        results = call(tracer, function, args, kwargs)
    except Break as stop:
        stop.is_inside_callee = False
        raise
    if tracer.recorder.grad_enabled:
        made = [node for node in tracer.builder.graph.nodes if node.is_call and node not in before]
        draws = not preserve_rng_state and tracer.random.draws > drawn
        again = watch.changed() or ("draws random numbers" if draws else _changed_by(made))
        if again:
            raise Break(reasons.NATIVE_CALL, f"checkpoint() of a function that {again}, in backward once more")
    return results


def _changed_by(made: list[Node]) -> str:
    """What the operations change besides their own results, "writes to a tensor"; empty if nothing."""
    for node in made:
        written = getattr(node.call_op, "mutates", ())
        if any(_memory(node.operands[position]).node not in made for position in written):
            return "writes to a tensor"
    return ""


def _memory(value: Value) -> Value:
    """The value in whose memory another lies."""
    while value.node.is_call and isinstance(value.node.target, View):
        value = value.node.operands[0]
    return value


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {checkpoint: _call_checkpoint}
