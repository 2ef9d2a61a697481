"""Containers of Python that the trace made, and views of them."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.stack.storage import base_of_container, class_lookup, viewed
from tracegraph.capture.stack.values import is_instance_of_python_class
from tracegraph.capture.trace.adapters import CallableAdapter
from tracegraph.capture.trace.growing_lists import GrowingList
from tracegraph.ops.core.size import Size

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def dict_display(reconstructor: Reconstructor, value: dict[Any, Any]) -> str:
    """`{key: value, ...}`."""
    items = base_of_container(value).items(value)
    return f"{{{', '.join(f'{reconstructor.expression(k)}: {reconstructor.expression(v)}' for k, v in items)}}}"


def hashes_late(reconstructor: Reconstructor, keys: Any) -> bool:
    """Whether hashing `keys` runs Python code on objects that the trace made, which must be complete by then."""
    parts = (part for key in keys for part in (key if type(key) in (tuple, frozenset) else (key,)))
    return any(
        is_instance_of_python_class(p)
        and not reconstructor.tracer.is_outside(p)
        and isinstance(class_lookup(type(p), "__hash__"), types.FunctionType)
        for p in parts
    )


def _keyed(reconstructor: Reconstructor, value: Any, empty: str, display: Callable[[], str]) -> str:
    """A dict or set whose keys hash late: made empty, and filled when all objects are complete."""
    name = reconstructor.assign(value, empty)
    content = display()
    reconstructor.last.append(lambda: reconstructor.lines.append(f"{name}.update({content})"))
    return name


def _list(reconstructor: Reconstructor, value: list[Any]) -> str:
    def display() -> str:
        return f"[{reconstructor.expressions(value)}]"

    return reconstructor.container(value, "[]", display, lambda name: f"{name}.extend({display()})")


def _dict(reconstructor: Reconstructor, value: dict[Any, Any]) -> str:
    def display() -> str:
        return dict_display(reconstructor, value)

    if hashes_late(reconstructor, value):
        return _keyed(reconstructor, value, "{}", display)
    return reconstructor.container(value, "{}", display, lambda name: f"{name}.update({display()})")


def _ordered_dict(reconstructor: Reconstructor, value: dict[Any, Any]) -> str:
    def display() -> str:
        return dict_display(reconstructor, value)

    cls, factory = reconstructor.pool.name(type(value)), ""
    if isinstance(value, collections.defaultdict):
        made = value.default_factory
        factory = f"{reconstructor.expression(made.function if isinstance(made, CallableAdapter) else made)}, "
    empty = f"{cls}({factory})"
    if hashes_late(reconstructor, value):
        return _keyed(reconstructor, value, empty, display)
    return reconstructor.container(
        value, empty, lambda: f"{cls}({factory}{display()})", lambda name: f"{name}.update({display()})"
    )


def _deque(reconstructor: Reconstructor, value: collections.deque[Any]) -> str:
    def made(items: str) -> str:
        return f"{reconstructor.pool.name(type(value))}({items}, {value.maxlen})"

    def display() -> str:
        return f"[{reconstructor.expressions(value)}]"

    return reconstructor.container(value, made("()"), lambda: made(display()), lambda n: f"{n}.extend({display()})")


def _tuple(reconstructor: Reconstructor, value: tuple[Any, ...]) -> str:
    return reconstructor.assign(value, reconstructor.tuple_display(value))


def _size(reconstructor: Reconstructor, value: Size) -> str:
    return reconstructor.assign(value, f"{reconstructor.pool.name(Size)}({reconstructor.tuple_display(value)})")


def _set(reconstructor: Reconstructor, value: set[Any] | frozenset[Any]) -> str:
    if hashes_late(reconstructor, value):
        if type(value) is frozenset:
            raise NotReconstructible(value)
        return _keyed(reconstructor, value, "set()", lambda: f"[{reconstructor.expressions(value)}]")
    if all(type(item) is int for item in value) and not _is_in_order_of_insertion(value):
        raise NotReconstructible(value)
    return reconstructor.assign(value, f"{type(value).__name__}([{reconstructor.expressions(value)}])")


def _is_in_order_of_insertion(value: set[int] | frozenset[int]) -> bool:
    """Whether a set made of these ints in this order has this order; with a history of its own it may have another.

    Of what has other hashes in every process, as texts have, the order says nothing.
    """
    return list(set(iter(value))) == list(value)


def _mapping_proxy(reconstructor: Reconstructor, value: types.MappingProxyType[Any, Any]) -> str:
    cls = reconstructor.pool.name(types.MappingProxyType)
    return reconstructor.assign(value, f"{cls}({reconstructor.expression(viewed(value))})")


def _bytearray(reconstructor: Reconstructor, value: bytearray) -> str:
    return reconstructor.assign(value, f"bytearray({bytes(value)!r})")


def _slice(reconstructor: Reconstructor, value: slice) -> str:
    parts = reconstructor.expressions((value.start, value.stop, value.step))
    return reconstructor.assign(value, f"slice({parts})")


def _growing_list(reconstructor: Reconstructor, value: GrowingList) -> str:
    """A list from outside that is only appended to."""
    return reconstructor.writer.name(value.source)


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    list: _list,
    dict: _dict,
    collections.OrderedDict: _ordered_dict,
    collections.defaultdict: _ordered_dict,
    collections.deque: _deque,
    tuple: _tuple,
    Size: _size,
    set: _set,
    frozenset: _set,
    types.MappingProxyType: _mapping_proxy,
    bytearray: _bytearray,
    slice: _slice,
    GrowingList: _growing_list,
}
