"""Class statements in the trace: the body runs symbolically, the class is made for real and belongs to the trace.

A class of the trace cannot outlive it, since every call of the program makes another one; if it has to, the graph
breaks at the statement.

`type.__new__` calls methods of the program: `__set_name__` of what the body holds, `__init_subclass__` of the bases.
Where there are any, the class is made without them, of a stand-in for each, and they are traced when it is there.
"""

from __future__ import annotations

import abc
import enum
import types
import typing
from typing import TYPE_CHECKING, Any

from tracegraph.capture.objects import attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import Observed, is_instance_of_python_class
from tracegraph.capture.trace.functions import bind_slots

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: metaclasses that run no code of the program
_METACLASSES: frozenset[Any] = frozenset({
    type, abc.ABCMeta, enum.EnumType,
    *(vars(typing)[name] for name in ("NamedTupleMeta", "_TypedDictMeta", "_ProtocolMeta")),
})  # fmt: skip
#: methods by which the body of an Enum takes part in making its members
_MEMBER_MAKERS = frozenset({"__new__", "__init__", "_generate_next_value_", "_missing_"})
#: libraries whose classes may see their subclasses made
_LIBRARIES = frozenset({
    "typing", "abc", "enum", "collections", "collections.abc", "builtins", "dataclasses", "functools",
})  # fmt: skip


def build_class(
    tracer: Tracer, body: types.FunctionType, name: str, bases: tuple[Any, ...], keywords: dict[str, Any]
) -> type:
    """`class name(*bases, **keywords): body`; a metaclass is one of the keywords.

    Raises:
        Observed: the body or the metaclass raises.
        Break: making the class runs code of the program in an order that cannot be traced.
    """
    from tracegraph.capture.trace.frame import Frame

    resolved = tracer.native(types.resolve_bases, bases)
    meta, namespace, keywords = tracer.native(types.prepare_class, name, resolved, keywords)
    _check_metaclass(name, meta)
    if resolved is not bases:
        namespace["__orig_bases__"] = bases
    frame = Frame(tracer, body.__code__, body.__globals__, bind_slots(tracer, body, (), {}))
    frame.names = namespace
    frame.run()
    return _make(tracer, meta, name, resolved, namespace, keywords)


def make_class(
    tracer: Tracer, name: str, bases: tuple[type, ...], body: dict[str, Any], keywords: dict[str, Any]
) -> type:
    """`type(name, bases, body, **keywords)`.

    Raises:
        Observed: the bases do not fit together.
        Break: as for `build_class`.
    """
    meta, namespace, keywords = tracer.native(types.prepare_class, name, bases, keywords)
    namespace.update(body)
    _check_metaclass(name, meta)
    return _make(tracer, meta, name, bases, namespace, keywords)


def _check_metaclass(name: str, meta: Any) -> None:
    if meta not in _METACLASSES:
        raise Break(reasons.NATIVE_CALL, f"the metaclass of class {name}")


def _make(
    tracer: Tracer, meta: Any, name: str, bases: tuple[type, ...], namespace: dict[str, Any], keywords: dict[str, Any]
) -> type:
    """`meta(name, bases, namespace, **keywords)`."""
    makers = (namespace[maker] for maker in _MEMBER_MAKERS if maker in namespace)
    if issubclass(meta, enum.EnumType) and any(getattr(m, "__module__", None) != "enum" for m in makers):
        raise Break(reasons.NATIVE_CALL, f"members of class {name} made by its own methods")
    named = {n: v for n, v in namespace.items() if _is_told_its_name(v)}
    is_followed = any(map(_follows_subclasses, bases))
    if not named and not is_followed:
        plain: type = tracer.fresh(tracer.native(meta, name, bases, namespace, **keywords))
        return plain
    if meta not in (type, abc.ABCMeta):
        raise Break(reasons.NATIVE_CALL, f"__set_name__ or __init_subclass__ for class {name}")
    silent = {n: None if n in named else v for n, v in namespace.items()}
    made = _unfollowed(tracer, meta, name, bases, silent) if is_followed else None
    cls: type = tracer.fresh(made or tracer.native(meta, name, bases, silent, **keywords))
    for key, value in named.items():
        type.__setattr__(cls, key, value)
    _call_hooks(tracer, cls, named, keywords if is_followed else None)
    if meta is abc.ABCMeta:
        abc.update_abstractmethods(cls)
    return cls


class _Base:
    """A base that follows nothing, until the class has its own."""


class _SlottedBase:
    """The same, without a dict for its instances."""

    __slots__ = ()


def _unfollowed(tracer: Tracer, meta: Any, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
    """A class of which the bases' `__init_subclass__` does not know.

    Raises:
        Break: the bases do not fit together, or store their instances in a way of their own.
    """
    reason = ""
    for stand_in in (_Base, _SlottedBase):
        cls: type = tracer.native(meta, name, (stand_in,), namespace)
        try:
            cls.__bases__ = bases
        except TypeError as e:
            reason = str(e)
        else:
            return cls
    raise Break(reasons.NATIVE_CALL, f"__init_subclass__ for class {name}: {reason}")


def _is_told_its_name(value: Any) -> bool:
    hook = class_lookup(type(value), "__set_name__") if is_instance_of_python_class(value) else None
    return isinstance(hook, types.FunctionType) and hook.__module__ not in _LIBRARIES


def _follows_subclasses(base: type) -> bool:
    function = getattr(class_lookup(base, "__init_subclass__"), "__func__", None)
    return isinstance(function, types.FunctionType) and function.__module__ not in _LIBRARIES


def _call_hooks(tracer: Tracer, cls: type, named: dict[str, Any], keywords: dict[str, Any] | None) -> None:
    """Trace the `__set_name__` of each value, then the bases' `__init_subclass__` if it is given keywords."""
    from tracegraph.capture.calls.callables import call

    try:
        for name, value in named.items():
            call(tracer, attributes.get_special(tracer, value, "__set_name__"), (cls, name), {})
        if keywords is not None:
            hook = attributes.get(tracer, tracer.native(super, cls, cls), "__init_subclass__")
            call(tracer, hook, (), keywords)
    except Observed as observed:
        # what the program sees of it is put together by C code
        what = f"{type(observed.exception).__name__} while class {cls.__name__} is made"
        raise Break(reasons.USER_EXCEPTION, what) from None
