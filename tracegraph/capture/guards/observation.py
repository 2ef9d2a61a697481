"""What a trace has read early, observed again: at the end of each call, and when eager execution would read it.

The values are read by their sources, from the objects that eager execution holds until then. An observation is one
generated function; which of its values has changed is asked for only if one has.
"""

from __future__ import annotations

import collections
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tracegraph.autograd.outside_state import OutsideState
from tracegraph.capture.guards import eager
from tracegraph.capture.guards.checker import CHECKS
from tracegraph.capture.guards.evaluation import compile_values
from tracegraph.capture.guards.failures import describe_expected, describe_object
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.sources import Source, SourceWriter
from tracegraph.capture.guards.user_terms import condition_text, full_place, source_text
from tracegraph.capture.stack.constants import same_constant
from tracegraph.capture.stack.storage import MISSING, stored_contents
from tracegraph.capture.stack.values import is_constant, is_instance_of_python_class, native_base
from tracegraph.errors import AutogradError
from tracegraph.ir import Location
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

#: kinds whose guards say no more than the value at their source, if that is observed
SEEN_IN_VALUES = frozenset({
    GuardKind.CONSTANT, GuardKind.INTEGER, GuardKind.FLOAT, GuardKind.IDENTITY, GuardKind.LENGTH, GuardKind.KEYS,
    GuardKind.ELEMENTS,
})  # fmt: skip
#: kinds whose truth is observed: of what may change while the same object stays in its place, and of what is no value
CONDITIONS = frozenset({
    GuardKind.TYPE, GuardKind.FUNCTION, GuardKind.TENSOR, GuardKind.ABSENT, GuardKind.GLOBAL_ABSENT, GuardKind.NO_HOOKS,
    GuardKind.ALIAS, GuardKind.DISTINCT, GuardKind.SETTING, GuardKind.TENSOR_METHODS,
})  # fmt: skip
#: kinds that need not be observed, and why
IMMATERIAL = {
    GuardKind.GRAD_MODE: "a backward function that asks for it breaks the graph (BackwardReads.check_told)",
    GuardKind.SIZES: "sizes are those of tensors that backward holds, or whose shapes are observed exactly",
    GuardKind.SEPARATE_STORAGE: "it is asked of what is written to, and a backward function that writes is no graph",
    GuardKind.SHARED_STORAGE: "as separate storage",
}


@dataclass(frozen=True)
class Place:
    """A place whose value is observed.

    Attributes:
        is_replaceable: whether another tensor there may take the part of the one that was there.
    """

    source: Source
    location: Location | None
    is_replaceable: bool = False


