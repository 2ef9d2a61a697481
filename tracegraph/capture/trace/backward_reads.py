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
import functools
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.outside_state import OutsideState
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.observation import CONDITIONS, SEEN_IN_VALUES, Place, StateObserver
from tracegraph.capture.guards.sources import (
    ClassEntry,
    Computed,
    Constant,
    Contents,
    Entry,
    GlobalName,
    Reference,
    Setting,
    Slot,
    Source,
    constant_source,
)
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_with_entry
from tracegraph.capture.stack.values import is_instance_of_python_class, is_python_class, native_base
from tracegraph.capture.trace.effects import AttributeWrite, CellWrite, Places, Write
from tracegraph.dtypes import float32
from tracegraph.ir import Location, Role, TensorType
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.mutation_watch import ContentsWatch
    from tracegraph.capture.trace.tracer import Input, Tracer

#: what may be said of the same object once this and once that
_OF_OBJECTS = (GuardKind.TYPE, GuardKind.FUNCTION, GuardKind.TENSOR)
#: kinds of guards that leave one value only
_FIXING = (GuardKind.CONSTANT, GuardKind.IDENTITY)
#: attributes that objects are made with, or that only name them
_FIXED = frozenset({"__func__", "__self__", "fget", "__name__", "__qualname__"})


class Noticed:
    """What one backward function reads.

    Attributes:
        places: those outside.
        guards: what its trace depends on.
        values: what was found, as the trace has it.
        watch: the objects that the trace changes directly, among what it reaches.
    """

    def __init__(self, owner: BackwardReads, places: Places, guards: list[Guard], roots: Sequence[Any]) -> None:
        self._owner = owner
        self.places = places
        self.guards = guards
        self.values: list[Any] = []
        self._roots = roots
        self._obeyed = owner.tracer.settings.obeyed()

    @cached_property
    def watch(self) -> ContentsWatch:
        from tracegraph.capture.trace.mutation_watch import ContentsWatch

        return ContentsWatch(self._owner.tracer, [*self._roots, *self.values])

    def kept(self) -> list[Any]:
        """The objects of the program's that it changes directly, which may live on when the call has ended."""
        own = [part for root in self._roots if isinstance(root, functools.partial) for part in root.args]
        return [v for v in self.watch.objects if not any(v is part for part in own)]

    def operand(self) -> Traced | None:
        """The state outside, for the operation whose gradient reads it; None if nothing is read."""
        self._owner.tracer.settings.ask_obeyed_since(self._obeyed)
        return self._owner.operand(self)


