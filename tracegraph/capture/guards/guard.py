"""Guards: records of what a trace depended on, `(kind, source, expected)`.

A record has several readers: the generated Python checker and the explainer (both in `checker`), and native code.
A kind is a name in `GuardKind`; its meaning as Python is the entry of that name in `checker.CHECKS`.
"""

from __future__ import annotations

import functools
import operator
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tracegraph.capture.guards.sources import Reference, Slot, Source, object_text
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.ir import Location
from tracegraph.ops.core.shared_memory import SharedMemory


class GuardKind(Enum):
    """What is compared with `expected`."""

    TYPE = "type"
    CONSTANT = "value"
    INTEGER = "int"
    FLOAT = "float"
    IDENTITY = "identity"
    FUNCTION = "code"
    LENGTH = "length"
    KEYS = "keys"
    ELEMENTS = "elements"
    TENSOR = "tensor"
    ABSENT = "absence of attribute"
    GLOBAL_ABSENT = "absence of name"
    NO_HOOKS = "hooks"
    ALIAS = "same object as"
    DISTINCT = "distinct objects"
    SEPARATE_STORAGE = "separate storage"
    SHARED_STORAGE = "shared storage"
    SIZES = "sizes"
    GRAD_MODE = "grad mode"
    SETTING = "setting"
    TENSOR_METHODS = "methods of tensors"

    # by identity, as members are equal; that of Enum is Python code, and guards are found by kind again and again
    __hash__ = object.__hash__


@dataclass(frozen=True)
class Stride:
    """A stride that varies with the sizes: `factor` times the sizes of dimensions `dims`."""

    factor: int
    dims: tuple[int, ...]

    def of(self, shape: Sequence[Any]) -> Any:
        """The stride of a tensor of this shape, in elements."""
        return functools.reduce(operator.mul, (shape[d] for d in self.dims), self.factor)

    def __repr__(self) -> str:
        return " * ".join([str(self.factor), *(f"shape[{d}]" for d in self.dims)])


@dataclass(frozen=True)
class TensorFacts:
    """What a trace assumes of a tensor argument.

    `shape` has None where any size of at least `minimum` (2) is accepted; `layout` is "contiguous" or the strides,
    each an int or a Stride.
    """

    type: type
    dtype: Any
    shape: tuple[int | None, ...]
    layout: Any
    requires_grad: bool

    def __str__(self) -> str:
        shape = ", ".join("?" if n is None else str(n) for n in self.shape)
        grad = ", requires_grad" if self.requires_grad else ""
        layout = "" if self.layout == "contiguous" else f", strides {self.layout}"
        return f"{self.type.__name__} {self.dtype.name}[{shape}]{layout}{grad}"


@dataclass(frozen=True)
class Sharing:
    """How tensors lie in memory, some of which (`written`, by number) a trace writes to."""

    sources: tuple[Source, ...]
    written: tuple[int, ...]
    memories: tuple[SharedMemory, ...]

    @property
    def groups(self) -> list[tuple[Source, ...]]:
        """The tensors that lie in one memory, by memory."""
        return [tuple(self.sources[m.position] for m in memory.members) for memory in self.memories]


class Identity:
    """An object a guard compares with, held weakly where possible, so that no cache keeps it alive."""

    __slots__ = ("reference", "text")

    def __init__(self, value: Any) -> None:
        self.text = f"module {object_text(value)}" if isinstance(value, types.ModuleType) else object_text(value)
        self.reference: Callable[[], Any]
        try:
            self.reference = weakref.ref(value)
        except TypeError:
            self.reference = lambda: value

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class FunctionFacts:
    """What a trace assumes of a function: functions made anew by every call are alike if they run the same code."""

    code: types.CodeType
    namespace: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.code.co_qualname} ({self.code.co_filename}:{self.code.co_firstlineno})"