class StateObserver:
    """Observes places and conditions.

    Args:
        given: sources of the objects that it starts from.
        made: what to call objects that it is told of when they are there.
        are_true: the conditions hold when a call ends, and need not be observed then.
    """

    __name__ = "outside_state"

    def __init__(
        self,
        given: Sequence[Source],
        places: Sequence[Place],
        conditions: Sequence[Guard],
        made: Sequence[str],
        are_true: bool,
    ) -> None:
        self.made = tuple(made)
        self.places = tuple(places)
        #: true until backward
        self.lasting = tuple(conditions) if are_true else ()
        #: to be then as they are when a call ends
        self.conditions = () if are_true else tuple(conditions)
        self._known = {source: f"given[{i}]" for i, source in enumerate(given)}
        self.values = self._compiled(self.places, self.conditions)

    @property
    def has_values(self) -> bool:
        """Whether something is to be observed when a call ends."""
        return bool(self.places or self.conditions)

    def _compiled(
        self, places: Sequence[Place], conditions: Sequence[Guard]
    ) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        """A function from the given objects to the values at `places`, then the truth of `conditions`."""

        def write(writer: SourceWriter) -> list[str]:
            name = writer.pool.name(contents, "contents")
            values = [f"{name}({writer.name(place.source)})" for place in places]
            for position, guard in enumerate(conditions):
                # at once: what the lines for one guard define, those for another may define anew
                truth = " and ".join(f"({condition})" for condition in CHECKS[guard.kind](writer, guard))
                writer.lines.append(f"holds{position} = {truth}")
            return [*values, *(f"holds{i}" for i, _ in enumerate(conditions))]

        return compile_values(write, "given", self._known)

    @cached_property
    def _holds(self) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        return self._compiled((), self.lasting)

    @cached_property
    def _each(self) -> list[Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
        """The values one by one, to find out which of them there is none of any more."""
        return [self._compiled([p], []) for p in self.places] + [self._compiled([], [c]) for c in self.conditions]

    def __call__(self, *given: Any) -> ObservedState:
        """The state as it is observed from these objects."""
        return ObservedState(self, given)

    def values_so_far(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values, MISSING where there is none any more."""
        return tuple(found for observe in self._each for found in _attempt(observe, given))

    def first_broken(self, given: tuple[Any, ...]) -> Guard | None:
        """The first condition that has not lasted; None if all have."""
        if not self.lasting or all(truth is True for truth in _attempt(self._holds, given)):
            return None
        each = (_attempt(self._compiled((), [c]), given)[0] for c in self.lasting)
        return next((c for c, truth in zip(self.lasting, each, strict=True) if truth is not True), None)

    def value_of(self, guard: Guard, given: tuple[Any, ...]) -> Any:
        """The value that a guard is about."""
        assert guard.source is not None
        return _attempt(self._compiled([Place(guard.source, None)], ()), given)[0]


def _attempt(observe: Callable[[tuple[Any, ...]], tuple[Any, ...]], given: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        return observe(given)
    except Exception:  # whatever a broken path raises
        return (MISSING,)


def contents(value: Any) -> Any:
    """A value as it is compared later: of a container, what it holds now."""
    kind = type(value)
    if kind in _SEQUENCES:
        return _Contents((kind, *map(contents, value)))
    if kind in _DICTS:
        return _Contents((kind, *(part for k, v in value.items() for part in (k, contents(v)))))
    if is_instance_of_python_class(value) and native_base(kind) in _DERIVED:
        return _Contents((kind, contents(stored_contents(value))))
    return value


def _held(made: Any) -> Any:
    """What an object holds that is a container, a variable, or has attributes."""
    if type(made) is types.CellType:
        return _Contents((types.CellType, *([] if made == types.CellType() else [contents(made.cell_contents)])))
    if not is_instance_of_python_class(made):
        return contents(made)
    from tracegraph.capture.trace.instance_dicts import instance_dict, slot_names

    attributes = {**(instance_dict(made) or {}), **{n: getattr(made, n, MISSING) for n in slot_names(type(made))}}
    derived = [contents(made)] if native_base(type(made)) in _DERIVED else []
    return _Contents((type(made), *derived, *(part for item in attributes.items() for part in item)))


_SEQUENCES = frozenset({list, tuple, set, collections.deque})
_DICTS = frozenset({dict, collections.OrderedDict, collections.defaultdict})
_DERIVED = (_SEQUENCES | _DICTS) - {tuple}


class _Contents(tuple[Any, ...]):
    """A container type and what a container holds."""

    __slots__ = ()


def _parts(before: Any, now: Any) -> Iterator[tuple[Any, Any]]:
    """What is in containers of one form, side by side; what is no container, itself."""
    is_alike = type(before) is _Contents and type(now) is _Contents and len(before) == len(now)
    if not is_alike:
        yield before, now
        return
    for one, other in zip(before, now, strict=True):
        yield from _parts(one, other)


def _is_same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if type(before) is _Contents:
        return len(before) == len(now) and all(map(_is_same, before, now))
    if isinstance(before, np.ndarray):
        return before.dtype == now.dtype and np.array_equal(before, now)
    return is_constant(before) and same_constant(before, now)


class ObservedState(OutsideState):
    """The state outside of one call."""

    __slots__ = ("_before", "_given", "_made", "_observer")

    def __init__(self, observer: StateObserver, given: tuple[Any, ...]) -> None:
        super().__init__()
        self._observer = observer
        self._given = given
        self._made: tuple[Any, ...] = ()
        self._before: tuple[Any, ...] = ()

    def remember(self, *made: Any) -> None:
        """Note what there is now that the call has ended, and what objects that it made hold."""
        self._made = made
        self._before = self._observed()

    def _observed(self) -> tuple[Any, ...]:
        try:
            found = self._observer.values(self._given)
        except Exception:  # whatever a broken path raises
            found = self._observer.values_so_far(self._given)
        return (*found, *map(_held, self._made)) if self._made else found

    def rebound(self) -> Mapping[int, Tensor]:
        broken = self._observer.first_broken(self._given)
        if broken is not None:
            raise self._error_of(broken)
        now = self._observed()
        if all(map(operator.is_, self._before, now)):
            return {}
        places = self._observer.places
        replaceable = {id(b) for p, b in zip(places, self._before, strict=False) if p.is_replaceable}
        replaced: dict[int, Tensor] = {}
        kept, found_at = set[int](), dict[int, int]()
        for i, (before, found) in enumerate(zip(self._before, now, strict=True)):
            for was, is_now in _parts(before, found):
                if was is is_now:
                    kept.add(id(was))
                elif not _is_same(was, is_now):
                    may_be_read = id(was) in replaceable and _is_alike(was, is_now)
                    if not may_be_read or replaced.setdefault(id(was), is_now) is not is_now:
                        raise self._error(i, before, found)
                    found_at.setdefault(id(was), i)
        for key in kept.intersection(replaced):  # it is still in another place
            i = found_at[key]
            raise self._error(i, self._before[i], now[i])
        return replaced

    def _error(self, position: int, before: Any, now: Any) -> AutogradError:
        places, conditions = self._observer.places, self._observer.conditions
        if position < len(places):
            return _changed(source_text(places[position].source), places[position].location, _text(before), _text(now))
        if position >= len(places) + len(conditions):
            made = self._observer.made[position - len(places) - len(conditions)]
            return _changed(made, None, _text(before), _text(now))
        condition = conditions[position - len(places)]
        return _changed(f"whether {condition_text(condition)}", condition.location, str(before), str(now))

    def _error_of(self, broken: Guard) -> AutogradError:
        """The error for a condition that has not lasted."""
        if broken.kind in SEEN_IN_VALUES and broken.source is not None:
            now = self._observer.value_of(broken, self._given)
            return _changed(source_text(broken.source), broken.location, describe_expected(broken), _text(now))
        return _changed(f"whether {condition_text(broken)}", broken.location, "True", "False")


def _changed(name: str, location: Location | None, before: str, now: str) -> AutogradError:
    if now == before:  # the same by its text
        now = f"{now} with something else in it" if now.endswith(")") else f"another {now.removeprefix('a ')}"
    read = f" (read at {full_place(location)})" if location is not None else ""
    return AutogradError(
        f"backward of a compiled function reads {name}, which was {before} when the compiled function returned and is "
        f"{now} now{read}: the compiled gradient is that of what was there. Read it in forward and keep it on ctx, "
        "change it after backward(), or exclude the function with tracegraph.compiler.disable"
    )


def _text(value: Any) -> str:
    if value is MISSING:
        return "not there"
    if type(value) is not _Contents:
        return describe_object(value)
    kind, *held = value
    texts = list(map(_text, held))
    if kind in _DICTS:
        texts = [f"{k}: {v}" for k, v in zip(texts[::2], texts[1::2], strict=True)]
    return f"{kind.__name__}({', '.join(texts)})"


def _is_alike(before: Any, now: Any) -> bool:
    """Whether a graph for the one tensor fits the other."""
    if not eager.is_tensor(before) or type(now) is not type(before):
        return False
    return now.dtype is before.dtype and now.shape == before.shape and now.requires_grad == before.requires_grad


REPLACEMENTS.seal(ObservedState)
