"""Side effects of a trace on objects that existed before it: kept aside, replayed in order when the graph has run.

Until then user objects stay as they were, so a trace may be abandoned at any point. Containers are traced on copies
and compared with their first contents at the end; attributes, cells and globals are logged as they are written.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.guards.sources import Source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, stored_contents
from tracegraph.capture.stack.values import is_instance_of_python_class


@dataclass
class TrackedCopy:
    """A container from outside: `copy` is what the trace works on, `before` what it held when first read."""

    original: Any
    copy: Any
    before: Any
    source: Source

    def is_changed(self) -> bool:
        """Whether the trace wrote to the container."""
        contents = self.contents
        if len(contents) != len(self.before):
            return True
        if isinstance(contents, dict):
            pairs = zip(contents.items(), self.before.items(), strict=True)
            return any(k is not k0 or v is not v0 for (k, v), (k0, v0) in pairs)
        if isinstance(contents, set):
            return bool(contents != self.before)
        return any(a is not b for a, b in zip(contents, self.before, strict=True))

    @property
    def contents(self) -> Any:
        """What the container holds by now, as a builtin container."""
        return stored_contents(self.copy) if is_instance_of_python_class(self.copy) else self.copy


@dataclass
class AttributeWrite:
    """`target.name = value` in the dictionary or slot of an object, function or class; `value` MISSING deletes."""

    target: Any
    name: str
    value: Any


@dataclass
class CellWrite:
    """A write to a closure cell from outside; `value` MISSING empties it."""

    cell: types.CellType
    value: Any


@dataclass
class GlobalWrite:
    """A write to a module's globals; `value` MISSING deletes."""

    namespace: dict[str, Any]
    name: str
    value: Any


@dataclass(eq=False)
class HookRegistration:
    """A call of `method`, which registers `hook` on a tensor from outside."""

    target: Any
    method: str
    hook: Any


Write = AttributeWrite | CellWrite | GlobalWrite
#: places that can be written to, with the writes to them that were pending when they were read
Places = dict[tuple[int, str], Write | None]


class Effects:
    """All side effects of one trace."""

    def __init__(self) -> None:
        self.copies: list[TrackedCopy] = []
        self._copy_of: dict[int, TrackedCopy] = {}
        self._writes: dict[tuple[int, str], Write] = {}
        self._changed_modules: dict[int, Any] = {}
        #: in order; they do not matter to the graph, which has run when they are made
        self.hook_registrations: list[HookRegistration] = []
        #: generators that were drawn from or set, once for each time; what they are left at, `Tracer.random` knows
        self.random: list[Any] = []
        #: lists that were appended to and not read, by their ids
        self.growing: dict[int, Any] = {}
        self._class_entries: set[str] = set()
        self._noticed: Places | None = None
        self._forbidden_during = ""

    @contextlib.contextmanager
    def unchanging(self, activity: str) -> Iterator[None]:
        """Trace code that C code is going to run a second time, natively: it must not change anything.

        Raises:
            Break: it does.
        """
        outer, self._forbidden_during = self._forbidden_during, activity
        try:
            yield
        finally:
            self._forbidden_during = outer

    def note_write(self) -> None:
        """Something is about to be changed, be it made by the trace or from outside.

        Raises:
            Break: not now.
        """
        if self._forbidden_during:
            raise Break(reasons.UNSUPPORTED_VALUE, f"{self._forbidden_during} changes an object")

    @property
    def writes(self) -> list[Write]:
        """Attribute, cell and global writes, each place once with its last value, in order of first write."""
        return list(self._writes.values())

    @property
    def changed_modules(self) -> list[Any]:
        """Modules whose counter of changes must be advanced."""
        return list(self._changed_modules.values())

    def note_change(self, module: Any) -> None:
        """An attribute of a Module is written."""
        self._changed_modules[id(module)] = module

    def track(self, copy: TrackedCopy) -> None:
        """Compare a container with its first contents at the end."""
        self.copies.append(copy)
        self._copy_of[id(copy.copy)] = copy

    def original(self, value: Any) -> Any:
        """The outside container that `value` is traced for, else `value` itself."""
        copy = self._copy_of.get(id(value))
        return value if copy is None else copy.original

    def is_tracked(self, value: Any) -> bool:
        """Whether `value` stands for an outside container whose contents are guarded."""
        return id(value) in self._copy_of

    def changed_copies(self) -> list[TrackedCopy]:
        return [c for c in self.copies if c.is_changed()]

    def log(self) -> list[Any]:
        """Writes, changed modules and generators so far, to compare with later.

        Writes to containers are seen in their copies.
        """
        appended = [item for grown in self.growing.values() for item in grown.items]
        written = [*self._writes.values(), *self._changed_modules.values()]
        return [*written, *self.hook_registrations, *self.random, *appended]

    def is_empty(self) -> bool:
        return not self.log() and not self.changed_copies()

    def register_hook(self, registration: HookRegistration) -> None:
        self.note_write()
        self.hook_registrations.append(registration)

    def note_random(self, generator: Any) -> None:
        """A random generator goes on, other than by draws of the graph from the default one."""
        self.note_write()
        self.random.append(generator)

    def set_attribute(self, target: Any, name: str, value: Any) -> None:
        self._put((id(target), name), AttributeWrite(target, name, value))
        if isinstance(target, type):
            self._class_entries.add(name)

    def is_class_entry_written(self, name: str) -> bool:
        """Whether an attribute of this name of some class has a pending write."""
        return name in self._class_entries

    def set_cell(self, cell: types.CellType, value: Any) -> None:
        self._put((id(cell), ""), CellWrite(cell, value))

    def set_global(self, namespace: dict[str, Any], name: str, value: Any) -> None:
        self._put((id(namespace), name), GlobalWrite(namespace, name, value))

    def _put(self, key: tuple[int, str], write: Write) -> None:
        self.note_write()
        before = self._writes.get(key)
        if before is not None and (before.value is MISSING) != (write.value is MISSING):
            # deleting and setting again moves an attribute to the end of its dictionary
            del self._writes[key]
        self._writes[key] = write

    def pending(self, target: Any, name: str) -> Write | None:
        """The pending write to attribute (or, of a globals dictionary, variable) `name` of `target`, if any."""
        return self._read((id(target), name))

    def cell(self, cell: types.CellType) -> Write | None:
        return self._read((id(cell), ""))

    def _read(self, place: tuple[int, str]) -> Write | None:
        found = self._writes.get(place)
        if self._noticed is not None:
            self._noticed[place] = found
        return found

    @contextlib.contextmanager
    def noticing(self) -> Iterator[Places]:
        """Notice the places that are read in the block."""
        outer, self._noticed = self._noticed, {}
        try:
            yield self._noticed
        finally:
            if outer is not None:
                outer.update(self._noticed)
            self._noticed = outer

    def are_written(self, places: Places) -> bool:
        """Whether one of the places has been written to since it was read."""
        return any(self._writes.get(place) is not write for place, write in places.items())

    def written_names(self, target: Any) -> list[str]:
        """Names of the attributes of `target` with a pending write, in order."""
        return [name for (owner, name) in self._writes if owner == id(target)]

    def mutated_objects(self) -> list[Any]:
        """Every outside object a replay will change."""
        targets = [w.target for w in self._writes.values() if isinstance(w, AttributeWrite)]
        cells: list[Any] = [w.cell for w in self._writes.values() if isinstance(w, CellWrite)]
        return targets + cells + [c.copy for c in self.changed_copies()] + self.random + list(self.growing.values())
