"""Reading the outside world: from a real value and its Source to a guard and what the trace may work on.

One reader per type. Constants are guarded by value, classes and modules by identity, functions by their code,
containers are copied element by element, tensors become graph inputs; any other object keeps its identity and is
guarded by its type only, because what the trace reads of it later is guarded then.
"""

from __future__ import annotations

import collections
import decimal
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Item, Reference, Source, Stored, is_from_stack
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_lookup, stored_contents, values_of, viewed
from tracegraph.capture.stack.values import (
    CONSTANT_TYPES,
    IDENTITY_TYPES,
    NUMPY_NUMBERS,
    TUPLES,
    is_constant,
    is_instance_of_python_class,
    is_namedtuple,
    native_base,
)
from tracegraph.capture.trace.decimals import note_decimals
from tracegraph.capture.trace.effects import TrackedCopy
from tracegraph.capture.trace.growing_lists import bound_append, read_grown
from tracegraph.capture.trace.instance_dicts import instance_dict, slot_names
from tracegraph.capture.trace.keys import check_hashable, note_key
from tracegraph.capture.trace.namespaces import is_namespace, namespace
from tracegraph.capture.trace.safety import flatten
from tracegraph.nn import Module

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: containers with more elements are not copied and guarded
MAX_ELEMENTS = 10_000


def read(tracer: Tracer, value: Any, source: Source) -> Any:
    """Guard `value` and return what stands for it in the trace."""
    found = _read(tracer, value, source)
    tracer.backward_reads.note(source, found)
    return found


def _read(tracer: Tracer, value: Any, source: Source) -> Any:
    if is_constant(value):
        return _read_constant(tracer, value, source)
    if is_namespace(value):
        tracer.guards.add(GuardKind.IDENTITY, source, value)
        return namespace(tracer, value)
    known = tracer.known(value)
    if known is not MISSING:
        return _read_again(tracer, value, known, source)
    return _reader(value)(tracer, value, source)


def _reader(value: Any) -> Callable[[Tracer, Any, Source], Any]:
    exact = _READERS.get(type(value))
    if exact is not None:
        return exact
    if eager.is_tensor(value):
        return _read_tensor
    if isinstance(value, IDENTITY_TYPES):
        return _read_identity
    if is_namedtuple(value) and type(value).__iter__ is tuple.__iter__:
        return _read_tuple
    if is_instance_of_python_class(value) and native_base(type(value)) in _DERIVED_FROM:
        return _read_derived
    return _read_object


def _read_constant(tracer: Tracer, value: Any, source: Source) -> Any:
    if (type(value) in (int, float) or type(value) in NUMPY_NUMBERS) and tracer.varies(source, value):
        return tracer.numbers.number(value, source)
    if type(value) is str and is_from_stack(source) and tracer.varies(source, value):
        return tracer.numbers.given_text(value, source)  # a piece of an f-string, formatted before the break
    if type(value) in TUPLES and value and tracer.varies(source, value):
        return _read_tuple(tracer, value, source)
    if type(value) is decimal.Decimal or (type(value) in TUPLES and decimal.Decimal in map(type, flatten(value))):
        note_decimals(tracer)
    tracer.guards.add(GuardKind.CONSTANT, source, value)
    tracer.note_constant(value, source)
    return value


def _read_again(tracer: Tracer, value: Any, known: Any, source: Source) -> Any:
    first = tracer.source_of(known)
    if first is not None and first != source and not isinstance(value, IDENTITY_TYPES):
        tracer.guards.add(GuardKind.ALIAS, source, first)
    elif first != source:
        tracer.guards.add(GuardKind.IDENTITY, source, value)
    return known


def _read_tensor(tracer: Tracer, value: Any, source: Source) -> Any:
    return tracer.adopt(value, tracer.read_tensor(value, source), source)


def _read_identity(tracer: Tracer, value: Any, source: Source) -> Any:
    append = bound_append(tracer, value, source)
    if append is not None:
        return append
    tracer.guards.add(GuardKind.IDENTITY, source, value)
    return tracer.adopt(value, value, source)


def _read_object(tracer: Tracer, value: Any, source: Source) -> Any:
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    if isinstance(value, Module):
        tracer.modules[source] = value
    return tracer.adopt(value, value, source)


#: C classes whose derived classes are traced on doubles
_DERIVED_FROM = (list, dict, collections.OrderedDict, set, collections.deque)


