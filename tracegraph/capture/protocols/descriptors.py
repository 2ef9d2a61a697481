"""Descriptors: what a class attribute becomes when it is read through an instance or the class."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference, Slot, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.instance_dicts import InstanceDict, instance_dict, missing, pending_value
from tracegraph.capture.trace.safety import is_followed

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def is_data_descriptor(tracer: Tracer, raw: Any) -> bool:
    """Whether a class attribute takes precedence over the instance dictionary."""
    return has_part(tracer, raw, "__set__") or has_part(tracer, raw, "__delete__")


def has_part(tracer: Tracer, raw: Any, name: str) -> bool:
    """Whether the class of a class attribute has the method `name` of the descriptor protocol."""
    return tracer.class_entry(type(raw), name) is not MISSING


def bind(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """What a class attribute becomes when read through an instance (or, with None, through the class)."""
    binder = _BINDERS.get(type(raw))
    if binder is not None:
        return binder(tracer, raw, instance, cls, name)
    if getattr(type(raw), "__tracegraph_compiled__", False) and hasattr(type(raw), "__get__"):
        # a compiled method: its original is captured when it is called
        return _bind_function(tracer, raw, instance, cls, name)
    getter = tracer.class_entry(type(raw), "__get__")
    if getter is MISSING:
        return raw
    if isinstance(getter, types.FunctionType) and not getattr(raw, "__tracegraph_op__", False):
        from tracegraph.capture.calls.callables import call

        return call(tracer, getter, (raw, instance, cls), {})
    return tracer.native(raw.__get__, instance, cls)


def _bind_function(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return raw if instance is None else types.MethodType(raw, instance)


def part(tracer: Tracer, descriptor: Any, name: str) -> Any:
    """A function held by a descriptor, with its Source."""
    source = tracer.source_of(descriptor)
    value = getattr(descriptor, name)
    return tracer.read(value, Slot(source, name)) if source is not None and value is not None else value


def _bind_static(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return part(tracer, raw, "__func__")


def _bind_class_method(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return types.MethodType(part(tracer, raw, "__func__"), cls)


def _bind_property(tracer: Tracer, raw: property, instance: Any, cls: type, name: str) -> Any:
    if instance is None:
        return raw
    getter = part(tracer, raw, "fget")
    if getter is None:
        raise Observed(AttributeError(f"property {name!r} of {cls.__qualname__!r} object has no getter"))
    from tracegraph.capture.calls.callables import call

    return call(tracer, getter, (instance,), {})


def _bind_cached_property(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """The first read computes and stores; later reads find the instance attribute before coming here."""
    if instance is None:
        return raw
    from tracegraph.capture.calls.callables import call
    from tracegraph.capture.objects.attribute_writes import store

    value = call(tracer, part(tracer, raw, "func"), (instance,), {})
    store(tracer, instance, raw.attrname, value)
    return value


def _bind_slot(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """A `__slots__` member."""
    if instance is None:
        return raw
    pending = tracer.effects.pending(instance, name)
    if pending is not None:
        return pending_value(tracer, instance, name, pending.value)
    source = tracer.source_of(instance)
    if source is None:
        return tracer.native(raw.__get__, instance, cls)
    value = slot_content(raw, instance)
    if value is MISSING:
        tracer.guards.add(
            GuardKind.IDENTITY, Computed(Reference(slot_content), (constant_source(raw), source)), MISSING
        )
        raise missing(tracer, instance, name)
    return tracer.read(value, Slot(source, name))


def slot_content(member: Any, instance: Any) -> Any:
    """What a slot holds, or MISSING."""
    try:
        return member.__get__(instance, type(instance))
    except AttributeError:
        return MISSING


def _bind_getset(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    if name == "__dict__" and instance is not None:
        return InstanceDict(tracer, instance) if tracer.is_outside(instance) else instance_dict(instance)
    source = tracer.source_of(instance)
    if name == "__weakref__" and source is not None:
        return tracer.read(raw.__get__(instance, cls), Slot(source, name))
    if instance is not None and is_followed(tracer, instance):
        return tracer.native(raw.__get__, instance, cls)
    raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name}")


def _bind_native(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return tracer.native(raw.__get__, instance, cls)


Binder = Callable[[Any, Any, Any, type, str], Any]

_BINDERS: dict[type, Binder] = {
    types.FunctionType: _bind_function,
    staticmethod: _bind_static,
    classmethod: _bind_class_method,
    property: _bind_property,
    functools.cached_property: _bind_cached_property,
    types.MemberDescriptorType: _bind_slot,
    types.GetSetDescriptorType: _bind_getset,
    types.WrapperDescriptorType: _bind_native,
    types.MethodDescriptorType: _bind_native,
    types.ClassMethodDescriptorType: _bind_native,
}
