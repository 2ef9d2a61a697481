"""Reading attributes symbolically: the lookup protocol of CPython, with every step guarded.

`get(tracer, object, name)` walks what `object.name` would walk (class, instance dictionary, descriptors,
`__getattr__`), reads storage through Sources and runs Python descriptors as part of the trace.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture import eager
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.guards import GuardKind
from tracegraph.capture.sources import MISSING, Constant, Entry, Reference, Slot
from tracegraph.capture.values import (
    CONTAINER_TYPES,
    IDENTITY_TYPES,
    Observed,
    is_constant,
    is_instance_of_python_class,
)
from tracegraph.ir import SymExpr
from tracegraph.ops.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer


def get(tracer: Tracer, value: Any, name: str) -> Any:
    """`value.name`.

    Raises:
        Observed: AttributeError, or what a property or `__getattr__` raises.
        Break: the attribute is computed by code that cannot be followed.
    """
    getter = _GETTERS.get(type(value))
    if getter is not None:
        return getter(tracer, value, name)
    if isinstance(value, type):
        return _get_of_class(tracer, value, name)
    if value is eager.GRAD_STATE:
        return tracer.recorder.grad_enabled
    if is_instance_of_python_class(value) and name not in _IMMUTABLE.get(_immutable_base(value), ()):
        return _get_of_instance(tracer, value, name)
    return _get_of_builtin(tracer, value, name)


def has(tracer: Tracer, value: Any, name: str) -> bool:
    """`hasattr(value, name)`."""
    try:
        get(tracer, value, name)
    except Observed as observed:
        if isinstance(observed.exception, AttributeError):
            return False
        raise
    return True


def missing(tracer: Tracer, value: Any, name: str) -> Observed:
    """The AttributeError eager would raise."""
    kind = tracer.type_of(value)
    text = f"type object {value.__name__!r}" if isinstance(value, type) else f"{kind.__name__!r} object"
    return Observed(AttributeError(f"{text} has no attribute {name!r}", name=name, obj=value))


# ------------------------------------------------------------------------------------------ by kind of object


def _get_of_tensor(tracer: Tracer, tensor: Traced, name: str) -> Any:
    graph_input = tracer.input_of(tensor)
    if name in _TENSOR_STATE:
        if graph_input is None:
            raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name} of a value computed in the graph")
        return tracer.read(getattr(graph_input.tensor, name), Slot(graph_input.source, name))
    if name == "__class__":
        return tracer.type_of(tensor)
    if name in _TENSOR_ACTIONS:
        raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}")
    try:
        return getattr(tensor, name)
    except AttributeError:
        if hasattr(tracer.type_of(tensor), name):
            raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}") from None
        raise missing(tracer, tensor, name) from None


#: attributes of an argument that are storage of the eager tensor
_TENSOR_STATE = frozenset({"grad", "grad_fn", "is_leaf"})
#: attributes of `Traced` that are the recorder's business, or act on the tape
_TENSOR_ACTIONS = frozenset({"value", "recorder", "builder", "type", "backward", "register_hook", "retain_grad",
                             "requires_grad_", "data", "__dict__"})  # fmt: skip


def _get_of_module(tracer: Tracer, module: types.ModuleType, name: str) -> Any:
    source = tracer.source_of(module) or Constant(Reference(module), module.__name__)
    pending = tracer.effects.pending(module, name)
    if pending is not None:
        return _pending(tracer, module, name, pending.value)
    if name in module.__dict__:
        return tracer.read(module.__dict__[name], Entry(source, name))
    if "__getattr__" not in module.__dict__:
        raise Observed(AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module))
    if module.__name__.partition(".")[0] != "tracegraph":
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{module.__name__}.{name} is computed by the module")
    # the library's own lazy names never change their meaning
    return tracer.read(tracer.native(getattr, module, name), Constant(Reference(getattr(module, name)), name))


def _get_of_function(tracer: Tracer, function: types.FunctionType, name: str) -> Any:
    source = tracer.source_of(function)
    if source is None:
        return tracer.native(getattr, function, name)
    if name in ("__dict__", "__get__", "__call__", "__globals__"):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{function.__qualname__}.{name}")
    if name in function.__dict__:
        return tracer.read(function.__dict__[name], Entry(source, name))
    if not hasattr(function, name):
        tracer.guards.add(GuardKind.ABSENT, source, name)
        raise Observed(AttributeError(f"'function' object has no attribute {name!r}", name=name, obj=function))
    return tracer.read(getattr(function, name), Slot(source, name))


def _get_of_method(tracer: Tracer, method: types.MethodType, name: str) -> Any:
    function, instance = method_parts(tracer, method)
    if name == "__self__":
        return instance
    return function if name == "__func__" else get(tracer, function, name)


def method_parts(tracer: Tracer, method: types.MethodType) -> tuple[Any, Any]:
    """Function and instance of a bound method, each with its own guards if the method came from outside."""
    source = tracer.source_of(method)
    if source is None:
        return method.__func__, method.__self__
    function = tracer.read(method.__func__, Slot(source, "__func__"))
    return function, tracer.read(method.__self__, Slot(source, "__self__"))


def _get_of_super(tracer: Tracer, proxy: Any, name: str) -> Any:
    start, instance, cls = (
        object.__getattribute__(proxy, n) for n in ("__thisclass__", "__self__", "__self_class__")
    )
    raw = tracer.class_entry(cls, name, after=start)
    if raw is MISSING:
        raise Observed(AttributeError(f"'super' object has no attribute {name!r}", name=name, obj=proxy))
    is_class_call = isinstance(instance, type) and instance is cls
    return bind(tracer, raw, None if is_class_call else instance, cls, name)


def _get_of_builtin(tracer: Tracer, value: Any, name: str) -> Any:
    is_followed = (
        is_constant(value) or type(value) in CONTAINER_TYPES or isinstance(value, IDENTITY_TYPES)
    )
    if tracer.is_outside(value) and not is_followed and name != "__class__":
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{type(value).__name__}.{name}")
    return tracer.native(getattr, value, name)


def _get_of_size(tracer: Tracer, size: SymExpr, name: str) -> Any:
    return tracer.native(getattr, tracer.native(int, size), name)


def _get_of_class(tracer: Tracer, cls: type, name: str) -> Any:
    """Attributes of a class object; metaclasses other than `type` may only add plain methods."""
    meta = type(cls)
    pending = tracer.effects.pending(cls, name)
    if pending is not None:
        return _pending(tracer, cls, name, pending.value)
    meta_raw = tracer.class_entry(meta, name)
    if meta_raw is not MISSING and is_data_descriptor(meta_raw):
        return _class_data(tracer, cls, name)
    raw = tracer.class_entry(cls, name)
    if raw is not MISSING:
        return bind(tracer, raw, None, cls, name)
    if meta_raw is not MISSING:
        return bind(tracer, meta_raw, cls, meta, name)
    if tracer.class_entry(meta, "__getattr__") is not MISSING:
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name} is computed by the metaclass")
    raise missing(tracer, cls, name)


def _class_data(tracer: Tracer, cls: type, name: str) -> Any:
    if name not in ("__name__", "__qualname__", "__module__", "__mro__", "__bases__", "__doc__"):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name}")
    value = tracer.native(getattr, cls, name)
    source = tracer.source_of(cls)
    return tracer.read(value, Slot(source, name)) if source is not None else value


def _get_of_instance(tracer: Tracer, instance: Any, name: str) -> Any:
    """`object.__getattribute__`, then `__getattr__`."""
    cls = type(instance)
    custom = tracer.class_entry(cls, "__getattribute__")
    if isinstance(custom, types.FunctionType):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__} defines __getattribute__")
    try:
        return generic_get(tracer, instance, name)
    except Observed as observed:
        if not isinstance(observed.exception, AttributeError):
            raise
        fallback = tracer.class_entry(cls, "__getattr__")
        if fallback is MISSING:
            raise
    from tracegraph.capture import modules
    from tracegraph.capture.calls import call

    registered = modules.get_registered(tracer, instance, name, fallback)
    return registered if registered is not MISSING else call(tracer, fallback, (instance, name), {})


def generic_get(tracer: Tracer, instance: Any, name: str) -> Any:
    """What `object.__getattribute__(instance, name)` does."""
    cls = type(instance)
    if name == "__class__":
        return cls
    raw = tracer.class_entry(cls, name)
    if raw is not MISSING and is_data_descriptor(raw):
        return bind(tracer, raw, instance, cls, name)
    stored = instance_entry(tracer, instance, name)
    if stored is not MISSING:
        return stored
    if raw is not MISSING:
        return bind(tracer, raw, instance, cls, name)
    raise missing(tracer, instance, name)


def instance_entry(tracer: Tracer, instance: Any, name: str) -> Any:
    """`instance.__dict__[name]` or MISSING, seeing pending writes and guarding what is read or absent."""
    storage = instance_dict(instance)
    source = tracer.source_of(instance)
    pending = tracer.effects.pending(instance, name)
    if pending is not None:
        return pending.value
    if storage is None:
        return MISSING
    if source is None:
        return storage.get(name, MISSING)
    if name in storage:
        return tracer.read(storage[name], Entry(source, name))
    tracer.guards.add(GuardKind.ABSENT, source, name)
    return MISSING


def instance_dict(instance: Any) -> dict[str, Any] | None:
    """The real instance dictionary, or None."""
    try:
        found = object.__getattribute__(instance, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None


def _pending(tracer: Tracer, owner: Any, name: str, value: Any) -> Any:
    if value is MISSING:
        raise missing(tracer, owner, name)
    return value


# ------------------------------------------------------------------------------------------ descriptors


def is_data_descriptor(raw: Any) -> bool:
    return hasattr(type(raw), "__set__") or hasattr(type(raw), "__delete__")


def bind(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """What a class attribute becomes when read through an instance (or, with None, through the class)."""
    binder = _BINDERS.get(type(raw))
    if binder is not None:
        return binder(tracer, raw, instance, cls, name)
    getter = getattr(type(raw), "__get__", None)
    if getter is None:
        return raw
    if isinstance(getter, types.FunctionType) and not getattr(raw, "__tracegraph_op__", False):
        from tracegraph.capture.calls import call

        return call(tracer, getter, (raw, instance, cls), {})
    return tracer.native(raw.__get__, instance, cls)


def _bind_function(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return raw if instance is None else types.MethodType(raw, instance)


def _part(tracer: Tracer, descriptor: Any, name: str) -> Any:
    """A function held by a descriptor, with its Source."""
    source = tracer.source_of(descriptor)
    value = getattr(descriptor, name)
    return tracer.read(value, Slot(source, name)) if source is not None and value is not None else value


def _bind_static(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return _part(tracer, raw, "__func__")


def _bind_class_method(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    return types.MethodType(_part(tracer, raw, "__func__"), cls)


def _bind_property(tracer: Tracer, raw: property, instance: Any, cls: type, name: str) -> Any:
    if instance is None:
        return raw
    getter = _part(tracer, raw, "fget")
    if getter is None:
        raise Observed(AttributeError(f"property {name!r} of {cls.__name__!r} object has no getter"))
    from tracegraph.capture.calls import call

    return call(tracer, getter, (instance,), {})


def _bind_cached_property(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """The first read computes and stores; later reads find the instance attribute before coming here."""
    if instance is None:
        return raw
    from tracegraph.capture.attribute_writes import store
    from tracegraph.capture.calls import call

    value = call(tracer, _part(tracer, raw, "func"), (instance,), {})
    store(tracer, instance, raw.attrname, value)
    return value


def _bind_slot(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    """A `__slots__` member."""
    if instance is None:
        return raw
    pending = tracer.effects.pending(instance, name)
    if pending is not None:
        return _pending(tracer, instance, name, pending.value)
    source = tracer.source_of(instance)
    if source is None:
        return tracer.native(raw.__get__, instance, cls)
    try:
        value = raw.__get__(instance, cls)
    except AttributeError:
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name} is not set") from None
    return tracer.read(value, Slot(source, name))


def _bind_getset(tracer: Tracer, raw: Any, instance: Any, cls: type, name: str) -> Any:
    if name == "__dict__" and instance is not None:
        from tracegraph.capture.instance_dicts import InstanceDict

        return InstanceDict(tracer, instance) if tracer.is_outside(instance) else instance_dict(instance)
    if instance is not None and not tracer.is_outside(instance):
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

_GETTERS: dict[type, Callable[[Any, Any, str], Any]] = {
    Traced: _get_of_tensor,
    SymExpr: _get_of_size,
    types.ModuleType: _get_of_module,
    types.FunctionType: _get_of_function,
    types.MethodType: _get_of_method,
    super: _get_of_super,
}


def _immutable_base(value: Any) -> type | None:
    return next((base for base in _IMMUTABLE if isinstance(value, base)), None)


def _immutable_attributes() -> dict[Any, frozenset[str]]:
    """Instances of Python classes with attributes that never change, read natively."""
    import enum

    from tracegraph.ir import Op

    op_attributes = frozenset({"name", "kind", "is_pure", "__name__", "__doc__"})
    return {enum.Enum: frozenset({"name", "value", "_name_", "_value_"}), Op: op_attributes}


_IMMUTABLE = _immutable_attributes()


def get_special(tracer: Tracer, value: Any, name: str) -> Any:
    """A special method as the interpreter looks it up, on the class and bound; MISSING if there is none."""
    cls = type(value)
    if not is_instance_of_python_class(value):
        raw = getattr(cls, name, MISSING)
        if raw is not MISSING and tracer.is_outside(value) and type(value) not in CONTAINER_TYPES:
            raise Break(reasons.UNSUPPORTED_VALUE, f"{cls.__name__}.{name}")
        return raw if raw is MISSING else tracer.native(raw.__get__, value, cls)
    raw = tracer.class_entry(cls, name)
    return raw if raw is MISSING else bind(tracer, raw, value, cls, name)
