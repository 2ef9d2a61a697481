"""Calling Python functions symbolically: binding arguments, cells and globals of a new frame."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracegraph.capture.bytecode.per_code import PerCode
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Constant, FreeVariable, Item, Reference, Slot
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.values import Observed

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


@dataclass(frozen=True)
class _Default:
    """Stands for the default of a parameter while arguments are bound."""

    key: int | str


def parameter_names(code: types.CodeType) -> tuple[str, ...]:
    """Names of the parameters as the frame stores them: positional, keyword-only, *args, **kwargs."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:count]


def _is_comprehension(code: types.CodeType) -> bool:
    """Whether `code` takes an iterator, under a name that no parameter can have."""
    return code.co_argcount == 1 and code.co_varnames[0] == ".0"


@PerCode
def _binder_code(code: types.CodeType) -> types.CodeType:
    """Code with the parameters of `code` that returns them as a tuple, in the order of `parameter_names`."""
    names = parameter_names(code)
    positional = list(names[: code.co_argcount])
    if code.co_posonlyargcount:
        positional.insert(code.co_posonlyargcount, "/")
    keyword_only = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = list(names[code.co_argcount + code.co_kwonlyargcount :])
    stars = [f"*{rest.pop(0)}"] if code.co_flags & inspect.CO_VARARGS else ["*"] if keyword_only else []
    double = [f"**{rest.pop(0)}"] if code.co_flags & inspect.CO_VARKEYWORDS else []
    signature = ", ".join([*positional, *stars, *keyword_only, *double])
    space: dict[str, Any] = {}
    exec(f"def bind({signature}): return ({''.join(n + ', ' for n in names)})", space)
    compiled: types.CodeType = space["bind"].__code__
    return compiled.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )


def make_binder(
    function: types.FunctionType, defaults: tuple[Any, ...] | None, keyword_defaults: dict[str, Any] | None
) -> Callable[..., tuple[Any, ...]]:
    """A function that binds a call of `function` as CPython does, errors included, and returns the parameters."""
    code = function.__code__
    if _is_comprehension(code):
        return lambda iterator: (iterator,)
    binder = types.FunctionType(_binder_code(code), {}, code.co_name, defaults)
    binder.__kwdefaults__ = keyword_defaults
    binder.__qualname__ = function.__qualname__
    return binder


def _bind(tracer: Tracer, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    defaults, keyword_defaults = function.__defaults__, function.__kwdefaults__
    binder = make_binder(
        function,
        tuple(_Default(i) for i in range(len(defaults))) if defaults else None,
        {n: _Default(n) for n in keyword_defaults} if keyword_defaults else None,
    )
    bound = tracer.native(binder, *args, **kwargs)
    return [_default_value(tracer, function, v) if type(v) is _Default else v for v in bound]


def _default_value(tracer: Tracer, function: types.FunctionType, default: _Default) -> Any:
    attribute = "__defaults__" if isinstance(default.key, int) else "__kwdefaults__"
    store: Any = getattr(function, attribute)
    value = store[default.key]
    source = tracer.source_of(function)
    if source is None:
        return value
    holder = Slot(source, attribute)
    if isinstance(default.key, int):
        tracer.guards.add(GuardKind.LENGTH, holder, len(store))
    return tracer.read(value, Item(holder, default.key))


def _slots(tracer: Tracer, function: types.FunctionType, bound: list[Any]) -> dict[str, Any]:
    """Variables of a new frame: parameters, and the cells of the closure, with their Sources."""
    code = function.__code__
    names = (".0",) if _is_comprehension(code) else parameter_names(code)
    slots = dict(zip(names, bound, strict=True))
    source = tracer.source_of(function)
    for i, (name, cell) in enumerate(zip(code.co_freevars, function.__closure__ or (), strict=True)):
        if source is not None and not tracer.is_fresh(cell):
            tracer.read(cell, FreeVariable(source, i, name))
        slots[name] = cell
    return slots


def bind_slots(
    tracer: Tracer, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The variables of the frame of a call.

    Raises:
        Observed: the arguments do not fit.
    """
    return _slots(tracer, function, _bind(tracer, function, args, kwargs))


def inline(tracer: Tracer, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `function` as part of the trace.

    Raises:
        Observed: the call raises.
        Break: something in it cannot be traced.
    """
    from tracegraph.capture.trace.frame import Frame, Returned
    from tracegraph.capture.trace.generators import SymbolicGenerator

    tracer.backward_reads.use(function)
    code = function.__code__
    if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE):
        raise Break(reasons.ASYNC, function.__qualname__)
    namespace = function.__globals__
    if not tracer.is_outside(namespace):
        label = f"globals of {namespace.get('__name__', '?')}"
        tracer.adopt(namespace, namespace, Constant(Reference(namespace), label))
    frame = Frame(tracer, code, namespace, bind_slots(tracer, function, args, kwargs))
    if code.co_flags & inspect.CO_GENERATOR:
        tracer.generators.append(SymbolicGenerator(frame))
        return tracer.fresh(tracer.generators[-1])
    try:
        outcome = frame.run()
    except RecursionError as e:
        raise Break(reasons.RECURSION, function.__qualname__, Extent.FRAME) from e
    if not isinstance(outcome, Returned):
        raise Observed(RuntimeError("a function that is no generator yielded"))
    return outcome.value
