"""Reading attributes symbolically: the lookup protocol of CPython, with every step guarded.

`get(tracer, object, name)` walks what `object.name` would walk (class, instance dictionary, descriptors,
`__getattr__`), reads storage through Sources and runs Python descriptors as part of the trace.
"""

from __future__ import annotations

import contextvars
import enum
import threading
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Constant, Entry, Reference, Slot, Source, constant_source
from tracegraph.capture.objects.lazy_modules import note_look
from tracegraph.capture.protocols.descriptors import bind, is_data_descriptor
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.numpy_numbers import NumberMethod, NumpyNumber
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    CONTAINER_TYPES,
    IDENTITY_TYPES,
    STAND_INS,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_python_class,
    is_unknown_traceback,
)
from tracegraph.capture.tensors import arrays
from tracegraph.capture.tensors.methods_in_place import SHAPE_CHANGES
from tracegraph.capture.trace import replaced_methods
from tracegraph.capture.trace.growing_lists import GrowingList
from tracegraph.capture.trace.instance_dicts import ClassDict, InstanceDict, instance_entry, missing, pending_value
from tracegraph.capture.trace.safety import specialised
from tracegraph.capture.trace.tensor_states import GradFn, TensorStates
from tracegraph.ir import Op, SymExpr
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.settings import Settings
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


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
    if value is eager.GRAD_STATE and name == "enabled":
        return tracer.recorder.grad_enabled
    if isinstance(value, Settings) and name in value.questions:
        return tracer.settings.get(value, name)
    if name in _MEMBER_PROPERTIES and class_lookup(type(value), name) is _MEMBER_PROPERTIES[name]:
        # past the property of the enum module, which is a Python function
        return tracer.read(getattr(value, f"_{name}_"), Entry(_member_source(tracer, value), f"_{name}_"))
    if is_instance_of_python_class(value) and not (isinstance(value, Op) and name in _FIXED_OF_OP):
        return _get_of_instance(tracer, value, name)
    return _get_of_builtin(tracer, value, name)


def find(tracer: Tracer, value: Any, name: str) -> Any:
    """`value.name`, MISSING if there is none."""
    try:
        return get(tracer, value, name)
    except Observed as observed:
        if isinstance(observed.exception, AttributeError):
            return MISSING
        raise


def has(tracer: Tracer, value: Any, name: str) -> bool:
    """`hasattr(value, name)`."""
    return find(tracer, value, name) is not MISSING


# ------------------------------------------------------------------------------------------ by kind of object


def _get_of_tensor(tracer: Tracer, tensor: Traced, name: str) -> Any:
    tracer.backward_reads.use(tensor)
    if replaced_methods.is_replaced(tracer, tensor, name):
        return _get_of_tensor_class(tracer, tensor, name)
    if name in _ON_THE_TAPE and tensor.requires_grad and tensor.recorder is not tracer.recorder:
        tracer.backward_reads.check_told(f"Tensor.{name} of what backward computes")
    state = _TENSOR_STATES.get(name)
    if state is not None:
        return state(tracer.tensors, tensor)
    if name == "__class__":
        return tracer.type_of(tensor)
    if name in _TENSOR_METHODS:
        return types.MethodType(getattr(Tensor, name), tensor)
    if name in _TENSOR_ACTIONS:
        raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}")
    if name == "stride":
        tracer.note_strides(tensor)
    try:
        return getattr(tensor, name)
    except AttributeError:
        if REPLACEMENTS.original(Tensor, name) is not None:
            raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}") from None
    return _get_of_tensor_class(tracer, tensor, name)


def _get_of_tensor_class(tracer: Tracer, tensor: Traced, name: str) -> Any:
    """What the program has put into a tensor, or into its class."""
    found = _stored_in_tensor(tracer, tensor, name)
    if found is not MISSING:
        return found
    found = replaced_methods.read_from_class(tracer, tensor, name)
    if found is not MISSING:
        return found
    fallback = replaced_methods.read_from_class(tracer, tensor, "__getattr__")
    if fallback is MISSING:
        raise missing(tracer, tensor, name)
    from tracegraph.capture.calls.callables import call

    return call(tracer, fallback, (name,), {})


