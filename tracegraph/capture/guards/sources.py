"""Sources: where a value that a trace read came from, as a path that prints, compares and compiles.

`L['x'].weight` is a chain: the local `x`, then the instance attribute `weight`. A path walks storage (instance
dictionaries, slots, items, cells), never properties, so that evaluating one runs no user code.
"""

from __future__ import annotations

import enum
import operator
import sys
import types
import weakref
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np

from tracegraph.capture.stack.storage import MISSING, class_lookup, stored_contents
from tracegraph.capture.stack.values import is_python_class
from tracegraph.ir.abstract import Abstract


def is_passing(value: Any) -> bool:
    """Whether `value` is a class or module that no module holds by its name: one made by a function, say.

    Such an object may die while the program runs, so that what a trace remembers of it must not keep it alive.
    """
    if isinstance(value, types.ModuleType):
        return sys.modules.get(str(value.__dict__.get("__name__"))) is not value
    if not isinstance(value, type) or not is_python_class(value):
        return False
    held: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        held = getattr(held, "__dict__", {}).get(name)
    return held is not value


class Reference:
    """An object compared by identity, so that any object may be a field of a Source; None once it has died."""

    __slots__ = ("_get", "_hash", "_name")

    def __init__(self, object: Any) -> None:
        self._get: Callable[[], Any] = weakref.ref(object) if is_passing(object) else lambda: object
        self._hash = id(object)
        self._name = object_text(object)

    @property
    def object(self) -> Any:
        return self._get()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Reference) and self._hash == other._hash and self.object is other.object

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return self._name


class Pool:
    """Objects that generated code refers to by name."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self._by_id: dict[int, str] = {}

    def name(self, object: Any, stem: str = "k") -> str:
        """The expression by which generated code finds `object`."""
        found = self._by_id.get(id(object))
        if found is None:
            found = f"{stem}{len(self.names)}"
            if is_passing(object):
                self.names[found] = weakref.ref(object)
                found += "()"
            else:
                self.names[found] = object
            self._by_id[id(object)] = found
        return found


@cache
def _compared(cls: type[Source]) -> tuple[str, ...]:
    """The fields by which the sources of a class are told apart."""
    return tuple(f.name for f in fields(cls) if f.compare)


@dataclass(frozen=True)
class Source(Abstract):
    """A path to a value; subclasses are its steps. `base` is the path to the value the step starts from."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # dataclasses leave a class its own: theirs would go down the whole path every time
        cls.__hash__ = Source.__hash__  # type: ignore[method-assign]

    def __hash__(self) -> int:
        values = self.__dict__
        known: int | None = values.get("_hash")
        if known is None:
            known = values["_hash"] = hash(tuple([values[name] for name in _compared(type(self))]))
        return known

    @property
    def base(self) -> Source | None:
        return None

    @property
    def parents(self) -> tuple[Source, ...]:
        """The sources that must be evaluated first."""
        return () if self.base is None else (self.base,)

    def depends_on(self, others: Collection[Source]) -> bool:
        """Whether this is one of `others`, or a path that goes through one."""
        return self in others or any(parent.depends_on(others) for parent in self.parents)

    @abstractmethod
    def expression(self, parents: list[str], pool: Pool) -> str:
        """A Python expression for this step, given those of the parents."""


#: begins the name of a local that is no variable: a value on the stack of a resumed function
ON_STACK = ".stack"


@dataclass(frozen=True)
class Local(Source):
    """An argument of the captured function, by position in its frame."""

    index: int
    name: str

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"args[{self.index}]"

    def __str__(self) -> str:
        return f"L[{self.name!r}]"


def is_from_stack(source: Source) -> bool:
    """Whether a source is a value on the stack of a resumed function."""
    return isinstance(source, Local) and source.name.startswith(ON_STACK)


@dataclass(frozen=True)
class FrameCell(Source):
    """A cell of the captured function's closure."""

    index: int
    name: str

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"cells[{self.index}]"

    def __str__(self) -> str:
        return f"C[{self.name!r}]"


