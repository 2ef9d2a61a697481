"""Guards as a generated Python function, and the explanation of a failed one.

`check(args, cells)` is straight-line code: each path prefix is evaluated once, each condition returns the position of
its guard when it does not hold. Any exception while walking a path means that the shape of the data has changed: the
guard fails, and the line that raised tells which one that is.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import itertools
import math
import types
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import FunctionFacts, Guard, GuardKind, Stride, TensorFacts, describe
from tracegraph.capture.guards.sources import Entry, Item, Pool, Source, SourceWriter, object_text
from tracegraph.capture.guards.user_terms import full_place, source_text
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import is_constant
from tracegraph.ir import dim as dims
from tracegraph.ops.tensor_class import REPLACEMENTS

#: the position of the first guard that does not hold, None if all do
Check = Callable[[Sequence[Any], tuple[Any, ...]], int | None]
Conditions = list[str]

_HEAD = "def check(args, cells):\n    try:\n"
_TAIL = "        return None\n    except Exception as error:\n        return position(error.__traceback__.tb_lineno)\n"


def compile_guards(guards: Sequence[Guard]) -> Check:
    """The checker of `guards`."""
    pool = Pool()
    writer = SourceWriter(pool)
    lines = writer.lines
    ends: list[int] = []  # the last line of each guard, counted from the start of the function
    for position, guard in enumerate(guards):
        conditions = CHECKS[guard.kind](writer, guard)
        lines += [f"if not ({c}): return {position}" for c in conditions]
        ends.append(_HEAD.count("\n") + len(lines))
    text = _HEAD + "".join(f"        {line}\n" for line in lines) + _TAIL
    namespace = pool.names | {"position": lambda line: bisect_left(ends, line)}
    exec(compile(text, "<guards>", "exec"), namespace)
    check: Check = namespace["check"]
    return check


# ------------------------------------------------------------------------------------------ conditions by kind


def _type(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"type({_value(writer, guard)}) is {writer.pool.name(guard.expected.object)}"]


def _constant(writer: SourceWriter, guard: Guard) -> Conditions:
    value, expected = _value(writer, guard), guard.expected
    if expected is None or expected is True or expected is False or expected is ...:
        return [f"{value} is {expected!r}"]
    kind = writer.pool.name(type(expected))
    if isinstance(expected, (float, complex, tuple, frozenset, slice, *_WITH_MANY_FORMS)):
        return [f"type({value}) is {kind}", f"{writer.pool.name(same_constant)}({value}, {_literal(writer, expected)})"]
    return [f"type({value}) is {kind}", f"{value} == {_literal(writer, expected)}"]


def _literal(writer: SourceWriter, value: Any) -> str:
    return repr(value) if type(value) in (bool, int, str) else writer.pool.name(value)


#: classes of data that compare equal in several forms: 1.0 and 1.00, one moment in two time zones
_WITH_MANY_FORMS = (decimal.Decimal, datetime.date, datetime.time)


def same_constant(a: Any, b: Any) -> bool:
    """Equality that tells 0.0 from -0.0, 1 from True and one order of a set from another; nan equals itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1.0, a) == math.copysign(1.0, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same_constant(a.real, b.real) and same_constant(a.imag, b.imag)
    if isinstance(a, _WITH_MANY_FORMS):
        return repr(a) == repr(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same_constant, a, b))
    if isinstance(a, frozenset):
        return same_constant(tuple(a), tuple(b))  # in the order in which the program would meet them
    if isinstance(a, slice):
        return same_constant((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    return bool(a == b)


def _integer(writer: SourceWriter, guard: Guard) -> Conditions:
    value, allowed = _value(writer, guard), guard.expected
    return [f"type({value}) is int", f"{allowed.low} <= {value} <= {allowed.high}"]


def _identity(writer: SourceWriter, guard: Guard) -> Conditions:
    value, reference = _value(writer, guard), guard.expected.reference
    if not isinstance(reference, weakref.ref) or isinstance(reference(), type | types.ModuleType):
        # classes, modules and what cannot die: no need to go through the reference
        return [f"{value} is {writer.pool.name(reference())}"]
    return [f"{writer.pool.name(reference, 'ref')}() is {value}"]


def _function(writer: SourceWriter, guard: Guard) -> Conditions:
    value, facts = _value(writer, guard), guard.expected
    return [
        f"type({value}) is {writer.pool.name(types.FunctionType)}",
        f"{value}.__code__ is {writer.pool.name(facts.code)}",
        f"{value}.__globals__ is {writer.pool.name(facts.namespace)}",
    ]


def _length(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"len({_value(writer, guard)}) == {guard.expected}"]


def _keys(writer: SourceWriter, guard: Guard) -> Conditions:
    value, keys = _value(writer, guard), writer.pool.name(guard.expected)
    if all(type(k) is str for k in guard.expected):
        return [f"len({value}) == {len(guard.expected)}", f"tuple({value}) == {keys}"]
    return [f"{writer.pool.name(same_constant)}(tuple({value}), {keys})"]


def _elements(writer: SourceWriter, guard: Guard) -> Conditions:
    same = writer.pool.name(same_constant)
    return [f"{same}(tuple({_value(writer, guard)}), {writer.pool.name(guard.expected)})"]


def _tensor(writer: SourceWriter, guard: Guard) -> Conditions:
    value, facts = _value(writer, guard), guard.expected
    pool = writer.pool
    conditions = [
        f"type({value}) is {pool.name(facts.type)}",
        f"{value}.dtype is {pool.name(facts.dtype)}",
        f"{eager.REQUIRES_GRAD.format(value)} is {facts.requires_grad}",
        *_shape(f"{value}.{eager.ARRAY}", facts.shape),
    ]
    if facts.layout == "contiguous":
        return [*conditions, f"{value}.{eager.ARRAY}.flags.c_contiguous"]
    strides = "".join(f"{_stride(s, value)}, " for s in facts.layout)
    return [*conditions, f"not {value}.is_contiguous() and {value}.stride() == ({strides})"]


def _stride(stride: int | Stride, value: str) -> str:
    if isinstance(stride, int):
        return str(stride)
    return " * ".join([str(stride.factor), *(f"{value}.shape[{d}]" for d in stride.dims)])


def _shape(value: str, shape: tuple[int | None, ...]) -> Conditions:
    if None not in shape:
        return [f"{value}.shape == {shape!r}"]
    sizes = [f"{value}.shape[{i}] {'>= 2' if n is None else f'== {n}'}" for i, n in enumerate(shape)]
    return [f"len({value}.shape) == {len(shape)}", *sizes]


def _absent(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"{guard.expected!r} not in {_value(writer, guard)}.__dict__"]


def _global_absent(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"{guard.expected!r} not in {_value(writer, guard)}"]


def _no_hooks(writer: SourceWriter, guard: Guard) -> Conditions:
    writer.lines.append(f"hooks = {_value(writer, guard)}.__dict__")
    return ["not (" + " or ".join(f"hooks[{name!r}]" for name in guard.expected) + ")"]


def _alias(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"{_value(writer, guard)} is {writer.name(guard.expected)}"]


def _distinct(writer: SourceWriter, guard: Guard) -> Conditions:
    names = [writer.name(s) for s in guard.expected]
    if len(names) == 2:
        return [f"{names[0]} is not {names[1]}"]
    return [f"len({{{', '.join(f'id({n})' for n in names)}}}) == {len(names)}"]


def _separate(writer: SourceWriter, guard: Guard) -> Conditions:
    written, others = (f"[{', '.join(map(writer.name, sources))}]" for sources in guard.expected)
    return [f"not {writer.pool.name(eager.may_overlap)}({written}, {others})"]


def _sizes(writer: SourceWriter, guard: Guard) -> Conditions:
    """The condition's symbols become the sizes they stand for."""
    condition = guard.expected
    for name, source in condition.symbols:
        writer.lines.append(f"{name} = {writer.name(source)}")
    for function, implementation in dims.FUNCTIONS.items():
        if f"{function}(" in condition.text:
            writer.pool.names[function] = implementation
    return [condition.text]


def _grad_mode(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"{writer.pool.name(eager.GRAD_STATE)}.enabled is {guard.expected}"]


def _tensor_methods(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"{writer.pool.name(REPLACEMENTS)}.names is {writer.pool.name(guard.expected)}"]


def _value(writer: SourceWriter, guard: Guard) -> str:
    assert guard.source is not None
    return writer.name(guard.source)


CHECKS: dict[GuardKind, Callable[[SourceWriter, Guard], Conditions]] = {
    GuardKind.TYPE: _type,
    GuardKind.CONSTANT: _constant,
    GuardKind.INTEGER: _integer,
    GuardKind.FLOAT: lambda writer, guard: [f"type({_value(writer, guard)}) is float"],
    GuardKind.IDENTITY: _identity,
    GuardKind.FUNCTION: _function,
    GuardKind.LENGTH: _length,
    GuardKind.KEYS: _keys,
    GuardKind.ELEMENTS: _elements,
    GuardKind.TENSOR: _tensor,
    GuardKind.ABSENT: _absent,
    GuardKind.GLOBAL_ABSENT: _global_absent,
    GuardKind.NO_HOOKS: _no_hooks,
    GuardKind.ALIAS: _alias,
    GuardKind.DISTINCT: _distinct,
    GuardKind.SEPARATE_STORAGE: _separate,
    GuardKind.SIZES: _sizes,
    GuardKind.GRAD_MODE: _grad_mode,
    GuardKind.TENSOR_METHODS: _tensor_methods,
    GuardKind.SETTING: lambda writer, guard: [f"{_value(writer, guard)} is {_literal(writer, guard.expected)}"],
}


# ------------------------------------------------------------------------------------------ explanation


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
    GuardKind.TENSOR_METHODS: "others are replaced",
}
_SUBJECTS = {
    GuardKind.TYPE: "type({})",
    GuardKind.FLOAT: "type({})",
    GuardKind.LENGTH: "len({})",
    GuardKind.KEYS: "list({})",
}


def find_failure(guards: Sequence[Guard], check: Check, args: Sequence[Any], cells: tuple[Any, ...]) -> Failure | None:
    """The first of the guards that fails for these arguments, by their checker; or None."""
    position = check(args, cells)
    return None if position is None else Failure(guards[position], _actual(guards[position], args, cells))


#: the source of what must not be there
_ABSENT: dict[GuardKind, Callable[[Source, str], Source]] = {GuardKind.ABSENT: Entry, GuardKind.GLOBAL_ABSENT: Item}


def _actual(guard: Guard, args: Sequence[Any], cells: tuple[Any, ...]) -> Any:
    if guard.kind is GuardKind.SIZES:
        return tuple(evaluate(source, args, cells) for _, source in guard.expected.symbols)
    if guard.kind in _ABSENT:
        assert guard.source is not None
        return evaluate(_ABSENT[guard.kind](guard.source, guard.expected), args, cells)
    return evaluate(guard.source, args, cells) if guard.source is not None else eager.is_grad_enabled()


def evaluate(source: Source, args: Sequence[Any], cells: tuple[Any, ...]) -> Any:
    """The value at `source`, or MISSING if the path no longer leads anywhere."""
    writer = SourceWriter(Pool())
    name = writer.name(source)
    body = "".join(f"    {line}\n" for line in writer.lines)
    namespace = writer.pool.names
    exec(f"def get(args, cells):\n{body}    return {name}\n", namespace)
    try:
        return namespace["get"](args, cells)
    except Exception:  # whatever a broken path raises, there is no value
        return MISSING


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
