"""Objects whose death is noticed: suspended generators, open files, what defines `__del__` or is referred to weakly.

A resumed part owns its arguments, which live on until it has run as a whole. Where such an object dies earlier, the
part is not captured; where nothing reads it again, it is carried over the next break, to die when eager drops it.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference, Source
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import TUPLES, is_instance_of_python_class
from tracegraph.capture.trace.frame import Frame, Unread
from tracegraph.nn.module import Module
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


#: builtin iterators over other iterators, which die with them
_ADAPTORS = frozenset({enumerate, zip, map, filter, *(c for c in vars(itertools).values() if isinstance(c, type))})


def has_finalizer(value: Any) -> bool:
    """Whether code may run when `value` dies, or a builtin iterator dies that goes through it."""
    if class_lookup(type(value), "__del__") is not MISSING:
        return True
    if may_be_watched(value) and any(map(_may_call_back, weakref.getweakrefs(value))):
        return True
    if type(value) not in _ADAPTORS:
        return False
    held = gc.get_referents(value)
    return any(map(has_finalizer, [p for h in held for p in (h if type(h) in TUPLES else (h,))]))


def _may_call_back(reference: Any) -> bool:
    """Whether a weak reference calls a function when its referent dies; of a proxy that cannot be seen."""
    return not issubclass(type(reference), weakref.ReferenceType) or reference.__callback__ is not None


def is_noticed(value: Any) -> bool:
    """Whether it can be noticed when `value` dies: by a finalizer, or by who refers to it weakly."""
    return has_finalizer(value) or (may_be_watched(value) and weakref.getweakrefcount(value) > 0)


def may_be_watched(value: Any) -> bool:
    """Whether a weak reference to `value` would be the program's own, if there were one."""
    return is_instance_of_python_class(value) and not isinstance(value, Module | Tensor)


def dropped(tracer: Tracer, frame: Frame, arguments: list[Unread], result: Any) -> Any:
    """An argument with a finalizer that the frame no longer holds, MISSING if there is none; guards the answer."""
    held = [*frame.slots.values(), *frame.stack, result]
    for argument in arguments:
        is_read = tracer.known(argument.value) is not MISSING
        proxy = tracer.known(argument.value) if is_read else argument.value
        if any((h.value if type(h) is Unread else h) is proxy for h in held):
            continue
        if has_finalizer(argument.value):
            return argument.value
        if not is_read:
            guard_answer(tracer, has_finalizer, argument.source, False)
    return MISSING


def guard_answer(tracer: Tracer, question: Callable[[Any], bool], source: Source, expected: bool) -> None:
    """Guard what `question` answers of a value that the trace has not looked at."""
    tracer.guards.add(GuardKind.CONSTANT, Computed(Reference(question), (source,)), expected)
