"""How objects and tensors take themselves apart for `copy.copy` and `copy.deepcopy`, as part of the trace."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, stored_contents
from tracegraph.capture.stack.values import is_python_class, native_base
from tracegraph.capture.trace import polyfills
from tracegraph.capture.trace.instance_dicts import slot_names
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def reduce(tracer: Tracer, value: Any) -> Any:
    """`value.__reduce_ex__(4)` of an object of a Python class, as `object` has it.

    Raises:
        Break: the contents of a C class are not known.
    """
    from tracegraph.capture.protocols.special_methods import special

    cls = type(value)
    if isinstance(tracer.class_entry(cls, "__reduce__"), types.FunctionType):
        return special(tracer, value, "__reduce__")
    arguments = (cls, *_construction(tracer, value))
    items, pairs = _contents(tracer, value)
    return polyfills.new_object, arguments, _state(tracer, value), items, pairs


def _construction(tracer: Tracer, value: Any) -> tuple[Any, ...]:
    """What `__new__` needs to make the object again."""
    from tracegraph.capture.protocols.special_methods import special

    cls, base = type(value), native_base(type(value))
    if tracer.class_entry(cls, "__getnewargs_ex__") is not MISSING:
        raise Break(reasons.NATIVE_CALL, f"copying an object of type {cls.__name__}, which has __getnewargs_ex__")
    if isinstance(tracer.class_entry(cls, "__getnewargs__"), types.FunctionType):
        return tuple(special(tracer, value, "__getnewargs__"))
    if base is tuple:
        return (tuple(tuple.__iter__(value)),)
    if base in (int, float, str, bytes):
        tracer.pin(value)
        given: tuple[Any, ...] = base.__getnewargs__(value)
        return given
    if base not in (object, list, dict, type(None)) and base.__name__ != "OrderedDict":
        raise Break(reasons.NATIVE_CALL, f"copying an object of type {cls.__name__}")
    return ()


def _contents(tracer: Tracer, value: Any) -> tuple[Any, Any]:
    """Iterators over the items of a list and the pairs of a dict, None for other objects."""
    if not isinstance(value, list | dict):
        return None, None
    if tracer.is_outside(value) and not tracer.effects.is_tracked(value):
        raise Break(reasons.NATIVE_CALL, f"copying an object of type {type(value).__name__}")
    contents = stored_contents(value)
    is_list = isinstance(contents, list)
    iterator = tracer.fresh(iter(contents if is_list else list(contents.items())))
    return (iterator, None) if is_list else (None, iterator)


def _state(tracer: Tracer, value: Any) -> Any:
    """What `object.__getstate__` gives: the instance dictionary, with the slots if there are any."""
    from tracegraph.capture.objects.attributes import find, get
    from tracegraph.capture.protocols.special_methods import special

    cls = type(value)
    if isinstance(tracer.class_entry(cls, "__getstate__"), types.FunctionType):
        return special(tracer, value, "__getstate__")
    has_dict = any("__dict__" in vars(base) for base in cls.__mro__ if is_python_class(base))
    state = dict(get(tracer, value, "__dict__")) or None if has_dict else None
    slots = ((name, find(tracer, value, name)) for name in slot_names(cls))
    filled = {name: content for name, content in slots if content is not MISSING}
    return (state, filled) if filled else state


# ------------------------------------------------------------------------------------------ tensors


def _copy_tensor(tracer: Tracer, tensor: Traced, protocol: Any = None) -> Any:
    """`copy.copy(tensor)`: another tensor on the same elements."""
    return polyfills.unchanged, (_as_leaf(tracer, tensor, tracer.native(tensor.detach)),)


def _deepcopy_tensor(tracer: Tracer, tensor: Traced, memo: Any) -> Any:
    """`copy.deepcopy(tensor)`, which looks into the memo itself."""
    copy = _as_leaf(tracer, tensor, tracer.native(tracer.native(tensor.detach).clone))
    gradient = tracer.tensors.grad(tensor)
    if gradient is not None:
        tracer.tensors.set_grad(copy, _deepcopy_tensor(tracer, gradient, memo))
    return copy


def _as_leaf(tracer: Tracer, tensor: Traced, copy: Traced) -> Traced:
    """`copy` as a leaf that requires grad if `tensor` is one.

    Raises:
        Break: the tensor is of a class of its own, or has a history, which eager refuses.
    """
    if tracer.type_of(tensor) is not Tensor or not tracer.tensors.is_leaf(tensor):
        raise Break(reasons.TENSOR_ATTRIBUTE, "copying a tensor that has a history, or a Parameter")
    if tensor.requires_grad:
        tracer.tensors.set_requires_grad(copy, True)
    return copy


#: methods of tensors by which they are copied
METHODS: dict[Any, Any] = {
    REPLACEMENTS.original(Tensor, "__reduce_ex__"): _copy_tensor,
    REPLACEMENTS.original(Tensor, "__deepcopy__"): _deepcopy_tensor,
}
