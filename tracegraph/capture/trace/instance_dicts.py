"""Attributes as they are stored: instance dictionaries of outside objects, seen through pending writes and guarded."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Entry, Item, Slot, Source
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import STAND_INS, Observed, is_python_class

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def missing(tracer: Tracer, value: Any, name: str) -> Observed:
    """The AttributeError eager would raise."""
    kind = tracer.type_of(value)
    shown = "types.SimpleNamespace" if kind is types.SimpleNamespace else kind.__name__
    text = f"type object {value.__name__!r}" if isinstance(value, type) else f"{shown!r} object"
    return Observed(AttributeError(f"{text} has no attribute {name!r}", name=name, obj=value))


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
    """The real instance dictionary, or None; of a `threading.local`, that of this thread."""
    owner = threading.local if isinstance(instance, threading.local) else object
    try:
        found = owner.__getattribute__(instance, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None


def slot_names(cls: type) -> list[str]:
    """Names of the `__slots__` of a class and its bases."""
    return [
        name
        for base in cls.__mro__
        if is_python_class(base)
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType) and name not in ("__dict__", "__weakref__")
    ]


def pending_value(tracer: Tracer, owner: Any, name: str, value: Any) -> Any:
    """What a pending write left; deleted attributes are missing."""
    if value is MISSING:
        raise missing(tracer, owner, name)
    return value


class InstanceDict(MutableMapping[str, Any]):
    """`object.__dict__` of an outside object: passes for the real dictionary in traced code."""

    def __init__(self, tracer: Tracer, owner: Any) -> None:
        self._tracer = tracer
        self.owner = owner

    def __getitem__(self, name: str) -> Any:
        value = instance_entry(self._tracer, self.owner, name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._tracer.effects.set_attribute(self.owner, name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._tracer.effects.set_attribute(self.owner, name, MISSING)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def copy(self) -> dict[str, Any]:
        """As `dict.copy`."""
        return dict(self)

    def _stored(self) -> tuple[Any, Source]:
        """What holds the attributes, and where it is."""
        source = self._tracer.source_of(self.owner)
        assert source is not None
        return instance_dict(self.owner) or {}, Slot(source, "__dict__")

    def _names(self) -> list[str]:
        storage, source = self._stored()
        self._tracer.guards.add(GuardKind.KEYS, source, tuple(storage))
        effects = self._tracer.effects
        names = [n for n in storage if (w := effects.pending(self.owner, n)) is None or w.value is not MISSING]
        added = (n for n in effects.written_names(self.owner) if n not in storage)
        return names + [n for n in added if (w := effects.pending(self.owner, n)) and w.value is not MISSING]


class ClassDict(InstanceDict):
    """`cls.__dict__` of a class from outside: what the class itself defines, as stored; it can only be read."""

    def _source(self) -> Slot:
        return Slot(self._tracer.class_source(self.owner), "__dict__")

    def __getitem__(self, name: str) -> Any:
        pending = self._tracer.effects.pending(self.owner, name)
        if pending is not None and pending.value is not MISSING:
            return pending.value
        if pending is None and name in vars(self.owner):
            return self._tracer.read(vars(self.owner)[name], Item(self._source(), name))
        if pending is None:
            self._tracer.guards.add(GuardKind.GLOBAL_ABSENT, self._source(), name)
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        raise TypeError("'mappingproxy' object does not support item assignment")

    def __delitem__(self, name: str) -> NoReturn:
        raise TypeError("'mappingproxy' object does not support item deletion")

    def _stored(self) -> tuple[Any, Source]:
        return vars(self.owner), self._source()


STAND_INS[InstanceDict] = dict
STAND_INS[ClassDict] = types.MappingProxyType