@dataclass(frozen=True)
class Guard:
    """One condition for reusing a trace.

    Attributes:
        source: None for state of the interpreter or library.
        location: the line of the user's program that made the trace depend on it, if known.
    """

    kind: GuardKind
    source: Source | None
    expected: Any
    location: Location | None = field(default=None, compare=False)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it is about: several of the kinds that state how things are related."""
        related = self.expected if isinstance(self.expected, tuple) else (self.expected,)
        found = (s for s in (self.source, *related) if isinstance(s, Source))
        return tuple(found)

    def __str__(self) -> str:
        from tracegraph.capture.guards.user_terms import condition_text

        return condition_text(self)


def describe(expected: Any) -> str:
    """`expected` as users read it."""
    if isinstance(expected, tuple) and expected and all(isinstance(e, Source | Reference) for e in expected):
        return ", ".join(map(str, expected))
    text = str(expected) if type(expected).__module__.startswith("tracegraph.") else repr(expected)
    return text if len(text) <= 200 else text[:197] + "..."


class GuardSet:
    """Guards in the order they were recorded, without repetition.

    Attributes:
        drawn: what each call draws at random.
        late: what is to hold of that; checked by the driver, which runs the call eagerly if it does not.
    """

    def __init__(self) -> None:
        self._guards: dict[Any, Guard] = {}
        self.drawn: set[Source] = set()
        self.late: list[Guard] = []
        #: the user's line being traced
        self.location: Location | None = None
        self._noticed: list[Guard] | None = None

    def add(self, kind: GuardKind, source: Source | None, expected: Any) -> None:
        """Record a guard; a second one of the same kind on the same source is the same fact, except for names.

        Raises:
            Break: it asks for the value of what is drawn at random.
        """
        asked = expected if isinstance(expected, tuple) else (expected,)
        if self.drawn and any(map(self.is_drawn, (source, *asked))):
            self._add_late(kind, source, expected)
            return
        key: tuple[Any, ...] = (kind, source)
        if kind in _SEVERAL:
            key += (expected,)
        elif kind is GuardKind.SIZES:
            key += (str(expected),)  # to compare conditions on sizes is to ask for more of them
        if key not in self._guards:
            record = _RECORDS.get(kind)
            kept = record(expected) if record is not None else expected
            self._guards[key] = Guard(kind, source, kept, self.location)
        if self._noticed is not None:
            self._noticed.append(self._guards[key])

    @contextmanager
    def noticing(self) -> Iterator[list[Guard]]:
        """Notice what is asked for in the block, be it known before or not."""
        outer, self._noticed = self._noticed, []
        try:
            yield self._noticed
        finally:
            if outer is not None:
                outer += self._noticed
            self._noticed = outer

    def notice(self, source: Source, *kinds: GuardKind) -> None:
        """What guards of these kinds say of `source`, if there are any, is asked for again."""
        if self._noticed is not None:
            self._noticed += [guard for kind in kinds if (guard := self.find(source, kind)) is not None]

    def find(self, source: Source, *kinds: GuardKind) -> Guard | None:
        """The first guard of one of these kinds on `source`; None if there is none."""
        return next((guard for kind in kinds if (guard := self._guards.get((kind, source))) is not None), None)

    def is_drawn(self, source: Any) -> bool:
        """Whether what is at `source` depends on what each call draws at random."""
        return bool(self.drawn) and isinstance(source, Source) and source.depends_on(self.drawn)

    def _add_late(self, kind: GuardKind, source: Source | None, expected: Any) -> None:
        if kind not in _OF_TYPES and not _is_attribute(source):
            raise Break(reasons.SIDE_EFFECT_CALL, "a decision by a random number")
        record = _RECORDS.get(kind)
        guard = Guard(kind, source, record(expected) if record is not None else expected, self.location)
        if guard not in self.late:
            self.late.append(guard)

    def __iter__(self) -> Iterator[Guard]:
        return iter(self._guards.values())

    def __len__(self) -> int:
        return len(self._guards)


#: kinds of which a source may have several
_SEVERAL = frozenset({GuardKind.ABSENT, GuardKind.GLOBAL_ABSENT, GuardKind.ALIAS, GuardKind.DISTINCT})
#: kinds that ask what there is, and not its value
_OF_TYPES = frozenset({GuardKind.TYPE, GuardKind.FLOAT, GuardKind.INTEGER})


def _is_attribute(source: Source | None) -> bool:
    """Whether a source is an attribute (the dtype, the shape of an array), or part of one."""
    return isinstance(source, Slot) or (source is not None and _is_attribute(source.base))


#: kinds whose expectation is an object that the cache must not keep alive
_RECORDS: dict[GuardKind, Callable[[Any], Any]] = {
    GuardKind.TYPE: Reference,
    GuardKind.IDENTITY: Identity,
    GuardKind.FUNCTION: lambda function: FunctionFacts(function.__code__, function.__globals__),
}
