"""WeakKeyDictionary and WeakSet in a trace: those it makes, and what it puts into them and into those from outside.

Nothing dies in a trace, so that a question whose answer depends on deaths is refused where they are not ruled out. When
the trace has run, its entries are made for the keys that outlive it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import is_instance_of_python_class

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: the classes, none of those derived from them
CLASSES: tuple[type, ...] = (weakref.WeakKeyDictionary, weakref.WeakSet)


class Entry(NamedTuple):
    """A key, or an element, with its value."""

    mapping: Any
    key: Any
    value: Any


class WeakMappings:
    """The mappings of one trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        #: those that the trace has made, by their ids
        self._made: dict[int, Any] = {}
        self._entries: dict[tuple[int, int], Entry] = {}

    def make(self, mapping: Any) -> None:
        """An empty mapping of the trace."""
        self._made[id(mapping)] = mapping

    def is_made(self, mapping: Any) -> bool:
        return id(mapping) in self._made

    def takes(self, mapping: Any, key: Any) -> bool:
        """Whether entries under `key` can be followed: it is found by identity, and no double stands for it."""
        is_object = is_instance_of_python_class(key) and not self._tracer.effects.is_tracked(key)
        is_unique = all(class_lookup(type(key), name) is class_lookup(object, name) for name in ("__hash__", "__eq__"))
        is_known = self.is_made(mapping) or (type(mapping) in CLASSES and self._tracer.is_outside(mapping))
        return is_object and is_unique and is_known

    def put(self, mapping: Any, key: Any, value: Any) -> None:
        self._tracer.effects.note_write()
        self._entries[id(mapping), id(key)] = Entry(mapping, key, value)

    def get(self, mapping: Any, key: Any) -> Entry | None:
        """What the trace has put there."""
        return self._entries.get((id(mapping), id(key)))

    def entries(self, mapping: Any = None) -> list[Entry]:
        """What the trace has put into a mapping, or into any."""
        return [e for e in self._entries.values() if mapping is None or e.mapping is mapping]

    def is_held(self, key: Any) -> bool:
        """Whether a variable of a running function holds `key`, which therefore lives."""
        return any(value is key for frame in self._tracer.frames for value in frame.slots.values())
