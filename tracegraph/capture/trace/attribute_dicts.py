"""Dicts that the program may hold beside the object whose attributes they are: `settings` and `settings.__dict__`.

A trace works on a copy of the dict and on a log of the object's attributes: a write to one is not seen in the other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Entry, Slot, Source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace.effects import AttributeWrite, GlobalWrite, TrackedCopy
from tracegraph.capture.trace.instance_dicts import instance_dict

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def keep_apart(tracer: Tracer) -> None:
    """Guard that a dict and the attributes of an object are not the same, where the trace writes to either.

    Raises:
        Break: they are.
    """
    dicts = [c for c in tracer.effects.copies if type(c.original) is dict]
    written = {id(w.target) for w in tracer.effects.writes if isinstance(w, AttributeWrite)}
    # attributes of modules
    written |= {id(w.namespace) for w in tracer.effects.writes if isinstance(w, GlobalWrite)}
    if not dicts or not (written or any(c.is_changed() for c in dicts)):
        return
    present, absent = _names_read(tracer)
    for held, source in tuple(tracer.outside_objects()):
        storage = None if isinstance(held, type) else instance_dict(held)
        is_written = id(held) in written or id(storage) in written
        if storage is None or not (is_written or present[source] or absent[source]):
            continue
        for copy in dicts:
            may_be_same = present[source] <= copy.before.keys() and not absent[source] & copy.before.keys()
            if may_be_same and (is_written or copy.is_changed()):
                _keep_apart(tracer, copy, storage, source)


def _keep_apart(tracer: Tracer, copy: TrackedCopy, storage: dict[str, Any], owner: Source) -> None:
    if copy.original is storage:
        raise Break(reasons.ALIASED_INPUTS, f"{copy.source} holds the attributes of {owner}", Extent.FRAME)
    tracer.guards.add(GuardKind.DISTINCT, None, (copy.source, Slot(owner, "__dict__")))


def _names_read(tracer: Tracer) -> tuple[dict[Source, set[str]], dict[Source, set[str]]]:
    """By where an object is: the attributes that the trace has found in its dictionary, and has found missing."""
    present: dict[Source, set[str]] = defaultdict(set)
    absent: dict[Source, set[str]] = defaultdict(set)
    for guard in tracer.guards:
        if guard.kind is GuardKind.ABSENT and guard.source is not None:
            absent[guard.source].add(guard.expected)
        steps = [guard.source] if guard.source is not None else []
        while steps:
            step = steps.pop()
            if isinstance(step, Entry):
                present[step.parent].add(step.name)
            steps += step.parents
    return present, absent
