"""Writing attributes symbolically: at once on what the trace made, as a logged effect on what existed before."""

from __future__ import annotations

import functools
import threading
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards import eager
from tracegraph.capture.objects.attributes import get
from tracegraph.capture.protocols.descriptors import bind, has_part, is_data_descriptor, part
from tracegraph.capture.protocols.special_methods import special
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import Observed, is_instance_of_python_class, is_python_class
from tracegraph.capture.trace.instance_dicts import instance_dict, instance_entry, missing
from tracegraph.capture.trace.replaced_methods import is_replaced
from tracegraph.ops.graphs.recording import Traced
from tracegraph.settings import Settings

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


#: what exceptions know of their past
_HISTORY = frozenset({"__traceback__", "__cause__", "__context__", "__suppress_context__"})


def set_attribute(tracer: Tracer, target: Any, name: str, value: Any) -> None:
    """`target.name = value`, through `__setattr__` and descriptors if the class has them.

    Raises:
        Break: the target is a tensor, or something else whose attributes are not followed.
    """
    if target is eager.GRAD_STATE and name == "enabled":
        tracer.recorder.grad_enabled = value
        return
    if type(target) is Traced:
        _set_of_tensor(tracer, target, name, value)
        return
    if isinstance(target, Settings) and name in target.questions:
        tracer.settings.set(target, name, value)
        return
    if isinstance(target, types.FunctionType | type):
        _set_of_definition(tracer, target, name, value)
        return
    if type(target) is types.ModuleType:
        _check_module(target, name)
        tracer.effects.set_global(target.__dict__, name, value)
        return
    is_history = isinstance(target, BaseException) and name in _HISTORY
    if (is_history or type(target) is functools.partial) and not tracer.is_outside(target):
        tracer.effects.note_write()
        tracer.native(setattr, target, name, value)
        return
    if type(target) is threading.local and tracer.is_outside(target) and not name.startswith("__"):
        tracer.effects.set_attribute(target, name, value)
        return
    _check_target(target, name)
    custom = tracer.class_entry(type(target), "__setattr__")
    if isinstance(custom, types.FunctionType):
        from tracegraph.capture.calls.callables import call
        from tracegraph.capture.objects import modules

        if not modules.set_registered(tracer, target, name, value, custom):
            call(tracer, custom, (target, name, value), {})
        return
    if _is_borrowed(custom, "__setattr__"):
        special(tracer, target, "__setattr__", name, value)
        return
    generic_set(tracer, target, name, value)


def _set_of_tensor(tracer: Tracer, tensor: Traced, name: str, value: Any) -> None:
    """An attribute of a tensor: its state, in so far as the trace follows it."""
    if is_replaced(tracer, tensor, name):
        raise Break(reasons.TENSOR_ATTRIBUTE, f"assignment to Tensor.{name}, which the program replaced")
    if name == "grad" and (value is None or type(value) is Traced):
        tracer.tensors.set_grad(tensor, value)
    elif name == "requires_grad" and type(value) is bool:
        tracer.tensors.set_requires_grad(tensor, value)
    elif name == "data":
        tracer.tensors.set_data(tensor, value)
    elif _takes_attribute(tracer, tensor, name):
        tracer.effects.set_attribute(tensor, name, value)
    else:
        raise Break(reasons.TENSOR_ATTRIBUTE, f"assignment to attribute {name!r} of a tensor")


def _takes_attribute(tracer: Tracer, tensor: Traced, name: str) -> bool:
    """Whether an attribute of the program's own can be stored in a tensor, which is an input."""
    given = tracer.input_of(tensor)
    return given is not None and hasattr(given.tensor, "__dict__") and class_lookup(type(given.tensor), name) is MISSING


def _is_borrowed(method: Any, name: str) -> bool:
    """Whether a special method is a C method of another name: `__setattr__ = dict.__setitem__`."""
    is_native = isinstance(method, types.WrapperDescriptorType | types.MethodDescriptorType)
    return is_native and method.__name__ != name


def _set_of_definition(tracer: Tracer, target: Any, name: str, value: Any) -> None:
    """An attribute of a function or class; MISSING deletes it."""
    if tracer.is_fresh(target):
        if isinstance(tracer.class_entry(type(target), "__setattr__"), types.FunctionType):
            raise Break(reasons.UNTRACKED_ATTRIBUTE, f"the metaclass of {target.__name__} defines __setattr__")
        tracer.effects.note_write()
        tracer.native(*((delattr, target, name) if value is MISSING else (setattr, target, name, value)))
        return
    _check_definition(tracer, target, name)
    tracer.effects.set_attribute(target, name, value)


#: special attributes of functions that decide nothing
_DESCRIBING = frozenset({"__name__", "__qualname__", "__doc__", "__module__"})


def _check_definition(tracer: Tracer, target: Any, name: str) -> None:
    """Refuse writes to functions and classes from outside that change what calling them, or an operator, does."""
    is_class = isinstance(target, type)
    is_special = name.startswith("__") and name.endswith("__") and (is_class or name not in _DESCRIBING)
    is_odd = is_class and (
        not is_python_class(target)
        or isinstance(tracer.class_entry(type(target), "__setattr__"), types.FunctionType)
        or is_data_descriptor(tracer, tracer.class_entry(type(target), name))
    )
    if is_special or is_odd:
        kind = target.__name__ if is_class else "a function"
        raise Break(reasons.SIDE_EFFECT_CALL, f"assignment to attribute {name!r} of {kind}")


