"""`autograd.Function` in a trace: its `forward` is part of the graph, its `backward` a graph that a node holds.

`Function.apply` is inlined as the Python that it is. In the place of the step that puts the application on the tape,
`recorded`, stands the operation `custom_vjp`: `backward` is traced into a graph of its own, on stand-ins for the
gradients of the results. What `ctx` carries from the one to the other are values of the trace.

A `backward` that cannot become a graph, or has effects beyond its results, breaks the graph at the call of `apply`,
which then runs eagerly. So does one that returns what it must not: the error is eager's, in the backward pass.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.autograd import function as library
from tracegraph.autograd.function import Context, Form, Function
from tracegraph.autograd.grad_mode import is_grad_enabled
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import Observed, is_tensor
from tracegraph.capture.tensors.control_flow import call_higher_order
from tracegraph.capture.trace.early_reads import EarlyRead
from tracegraph.capture.trace.functions import bind_slots, inline, parameter_names
from tracegraph.capture.trace.leaves import is_alone
from tracegraph.errors import IRError
from tracegraph.ir import Value
from tracegraph.ir.op import lookup
from tracegraph.ops import functional as F
from tracegraph.ops.control.custom_gradients import MAX_ABSENT, CustomVjp, optional_outputs
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.kinds import View

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def _call_apply(tracer: Tracer, function: type[Function], *args: Any, **kwargs: Any) -> Any:
    """`Function.apply`.

    Raises:
        Break: something in it cannot be traced; then it runs eagerly from its start, which knows its tape.
    """
    try:
        return inline(tracer, _APPLY, (function, *args), kwargs)
    except Break as stop:
        stop.is_inside_callee = False
        raise


_APPLY: types.FunctionType = Function.__dict__["apply"].__func__


def _call_recorded(
    tracer: Tracer, function: type[Function], context: Context, args: Sequence[Any], results: tuple[Any, ...]
) -> tuple[Any, ...]:
    """`autograd.function.recorded` of an application on tensors of the trace.

    Raises:
        Break: `backward` cannot become a graph.
    """
    from tracegraph.capture.calls.callables import call

    if not tracer.is_fresh(context):
        raise Break(reasons.NATIVE_CALL, f"{function.__name__}.apply, which began before the trace")
    call(tracer, library.check_dirty, (function, context, args, results), {})
    positions = [i for i, r in enumerate(results) if call(tracer, library.is_differentiable, (context, r), {})]
    if not positions:
        return results
    needs = context.needs_input_grad
    backward = functools.partial(
        library.pull_back_of_some,
        function,
        context,
        tuple(map(_form, results)),
        tuple(_form(a) if needed else None for a, needed in zip(args, needs, strict=True)),
        tuple(positions),
    )
    outputs = [results[i] for i in positions]
    inputs = [a for a, needed in zip(args, needs, strict=True) if needed]
    materialize = context._materialize or len(positions) == 1
    where = f"{function.__name__}.backward"
    written = class_lookup(function, "backward")
    reads = [written.__func__] if isinstance(written, staticmethod) else []
    saved = [t for t in context._saved if is_tensor(t)]
    histories = with_gradient(tracer, where, outputs, inputs, backward, reads, materialize, saved=saved)
    replaced = list(results)
    for position, history in zip(positions, histories, strict=True):
        replaced[position] = adopted(tracer, context._dirty, (*args, *replaced[:position]), results[position], history)
    return tuple(replaced)


def with_gradient(
    tracer: Tracer,
    where: str,
    outputs: list[Traced],
    inputs: list[Traced],
    backward: Callable[..., Any],
    reads: Sequence[Any] = (),
    materialize: bool | tuple[int, ...] = True,
    is_hook: bool = False,
    saved: Sequence[Any] = (),
) -> tuple[Traced, ...]:
    """Tensors equal to `outputs` whose gradients are what `backward` makes of them; see `custom_vjp`.

    Args:
        where: what messages call it.
        materialize: whether an output without gradient has zeros, or the positions of those that have.
        reads: what it reads besides what can be seen from it.
        saved: the tensors to which writes before backward are errors; others it reads as they are then.

    Raises:
        Break: it cannot become a graph.
    """
    optional = optional_outputs(len(outputs), materialize)
    if len(optional) > MAX_ABSENT:
        raise Break(
            reasons.CUSTOM_GRADIENT,
            f"{where}: {len(optional)} results whose gradients may be None, more than {MAX_ABSENT}",
        )
    custom_vjp = lookup("custom_vjp")
    assert isinstance(custom_vjp, CustomVjp)
    try:
        with tracer.backward_reads.noticing(backward, *reads) as noticed:
            found: tuple[Traced, ...] = call_higher_order(
                tracer,
                custom_vjp,
                (outputs, inputs, backward),
                {"materialize": materialize, "is_hook": is_hook, "versioned": list(saved), "outside": noticed.operand},
            )
    except Break as stop:
        if stop.extent is Extent.FRAME:
            raise
        detail = stop.detail.removeprefix("custom_vjp: backward_fn").lstrip(": ")
        refused = Break(reasons.CUSTOM_GRADIENT, f"{where}: {detail}", stop.extent)
        refused.location = stop.location
        raise refused from None
    except Observed as observed:
        if not isinstance(observed.exception, IRError):
            raise
        detail = str(observed.exception).removeprefix("custom_vjp: backward ")
        raise Break(reasons.CUSTOM_GRADIENT, f"{where}: it {detail}") from None
    tracer.early_reads.append(EarlyRead(where, noticed.watch, noticed.places))
    return found


def _form(value: Any) -> Form | None:
    return (tuple(value.shape), value.dtype) if is_tensor(value) else None


def adopted(tracer: Tracer, dirty: Sequence[Any], others: Sequence[Any], result: Traced, history: Traced) -> Traced:
    """A result of `forward` with the history of `history`, as `recorded` makes it of eager tensors.

    Args:
        dirty: the arguments that are written to.
        others: the arguments, and the results before it.
    """
    if any(result is t for t in dirty):
        tracer.native(result.copy_, history)
        return result
    if is_view(result.value) or any(result is other for other in others):
        found: Traced = tracer.native(F.with_history, result, history)
        return found
    if not is_alone(result.value):
        history = tracer.native(F.with_history, result, history)
    # whoever holds the result, as `ctx` may, holds the tensor with its history
    result.value, result.requires_grad = history.value, True
    return result


def is_view(value: Value) -> bool:
    """Whether gradients of a tensor made in grad mode would be those of another."""
    while value.node.is_call and isinstance(value.node.target, View):
        if value.node.target.shares_history:
            return True
        value = value.node.operands[0]
    return False


def _call_positional(tracer: Tracer, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """`autograd.function.positional`."""
    if not isinstance(function, types.FunctionType):
        raise Break(reasons.NATIVE_CALL, f"a forward that is a {type(function).__name__}")
    code = function.__code__
    slots = bind_slots(tracer, function, args, kwargs)
    names = parameter_names(code)
    count, rest = code.co_argcount, list(names[code.co_argcount + code.co_kwonlyargcount :])
    starred = slots[rest.pop(0)] if code.co_flags & inspect.CO_VARARGS else ()
    keywords = slots[rest.pop(0)] if rest else {}
    only = [slots[n] for n in names[count : count + code.co_kwonlyargcount]]
    return (*(slots[n] for n in names[:count]), *starred, *only, *keywords.values())


def _call_is_grad_enabled(tracer: Tracer) -> bool:
    """`is_grad_enabled()`.

    Raises:
        Break: a backward function asks.
    """
    if tracer.recorder.grad_enabled:
        tracer.backward_reads.check_told("whether grad mode is on")
    return tracer.recorder.grad_enabled


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {
    _APPLY: _call_apply,
    is_grad_enabled: _call_is_grad_enabled,
    library.recorded: _call_recorded,
    library.positional: _call_positional,
}
