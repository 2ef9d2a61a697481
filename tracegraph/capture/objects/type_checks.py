"""`isinstance` and `issubclass`: what the class decides by itself, and what registries and metaclasses decide."""

from __future__ import annotations

import abc
import sys
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference
from tracegraph.capture.objects import attributes
from tracegraph.capture.objects.lazy_modules import note_look
from tracegraph.capture.protocols.descriptors import bind, is_data_descriptor
from tracegraph.capture.protocols.special_methods import special, truth
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import Observed, is_instance_of_python_class, is_of_python, is_python_class
from tracegraph.capture.trace.instance_dicts import instance_entry
from tracegraph.capture.trace.safety import flatten

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer


def call_isinstance(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], frame: Frame | None) -> bool:
    """`isinstance(value, classes)`: by the class of the value, and by the class that it claims to have."""
    value, classes = args
    note_look(tracer, value)
    cls = tracer.type_of(value)
    if cls in weakref.ProxyTypes:
        raise Break(reasons.NATIVE_CALL, "isinstance() of a weak proxy, which claims the class of its referent")
    if isinstance(classes, tuple | types.UnionType):
        parts = classes if isinstance(classes, tuple) else classes.__args__
        return any(call_isinstance(tracer, (value, part), kwargs, frame) for part in parts)
    if is_instance_of_python_class(classes):
        answer = special(tracer, classes, "__instancecheck__", value)
        if answer is not NotImplemented:
            return truth(tracer, answer)
    if _decides_itself(classes, "__instancecheck__"):
        return cls is classes or _answer(tracer, classes, "__instancecheck__", value)
    if isinstance(classes, _ProtocolMeta) and vars(classes).get("_is_runtime_protocol") and cls is type(value):
        return _meets(tracer, value, classes)
    try:
        if _is_subclass(tracer, cls, classes, "__instancecheck__"):
            return True
        claimed = cls
        if is_instance_of_python_class(value) and class_lookup(cls, "__class__") is not _CLASS:
            claimed = attributes.get(tracer, value, "__class__")
        is_other = isinstance(claimed, type) and claimed is not cls
        return is_other and _is_subclass(tracer, claimed, classes, "__instancecheck__")
    except Observed as observed:
        if not str(observed.exception).startswith("issubclass() arg 2"):
            raise
    raise Observed(TypeError("isinstance() arg 2 must be a type, a tuple of types, or a union"))


def call_issubclass(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], frame: Frame | None) -> bool:
    """`issubclass(cls, classes)`."""
    cls, classes = args
    if isinstance(classes, tuple):
        return any(call_issubclass(tracer, (cls, part), kwargs, frame) for part in classes)
    if is_instance_of_python_class(classes):
        answer = special(tracer, classes, "__subclasscheck__", cls)
        if answer is not NotImplemented:
            return truth(tracer, answer)
    if _decides_itself(classes, "__subclasscheck__"):
        return _answer(tracer, classes, "__subclasscheck__", cls)
    return _is_subclass(tracer, cls, classes, "__subclasscheck__")


def _decides_itself(cls: Any, check: str) -> bool:
    """Whether a metaclass answers what `cls` is asked: the program's, or one of this library that is traced."""
    from tracegraph.capture.calls.native_calls import is_library_code

    method = class_lookup(type(cls), check)
    if not isinstance(cls, type) or not isinstance(method, types.FunctionType):
        return False
    return not is_of_python(method) or is_library_code(method)


def _answer(tracer: Tracer, cls: Any, check: str, value: Any) -> bool:
    from tracegraph.capture.calls.callables import call

    tracer.note_metaclass(cls)
    method = bind(tracer, tracer.class_entry(type(cls), check), cls, type(cls), check)
    return truth(tracer, call(tracer, method, (value,), {}))


def _is_subclass(tracer: Tracer, cls: Any, classes: Any, check: str) -> bool:
    """Whether `cls` is, or counts as, one of the classes; `check` is the method of metaclasses that is asked.

    Raises:
        Break: a metaclass decides by a method of its own.
    """
    for part in _parts(classes):
        if part in getattr(cls, "__mro__", ()) and type(part).__module__ == "typing":
            continue
        method = class_lookup(type(part), check)
        if method not in _KNOWN_CHECKS:
            raise Break(reasons.NATIVE_CALL, f"a check against {part.__name__}, whose metaclass decides")
        _guard_answer(tracer, cls, part)
    return bool(tracer.native(issubclass, cls, classes))


def _meets(tracer: Tracer, value: Any, protocol: Any) -> bool:
    """Whether `value` has the members of a `runtime_checkable` protocol, in its class or of its own.

    Python 3.11 asks with `hasattr`, later ones look only at what is stored.

    Raises:
        Break: the class computes all attributes.
    """
    cls = type(value)
    if protocol in cls.__mro__:
        return True
    is_python = is_instance_of_python_class(value)
    asks = is_python and sys.version_info < (3, 12)
    if asks and class_lookup(cls, "__getattribute__") is not _GET_ATTRIBUTE:
        raise Break(reasons.NATIVE_CALL, f"a check against {protocol.__name__} of an object that computes attributes")
    for name in sorted(vars(typing)["_get_protocol_attrs"](protocol)):
        found = tracer.class_entry(cls, name)
        if is_python and (found is MISSING or not is_data_descriptor(tracer, found)):
            own = instance_entry(tracer, value, name)
            found = own if own is not MISSING else found
        if found is MISSING and asks:
            found = attributes.find(tracer, value, name)
        if found is MISSING or (found is None and callable(getattr(protocol, name, None))):
            return False
    return True


def _parts(classes: Any) -> list[type]:
    """The classes in tuples and unions."""
    listed = [p for part in flatten(classes) for p in (part.__args__ if isinstance(part, types.UnionType) else (part,))]
    return [part for part in listed if isinstance(part, type)]


def _guard_answer(tracer: Tracer, cls: Any, base: type) -> None:
    """Guard the answer where it may change: classes get other bases, abstract classes have others registered."""
    is_fixed = cls is base or not isinstance(cls, type) or not (is_python_class(cls) or isinstance(base, abc.ABCMeta))
    if is_fixed or tracer.is_fresh(cls) or tracer.is_fresh(base):
        return
    operands = (tracer.class_source(cls), tracer.class_source(base))
    answer = tracer.native(issubclass, cls, base)
    tracer.guards.add(GuardKind.CONSTANT, Computed(Reference(issubclass), operands), answer)


_ProtocolMeta = type(typing.Protocol)
_GET_ATTRIBUTE = class_lookup(object, "__getattribute__")
_CLASS = class_lookup(object, "__class__")
#: the checks of `type`, and of abstract classes
_KNOWN_CHECKS = (
    class_lookup(type, "__instancecheck__"),
    class_lookup(type, "__subclasscheck__"),
    class_lookup(abc.ABCMeta, "__instancecheck__"),
    class_lookup(abc.ABCMeta, "__subclasscheck__"),
    class_lookup(_ProtocolMeta, "__subclasscheck__"),
)
