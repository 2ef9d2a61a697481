"""Functions under `functools.lru_cache`: results are read from the real cache, like any other state of the program.

    table = make_table(8)   -->   L0: guard `is_cached(make_table, 8)`, then a value whose source is `make_table(8)`

Every call of the captured program asks the cache itself, so all callers share one result, as in eager. What is not in
the cache yet is computed while capturing if nobody can tell that it was computed early: the function is traced on its
own first, to see that it neither changes nor draws anything. Otherwise the graph breaks there, until the result is
cached.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.tape import handle as run_eagerly
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Call, Reference, Source, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import Observed, is_constant, is_tensor
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.memories import root_of
from tracegraph.capture.trace.safety import specialised
from tracegraph.ops.core.dispatch import creation

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def is_cached(function: Any, *args: Any, **kwargs: Any) -> bool:
    """Whether calling the cached function now would find its result; asking neither runs it nor counts as a use."""
    held = gc.get_referents(function)
    # in this order: every cached result (if there is a bound), the cache, the function, a mark in keys, ...
    position = max(i for i, part in enumerate(held) if part is function.__wrapped__)
    cache, mark = held[position - 1], held[position + 1]
    if type(cache) is not dict or cache is function.__dict__:
        return False
    try:
        return _key(args, kwargs, mark, function.cache_parameters()["typed"]) in cache
    except TypeError:
        return False  # not hashable


def _key(args: Args, kwargs: Kwargs, mark: Any, is_typed: bool) -> Any:
    """The key of a call in the cache, as CPython makes it."""
    if not is_typed and not kwargs and len(args) == 1 and type(args[0]) in (int, str):
        return args[0]
    key = args if not kwargs else (*args, mark, *(part for item in kwargs.items() for part in item))
    return (*key, *map(type, args), *map(type, kwargs.values())) if is_typed else key


def call_cached(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """A call of a function under `functools.lru_cache`.

    Raises:
        Break: an argument is made in the trace, or the result is not there yet and cannot be computed ahead.
    """
    values = [specialised(tracer, v) for v in (*args, *kwargs.values())]
    function_source = tracer.source_of(function)
    if function_source is None:
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}(), which caches results and is made in the trace")
    sources = tuple(_source_of(tracer, function, v) for v in values)
    real = [_original(tracer, v) for v in values]
    given, named = tuple(real[: len(args)]), dict(zip(kwargs, real[len(args) :], strict=True))
    place = Call(function_source, sources, tuple(kwargs))
    presence = Call(function_source, sources, tuple(kwargs), Reference(is_cached))
    if not is_cached(function, *given, **named):
        obstacle = _obstacle(tracer, function, given, named)
        if isinstance(obstacle, Observed):
            raise obstacle
        if obstacle:
            name = function.__qualname__
            stop = Break(reasons.NATIVE_CALL, f"the first call of {name}(), whose result is cached: {obstacle}")
            stop.until = (GuardKind.CONSTANT, presence, False)
            raise stop
    with creation(run_eagerly):
        result = tracer.native(function, *given, **named)
    if is_cached(function, *given, **named):
        tracer.guards.add(GuardKind.CONSTANT, presence, True)
    return tracer.read(result, place)


def _source_of(tracer: Tracer, function: Any, value: Any) -> Source:
    if is_constant(value):
        return constant_source(value)
    graph_input = tracer.input_of(value) if is_tensor(value) else None
    source = tracer.source_of(value) if graph_input is None else graph_input.source
    if source is None or (graph_input is not None and graph_input.convert is not None):
        what = f"a {tracer.type_of(value).__name__} made in the trace"
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}(), which caches results, of {what}")
    return source


def _original(tracer: Tracer, value: Any) -> Any:
    graph_input = tracer.input_of(value) if is_tensor(value) else None
    return tracer.effects.original(value) if graph_input is None else graph_input.tensor


def _obstacle(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> str | Observed:
    """Why the function cannot run ahead of the program, "" if it can; the exception that it raises."""
    trial = type(tracer)(tracer.name, Dynamism(False))
    outcome = _try(trial, function, args, kwargs)
    if outcome:
        return outcome
    if not trial.effects.is_empty():
        return "it changes an object from outside"
    calls = list(trial.builder.graph.calls)
    written = {root_of(n.operands[i]) for n in calls for i in getattr(n.call_op, "mutates", ())}
    inputs = {i.handle.value for i in trial.inputs}
    if written & inputs or any(not n.is_pure and not getattr(n.call_op, "mutates", ()) for n in calls):
        return "it draws random numbers, or writes to a tensor"
    if trial.recorder.grad_enabled != trial.initial_grad_mode or trial.settings.changed():
        return "it changes a setting"
    return _conflict(tracer, trial)


def _try(trial: Tracer, function: Any, args: Args, kwargs: Kwargs) -> str | Observed:
    from tracegraph.capture.calls.callables import call

    def enter(value: Any) -> Any:
        return trial.read(value, constant_source(value))

    try:
        with trial.recorder.active(), trial.sizes.env.active():
            call(trial, enter(function.__wrapped__), tuple(map(enter, args)), {k: enter(v) for k, v in kwargs.items()})
    except Break as stop:
        return stop.detail
    except RecursionError:
        return "it calls itself too often"
    except Observed as observed:
        return observed
    return ""


def _conflict(tracer: Tracer, trial: Tracer) -> str:
    """Whether the trace has changed what the function reads, and would only write it when the graph has run."""
    grad_mode = tracer.recorder.grad_enabled == tracer.initial_grad_mode
    if not grad_mode or tracer.settings.changed():
        return "it would run under other settings"
    written = {id(tracer.effects.original(o)) for o in tracer.effects.mutated_objects()}
    written |= {id(w.namespace) for w in tracer.effects.writes if hasattr(w, "namespace")}
    is_stale = trial.inputs and any(not n.is_pure for n in tracer.builder.graph.calls)
    return "it reads what has been changed" if is_stale or written & trial.originals() else ""


#: kinds of callables
HANDLERS: dict[type, Callable[[Any, Any, Args, Kwargs], Any]] = {functools._lru_cache_wrapper: call_cached}
