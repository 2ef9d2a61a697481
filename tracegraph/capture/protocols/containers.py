"""Containers of symbolic values: subscripts and membership."""

from __future__ import annotations

import operator
import types
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.sources import Keyed
from tracegraph.capture.protocols.descriptors import bind
from tracegraph.capture.protocols.iteration import materialised, walk
from tracegraph.capture.protocols.operators import compare, identical, may_be_one
from tracegraph.capture.protocols.special_methods import is_plain, special, truth
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import (
    DICT_VIEW_TYPES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_nan,
)
from tracegraph.capture.tensors import arrays
from tracegraph.capture.trace.keys import check_hashable, check_sought
from tracegraph.capture.trace.safety import plain_number, specialised
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def contains(tracer: Tracer, container: Any, item: Any) -> bool:
    """`item in container`."""
    if not is_plain(tracer, container):
        answer = special(tracer, container, "__contains__", item)
        if answer is not NotImplemented:
            return truth(tracer, answer)
        if getattr(type(container), "__contains__", MISSING) is None:
            raise Observed(TypeError(f"{type(container).__name__!r} object is not a container"))
        if getattr(type(container), "__iter__", None) is None and not hasattr(type(container), "__getitem__"):
            raise Observed(TypeError(f"argument of type {type(container).__name__!r} is not iterable"))
        return any(is_same(tracer, x, item) for x in walk(tracer, container))
    if isinstance(container, list | tuple) and not (_is_simple(container) and _is_simple(item)):
        return any(is_same(tracer, x, item) for x in list(container))
    if is_instance_of_python_class(item) and (type(container) is range or isinstance(container, _VALUES)):
        return any(is_same(tracer, x, item) for x in list(container))
    if isinstance(container, dict | set | frozenset | types.MappingProxyType | _KEYS):
        item = check_sought(tracer, item, container)
    elif isinstance(container, DICT_VIEW_TYPES) and not (is_constant(item) and all(map(is_constant, container))):
        return _view_contains(tracer, container, item)
    elif isinstance(container, bytes | bytearray):
        item = index(tracer, item)
    return bool(tracer.native(operator.contains, container, item))


_KEYS, _VALUES, _ITEMS = DICT_VIEW_TYPES


def _view_contains(tracer: Tracer, view: Any, item: Any) -> bool:
    """`item in mapping.values()`, `(key, value) in mapping.items()`."""
    if isinstance(view, _VALUES):
        return any(is_same(tracer, x, item) for x in list(view))
    if not isinstance(item, tuple) or len(item) != 2:
        return False
    mapping = view.mapping
    key = check_hashable(tracer, item[0], mapping)
    return key in mapping and is_same(tracer, mapping[key], item[1])


def _is_simple(value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else (value,)
    return not any(is_nan(i) or is_instance_of_python_class(i) or isinstance(i, list | tuple | dict) for i in items)


def is_same(tracer: Tracer, a: Any, b: Any) -> bool:
    """`a is b or a == b`, what containers ask."""
    is_known = is_nan(a) or not may_be_one(tracer, a, b)  # where equality decides, identity does not matter
    return (is_known and identical(tracer, a, b)) or truth(tracer, compare(tracer, "==", a, b))


def subscript(tracer: Tracer, container: Any, key: Any) -> Any:
    """`container[key]`."""
    entry = _entry_of_object(tracer, container, key)
    if entry is not MISSING:
        return entry
    if type(container).__module__ == "typing":
        return tracer.native(operator.getitem, container, key)
    if isinstance(container, np.ndarray):
        return arrays.compute(tracer, operator.getitem, (container, key), {})
    if not is_plain(tracer, container):
        result = special(tracer, container, "__getitem__", key)
        if result is NotImplemented and isinstance(container, type):
            return _of_class(tracer, container, key)
        if result is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object is not subscriptable"))
        return result
    if isinstance(container, type):
        return _of_class(tracer, container, key)
    if isinstance(container, dict | types.MappingProxyType):
        key = check_hashable(tracer, key, container)
        factory = getattr(container, "default_factory", None)
        if isinstance(container, dict) and factory is not None and key not in container:
            from tracegraph.capture.calls.callables import call

            container[key] = call(tracer, factory, (), {})
        return tracer.native(operator.getitem, container, key)
    if type(container) is not Traced:
        key = specialised(tracer, key)
    key = index(tracer, key)
    return tracer.native(operator.getitem, container, key)


def _of_class(tracer: Tracer, cls: type, key: Any) -> Any:
    """`cls[key]`: by the metaclass if that defines it, else by `__class_getitem__`."""
    from tracegraph.capture.calls.callables import call

    if tracer.class_entry(type(cls), "__getitem__") is MISSING:
        raw = tracer.class_entry(cls, "__class_getitem__")
        function = raw.__func__ if isinstance(raw, classmethod) else None
        if isinstance(function, types.FunctionType) and function.__module__ != "typing":
            return call(tracer, bind(tracer, raw, None, cls, "__class_getitem__"), (key,), {})
    return tracer.native(operator.getitem, cls, key)


def _entry_of_object(tracer: Tracer, container: Any, key: Any) -> Any:
    """The entry of an outside dict whose keys are not followed, under a tensor that is an input; else MISSING."""
    if type(key) is not Traced or not isinstance(container, dict) or not tracer.is_marked_opaque(container):
        return MISSING
    source, graph_input = tracer.source_of(container), tracer.input_of(key)
    if source is None or graph_input is None or graph_input.convert is not None:
        return MISSING
    entry = container.get(graph_input.tensor)
    return MISSING if entry is None else tracer.read(entry, Keyed(source, graph_input.source))


def set_subscript(tracer: Tracer, container: Any, key: Any, value: Any) -> None:
    """`container[key] = value`."""
    if not is_plain(tracer, container):
        if special(tracer, container, "__setitem__", key, value) is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object does not support item assignment"))
        return
    tracer.effects.note_write()
    key = check_hashable(tracer, key, container) if isinstance(container, dict) else index(tracer, key)
    value = materialised(tracer, value) if isinstance(key, slice) and isinstance(container, list) else value
    tracer.native(operator.setitem, container, key, value)


def delete_subscript(tracer: Tracer, container: Any, key: Any) -> None:
    """`del container[key]`."""
    if not is_plain(tracer, container):
        if special(tracer, container, "__delitem__", key) is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object doesn't support item deletion"))
        return
    tracer.effects.note_write()
    key = check_hashable(tracer, key, container) if isinstance(container, dict) else index(tracer, key)
    tracer.native(operator.delitem, container, key)


def index(tracer: Tracer, key: Any) -> Any:
    """A position or slice with `__index__` called on objects."""
    if type(key) is tuple:
        return tuple(index(tracer, part) for part in key)
    if type(key) is slice:
        return slice(*(index(tracer, part) for part in (key.start, key.stop, key.step)))
    if isinstance(key, np.ndarray) and tracer.is_outside(key):
        return arrays.as_input(tracer, key)
    if not is_instance_of_python_class(key) or isinstance(key, str):
        return key
    if isinstance(key, int):
        return plain_number(tracer, key)
    result = special(tracer, key, "__index__")
    return key if result is NotImplemented else result
