"""Class statements in the trace: the body runs symbolically, the class is made for real and belongs to the trace.

A class of the trace cannot outlive it, since every call of the program makes another one; if it has to, the graph
breaks at the statement.
"""

from __future__ import annotations

import abc
import enum
import types
import typing
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import is_instance_of_python_class
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
    tracer: Tracer, body: types.FunctionType, name: str, *bases: Any, metaclass: Any = None, **keywords: Any
) -> type:
    """`class name(*bases, metaclass=metaclass, **keywords): body`.

    Raises:
        Observed: the body or the metaclass raises.
        Break: making the class runs code of the program in an order that cannot be traced.
    """
    from tracegraph.capture.trace.frame import Frame

    if metaclass is not None:
        keywords["metaclass"] = metaclass
    resolved = tracer.native(types.resolve_bases, bases)
    meta, namespace, keywords = tracer.native(types.prepare_class, name, resolved, keywords)
    _check_bases(name, meta, resolved)
    if resolved is not bases:
        namespace["__orig_bases__"] = bases
    frame = Frame(tracer, body.__code__, body.__globals__, bind_slots(tracer, body, (), {}))
    frame.names = namespace
    frame.run()
    _check_namespace(name, namespace, meta)
    cls: type = tracer.fresh(tracer.native(meta, name, resolved, namespace, **keywords))
    return cls


def make_class(tracer: Tracer, name: str, bases: tuple[type, ...], body: dict[str, Any], **keywords: Any) -> type:
    """`type(name, bases, body)`.

    Raises:
        Observed: the bases do not fit together.
        Break: as for `build_class`.
    """
    meta, namespace, keywords = tracer.native(types.prepare_class, name, bases, keywords)
    namespace.update(body)
    _check_bases(name, meta, bases)
    _check_namespace(name, namespace, meta)
    cls: type = tracer.fresh(tracer.native(meta, name, bases, namespace, **keywords))
    return cls


def _check_bases(name: str, meta: Any, bases: tuple[type, ...]) -> None:
    if meta not in _METACLASSES:
        raise Break(reasons.NATIVE_CALL, f"the metaclass of class {name}")
    for base in bases:
        hook = class_lookup(base, "__init_subclass__")
        function = getattr(hook, "__func__", None)
        if isinstance(function, types.FunctionType) and function.__module__ not in _LIBRARIES:
            raise Break(reasons.NATIVE_CALL, f"{base.__name__}.__init_subclass__ for class {name}")


def _check_namespace(name: str, namespace: dict[str, Any], meta: Any) -> None:
    makers = (namespace[maker] for maker in _MEMBER_MAKERS if maker in namespace)
    if issubclass(meta, enum.EnumType) and any(getattr(m, "__module__", None) != "enum" for m in makers):
        raise Break(reasons.NATIVE_CALL, f"members of class {name} made by its own methods")
    for value in namespace.values():
        hook = class_lookup(type(value), "__set_name__") if is_instance_of_python_class(value) else None
        if isinstance(hook, types.FunctionType) and hook.__module__ not in _LIBRARIES:
            raise Break(reasons.NATIVE_CALL, f"{type(value).__name__}.__set_name__ in class {name}")