class BackwardReads:
    """What the backward functions of a trace read."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        #: objects that the trace changes directly, by their ids
        self._kept: dict[int, Any] = {}
        self._sources: dict[Source, Location | None] = {}
        #: where tensors were found
        self._tensors: dict[Source, int] = {}
        #: where variables, functions and objects were found that may be others, if what is read of them is the same
        self._passed: set[Source] = set()
        #: guards, by their ids: not all that they expect has a hash
        self._conditions: dict[int, Guard] = {}
        #: tensors that were read for something else too
        self._elsewhere: set[int] = set()
        #: where modules were found, and what is the library's or Python's
        self._assumed: set[Source] = set()
        self._noticed: Noticed | None = None
        self._input: Input | None = None

    @contextmanager
    def noticing(self, *roots: Any) -> Iterator[Noticed]:
        """Notice what is read while a backward function is traced, which `roots` lead to."""
        tracer, outer = self.tracer, self._noticed
        with tracer.effects.noticing() as places, tracer.guards.noticing() as guards:
            noticed = self._noticed = Noticed(self, places, guards, roots)
            try:
                yield noticed
            finally:
                self._noticed = outer

    @property
    def is_noticing(self) -> bool:
        """Whether a backward function is being traced."""
        return self._noticed is not None

    def note(self, source: Source, found: Any) -> None:
        """Something is read from outside."""
        if self._noticed is None:
            if type(found) is Traced:
                self._elsewhere.add(id(found))
            return
        self._noticed.values.append(found)
        if isinstance(found, types.ModuleType):
            self._assumed.add(source)
        elif self._is_free(source) and not _is_fixed(source):
            self._sources.setdefault(source, self.tracer.guards.location)
            if type(found) is Traced:
                self._tensors[source] = id(found)
            elif type(found) in (types.CellType, types.FunctionType) or _is_plain_object(found):
                self._passed.add(source)
            self.use(found)

    def use(self, value: Any) -> None:
        """Something is done with an object that may have been read before: what is assumed of it counts."""
        if self._noticed is not None:
            source = self.tracer.source_of(value)
            if source is not None:
                self.tracer.guards.notice(source, *_OF_OBJECTS)

    def check_told(self, what: str) -> None:
        """Check that no backward function that the program has written asks for what depends on `create_graph`.

        Raises:
            Break: one does.
        """
        if self._noticed is not None and not _is_name_of_library(self.tracer.frames[-1].namespace.get("__name__")):
            raise Break(reasons.CUSTOM_GRADIENT, f"{what}, which depends on create_graph=")

    def _is_free(self, source: Source) -> bool:
        """Whether what is at `source` may be another thing in backward."""
        return type(source) is not Constant and self._may_change(source) and not self.tracer.guards.is_drawn(source)

    def _may_change(self, source: Source) -> bool:
        """Whether what is said of `source` may be no longer true in backward."""
        if type(source) is Constant:
            return not _is_library(source.reference.object)
        if source in self._assumed or _is_of_library(source):
            return False
        return not source.parents or any(map(self._may_change, source.parents))

    def _add(self, noticed: Noticed) -> None:
        self._kept.update((id(value), value) for value in noticed.kept())
        for guard in noticed.guards:
            if self._is_condition(guard):
                self._conditions[id(guard)] = guard
        for write in noticed.places.values():
            place = self._place(write) if write is not None and write.value is not MISSING else None
            if place is not None:
                self._sources.setdefault(place, self.tracer.guards.location)

    def _is_condition(self, guard: Guard) -> bool:
        """Whether the truth of a guard is observed."""
        source = guard.source
        is_observed = guard.kind in CONDITIONS or guard.kind in SEEN_IN_VALUES
        if not is_observed or not all(map(self._may_change, guard.sources)):
            return False
        if guard.kind in SEEN_IN_VALUES and source is not None:
            is_seen = source in self._sources and source not in self._passed
            return not is_seen and not _is_fixed(source)
        if guard.kind is GuardKind.TYPE:
            return is_python_class(guard.expected.object)  # of others an object's class never changes
        if guard.kind is GuardKind.FUNCTION:
            return not _is_name_of_library(guard.expected.namespace.get("__name__"))
        if guard.kind is GuardKind.TENSOR and source is not None and None in guard.expected.shape:
            self._sources.setdefault(Slot(source, "shape"), guard.location)
        return not any(map(self.tracer.guards.is_drawn, guard.sources))

    def _place(self, write: Write) -> Source | None:
        """Where a write of the trace is to be found when the call has ended."""
        if isinstance(write, CellWrite):
            cell = self.tracer.source_of(write.cell)
            return None if cell is None else Contents(cell)
        if not isinstance(write, AttributeWrite):
            return GlobalName(constant_source(write.namespace), write.name)
        target = self.tracer.source_of(write.target)
        if isinstance(write.target, type):
            return ClassEntry(target or constant_source(write.target), write.name)
        if target is None:
            return None
        return Entry(target, write.name) if hasattr(write.target, "__dict__") else Slot(target, write.name)

    def operand(self, noticed: Noticed) -> Traced | None:
        """See `Noticed.operand`."""
        self._add(noticed)
        if not self._sources and not self._conditions and not self._kept:
            return None
        if self._input is None:
            source, type = Constant(Reference(self), "outside state"), TensorType(float32, (0,))
            self.tracer.add_input(source, OutsideState(), type, Role.PRIMAL)
            self._input = self.tracer.inputs[-1]
        return self._input.handle

    def changed_setting(self) -> str:
        """A setting that a backward function has asked for and that the trace has changed since; empty if none."""
        changed = {Setting(Reference(settings), name) for settings, name, _ in self.tracer.settings.changed()}
        return next((str(c.source) for c in self._conditions.values() if changed and c.source in changed), "")

    def finish(self, name_of: Callable[[Any], str | None]) -> tuple[Source, list[str]] | None:
        """The source of the state, and the names of what the trace made that it watches; None if every call has the
        same state.

        Args:
            name_of: the name of an object that has been rebuilt, None of others.
        """
        if self._input is None:
            return None
        made = {name: value for value in self._kept.values() if (name := name_of(value)) is not None}
        held = [s for v in self._kept.values() if (s := self.tracer.source_of(v)) is not None]
        held = [s for s in held if s not in self._sources]
        if not self._sources and not self._conditions and not made and not held:
            self._input.source = constant_source(self._input.tensor)  # that of nothing
            return None
        is_unchanged = self.tracer.effects.is_empty() and not self.tracer.settings.changed()
        conditions, places = self._observed(is_unchanged)
        places += [Place(s, None) for s in held]
        objects = {source for _, source in self.tracer.outside_objects()}
        starts = [*(p.source for p in places), *(source for condition in conditions for source in condition.sources)]
        given = tuple(dict.fromkeys([*held, *(root for s in starts for root in self._roots(s, objects))]))
        observer = StateObserver(given, places, conditions, list(map(_described, made.values())), is_unchanged)
        if not given and not made and not observer.has_values:
            self._input.source = constant_source(observer())
            return None
        self._input.source = Computed(Reference(observer), given)
        return (self._input.source, list(made)) if made or observer.has_values else None

    def _observed(self, is_unchanged: bool) -> tuple[list[Guard], list[Place]]:
        """The conditions and places that are observed.

        Args:
            is_unchanged: a call leaves what it found, so that the value that a guard has fixed is there afterwards.
        """
        methods = Guard(GuardKind.TENSOR_METHODS, None, self.tracer.replaced_methods)
        conditions = [*self._conditions.values(), *filter(self._is_condition, [methods])]
        places: list[Place] = []
        for source, location in self._sources.items():
            fixed = self.tracer.guards.find(source, *_FIXING) if is_unchanged else None
            if fixed is not None:
                conditions.append(fixed)
            elif source not in self._passed:
                is_replaceable = source in self._tensors and self._tensors[source] not in self._elsewhere
                places.append(Place(source, location, is_replaceable))
        return conditions, places

    def _roots(self, source: Source, objects: Collection[Source]) -> Iterator[Source]:
        """What eager execution holds until backward, and goes on from: objects that were read before."""
        if isinstance(source, Constant | Setting):
            return
        is_read = source in self._sources or (_is_fixed(source) and source.base in self._sources)
        if not source.parents or (source in objects and not is_read):
            yield source
        else:
            for parent in source.parents:
                yield from self._roots(parent, objects)


def _described(made: Any) -> str:
    kind = "variable" if type(made) is types.CellType else type(made).__name__
    return f"a {kind} that the compiled function made"


def _is_plain_object(found: Any) -> bool:
    return is_instance_of_python_class(found) and native_base(type(found)) is object


def _is_fixed(source: Source) -> bool:
    """Whether an attribute stays what it is as long as the object is the same."""
    return isinstance(source, Slot) and source.name in _FIXED


def _is_of_library(source: Source) -> bool:
    """Whether a name is looked up where the library or Python defines it: in a module or a class."""
    holder = source.base
    if not isinstance(holder, Constant):
        return False
    if isinstance(source, ClassEntry):
        cls, after = holder.reference.object, source.after.object if source.after is not None else None
        owner = class_with_entry(cls, source.name, after) or cls
        return not is_python_class(owner) or _is_library(owner)
    return isinstance(source, GlobalName | Entry) and _is_library(holder.reference.object)


def _is_library(holder: Any) -> bool:
    """Whether names of `holder` mean what the library or Python defines."""
    if holder is builtins.__dict__:
        return True
    if isinstance(holder, type):
        return _is_name_of_library(holder.__module__)
    names = holder if isinstance(holder, dict) else vars(holder) if isinstance(holder, types.ModuleType) else {}
    return _is_name_of_library(names.get("__name__"))


def _is_name_of_library(name: Any) -> bool:
    return type(name) is str and name.partition(".")[0] == "tracegraph"