def _read_derived(tracer: Tracer, value: Any, source: Source) -> Any:
    """An instance of a class derived from a container: traced on a double that shares its attributes."""
    contents, stored = stored_contents(value), Stored(source)
    if len(contents) > MAX_ELEMENTS or (isinstance(contents, dict | set) and not _are_keys(contents)):
        return _read_object(tracer, value, source)
    if isinstance(contents, set) and any(a is not b for a, b in zip(contents, set.__iter__(value), strict=True)):
        return _read_object(tracer, value, source)  # the double would be iterated in another order
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    double = _double(value)
    tracer.adopt(value, double, source)
    if isinstance(contents, dict):
        tracer.guards.add(GuardKind.KEYS, stored, tuple(contents))
        setter: Any = type(contents).__setitem__
        for key, item in contents.items():
            setter(double, key, read(tracer, item, Item(stored, key)))
    elif isinstance(contents, set):
        tracer.guards.add(GuardKind.ELEMENTS, stored, tuple(contents))
        set.update(double, contents)
    else:
        tracer.guards.add(GuardKind.LENGTH, stored, len(contents))
        items = [read(tracer, v, Item(stored, i)) for i, v in enumerate(contents)]
        if isinstance(contents, list):
            list.extend(double, items)
        else:
            tracer.guards.add(GuardKind.CONSTANT, _slot(stored, "maxlen"), contents.maxlen)
            collections.deque.__init__(double, items, contents.maxlen)
    tracer.effects.track(TrackedCopy(value, double, stored_contents(double), source))
    return double


def _double(value: Any) -> Any:
    """An empty object of the same class with the same instance dictionary and slots."""
    base: Any = native_base(type(value))
    double = base.__new__(type(value))
    storage = instance_dict(value)
    if storage is not None:
        object.__setattr__(double, "__dict__", storage)
    for name in slot_names(type(value)):
        if hasattr(value, name):
            object.__setattr__(double, name, object.__getattribute__(value, name))
    return double


def _read_opaque(tracer: Tracer, value: Any, source: Source) -> Any:
    """A container that is not copied: the trace may pass it on, but not look inside."""
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    return tracer.adopt_opaque(value, source)


def _read_function(tracer: Tracer, value: types.FunctionType, source: Source) -> Any:
    tracer.guards.add(GuardKind.FUNCTION, source, value)
    return tracer.adopt(value, value, source)


def _read_cell(tracer: Tracer, value: types.CellType, source: Source) -> Any:
    """A cell is a place, not a value: its contents are guarded when they are read."""
    return tracer.adopt(value, value, source)


def _read_tuple(tracer: Tracer, value: Any, source: Source) -> Any:
    """Tuples and namedtuples are rebuilt only if an element is not itself in the trace."""
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    tracer.guards.add(GuardKind.LENGTH, source, len(value))
    items = [read(tracer, v, Item(source, i)) for i, v in enumerate(tuple.__iter__(value))]
    if all(a is b for a, b in zip(items, tuple.__iter__(value), strict=True)):
        return tracer.adopt(value, value, source)
    return tracer.adopt(value, tuple.__new__(type(value), items), source)


def _read_list(tracer: Tracer, value: Any, source: Source) -> Any:
    if len(value) > MAX_ELEMENTS:
        return _read_opaque(tracer, value, source)
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    tracer.guards.add(GuardKind.LENGTH, source, len(value))
    copy: Any = []
    if isinstance(value, collections.deque):
        tracer.guards.add(GuardKind.CONSTANT, _slot(source, "maxlen"), value.maxlen)
        copy = collections.deque(maxlen=value.maxlen)
    tracer.adopt(value, copy, source)
    copy.extend([read(tracer, v, Item(source, i)) for i, v in enumerate(value)])
    tracer.effects.track(TrackedCopy(value, copy, list(copy), source))
    read_grown(tracer, value, copy, source)
    return copy