@dataclass(frozen=True)
class Constant(Source):
    """An object that is the same in every call (a module, a class, a globals dictionary)."""

    reference: Reference
    label: str

    def expression(self, parents: list[str], pool: Pool) -> str:
        return pool.name(self.reference.object)

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class _Step(Source):
    """A step from one value. Templates say how it is evaluated and shown: {0} is the parent's text, {1} the step."""

    parent: Source
    evaluated: ClassVar[str]
    shown: ClassVar[str] = "{0}"

    @property
    def base(self) -> Source:
        return self.parent

    def expression(self, parents: list[str], pool: Pool) -> str:
        return self.evaluated.format(parents[0], self)

    def __str__(self) -> str:
        return self.shown.format(self.parent, self)


@dataclass(frozen=True)
class Entry(_Step):
    """`parent.__dict__[name]`: an instance or module attribute."""

    name: str
    evaluated = "{0}.__dict__[{1.name!r}]"
    shown = "{0}.{1.name}"


@dataclass(frozen=True)
class Slot(_Step):
    """`parent.name` for storage the interpreter keeps in a C slot (`__slots__`, `__closure__`, `.grad`)."""

    name: str
    evaluated = shown = "{0}.{1.name}"


@dataclass(frozen=True)
class Contents(_Step):
    """What a cell holds."""

    evaluated = "{0}.cell_contents"


@dataclass(frozen=True)
class FreeVariable(_Step):
    """The cell of a variable that a function has from an enclosing one."""

    index: int
    name: str
    evaluated = "{0}.__closure__[{1.index}]"
    shown = "{0}.__closure__[{1.index}]"


@dataclass(frozen=True)
class Item(_Step):
    """`parent[key]` of a builtin container; the key is a number, a string or another constant."""

    key: Any
    #: tells keys apart that compare equal (1, True, 1.0)
    key_type: type = field(init=False, repr=False)
    shown = "{0}[{1.key!r}]"

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_type", type(self.key))

    def expression(self, parents: list[str], pool: Pool) -> str:
        is_literal = type(self.key) in (int, str, bool, bytes, type(None))
        return f"{parents[0]}[{self.key!r}]" if is_literal else f"{parents[0]}[{pool.name(self.key)}]"


@dataclass(frozen=True)
class Keyed(Source):
    """The entry of a dict under an object that was read: `optimizer.state[parameter]`. None if there is no such entry,
    also where the dict would make one.
    """

    parent: Source
    key: Source

    @property
    def parents(self) -> tuple[Source, ...]:
        return (self.parent, self.key)

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"{parents[0]}.get({parents[1]})"

    def __str__(self) -> str:
        return f"{self.parent}[{self.key}]"


@dataclass(frozen=True)
class Stored(_Step):
    """What an instance of a class derived from a container holds, as that container."""

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"{pool.name(stored_contents, 'stored')}({parents[0]})"


@dataclass(frozen=True)
class GlobalName(_Step):
    """A global variable; the parent is its module's dictionary."""

    name: str
    evaluated = "{0}[{1.name!r}]"
    shown = "G[{1.name!r}]"


@dataclass(frozen=True)
class ClassEntry(_Step):
    """What looking `name` up along the method resolution order of class `parent` finds, before any binding."""

    name: str
    #: the class after which the search starts, as `super()` does; None searches from the front
    after: Reference | None = None
    shown = "{0}.{1.name}"

    def expression(self, parents: list[str], pool: Pool) -> str:
        after = f", {pool.name(self.after.object)}" if self.after else ""
        return f"{pool.name(class_lookup, 'lookup')}({parents[0]}, {self.name!r}{after})"


@dataclass(frozen=True)
class Size(_Step):
    """One size of a tensor."""

    dim: int
    evaluated = shown = "{0}.shape[{1.dim}]"


@dataclass(frozen=True)
class Setting(Source):
    """An attribute of a Settings object: state of the thread or the process."""

    settings: Reference
    name: str

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"{pool.name(self.settings.object, 'settings')}.{self.name}"

    def __str__(self) -> str:
        return str(self.settings.object.questions[self.name])


#: functions that are written as operators
OPERATORS: dict[Any, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.pow: "**", operator.lshift: "<<", operator.rshift: ">>", operator.and_: "&",
    operator.or_: "|", operator.xor: "^", operator.eq: "==", operator.ne: "!=", operator.lt: "<", operator.le: "<=",
    operator.gt: ">", operator.ge: ">=",
}  # fmt: skip


