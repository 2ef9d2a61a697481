"""What a program says to the compiler from inside its own code: `tracegraph.compiler.graph_break()` and its kin.

Names and meanings are those of `torch.compiler`. Outside of capture the functions do what their names promise to
plain Python: nothing, or the call itself. What capture makes of them stands at the end.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.tape import handle as run_eagerly
from tracegraph.capture.guards import eager
from tracegraph.capture.guards.sources import constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import TUPLES, is_constant, is_tensor
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.errors import ArgumentError, OptionError
from tracegraph.nn.module import Module
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.dispatch import creation

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: on excluded functions: the reason given, "" if none
_REASON = "_tracegraph_disabled"
# Marks on functions hold the function's code: `functools.wraps` copies a mark to a wrapper, where it means nothing.
_ALLOWED = "__tracegraph_op__"
_CONSTANT_RESULT = "_tracegraph_constant_result"


def is_compiling() -> bool:
    """Whether the code is being captured: True inside a compiled function, False in eager execution."""
    return is_tracing()


def is_dynamo_compiling() -> bool:
    """`is_compiling` by another of PyTorch's names."""
    return is_tracing()


def is_exporting() -> bool:
    """False: there is no export here. PyTorch's models ask."""
    return False


def graph_break(msg: str = "") -> None:
    """End the graph here; a new one begins behind the call. Does nothing in eager execution.

    Args:
        msg: why, for `explain` and the logs.
    """


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Exclude a function, method, callable object or Module from compilation: where it is called, the graph breaks.

    Usable as a decorator, with and without arguments. Compiling what this returns changes nothing.

    Args:
        recursive: must be True; capture starts at compiled functions only, so what an excluded function calls is not
            captured unless it is compiled itself.
        reason: why, for `explain` and the logs.

    Raises:
        ArgumentError: `fn` is not callable, `reason` is no str.
        OptionError: recursive=False.
    """
    if recursive is not True:
        raise OptionError(
            f"disable(recursive={recursive!r}) does not exist: only compiled functions are captured, so compile the "
            "functions that the excluded one calls"
        )
    if not isinstance(reason, str | None):
        raise ArgumentError(f"disable(): reason must be a str, got {described(reason)}")
    if fn is None:
        return functools.partial(disable, reason=reason)
    if not callable(fn):
        raise ArgumentError(f"disable() takes a function, method, callable object or Module, got {described(fn)}")
    fn = getattr(fn, "_tracegraph_original", fn)
    if isinstance(fn, types.MethodType):
        return types.MethodType(_excluded(fn.__func__, reason), fn.__self__)
    if isinstance(fn, Module):
        return _excluded_module(fn, reason)
    if isinstance(fn, type):
        for name in ("__init__", "__call__"):
            method = class_lookup(fn, name)
            if isinstance(method, types.FunctionType):
                setattr(fn, name, _excluded(method, reason))
        return fn
    return _excluded(fn, reason)


def _excluded(function: Any, reason: str | None) -> Any:
    excluded = functools.update_wrapper(_new_excluded(function), function)
    setattr(excluded, _REASON, reason or "")
    return excluded


def _new_excluded(function: Any) -> Any:
    def excluded(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return excluded


#: by which an excluded function is known, and no wrapper of one
_EXCLUDED_CODE = _new_excluded(None).__code__


def _excluded_module(module: Module, reason: str | None) -> Module:
    """A Module with the state of `module`, an instance of its class, whose calls are excluded."""
    original = type(module)
    call = _excluded(original.__call__, reason)
    body = {"__call__": call, "__module__": original.__module__, "__qualname__": original.__qualname__}
    body["__reduce_ex__"] = lambda self, protocol: (_same, (module,))
    wrapper: Module = object.__new__(type(original.__name__, (original,), body))
    object.__setattr__(wrapper, "__dict__", module.__dict__)
    return wrapper


def _same(module: Module) -> Module:
    return module


def disabled_reason(function: Any) -> str | None:
    """Why `function` is excluded ("" without a reason), or None if it is not."""
    if isinstance(function, Module):
        function = type(function).__call__
    reason: str = getattr(function, _REASON, "")
    return reason if getattr(function, "__code__", None) is _EXCLUDED_CODE else None


def allow_in_graph(fn: Any) -> Any:
    """Let a Python function, or each of several, run as it is while a function that calls it is captured.

    Its Python code is not captured: it is given stand-ins for tensors and executed once, and the tensor operations that
    it executes enter the graph. So it may use whatever Python it likes on everything but the elements of tensors;
    what it reads besides its arguments is not guarded, and what it does besides tensor operations happens only while
    compiling.

    Raises:
        ArgumentError: it is no Python function.
    """
    if isinstance(fn, list | tuple):
        return [allow_in_graph(f) for f in fn]
    if not isinstance(fn, types.FunctionType):
        raise ArgumentError(f"allow_in_graph() takes Python functions, got {described(fn)}")
    setattr(fn, _ALLOWED, fn.__code__)
    return fn


def assume_constant_result(fn: Any) -> Any:
    """Promise that a Python function gives the same result every time: it runs once, when its caller is compiled.

    Raises:
        ArgumentError: it is no Python function.
    """
    if not isinstance(fn, types.FunctionType):
        raise ArgumentError(f"assume_constant_result() takes Python functions, got {described(fn)}")
    setattr(fn, _CONSTANT_RESULT, fn.__code__)
    return fn


# ------------------------------------------------------------------------------------------ under capture


def _call_is_compiling(tracer: Tracer) -> bool:
    return True


def _call_is_exporting(tracer: Tracer) -> bool:
    return False


def _call_graph_break(tracer: Tracer, msg: str = "") -> None:
    raise Break(reasons.USER_BREAK, f"graph_break(){f': {msg}' if msg else ''}")


def refuse_disabled(function: Any) -> None:
    """Break the graph at a call of an excluded function."""
    reason = disabled_reason(function)
    if reason is not None:
        raise Break(reasons.USER_BREAK, f"{function.__qualname__} is disabled{f': {reason}' if reason else ''}")


def is_operation(function: types.FunctionType) -> bool:
    """Whether a Python function runs natively on traced tensors: one of the library's, or one that the user allows."""
    mark = getattr(function, _ALLOWED, False)
    return mark is True or mark is function.__code__


