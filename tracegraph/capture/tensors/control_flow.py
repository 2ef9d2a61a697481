"""`cond`, `while_loop` and `scan` in a trace: their functions are inlined, each into a graph of its own.

Such a function runs when the graph does, once, often or never. So tracing it must leave nothing behind that the
program could see: what it does to objects of the outside world or of the trace breaks the graph instead, and so does
whatever cannot be captured in it, or an exception.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.mutation_watch import MutationWatch
from tracegraph.capture.trace.safety import flatten, is_opaque
from tracegraph.ops.graphs.nested import Draws, Input, RecordedBody, record_body
from tracegraph.ops.graphs.recording import Recorder
from tracegraph.ops.kinds import HigherOrder

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def call_higher_order(tracer: Tracer, op: HigherOrder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call.

    Raises:
        Observed: an argument is refused.
        Break: a function among the arguments cannot become a graph.
    """
    record = partial(_record, tracer, op.name, (*args, *kwargs.values()))
    bound = tracer.native(inspect.signature(op.enter).bind, record, *args, **kwargs)
    for name, value in bound.arguments.items():
        if name.endswith("_fn") and callable(value):
            bound.arguments[name] = partial(_inlined, tracer, value)
        elif name != "record" and any(is_opaque(tracer, part) for part in flatten(value)):
            raise Break(reasons.UNSUPPORTED_VALUE, f"{op.name}() with an argument that is not followed")
    return tracer.native(op.enter, *bound.args, **bound.kwargs)


def _inlined(tracer: Tracer, function: Any, *args: Any) -> Any:
    from tracegraph.capture.calls.callables import call

    return call(tracer, function, args, {})


def _record(
    tracer: Tracer,
    op: str,
    reachable: Sequence[Any],
    outer: Recorder,
    name: str,
    function: Callable[..., Any],
    inputs: Sequence[Input],
    draws: Draws = Draws.REFUSED,
) -> RecordedBody:
    """As `record_body`, with everything that the function does noticed."""
    watch = MutationWatch(tracer, reachable)
    try:
        body = record_body(outer, name, function, inputs, draws)
    except Observed as observed:
        detail = f"it raises {type(observed.exception).__name__}: {observed.exception}"
        raise Break(reasons.CONTROL_FLOW, f"{op}: {name}: {detail}") from None
    except Break as stop:
        raise _refusal(stop, f"{op}: {name}") from None
    changed = watch.changed()
    if changed:
        raise Break(reasons.CONTROL_FLOW, f"{op}: {name} {changed}")
    return body


def _refusal(stop: Break, where: str) -> Break:
    """The break of the whole call for one inside of a function given to it."""
    if stop.extent is Extent.FRAME:
        return stop
    if stop.reason is not reasons.REASONS[reasons.CONTROL_FLOW]:
        refused = Break(reasons.CONTROL_FLOW, f"{where}: {stop.reason.id}: {stop.detail}", stop.extent)
        refused.location = stop.location
        return refused
    stop.is_inside_callee = False
    return stop
