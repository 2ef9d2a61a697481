"""Arguments of C functions: in a form that C code may iterate and call, or refused."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import is_instance_of_python_class
from tracegraph.capture.trace.adapters import CallableAdapter, IteratorAdapter
from tracegraph.capture.trace.instance_dicts import InstanceDict
from tracegraph.capture.trace.safety import flatten, is_opaque, specialised
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def for_c(tracer: Tracer, args: Args) -> Args:
    """Arguments that C code may iterate and call."""
    return tuple(adapted_argument(tracer, a) for a in args)


def adapted_argument(tracer: Tracer, value: Any) -> Any:
    """An argument that C code may iterate or call.

    Raises:
        Break: its items are not known.
    """
    from tracegraph.capture.protocols.iteration import iterate

    if isinstance(value, types.FunctionType | types.MethodType):
        return CallableAdapter(tracer, value)
    if type(value) in (Traced, np.ndarray):
        return iterate(tracer, value)
    if isinstance(value, InstanceDict):
        return dict(value)
    if isinstance(value, tuple | type):
        return value
    if is_opaque(tracer, value):
        raise Break(reasons.OPAQUE_ITERATOR, f"an object of type {type(value).__name__} given to a builtin")
    if not is_instance_of_python_class(value):
        return value
    if hasattr(type(value), "__iter__"):
        return IteratorAdapter(tracer, iterate(tracer, value), value)
    return CallableAdapter(tracer, value) if callable(value) else value


def called_argument(tracer: Tracer, value: Any) -> Any:
    """A function that C code is going to call; also one written in C, which may call methods of its arguments."""
    return CallableAdapter(tracer, value) if callable(value) else value


def known(tracer: Tracer, args: Args) -> Args:
    """Arguments with the values of numbers that vary."""
    return tuple(specialised(tracer, a) for a in args)


def refuse_objects(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    """C code that looks into its arguments must find no object whose special methods are Python code."""
    name = getattr(function, "__name__", type(function).__name__)
    for part in flatten((args, tuple(kwargs.values()))):
        if is_opaque(tracer, part):
            raise Break(reasons.NATIVE_CALL, f"{name}() of an object of type {type(part).__name__}")
        if is_instance_of_python_class(part) and not isinstance(part, str | int | float):
            raise Break(reasons.NATIVE_CALL, f"{name}() of an object of type {type(part).__name__}")
