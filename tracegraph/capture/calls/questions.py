"""Functions that ask for state of the process or the thread: environment variables, levels of loggers, weak references.

    factor = os.environ.get("FACTOR")   -->   guard `os.environ.get("FACTOR") == "2"`

The real function is asked while capturing, and again by the guards of every call: a change is seen, and is a recompile.
So a function belongs here if asking changes nothing and nobody can tell that it was asked. What a trace may write to
itself is refused where it would change the answer.
"""

from __future__ import annotations

import contextvars
import gc
import logging
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Call, Reference, Source, constant_source
from tracegraph.capture.objects import attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import (
    IDENTITY_TYPES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_of_python,
    is_tensor,
)
from tracegraph.capture.trace.functions import inline
from tracegraph.capture.trace.safety import specialised

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def ask(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs, source: Source | None = None) -> Any:
    """What `function` answers, guarded.

    Args:
        source: where the function came from; by default it is one that never changes.

    Raises:
        Observed: the exception it raises, which is guarded too.
        Break: an argument is made in the trace, or the trace has changed it.
    """
    values = [specialised(tracer, v) for v in (*args, *kwargs.values())]
    sources = tuple(_source_of(tracer, function, v) for v in values)
    real = [_original(tracer, v) for v in values]
    given, named = real[: len(args)], dict(zip(kwargs, real[len(args) :], strict=True))
    asked = source or constant_source(function)
    try:
        answer = function(*given, **named)
    except Exception as error:
        place = Call(asked, sources, tuple(kwargs), Reference(exception_of))
        tracer.guards.add(GuardKind.IDENTITY, place, type(error))
        raise Observed(error) from None
    return tracer.read(answer, Call(asked, sources, tuple(kwargs)))