#: modules whose attributes C code reads
_STATE_OF_INTERPRETER = frozenset({"sys", "builtins", "warnings", "_warnings"})


def _check_module(module: types.ModuleType, name: str) -> None:
    label = str(module.__dict__.get("__name__"))
    top = label.partition(".")[0]
    if top in _STATE_OF_INTERPRETER or top == "tracegraph":
        raise Break(reasons.SIDE_EFFECT_CALL, f"assignment to attribute {name!r} of module {label}")


def delete_attribute(tracer: Tracer, target: Any, name: str) -> None:
    """`del target.name`."""
    if isinstance(target, types.FunctionType | type):
        _delete_of_definition(tracer, target, name)
        return
    if type(target) is types.ModuleType:
        _check_module(target, name)
        get(tracer, target, name)
        tracer.effects.set_global(target.__dict__, name, MISSING)
        return
    _check_target(target, name)
    custom = tracer.class_entry(type(target), "__delattr__")
    if isinstance(custom, types.FunctionType):
        from tracegraph.capture.calls.callables import call

        call(tracer, custom, (target, name), {})
    elif _is_borrowed(custom, "__delattr__"):
        special(tracer, target, "__delattr__", name)
    else:
        generic_delete(tracer, target, name)


def _delete_of_definition(tracer: Tracer, target: Any, name: str) -> None:
    own = tracer.effects.pending(target, name) if not tracer.is_fresh(target) else None
    if own is None and name not in target.__dict__:
        raise Break(reasons.SIDE_EFFECT_CALL, f"deletion of attribute {name!r} of {target.__name__}")
    if own is None or own.value is MISSING:
        get(tracer, target, name)  # guards that it is there
    _set_of_definition(tracer, target, name, MISSING)


def generic_delete(tracer: Tracer, target: Any, name: str) -> None:
    """What `object.__delattr__(target, name)` does."""
    raw = tracer.class_entry(type(target), name)
    if isinstance(raw, types.MemberDescriptorType):
        try:
            bind(tracer, raw, target, type(target), name)
        except Observed:
            raise Observed(AttributeError(name)) from None
    elif raw is not MISSING and has_part(tracer, raw, "__delete__"):
        _delete_through_descriptor(tracer, raw, target, name)
        return
    elif instance_entry(tracer, target, name) is MISSING:
        raise missing(tracer, target, name)
    tracer.effects.note_write()
    if tracer.is_outside(target):
        tracer.effects.set_attribute(target, name, MISSING)
    else:
        tracer.native(object.__delattr__, target, name)


def _delete_through_descriptor(tracer: Tracer, raw: Any, target: Any, name: str) -> None:
    from tracegraph.capture.calls.callables import call

    if isinstance(raw, property):
        deleter = part(tracer, raw, "fdel")
        if deleter is None:
            raise Observed(AttributeError(f"property {name!r} of {type(target).__qualname__!r} object has no deleter"))
        call(tracer, deleter, (target,), {})
        return
    deleter = tracer.class_entry(type(raw), "__delete__")
    if not isinstance(deleter, types.FunctionType):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"deleting {type(target).__name__}.{name}")
    call(tracer, deleter, (raw, target), {})


def _check_target(target: Any, name: str) -> None:
    if isinstance(target, BaseException) and not name.startswith("__"):
        return
    if not is_instance_of_python_class(target):
        kind = target.__name__ if isinstance(target, type | types.ModuleType) else type(target).__name__
        raise Break(reasons.SIDE_EFFECT_CALL, f"assignment to attribute {name!r} of {kind}")


def generic_set(tracer: Tracer, target: Any, name: str, value: Any) -> None:
    """What `object.__setattr__(target, name, value)` does."""
    cls = type(target)
    raw = tracer.class_entry(cls, name)
    if isinstance(raw, property):
        from tracegraph.capture.calls.callables import call

        setter = part(tracer, raw, "fset")
        if setter is None:
            raise Observed(AttributeError(f"property {name!r} of {cls.__qualname__!r} object has no setter"))
        call(tracer, setter, (target, value), {})
    elif raw is not MISSING and type(raw) is not types.MemberDescriptorType and has_part(tracer, raw, "__set__"):
        _set_through_descriptor(tracer, raw, target, name, value)
    elif raw is MISSING and instance_dict(target) is None:
        tracer.native(object.__setattr__, target, name, value)  # raises, as Pythons differ in what they say
    else:
        store(tracer, target, name, value)


def _set_through_descriptor(tracer: Tracer, raw: Any, target: Any, name: str, value: Any) -> None:
    setter = tracer.class_entry(type(raw), "__set__")
    if not isinstance(setter, types.FunctionType):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"assignment to {type(target).__name__}.{name}")
    from tracegraph.capture.calls.callables import call

    call(tracer, setter, (raw, target, value), {})


def store(tracer: Tracer, target: Any, name: str, value: Any) -> None:
    """Put a value into the instance dictionary or slot."""
    tracer.effects.note_write()
    if tracer.is_outside(target):
        tracer.effects.set_attribute(target, name, value)
    else:
        tracer.native(object.__setattr__, target, name, value)