@dataclass(frozen=True)
class Computed(Source):
    """A number that the program computes from others with a pure function: `L['lr'] / 2`."""

    function: Reference
    operands: tuple[Source, ...]

    @property
    def parents(self) -> tuple[Source, ...]:
        return self.operands

    def expression(self, parents: list[str], pool: Pool) -> str:
        symbol = OPERATORS.get(self.function.object)
        return f" {symbol} ".join(parents) if symbol else f"{pool.name(self.function.object)}({', '.join(parents)})"

    def __str__(self) -> str:
        symbol = OPERATORS.get(self.function.object)
        texts = list(map(str, self.operands))
        if symbol is not None:
            return "(" + f" {symbol} ".join(texts) + ")"
        return f"{self.function.object.__name__}({', '.join(texts)})"


def above_zero(source: Source) -> Source:
    """How far an int is above 0; 0 if it is not."""
    return Computed(Reference(max), (source, constant_source(0)))


def below_zero(source: Source) -> Source:
    """How far an int is below 0; 0 if it is not."""
    return above_zero(Computed(Reference(operator.neg), (source,)))


def difference(above: Source | None, below: Source | None) -> Source | None:
    """The int that is `above` zero, or `below`, as far as these tell; None if they tell of no such int."""
    number = above.operands[0] if isinstance(above, Computed) and len(above.operands) == 2 else None
    is_number = number is not None and (above, below) == (above_zero(number), below_zero(number))
    return number if is_number else None


@dataclass(frozen=True)
class Call(Source):
    """What `function` answers when a call of the program asks it again; with a `question`, `question(function, ...)`.

    The last operands are keyword arguments, called `names`.
    """

    function: Source
    args: tuple[Source, ...]
    names: tuple[str, ...]
    question: Reference | None = None

    @property
    def parents(self) -> tuple[Source, ...]:
        return (self.function, *self.args)

    def expression(self, parents: list[str], pool: Pool) -> str:
        if self.question is None:
            return self.text(parents)
        return f"{pool.name(self.question.object)}({parents[0]}, {self._arguments(parents)})"

    def text(self, parents: list[str]) -> str:
        """The call, given the texts of its parents."""
        return f"{parents[0]}({self._arguments(parents)})"

    def _arguments(self, parents: list[str]) -> str:
        args = parents[1:]
        split = len(args) - len(self.names)
        return ", ".join([*args[:split], *(f"{n}={a}" for n, a in zip(self.names, args[split:], strict=True))])

    def __str__(self) -> str:
        text = self.text(list(map(str, self.parents)))
        return text if self.question is None else f"{self.question}({text})"


def constant_source(value: Any) -> Constant:
    """A source for an object that generated code may hold on to."""
    return Constant(Reference(value), object_text(value))


def object_text(value: Any) -> str:
    """A name for an object; no code of its class runs, and no container is spelled out."""
    if isinstance(value, type):
        name: str = type.__dict__["__name__"].__get__(value)  # a metaclass may have an attribute of this name
        return name
    if isinstance(value, types.ModuleType):
        return str(value.__dict__.get("__name__"))
    if type(value) in (int, float, complex, bool, str, bytes, type(None)) or isinstance(value, np.generic):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value._name_}"
    if class_lookup(type(value), "__qualname__") is not MISSING:
        qualified: str = value.__qualname__
        return qualified
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    given = own.get("__qualname__", own.get("__name__"))
    return given if type(given) is str else f"the same {type(value).__qualname__}"


class SourceWriter:
    """Emits straight-line Python that evaluates sources, each path prefix once.

    Args:
        known: expressions for sources that are there already.
    """

    def __init__(self, pool: Pool, known: Mapping[Source, str] | None = None) -> None:
        self.pool = pool
        self.lines: list[str] = []
        self._names: dict[Source, str] = dict(known or {})
        self._count = 0

    def name(self, source: Source) -> str:
        """The variable that holds the value of `source`; emits its evaluation on first use."""
        found = self._names.get(source)
        if found is not None:
            return found
        code = source.expression(list(map(self.name, source.parents)), self.pool)
        if type(source) is Constant:
            name = code
        else:
            name = f"v{self._count}"
            self._count += 1
            self.lines.append(f"{name} = {code}")
        self._names[source] = name
        return name
