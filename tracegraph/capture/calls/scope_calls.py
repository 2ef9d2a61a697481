"""Builtins that list the names of a scope or of an object: `globals`, `locals`, `vars`, `dir`."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Slot, constant_source
from tracegraph.capture.objects import attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import (
    NULL,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_python_class,
    is_tensor,
)
from tracegraph.capture.trace.namespaces import namespace
from tracegraph.capture.trace.safety import is_opaque

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def refuse_frame_access(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> NoReturn:
    """Run the whole function eagerly."""
    raise Break(reasons.FRAME_ACCESS, "the function inspects its own frame", Extent.FRAME)


def call_globals(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """`globals()`."""
    return namespace(tracer, frame.namespace) if frame is not None else refuse_frame_access(tracer, args, kwargs, frame)


def call_locals(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """`locals()`: the variables that are bound by now; before Python 3.13 always the same dict."""
    if frame is None or frame.names is not None or frame.code.co_name.startswith("<"):
        return refuse_frame_access(tracer, args, kwargs, frame)
    found = dict(_variables(frame))
    if sys.version_info >= (3, 13):
        return found
    frame.listed_locals.clear()
    frame.listed_locals.update(found)
    return frame.listed_locals


def _variables(frame: Frame) -> Iterator[tuple[str, Any]]:
    from tracegraph.capture.opcodes.names import cell_value

    code = frame.code
    cells = code.co_cellvars + code.co_freevars
    for name in dict.fromkeys(code.co_varnames + cells):
        if frame.slots.get(name, NULL) is NULL:
            continue
        try:
            yield name, cell_value(frame, name) if name in cells else frame.local(name)
        except Observed:
            continue  # an empty cell


def call_vars(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """`vars()`, `vars(object)`."""
    if not args:
        return call_locals(tracer, args, kwargs, frame)
    try:
        return attributes.get(tracer, args[0], "__dict__")
    except Observed as observed:
        if not isinstance(observed.exception, AttributeError):
            raise
    raise Observed(TypeError("vars() argument must have __dict__ attribute"))


# ------------------------------------------------------------------------------------------ attributes


def call_dir(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> list[str]:
    """`dir()`, `dir(object)`.

    Raises:
        Break: the names come from code that is not followed.
    """
    if not args:
        return sorted(call_locals(tracer, args, kwargs, frame))
    (value,) = args
    cls = value if isinstance(value, type) else type(value)
    if isinstance(class_lookup(type(value), "__dir__"), types.FunctionType) and is_instance_of_python_class(value):
        from tracegraph.capture.protocols.iteration import walk
        from tracegraph.capture.protocols.special_methods import special

        return sorted(walk(tracer, special(tracer, value, "__dir__")))
    is_listed = is_instance_of_python_class(value) or (isinstance(value, type) and type(value) is type)
    if is_listed and "__dict__" not in _properties(cls):
        own = () if isinstance(value, type) or not _has_dict(cls) else attributes.get(tracer, value, "__dict__")
        return sorted({*own, *_names_of_class(tracer, cls)})
    if is_tensor(value) or is_opaque(tracer, value) or not (is_constant(value) or type(value).__module__ == "builtins"):
        raise Break(reasons.NATIVE_CALL, f"dir() of an object of type {tracer.type_of(value).__name__}")
    if isinstance(value, type | types.ModuleType | types.FunctionType):
        raise Break(reasons.NATIVE_CALL, f"dir() of {value.__name__}")
    return list(tracer.native(dir, value))


def _properties(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name, v in vars(base).items() if isinstance(v, property)}


def _has_dict(cls: type) -> bool:
    return cls.__dictoffset__ != 0


def _names_of_class(tracer: Tracer, cls: type) -> Iterator[str]:
    """The names that a class and its bases define; in what the program can change, they are guarded."""
    for base in cls.__mro__:
        if is_python_class(base) and not tracer.is_fresh(base):
            tracer.guards.add(GuardKind.KEYS, Slot(constant_source(base), "__dict__"), tuple(vars(base)))
            names = dict.fromkeys(vars(base))
            for name in tracer.effects.written_names(base):
                pending = tracer.effects.pending(base, name)
                if pending is not None and pending.value is MISSING:
                    names.pop(name, None)
                else:
                    names[name] = None
            yield from names
        else:
            yield from vars(base)


#: handlers by builtin
HANDLERS: dict[Any, Any] = {globals: call_globals, locals: call_locals, vars: call_vars, dir: call_dir}
