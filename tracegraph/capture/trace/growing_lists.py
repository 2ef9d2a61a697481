"""Lists from outside that a trace only appends to: neither their length nor what they hold is read or guarded.

So a loop that a graph break splits, and that collects its results, takes one trace for all its rounds:

    for step in range(n):
        losses.append(model(x).sum().item())

As soon as the trace asks for anything else of the list, it is read like any other, and the new items stand at its end.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference, Slot, Source, is_from_stack
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import STAND_INS

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


class GrowingList:
    """What stands for such a list where its `append` is looked up.

    Attributes:
        items: what the trace has appended.
    """

    def __init__(self, original: list[Any], source: Source) -> None:
        self.original = original
        self.source = source
        self.items: list[Any] = []

    def append(self, item: Any) -> None:
        """The meaning of the method in a trace is `call_append`."""


STAND_INS[GrowingList] = list


def growing(tracer: Tracer, value: Any, source: Source) -> GrowingList | None:
    """What stands for the list at `source` if only its `append` is wanted; None if it has been read, or is no list."""
    if type(value) is not list or tracer.known(value) is not MISSING:
        return None
    found = tracer.effects.growing.get(id(value))
    if found is None:
        tracer.guards.add(GuardKind.TYPE, source, list)
        found = tracer.effects.growing[id(value)] = GrowingList(value, source)
    elif found.source != source:
        tracer.guards.add(GuardKind.ALIAS, source, found.source)
    return found


def bound_append(tracer: Tracer, value: Any, source: Source) -> Any:
    """What stands for `outside_list.append`, looked up before a graph break; None for any other value."""
    if type(value) is not types.BuiltinFunctionType or not is_from_stack(source) or value.__name__ != "append":
        return None
    owner = growing(tracer, value.__self__, Slot(source, "__self__"))
    if owner is None:
        return None
    tracer.guards.add(GuardKind.TYPE, source, types.BuiltinFunctionType)
    tracer.guards.add(GuardKind.CONSTANT, Computed(Reference(_name_of), (source,)), "append")
    return types.MethodType(GrowingList.append, owner)


def _name_of(function: Any) -> str:
    name: str = function.__name__
    return name


def read_grown(tracer: Tracer, value: list[Any], copy: list[Any], source: Source) -> None:
    """The list is read after all, and `copy` stands for it: what was appended stands at its end."""
    found = tracer.effects.growing.pop(id(value), None)
    if found is None:
        return
    if found.source != source:
        tracer.guards.add(GuardKind.ALIAS, source, found.source)
    copy.extend(found.items)


def call_append(tracer: Tracer, owner: GrowingList, *args: Any, **kwargs: Any) -> None:
    """`outside_list.append(item)`."""
    known = tracer.known(owner.original)
    if tracer.is_marked_opaque(known):
        known = MISSING  # nothing of its contents has been read
    if known is not MISSING or len(args) != 1 or kwargs:
        target = known if known is not MISSING else tracer.read(owner.original, owner.source)
        tracer.effects.note_write()
        tracer.native(target.append, *args, **kwargs)
        return
    tracer.effects.note_write()
    owner.items.append(args[0])