def exception_of(function: Any, *args: Any, **kwargs: Any) -> type | None:
    """The class of the exception that a question raises, None if it answers."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error)
    return None


def _source_of(tracer: Tracer, function: Any, value: Any) -> Source:
    if is_constant(value) or isinstance(value, IDENTITY_TYPES):
        return constant_source(value)
    graph_input = tracer.input_of(value) if is_tensor(value) else None
    source = tracer.source_of(value) if graph_input is None else graph_input.source
    is_changed = bool(tracer.effects.written_names(value))
    if source is None or is_changed or (graph_input is not None and graph_input.convert is not None):
        what = f"a {tracer.type_of(value).__name__} {'changed' if is_changed else 'made'} in the trace"
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}() of {what}")
    return source


def _original(tracer: Tracer, value: Any) -> Any:
    graph_input = tracer.input_of(value) if is_tensor(value) else None
    return tracer.effects.original(value) if graph_input is None else graph_input.tensor


# ------------------------------------------------------------------------------------------ functions


def _call_question(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    return ask(tracer, function, args, kwargs)


def call_keyed(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """A lookup in a mapping with weak keys, by a key that lives.

    Raises:
        Break: hashing or comparing the key runs code of the program.
    """
    for key in args[1:2]:
        if isinstance(class_lookup(tracer.type_of(key), "__hash__"), types.FunctionType):
            raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}() with a key of type {type(key).__name__}")
    return ask(tracer, function, args, kwargs)


def names_of(variables: Any) -> tuple[str, ...]:
    """The names of the environment variables there are, in order."""
    return tuple(variables)


def _call_inlined(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """A function of a module that is not traced into which only asks such questions, unless it has to write."""
    return inline(tracer, function, args, kwargs)


def _call_environment_names(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    return tracer.fresh(iter(ask(tracer, names_of, args, kwargs)))


def _call_reference(tracer: Tracer, reference: Any, args: Args, kwargs: Kwargs) -> Any:
    """`ref()`: what a weak reference refers to, None if that is gone."""
    source = tracer.source_of(reference)
    if source is not None:
        _refuse_deaths(tracer)
        return ask(tracer, reference, args, kwargs, source)
    target = reference()
    if not tracer.is_outside(target):
        raise Break(reasons.NATIVE_CALL, "a weak reference to what the trace has made")
    return target


def _refuse_deaths(tracer: Tracer) -> None:
    """What is weakly referred to may die where the program drops it, which in a trace does not happen.

    Raises:
        Break: the trace has dropped something from outside, or may have.
    """
    if tracer.owns_arguments or not tracer.effects.is_empty():
        raise Break(reasons.NATIVE_CALL, "a weak reference to what the function may have dropped")


def call_of_living(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """What depends on which of the referents live."""
    _refuse_deaths(tracer)
    return ask(tracer, function, args, kwargs)


def make_reference(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """`weakref.ref(object)` of an object from outside.

    Raises:
        Break: another object, which might die in the trace, or one that a double stands for; or there is a callback.
    """
    if len(args) != 1 or kwargs or not _is_itself(tracer, args[0]):
        raise Break(reasons.NATIVE_CALL, f"{cls.__name__}() of an object made in the trace, or with a callback")
    return tracer.fresh(tracer.native(cls, *args))


def _is_itself(tracer: Tracer, value: Any) -> bool:
    is_object = is_instance_of_python_class(value) and not tracer.effects.is_tracked(value)
    return is_object and tracer.is_outside(value)


# ------------------------------------------------------------------------------------------ logging

_LEVELS = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "warn": logging.WARNING,
    "error": logging.ERROR, "exception": logging.ERROR, "critical": logging.CRITICAL,
}  # fmt: skip


def _refuse_changed_loggers(tracer: Tracer) -> None:
    """Whether a logger is enabled depends on its parents and on their manager."""
    changed = tracer.effects.mutated_objects()
    if any(isinstance(o, logging.Filterer | logging.Manager) for o in changed):
        raise Break(reasons.SIDE_EFFECT_CALL, "the level of a logger that the trace changes")


def _call_level(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    _refuse_changed_loggers(tracer)
    return ask(tracer, function, args, kwargs)


def _message_of(level: int) -> Callable[..., None]:
    def handle(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
        """A message for a logger: nothing, if its level is disabled."""
        _log(tracer, function, args[0], level, len(args) > 1)

    return handle


def _call_log(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    """`logger.log(level, message)`."""
    _log(tracer, function, args[0], args[1] if len(args) > 1 else None, len(args) > 2)


def _log(tracer: Tracer, function: Any, logger: Any, level: Any, has_message: bool) -> None:
    level = specialised(tracer, level)
    if isinstance(logger, logging.LoggerAdapter):
        logger = attributes.get(tracer, logger, "logger")
    is_plain = isinstance(logger, logging.Logger) and type(level) is int and has_message
    if is_plain:
        enabled = attributes.get(tracer, logger, "isEnabledFor")
        from tracegraph.capture.calls.callables import call

        if call(tracer, enabled, (level,), {}) is False:
            return
    raise Break(reasons.SIDE_EFFECT_CALL, f"{function.__module__}.{function.__qualname__}()")


def _root_message_of(level: int) -> Callable[..., None]:
    def handle(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
        """A message for the root logger, which `logging` makes ready first if it has no handlers."""
        root = tracer.read(_ROOT, constant_source(_ROOT))
        is_ready = ask(tracer, logging.Logger.hasHandlers, (root,), {})
        _log(tracer, function, root, level, bool(args) and is_ready)

    return handle


def _call_get_logger(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """`logging.getLogger(name)`.

    Raises:
        Break: there is no such logger yet; asking makes it.
    """
    name = specialised(tracer, (*args, *kwargs.values(), None)[0])
    known = logging.Logger.manager.loggerDict
    if name is not None and (type(name) is not str or not isinstance(known.get(name), logging.Logger)):
        raise Break(reasons.SIDE_EFFECT_CALL, f"the first {function.__module__}.{function.__qualname__}() of a name")
    return ask(tracer, function, args, kwargs)


_ROOT = logging.getLogger()


# ------------------------------------------------------------------------------------------ tables


def _methods(cls: type, *names: str) -> list[Any]:
    """Methods and getters of properties of a class of the standard library, as far as this Python version has them."""
    found = (vars(cls)[name] for name in names if name in vars(cls))
    return [f.fget if isinstance(f, property) else f for f in found]


_Environment = type(os.environ)
_LOOKUPS = ("__getitem__", "__contains__", "get")
_TABLE: dict[Any, Callable[[Any, Any, Args, Kwargs], Any]] = {
    **dict.fromkeys(_methods(_Environment, "__getitem__", "__len__"), _call_question),
    **dict.fromkeys(_methods(_Environment, "__iter__"), _call_environment_names),
    **dict.fromkeys(_methods(_Environment, "copy", "setdefault", "__or__", "__ror__"), _call_inlined),
    **dict.fromkeys((os.getenv, threading.current_thread, threading.main_thread), _call_question),
    **dict.fromkeys(_methods(threading.Thread, "name", "ident", "daemon", "is_alive"), _call_question),
    **dict.fromkeys(_methods(weakref.WeakValueDictionary, *_LOOKUPS, "__len__"), call_of_living),
    **dict.fromkeys(_methods(logging.Logger, "isEnabledFor", "getEffectiveLevel", "hasHandlers"), _call_level),
    **{
        vars(cls)[name]: _message_of(level)
        for cls in (logging.Logger, logging.LoggerAdapter)
        for name, level in _LEVELS.items()
        if name in vars(cls)
    },
    **{vars(logging)[name]: _root_message_of(level) for name, level in _LEVELS.items() if name in vars(logging)},
    logging.Logger.log: _call_log,
    logging.LoggerAdapter.log: _call_log,
    logging.getLogger: _call_get_logger,
}
#: functions of the library of Python, by the function
BY_FUNCTION = {function: handler for function, handler in _TABLE.items() if is_of_python(function)}
#: callable objects, by their class
BY_TYPE: dict[type, Callable[[Any, Any, Args, Kwargs], Any]] = {
    weakref.ReferenceType: _call_reference,
    weakref.WeakMethod: _call_reference,
}


def _builtin(function: Any) -> Callable[..., Any]:
    return lambda tracer, args, kwargs, frame: ask(tracer, function, args, kwargs)


#: functions of C, by the function
BUILTINS: dict[Any, Callable[..., Any]] = {
    f: _builtin(f)
    for f in (sys.getrecursionlimit, sys.getswitchinterval, gc.isenabled, gc.get_threshold, os.getpid, os.cpu_count)
}


def ask_variable(tracer: Tracer, method: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of a `contextvars.ContextVar` from outside: its value is asked for; setting it breaks the graph."""
    variable = method.__self__
    source = tracer.source_of(variable)
    if method.__name__ != "get" or source is None:
        raise Break(reasons.SIDE_EFFECT_CALL, f"ContextVar.{method.__name__}()")
    return ask(tracer, contextvars.ContextVar.get, (variable, *args), kwargs)