def _stored_in_tensor(tracer: Tracer, tensor: Traced, name: str) -> Any:
    """An attribute of an input of its own: parameters, and tensors of derived classes, take them."""
    given = tracer.input_of(tensor)
    if given is None or type(given.tensor) is Tensor or given.convert is not None:
        return MISSING
    if isinstance(class_lookup(type(given.tensor), name), types.MemberDescriptorType):
        raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}, a slot")
    pending = tracer.effects.pending(tensor, name)
    if pending is not None:
        return pending_value(tracer, tensor, name, pending.value)
    if not hasattr(given.tensor, "__dict__"):
        return MISSING
    if name in given.tensor.__dict__:
        return tracer.read(given.tensor.__dict__[name], Entry(given.source, name))
    tracer.guards.add(GuardKind.ABSENT, given.source, name)
    return MISSING


def _get_of_grad_fn(tracer: Tracer, grad_fn: GradFn, name: str) -> Any:
    raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.grad_fn.{name}")


#: attributes that the trace follows
_TENSOR_STATES: dict[str, Callable[[TensorStates, Traced], Any]] = {
    "data": TensorStates.data,
    "grad": TensorStates.grad,
    "grad_fn": TensorStates.grad_fn,
    "is_leaf": TensorStates.is_leaf,
    "_version": TensorStates.version,
}
#: attributes that tell whether operations were recorded
_ON_THE_TAPE = frozenset({"requires_grad", "grad_fn", "is_leaf"})
#: methods of eager tensors that have a meaning in a trace (`library_calls.METHODS`)
_TENSOR_METHODS = frozenset({
    "__deepcopy__", "__reduce_ex__", "backward", "data_ptr", "detach_", "register_hook",
    "register_post_accumulate_grad_hook", "retain_grad", "type", *SHAPE_CHANGES,
})  # fmt: skip
#: attributes of `Traced` that are the recorder's business, or act on the tape
_TENSOR_ACTIONS = frozenset({
    "value", "recorder", "builder", "type", "__dict__", "__dir__", "__sizeof__", "__slots__", "__init__",
})  # fmt: skip


def _get_of_module(tracer: Tracer, module: types.ModuleType, name: str) -> Any:
    source = tracer.source_of(module) or constant_source(module)
    tracer.guards.add(GuardKind.TYPE, source, types.ModuleType)
    pending = tracer.effects.pending(module.__dict__, name)
    if pending is not None:
        return pending_value(tracer, module, name, pending.value)
    if name in module.__dict__:
        return tracer.read(module.__dict__[name], Entry(source, name))
    if hasattr(types.ModuleType, name):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{module.__name__}.{name}")
    if "__getattr__" not in module.__dict__:
        tracer.guards.add(GuardKind.ABSENT, source, name)
        tracer.guards.add(GuardKind.ABSENT, source, "__getattr__")
        raise Observed(AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module))
    if module.__name__.partition(".")[0] != "tracegraph":
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{module.__name__}.{name} is computed by the module")
    # the library's own lazy names never change their meaning, unless the program defines them
    value = tracer.native(getattr, module, name)
    if name in module.__dict__:
        return tracer.read(value, Entry(source, name))
    tracer.guards.add(GuardKind.ABSENT, source, name)
    return tracer.read(value, Constant(Reference(value), name))


def _get_of_function(tracer: Tracer, function: types.FunctionType, name: str) -> Any:
    source = tracer.source_of(function)
    if source is None:
        return tracer.native(getattr, function, name)
    pending = tracer.effects.pending(function, name)
    if pending is not None:
        return pending_value(tracer, function, name, pending.value)
    if name == "__dict__":
        return InstanceDict(tracer, function)
    if name == "__get__":
        return tracer.native(getattr, function, name)
    if name in ("__call__", "__globals__"):
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
    start, instance, cls = (object.__getattribute__(proxy, n) for n in ("__thisclass__", "__self__", "__self_class__"))
    raw = tracer.class_entry(cls, name, after=start)
    if raw is MISSING:
        raise Observed(AttributeError(f"'super' object has no attribute {name!r}", name=name, obj=proxy))
    is_class_call = isinstance(instance, type) and instance is cls
    return bind(tracer, raw, None if is_class_call else instance, cls, name)


