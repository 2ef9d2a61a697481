"""What backward functions and hooks read of the outside world.

They are traced when they are given, and eager execution calls them in backward. What they read may be another thing by
then: `scale` here,

    class Scaled(autograd.Function):                scale = 2.0
        ...                                         y = compiled(x)
        def backward(ctx, g):                       scale = 3.0
            return g * scale                        y.backward()        # eager execution multiplies by 3

so it is observed when the call ends and again in backward (`guards/observation.py`). The operation whose gradient it is
has the observed state as an operand.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.outside_state import OutsideState
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.observation import Observed, Observer
from tracegraph.capture.guards.sources import (
    ClassEntry,
    Computed,
    Constant,
    Contents,
    Entry,
    GlobalName,
    Reference,
    Slot,
    Source,
    constant_source,
)
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.trace.effects import AttributeWrite, CellWrite, Places, Write
from tracegraph.dtypes import float32
from tracegraph.ir import Location, Role, TensorType
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Input, Tracer

#: guards of what is not there: their truth is observed. What others say is seen in values
_CONDITIONS = frozenset({GuardKind.ABSENT, GuardKind.NO_HOOKS})
#: attributes that objects are made with, or that only name them
_FIXED = frozenset({"__func__", "__self__", "fget", "__name__", "__qualname__"})


class Noticed:
    """What one backward function reads.

    Attributes:
        places: those outside.
        guards: what its trace depends on.
        values: what was found, as the trace has it.
    """

    def __init__(self, owner: BackwardReads, places: Places, guards: list[Guard]) -> None:
        self._owner = owner
        self.places = places
        self.guards = guards
        self.values: list[Any] = []

    def operand(self) -> Traced | None:
        """The state outside, for the operation whose gradient reads it; None if nothing is read."""
        return self._owner.operand(self)


class BackwardReads:
    """What the backward functions of a trace read."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._sources: dict[Source, Location | None] = {}
        #: where tensors were found
        self._tensors: dict[Source, int] = {}
        self._conditions: dict[Guard, None] = {}
        #: tensors that were read for something else too
        self._elsewhere: set[int] = set()
        #: where modules of the library were found
        self._library: set[Source] = set()
        self._noticed: Noticed | None = None
        self._input: Input | None = None

    @contextmanager
    def noticing(self) -> Iterator[Noticed]:
        """Notice what is read while a backward function is traced."""
        tracer, outer = self._tracer, self._noticed
        with tracer.effects.noticing() as places, tracer.guards.noticing() as guards:
            noticed = self._noticed = Noticed(self, places, guards)
            try:
                yield noticed
            finally:
                self._noticed = outer

    def note(self, source: Source, found: Any) -> None:
        """Something is read from outside."""
        if self._noticed is None:
            if type(found) is Traced:
                self._elsewhere.add(id(found))
            return
        self._noticed.values.append(found)
        if isinstance(found, types.ModuleType):
            if found.__name__.partition(".")[0] == "tracegraph":
                self._library.add(source)
        elif self._is_free(source) and not (type(source) is ClassEntry and _is_made_by_library(found)):
            self._sources.setdefault(source, self._tracer.guards.location)
            if type(found) is Traced:
                self._tensors[source] = id(found)

    def _is_free(self, source: Source) -> bool:
        """Whether what is at `source` may be another thing in backward."""
        is_fixed = type(source) is Constant or source.base in self._library or _is_of_library(source)
        is_fixed |= isinstance(source, Slot) and source.name in _FIXED
        return not is_fixed and not self._tracer.guards.is_drawn(source)

    def _add(self, noticed: Noticed) -> None:
        for guard in noticed.guards:
            if guard.kind in _CONDITIONS and guard.source is not None and self._is_free(guard.source):
                self._conditions[guard] = None
        for write in noticed.places.values():
            place = self._place(write) if write is not None and write.value is not MISSING else None
            if place is not None:
                self._sources.setdefault(place, self._tracer.guards.location)

    def _place(self, write: Write) -> Source | None:
        """Where a write of the trace is to be found when the call has ended."""
        if isinstance(write, CellWrite):
            cell = self._tracer.source_of(write.cell)
            return None if cell is None else Contents(cell)
        if not isinstance(write, AttributeWrite):
            return GlobalName(constant_source(write.namespace), write.name)
        target = self._tracer.source_of(write.target)
        if isinstance(write.target, type):
            return ClassEntry(target or constant_source(write.target), write.name)
        if target is None:
            return None
        return Entry(target, write.name) if hasattr(write.target, "__dict__") else Slot(target, write.name)

    def operand(self, noticed: Noticed) -> Traced | None:
        """See `Noticed.operand`."""
        self._add(noticed)
        if not self._sources and not self._conditions:
            return None
        if self._input is None:
            source, type = Constant(Reference(self), "outside state"), TensorType(float32, (0,))
            self._tracer.add_input(source, OutsideState(), type, Role.PRIMAL)
            self._input = self._tracer.inputs[-1]
        return self._input.handle

    def finish(self) -> Source | None:
        """The source of the state, when everything has been read; None if there is none."""
        if self._input is None:
            return None
        sources = [*self._sources, *(c.source for c in self._conditions if c.source is not None)]
        objects = {source for _, source in self._tracer.outside_objects()}
        given = tuple(dict.fromkeys(root for s in sources for root in self._roots(s, objects)))
        places = [
            Observed(s, location, s in self._tensors and self._tensors[s] not in self._elsewhere)
            for s, location in self._sources.items()
        ]
        self._input.source = Computed(Reference(Observer(given, places, list(self._conditions))), given)
        return self._input.source

    def _roots(self, source: Source, objects: Collection[Source]) -> Iterator[Source]:
        """What eager execution holds until backward, and goes on from: objects that were read before."""
        for parent in source.parents:
            if type(parent) is Constant:
                continue
            if parent in self._sources or (parent not in objects and parent.parents):
                yield from self._roots(parent, objects)
            else:
                yield parent


def _is_of_library(source: Source) -> bool:
    """Whether a name is looked up where the library or Python defines it: in a module or a class."""
    holder = source.base
    if not isinstance(source, GlobalName | Entry | ClassEntry) or not isinstance(holder, Constant):
        return False
    held = holder.reference.object
    if held is builtins.__dict__:
        return True
    if isinstance(held, dict):
        return _is_name_of_library(held.get("__name__"))
    return _is_name_of_library(held.__module__ if isinstance(held, type) else getattr(held, "__name__", None))


def _is_made_by_library(entry: Any) -> bool:
    """Whether what a class has is a method of the library's or of Python's own classes."""
    written = entry.__func__ if isinstance(entry, staticmethod | classmethod) else entry
    written = written.fget if isinstance(written, property) else written
    return isinstance(written, _OF_PYTHON) or _is_name_of_library(getattr(written, "__module__", None))


_OF_PYTHON = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.BuiltinFunctionType,
)  # fmt: skip


def _is_name_of_library(name: Any) -> bool:
    return type(name) is str and name.partition(".")[0] == "tracegraph"
