"""What objects hold, read past what their classes say of it: no code of the user's program runs."""

from __future__ import annotations

import gc
from collections import OrderedDict, deque
from typing import Any

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()


def base_of_container(value: Any) -> Any:
    """The C class whose methods see a container past what its own class overrides."""
    return next(base for base in (list, OrderedDict, dict, set, deque) if isinstance(value, base))


def stored_contents(value: Any) -> Any:
    """The content of a list, dict, OrderedDict, set or deque, read past what a derived class overrides."""
    base = base_of_container(value)
    if issubclass(base, dict):
        return base(base.items(value))
    return deque(deque.__iter__(value), max_length(value)) if base is deque else base(base.__iter__(value))


def viewed(proxy: Any) -> Any:
    """The mapping that a `types.MappingProxyType` shows."""
    return gc.get_referents(proxy)[0]


def max_length(value: Any) -> Any:
    """The bound of a deque, read past what a derived class overrides."""
    return _MAXLEN.__get__(value)


_MAXLEN: Any = vars(deque)["maxlen"]


def class_lookup(cls: type, name: str, after: type | None = None) -> Any:
    """The attribute of a class as stored, or MISSING; binds nothing and runs no user code.

    Args:
        cls: the class whose method resolution order is searched.
        name: the attribute.
        after: search only behind this class, as `super()` does.
    """
    owner = class_with_entry(cls, name, after)
    return MISSING if owner is None else owner.__dict__[name]


def class_with_entry(cls: type, name: str, after: type | None = None) -> type | None:
    """The class in which `class_lookup` finds an attribute; None if it finds none."""
    order = cls.__mro__
    if after is not None:
        order = order[order.index(after) + 1 :]
    return next((base for base in order if name in base.__dict__), None)


def values_of(mapping: Any) -> list[Any]:
    """The values of a dict, in order."""
    return list(mapping.values())