def has_constant_result(function: types.FunctionType) -> bool:
    """Whether the user promised that the function gives the same result every time."""
    return getattr(function, _CONSTANT_RESULT, None) is function.__code__


def call_for_constant(tracer: Tracer, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function whose result is constant, and take the result into the trace.

    Raises:
        Break: an argument is made in the trace, or objects the function may read have been written to in it.
    """
    if not tracer.effects.is_empty():
        raise Break(reasons.SIDE_EFFECT_CALL, f"{function.__qualname__}() after writes that it may see")
    real = [_original(tracer, function, v) for v in args]
    named = {k: _original(tracer, function, v) for k, v in kwargs.items()}
    with creation(run_eagerly):
        result = tracer.native(function, *real, **named)
    if eager.is_tensor(result):
        return tracer.recorder.constant(result.numpy().copy())
    return tracer.read(result, constant_source(result))


def _original(tracer: Tracer, function: Any, value: Any) -> Any:
    """The object outside of the trace that `value` stands for."""
    if is_constant(value):
        return value
    if is_tensor(value) and (graph_input := tracer.input_of(value)) is not None:
        return graph_input.tensor
    if not tracer.is_outside(value) or type(value) in TUPLES:
        raise Break(reasons.UNSUPPORTED_VALUE, f"{function.__qualname__}() of a value made in the trace")
    return next((c.original for c in tracer.effects.copies if c.copy is value), value)


#: what calling these means in a trace
HANDLERS: dict[Any, Callable[..., Any]] = {
    is_compiling: _call_is_compiling,
    is_dynamo_compiling: _call_is_compiling,
    is_exporting: _call_is_exporting,
    graph_break: _call_graph_break,
}