def _get_of_builtin(tracer: Tracer, value: Any, name: str) -> Any:
    if is_unknown_traceback(value):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"traceback.{name}")
    is_followed = is_constant(value) or type(value) in CONTAINER_TYPES or isinstance(value, IDENTITY_TYPES)
    stands_for = STAND_INS.get(type(value))
    if stands_for is not None and not hasattr(value, name) and hasattr(stands_for, name):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{stands_for.__name__}.{name}")
    if tracer.is_outside(value) and not is_followed and name != "__class__":
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{type(value).__name__}.{name}")
    return tracer.native(getattr, value, name)


def _get_of_variable(tracer: Tracer, variable: Any, name: str) -> Any:
    """A `contextvars.ContextVar`: its name never changes, its methods are asked when they are called."""
    return tracer.native(getattr, variable, name)


def _get_of_local(tracer: Tracer, local: Any, name: str) -> Any:
    """A `threading.local`: what this thread has stored."""
    source = tracer.source_of(local)
    if source is None or name.startswith("__"):
        return _get_of_builtin(tracer, local, name)
    pending = tracer.effects.pending(local, name)
    if pending is not None:
        return pending_value(tracer, local, name, pending.value)
    found = getattr(local, name, MISSING)
    if found is MISSING:
        place = Computed(Reference(getattr), (source, constant_source(name), constant_source(MISSING)))
        tracer.guards.add(GuardKind.IDENTITY, place, MISSING)
        raise missing(tracer, local, name)
    return tracer.read(found, Slot(source, name))


def _get_of_number(tracer: Tracer, number: SymExpr | SymFloat | NumpyNumber | VaryingText, name: str) -> Any:
    return tracer.native(getattr, specialised(tracer, number), name)


def _get_of_generator(tracer: Tracer, generator: Any, name: str) -> Any:
    """A method of numpy's random generators; their state is C code's."""
    value = tracer.native(getattr, generator, name)
    return value if callable(value) else _get_of_builtin(tracer, generator, name)


def _get_of_growing_list(tracer: Tracer, growing: GrowingList, name: str) -> Any:
    return types.MethodType(GrowingList.append, growing)


def _get_of_numpy_number(tracer: Tracer, number: NumpyNumber, name: str) -> Any:
    if name in ("dtype", "shape", "ndim", "size", "itemsize", "nbytes"):
        return getattr(number.value, name)  # of the type, which is guarded
    if name in ("item", "tolist", "is_integer") and hasattr(number.value, name):
        return NumberMethod(number, name)
    return _get_of_number(tracer, number, name)


def _get_of_class(tracer: Tracer, cls: type, name: str) -> Any:
    """Attributes of a class object: those of its metaclass are asked as a class's are for an instance."""
    meta = type(cls)
    tracer.note_metaclass(cls)
    custom = tracer.class_entry(meta, "__getattribute__")
    from tracegraph.capture.calls.callables import call

    try:
        if isinstance(custom, types.FunctionType):
            return call(tracer, custom, (cls, name), {})
        return class_get(tracer, cls, name)
    except Observed as observed:
        if not isinstance(observed.exception, AttributeError):
            raise
        fallback = tracer.class_entry(meta, "__getattr__")
        if fallback is MISSING:
            raise
    return call(tracer, bind(tracer, fallback, cls, meta, "__getattr__"), (name,), {})


def class_get(tracer: Tracer, cls: type, name: str) -> Any:
    """What `type.__getattribute__(cls, name)` does."""
    meta = type(cls)
    meta_raw = tracer.class_entry(meta, name)
    if meta_raw is not MISSING and is_data_descriptor(tracer, meta_raw):
        is_native = isinstance(meta_raw, types.GetSetDescriptorType | types.MemberDescriptorType)
        return _class_data(tracer, cls, name) if is_native else bind(tracer, meta_raw, cls, meta, name)
    raw = tracer.class_entry(cls, name)
    if raw is not MISSING:
        return bind(tracer, raw, None, cls, name)
    if meta_raw is not MISSING:
        return bind(tracer, meta_raw, cls, meta, name)
    raise missing(tracer, cls, name)


