"""Why a trace cannot be used again: the guard that fails, with what the trace found and what the call brings."""

from __future__ import annotations

import enum
import itertools
import types
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.checker import Checker
from tracegraph.capture.guards.evaluation import evaluate
from tracegraph.capture.guards.guard import FunctionFacts, Guard, GuardKind, TensorFacts, describe
from tracegraph.capture.guards.sources import Entry, Item, Source, object_text
from tracegraph.capture.guards.user_terms import full_place, source_text
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import is_constant


@dataclass(frozen=True)
class Failure:
    """The first guard of a trace that does not hold, and what its source holds now (MISSING if the path is gone).

    It refers to the arguments of a call, so it must not outlive it; `recompiles.Recompile` keeps the texts.
    """

    guard: Guard
    actual: Any

    @property
    def was(self) -> str:
        """What the trace found."""
        expected = self.guard.expected
        if self.guard.kind is GuardKind.SIZES:
            values = (
                f"{source_text(s)} was {n}" for (_, s), n in zip(expected.symbols, expected.examples, strict=True)
            )
            return ", ".join(values)
        if self.guard.kind in _HELD:
            return _HELD[self.guard.kind].format(self.guard.expected)
        return f"{self._subject} was {describe_expected(self.guard)}"

    @property
    def now(self) -> str:
        """What this call brings."""
        if self.guard.kind is GuardKind.SIZES and isinstance(self.actual, tuple):
            return ", ".join(map(str, self.actual))
        return _RELATED.get(self.guard.kind) or describe_actual(self.guard, self.actual)

    @property
    def _subject(self) -> str:
        text = source_text(self.guard.source) if self.guard.source is not None else "is_grad_enabled()"
        template = _SUBJECTS.get(self.guard.kind, "{}")
        return template.format(text)

    def __str__(self) -> str:
        place = f" (used at {full_place(self.guard.location)})" if self.guard.location is not None else ""
        return f"{self.guard} failed: {self.was}, now {self.now}{place}"


#: kinds that state how several sources are related, or that something is not there: what a trace found
_HELD = {
    GuardKind.ALIAS: "they were the same object",
    GuardKind.DISTINCT: "they were different objects",
    GuardKind.SEPARATE_STORAGE: "they shared none",
    GuardKind.SHARED_STORAGE: "they did",
    GuardKind.ABSENT: "{!r} was not there",
    GuardKind.GLOBAL_ABSENT: "{!r} was not there",
    GuardKind.NO_HOOKS: "it had none",
    GuardKind.TENSOR_METHODS: "that was so",
}
#: and what a call brings for which that does not hold
_RELATED = {
    GuardKind.ALIAS: "they are different objects",
    GuardKind.DISTINCT: "two of them are the same object",
    GuardKind.SEPARATE_STORAGE: "they share memory",
    GuardKind.SHARED_STORAGE: "they lie otherwise",
    GuardKind.TENSOR_METHODS: "others are replaced",
}
_SUBJECTS = {
    GuardKind.TYPE: "type({})",
    GuardKind.FLOAT: "type({})",
    GuardKind.LENGTH: "len({})",
    GuardKind.KEYS: "list({})",
}


def find_failure(checker: Checker, args: Sequence[Any], cells: tuple[Any, ...]) -> Failure | None:
    """The first guard that fails for these arguments; None if all hold."""
    guard = checker.first_failing(args, cells)
    return None if guard is None else Failure(guard, _actual(guard, args, cells))


#: the source of what must not be there
_ABSENT: dict[GuardKind, Callable[[Source, str], Source]] = {GuardKind.ABSENT: Entry, GuardKind.GLOBAL_ABSENT: Item}


def _actual(guard: Guard, args: Sequence[Any], cells: tuple[Any, ...]) -> Any:
    if guard.kind is GuardKind.SIZES:
        return tuple(evaluate(source, args, cells) for _, source in guard.expected.symbols)
    if guard.kind in _ABSENT:
        assert guard.source is not None
        return evaluate(_ABSENT[guard.kind](guard.source, guard.expected), args, cells)
    return evaluate(guard.source, args, cells) if guard.source is not None else eager.is_grad_enabled()


def describe_expected(guard: Guard) -> str:
    """What the guard expects, as users read it."""
    if guard.kind is GuardKind.FLOAT:
        return "float"
    if guard.kind is GuardKind.TYPE:
        return str(guard.expected)
    if guard.kind is GuardKind.KEYS:
        return describe(list(guard.expected))
    if guard.kind is GuardKind.ELEMENTS:
        return describe(set(guard.expected))
    return describe(guard.expected)


def describe_actual(guard: Guard, actual: Any) -> str:
    """The present value in the terms of the guard."""
    if actual is MISSING:
        return "not there"
    if guard.kind is GuardKind.TENSOR and eager.is_tensor(actual):
        shape = tuple(actual.shape)
        facts = TensorFacts(type(actual), actual.dtype, shape, eager.layout_of(actual), bool(actual.requires_grad))
        return str(facts)
    if guard.kind in (GuardKind.TYPE, GuardKind.FLOAT):
        return type(actual).__qualname__
    if guard.kind is GuardKind.FUNCTION and isinstance(actual, types.FunctionType):
        return str(FunctionFacts(actual.__code__, actual.__globals__))
    if guard.kind is GuardKind.LENGTH and isinstance(actual, Sized):
        return str(len(actual))
    if guard.kind is GuardKind.KEYS and isinstance(actual, Iterable):
        return _row("[{}]", actual)
    if guard.kind is GuardKind.NO_HOOKS:
        return " and ".join(f"{len(vars(actual)[name])} in {name}" for name in guard.expected if vars(actual)[name])
    return describe_object(actual)


def _row(brackets: str, values: Iterable[Any]) -> str:
    """Several values in brackets; the first of many."""
    shown = list(map(describe_object, itertools.islice(values, _SHOWN + 1)))
    return brackets.format(", ".join([*shown[:_SHOWN], *(["..."] if len(shown) > _SHOWN else [])]))


#: so many values of a container are told
_SHOWN = 20


def describe_object(value: Any) -> str:
    """A value for people; of an object that is no plain data the class only, since its repr is the program's code."""
    if eager.is_tensor(value):
        return f"a {type(value).__name__} {value.dtype.name}{list(value.shape)}"
    if is_constant(value):
        return describe(value)
    if type(value) in (set, frozenset):
        return _row("{{{}}}", value) if value else describe(value)
    if isinstance(value, enum.Enum):
        return object_text(value)
    return getattr(value, "__qualname__", None) or f"a {type(value).__qualname__}"
