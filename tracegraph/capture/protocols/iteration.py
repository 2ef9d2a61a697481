"""Iteration over symbolic values: iter, next and reversed, and what walks through items."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.sources import is_from_stack
from tracegraph.capture.protocols.special_methods import special
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import SEQUENCES, Observed, is_instance_of_python_class
from tracegraph.capture.tensors import arrays
from tracegraph.capture.trace import polyfills
from tracegraph.capture.trace.instance_dicts import InstanceDict
from tracegraph.capture.trace.replaced_methods import is_replaced
from tracegraph.capture.trace.safety import has_operators, is_opaque
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def iterate(tracer: Tracer, value: Any) -> Any:
    """`iter(value)`: an iterator that `advance` understands."""
    if type(value) is Traced and is_replaced(tracer, value, "__iter__"):
        return special(tracer, value, "__iter__")
    if type(value) is Traced:
        return tracer.fresh(iter(list(tracer.native(value.unbind, 0)))) if value.shape else tracer.native(iter, value)
    if type(value) is np.ndarray and not value.dtype.hasobject:
        return arrays.iterate(tracer, value)
    if not is_instance_of_python_class(value) and not has_operators(tracer, value):
        if is_opaque(tracer, value) and iter_returns_self(value):
            return value
        if is_opaque(tracer, value):
            raise Break(reasons.OPAQUE_ITERATOR, f"iteration over an object of type {type(value).__name__}")
        iterator = tracer.native(iter, value)
        return iterator if iterator is value else tracer.fresh(iterator)
    result = special(tracer, value, "__iter__")
    if result is NotImplemented:
        if tracer.class_entry(type(value), "__getitem__") is not MISSING:
            return _inline(tracer, polyfills.iterate_by_index, value)
        raise Observed(TypeError(f"{type(value).__name__!r} object is not iterable"))
    return result


def _inline(tracer: Tracer, polyfill: Any, *args: Any) -> Any:
    from tracegraph.capture.trace.functions import inline

    return inline(tracer, polyfill, args, {})


def backwards(tracer: Tracer, value: Any) -> Any:
    """`reversed(value)`."""
    if type(value) is Traced and is_replaced(tracer, value, "__reversed__"):
        return special(tracer, value, "__reversed__")
    if type(value) is Traced:
        return backwards(tracer, list(walk(tracer, value)))
    if not is_instance_of_python_class(value) and not has_operators(tracer, value):
        if is_opaque(tracer, value):
            raise Break(reasons.OPAQUE_ITERATOR, f"reversed() of an object of type {type(value).__name__}")
        return tracer.fresh(tracer.native(reversed, value))
    result = special(tracer, value, "__reversed__")
    if result is not NotImplemented:
        return result
    if (
        tracer.class_entry(type(value), "__getitem__") is MISSING
        or tracer.class_entry(type(value), "__len__") is MISSING
    ):
        raise Observed(TypeError(f"{type(value).__name__!r} object is not reversible"))
    return _inline(tracer, polyfills.reversed_, value)


def mapping(tracer: Tracer, value: Any) -> dict[Any, Any]:
    """The content of a mapping, as `{**value}` takes it.

    Raises:
        Observed: TypeError for what is no mapping.
    """
    if isinstance(value, InstanceDict):
        return dict(value)
    if not is_instance_of_python_class(value):
        if isinstance(value, dict):
            return value
        if isinstance(value, types.MappingProxyType) and not is_opaque(tracer, value):
            return dict(value)
        raise Observed(TypeError(f"{tracer.type_of(value).__name__!r} object is not a mapping"))
    if tracer.class_entry(type(value), "keys") is MISSING:
        raise Observed(TypeError(f"{type(value).__name__!r} object is not a mapping"))
    items: dict[Any, Any] = _inline(tracer, polyfills.mapping_items, value)
    return items


def iter_returns_self(value: Any) -> bool:
    """Whether a builtin object is an iterator."""
    return hasattr(type(value), "__next__")


def advance(tracer: Tracer, iterator: Any) -> Any:
    """`next(iterator)`.

    Raises:
        Observed: StopIteration at the end.
    """
    if is_instance_of_python_class(iterator):
        result = special(tracer, iterator, "__next__")
        if result is NotImplemented:
            raise Observed(TypeError(f"{type(iterator).__name__!r} object is not an iterator"))
        return result
    if is_opaque(tracer, iterator):
        source = tracer.source_of(iterator)
        since = "begun before the graph break" if source is not None and is_from_stack(source) else "made outside"
        raise Break(reasons.OPAQUE_ITERATOR, f"next() of a {type(iterator).__name__} {since}")
    return tracer.native(next, iterator)


def walk(tracer: Tracer, value: Any) -> Iterator[Any]:
    """The items of `value`, iterated symbolically."""
    return _items(tracer, iterate(tracer, value))


def listed(tracer: Tracer, value: Any) -> list[Any]:
    """`list(value)`, which asks the length before the first item."""
    iterator = iterate(tracer, value)
    if is_instance_of_python_class(value):
        special(tracer, value, "__len__")
    return list(_items(tracer, iterator))


def _items(tracer: Tracer, iterator: Any) -> Iterator[Any]:
    while True:
        try:
            item = advance(tracer, iterator)
        except Observed as observed:
            if isinstance(observed.exception, StopIteration):
                return
            raise
        yield item


#: what C code may iterate
_PLAIN = SEQUENCES | {dict, set, frozenset, str, range}


def materialised(tracer: Tracer, value: Any) -> Any:
    """Something that C code may iterate: builtin containers as they are, anything else as a list."""
    return value if type(value) in _PLAIN else list(walk(tracer, value))