def _class_data(tracer: Tracer, cls: type, name: str) -> Any:
    if name == "__dict__" and class_lookup(type(cls), name) is type.__dict__[name]:
        is_guarded = is_python_class(cls) and not tracer.is_fresh(cls)
        return ClassDict(tracer, cls) if is_guarded else tracer.native(getattr, cls, name)
    if name not in ("__name__", "__qualname__", "__module__", "__mro__", "__bases__", "__doc__", "__annotations__"):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name}")
    value = tracer.native(getattr, cls, name)
    is_guarded = is_python_class(cls) and not tracer.is_fresh(cls)
    return tracer.read(value, Slot(tracer.class_source(cls), name)) if is_guarded else value


def _get_of_instance(tracer: Tracer, instance: Any, name: str) -> Any:
    """`object.__getattribute__`, then `__getattr__`."""
    cls = type(instance)
    tracer.backward_reads.use(instance)
    if isinstance(instance, enum.Enum):
        tracer.guards.add(GuardKind.TYPE, _member_source(tracer, instance), cls)  # else guarded when it is read
    custom = tracer.class_entry(cls, "__getattribute__")
    from tracegraph.capture.calls.callables import call

    note_look(tracer, instance)
    try:
        if isinstance(custom, types.FunctionType):
            return call(tracer, custom, (instance, name), {})
        return generic_get(tracer, instance, name)
    except Observed as observed:
        if not isinstance(observed.exception, AttributeError):
            raise
        fallback = tracer.class_entry(cls, "__getattr__")
        if fallback is MISSING:
            raise
    from tracegraph.capture.objects import modules

    registered = modules.get_registered(tracer, instance, name, fallback)
    return registered if registered is not MISSING else call(tracer, fallback, (instance, name), {})


def generic_get(tracer: Tracer, instance: Any, name: str) -> Any:
    """What `object.__getattribute__(instance, name)` does."""
    cls = type(instance)
    if name == "__class__" and class_lookup(cls, name) is object.__dict__[name]:
        return cls
    raw = tracer.class_entry(cls, name)
    if raw is not MISSING and is_data_descriptor(tracer, raw):
        return bind(tracer, raw, instance, cls, name)
    stored = instance_entry(tracer, instance, name)
    if stored is not MISSING:
        return stored
    if raw is not MISSING:
        return bind(tracer, raw, instance, cls, name)
    if tracer.weak_mappings.is_made(instance):
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"{cls.__name__}.{name}")  # what only the library sees is not there
    raise missing(tracer, instance, name)


_GETTERS: dict[type, Callable[[Any, Any, str], Any]] = {
    Traced: _get_of_tensor,
    GradFn: _get_of_grad_fn,
    SymExpr: _get_of_number,
    SymFloat: _get_of_number,
    NumpyNumber: _get_of_numpy_number,
    VaryingText: _get_of_number,
    types.ModuleType: _get_of_module,
    types.FunctionType: _get_of_function,
    types.MethodType: _get_of_method,
    super: _get_of_super,
    GrowingList: _get_of_growing_list,
    contextvars.ContextVar: _get_of_variable,
    threading.local: _get_of_local,
    np.ndarray: arrays.get_attribute,
    **dict.fromkeys((np.random.RandomState, np.random.Generator), _get_of_generator),
}


#: what the enum module defines for all members
_MEMBER_PROPERTIES: dict[str, Any] = {name: enum.Enum.__dict__[name] for name in ("name", "value")}
#: attributes of operations that never change, read natively
_FIXED_OF_OP = frozenset({"name", "kind", "is_pure", "__name__", "__doc__"})


def _member_source(tracer: Tracer, member: enum.Enum) -> Source:
    return tracer.source_of(member) or constant_source(member)


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
