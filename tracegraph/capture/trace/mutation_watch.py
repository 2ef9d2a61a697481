"""Noticing what a stretch of a trace changes.

Effects on the outside world are in the trace's log. Objects that the trace made itself it changes directly; those
that are reachable from where the stretch begins are compared with what they were.
"""

from __future__ import annotations

import collections
import functools
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import is_constant, is_instance_of_python_class
from tracegraph.capture.trace.frame import Unread

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

_SEQUENCES = (list, collections.deque)
_FIXED = (tuple, frozenset)


class ContentsWatch:
    """Remembers, when made, the contents of all that is reachable from `roots` and that the trace changes directly."""

    def __init__(self, tracer: Tracer, roots: Iterable[Any]) -> None:
        self._tracer = tracer
        self._before = [(value, _contents(value)) for value in _mutable(tracer, roots)]

    @property
    def objects(self) -> list[Any]:
        """What it remembers the contents of."""
        return [value for value, _ in self._before]

    @property
    def cells(self) -> list[types.CellType]:
        """The variables among it."""
        return [value for value, _ in self._before if type(value) is types.CellType]

    def changed(self) -> str:
        """What has happened to it since, "changes a list"; empty if nothing."""
        for value, before in self._before:
            if before is None:
                return f"may advance a {type(value).__name__}"
            if not self._is_same(_contents(value), before):
                return f"changes {'a variable' if type(value) is types.CellType else f'a {type(value).__name__}'}"
        return ""

    def _is_same(self, now: list[Any] | None, before: list[Any]) -> bool:
        if now is None or len(now) != len(before):
            return False
        return all(a is b or (type(b) is Unread and self._is_read(b, a)) for a, b in zip(now, before, strict=True))

    def _is_read(self, before: Unread, now: Any) -> bool:
        """Whether `now` is what `before` became by being looked at."""
        read = self._tracer.read(before.value, before.source)
        return read is now or (is_constant(read) and type(read) is type(now) and bool(read == now))


class MutationWatch(ContentsWatch):
    """Remembers, when made, everything that the trace could change; `changed` says what it has.

    Args:
        reachable: what the stretch of the program to be watched works on, besides the outside world.
    """

    def __init__(self, tracer: Tracer, reachable: Iterable[Any]) -> None:
        self._log = tracer.effects.log()
        written = [w.value for w in tracer.effects.writes]
        self._copies = len(tracer.effects.copies)
        super().__init__(tracer, [*reachable, *written, *(c.copy for c in tracer.effects.copies)])

    def changed(self) -> str:
        """What the stretch has done, "changes a list"; empty if nothing."""
        effects = self._tracer.effects
        if not self._is_same(effects.log(), self._log):
            return "changes an attribute, a global or a variable from outside"
        if any(c.is_changed() for c in effects.copies[self._copies :]):
            return "changes a container from outside"
        return super().changed()


def reachable(tracer: Tracer, roots: Iterable[Any]) -> Iterator[Any]:
    """`roots`, and the objects that they lead to by way of what the trace has made or copied."""
    todo, seen = list(roots), set[int]()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if type(value) is not types.CellType or not tracer.is_outside(value):
            todo += _parts(tracer, value)


def _mutable(tracer: Tracer, roots: Iterable[Any]) -> Iterator[Any]:
    """The objects reachable from `roots` that the trace changes directly."""
    for value in reachable(tracer, roots):
        if type(value) is types.CellType:
            is_changed = not tracer.is_outside(value)
        elif isinstance(value, (*_SEQUENCES, dict, set)) or hasattr(type(value), "__next__"):
            is_changed = True
        else:
            is_changed = is_instance_of_python_class(value) and tracer.is_fresh(value)
        if is_changed:
            yield value


def _parts(tracer: Tracer, value: Any) -> list[Any]:
    """What `value` leads to."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (*_SEQUENCES, set, *_FIXED)):
        return list(value)
    if isinstance(value, types.FunctionType):
        return [] if tracer.is_outside(value) else [*(value.__closure__ or ()), *(value.__defaults__ or ())]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if type(value) is types.CellType:
        return [c for c in (_contents(value) or ()) if c is not MISSING]
    if is_instance_of_python_class(value) and tracer.is_fresh(value):
        return list(_contents(value) or ())
    return []


def _contents(value: Any) -> list[Any] | None:
    """What an object holds, one level deep; None if that cannot be seen."""
    if isinstance(value, dict):
        return [part for item in value.items() for part in item]
    if isinstance(value, set):
        return sorted(value, key=id)
    if isinstance(value, _SEQUENCES):
        return list(value)
    if type(value) is types.CellType:
        try:
            return [value.cell_contents]
        except ValueError:
            return [MISSING]
    if hasattr(type(value), "__next__"):
        return None
    slots = [n for c in type(value).__mro__ for n in c.__dict__.get("__slots__", ()) if n != "__dict__"]
    held = [part for item in getattr(value, "__dict__", {}).items() for part in item]
    return held + [getattr(value, name, MISSING) for name in slots]