def _read_dict(tracer: Tracer, value: Any, source: Source) -> Any:
    if len(value) > MAX_ELEMENTS:
        return _read_opaque(tracer, value, source)
    keys = list(value) if _are_keys(value) else _read_keys(tracer, value, source)
    if keys is None:
        return _read_opaque(tracer, value, source)
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    items: list[Source] = [Item(source, key) for key in value]
    if _are_keys(value):
        tracer.guards.add(GuardKind.KEYS, source, tuple(value))
    else:
        items = [Item(Computed(Reference(values_of), (source,)), i) for i in range(len(value))]
    copy: Any = type(value)()
    if isinstance(value, collections.defaultdict):
        copy.default_factory = read(tracer, value.default_factory, _slot(source, "default_factory"))
    tracer.adopt(value, copy, source)
    for key, item, place in zip(keys, list(value.values()), items, strict=True):
        copy[key] = read(tracer, item, place)
    tracer.effects.track(TrackedCopy(value, copy, dict(copy), source))
    return copy


def _read_keys(tracer: Tracer, values: Any, source: Source) -> list[Any] | None:
    """Objects that are keys, or elements of a set, read one by one; None if hashing them cannot be followed."""
    if not all(map(_may_be_key, flatten(list(values)))):
        return None
    listed = Computed(Reference(list), (source,))
    tracer.guards.add(GuardKind.LENGTH, source, len(values))
    keys: dict[Any, None] = {}
    try:
        for i, value in enumerate(values):
            key = read(tracer, value, Item(listed, i))
            if any(isinstance(class_lookup(type(p), "__hash__"), types.FunctionType) for p in flatten(key)):
                check_hashable(tracer, key, keys)
            note_key(tracer, key)
            keys[key] = None
    except Break:
        return None
    return list(keys) if len(keys) == len(values) else None


def _may_be_key(value: Any) -> bool:
    """Whether the trace has the object itself for it, with a hash that can be followed."""
    if is_constant(value) or isinstance(value, (*IDENTITY_TYPES, types.FunctionType)):
        return True
    return is_instance_of_python_class(value) and native_base(type(value)) is object


def _slot(source: Source, name: str) -> Source:
    from tracegraph.capture.guards.sources import Slot

    return Slot(source, name)


def _read_set(tracer: Tracer, value: Any, source: Source) -> Any:
    """Sets of constants or identities are guarded together, other elements one by one; both in order of iteration."""
    is_small = len(value) <= MAX_ELEMENTS
    elements = list(value) if is_small and _are_keys(value) else _read_keys(tracer, value, source) if is_small else None
    if elements is None:
        return _read_opaque(tracer, value, source)
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    if _are_keys(value):
        tracer.guards.add(GuardKind.ELEMENTS, source, tuple(value))
    if type(value) is frozenset:
        return tracer.adopt(value, value, source)
    copy = value.copy() if _are_keys(value) else set(elements)
    if any(a is not b for a, b in zip(copy, elements, strict=True)):
        return _read_opaque(tracer, value, source)  # a copy would be iterated in another order
    tracer.adopt(value, copy, source)
    tracer.effects.track(TrackedCopy(value, copy, set(copy), source))
    return copy


def _read_proxy(tracer: Tracer, value: Any, source: Source) -> Any:
    """A read-only view of a dict: one of the dict that stands for it in the trace."""
    tracer.guards.add(GuardKind.TYPE, source, type(value))
    held = viewed(value)
    if type(held) not in (dict, collections.OrderedDict):
        return tracer.adopt_opaque(value, source)
    contents = read(tracer, held, Computed(Reference(viewed), (source,)))
    if tracer.is_marked_opaque(contents):
        return tracer.adopt_opaque(value, source)
    return tracer.adopt(value, types.MappingProxyType(contents), source)


def _read_slice(tracer: Tracer, value: slice, source: Source) -> Any:
    parts = [read(tracer, getattr(value, n), _slot(source, n)) for n in ("start", "stop", "step")]
    tracer.guards.add(GuardKind.TYPE, source, slice)
    return slice(*parts)


def _are_keys(values: Any) -> bool:
    """Whether hashing and comparing these runs no Python code of the program."""
    return all(isinstance(v, IDENTITY_TYPES) or is_constant(v) for v in values)


_READERS: dict[type, Callable[[Any, Any, Source], Any]] = {
    **dict.fromkeys(TUPLES, _read_tuple),
    list: _read_list,
    collections.deque: _read_list,
    dict: _read_dict,
    collections.OrderedDict: _read_dict,
    collections.defaultdict: _read_dict,
    set: _read_set,
    frozenset: _read_set,
    slice: _read_slice,
    types.MappingProxyType: _read_proxy,
    bytearray: _read_opaque,
    types.FunctionType: _read_function,
    types.CellType: _read_cell,
    **dict.fromkeys(CONSTANT_TYPES, _read_constant),
}
