"""Guards as generated Python functions.

Both are straight-line code: each path prefix is evaluated once, then come the conditions of one guard after another.
Any exception while walking a path means that the shape of the data has changed: the guard fails, and the line that
raised tells which one that is.
"""

from __future__ import annotations

import operator
import types
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.generated_code import code_of
from tracegraph.capture.guards.guard import Guard, GuardKind, Stride
from tracegraph.capture.guards.sources import Pool, SourceWriter
from tracegraph.capture.stack.constants import EQUAL_IS_SAME, same_constant
from tracegraph.ir import dim as dims
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor.sharing import shared_memories

Conditions = list[str]


class Checker:
    """The guards of one trace, to be checked. The functions that do it are generated when they are first asked for:
    many traces are made for one call, and making a function takes a tenth of a capture.

    Attributes:
        guards: in the order in which they are checked.
    """

    def __init__(self, guards: Iterable[Guard]) -> None:
        self.guards = tuple(guards)

    @cached_property
    def holds(self) -> Callable[[Sequence[Any], tuple[Any, ...]], bool]:
        """`holds(args, cells)` is true if all guards hold."""
        return _generated(self.guards, _HOLDS)

    @cached_property
    def _failing(self) -> Callable[[Sequence[Any], tuple[Any, ...]], int | None]:
        return _generated(self.guards, _FAILING)

    def first_failing(self, args: Sequence[Any], cells: tuple[Any, ...]) -> Guard | None:
        """The first guard that does not hold; None if there is none."""
        position = self._failing(args, cells)
        return None if position is None else self.guards[position]


#: what a generated function returns if the guard at a position fails, if a line raises, and if all guards hold
_HOLDS = ("False", "False", "True")
_FAILING = ("{}", "position(error.__traceback__.tb_lineno)", "None")


def _generated(guards: Sequence[Guard], answers: tuple[str, str, str]) -> Callable[..., Any]:
    if_fails, if_raises, if_holds = answers
    pool = Pool()
    writer = SourceWriter(pool)
    lines = writer.lines
    head = "def check(args, cells):\n    try:\n"
    ends: list[int] = []  # the last line of each guard, counted from the start of the function
    for position, guard in enumerate(guards):
        conditions = CHECKS[guard.kind](writer, guard)
        lines += [f"if not ({c}): return {if_fails.format(position)}" for c in conditions]
        ends.append(head.count("\n") + len(lines))
    body = "".join(f"        {line}\n" for line in [*lines, f"return {if_holds}"])
    text = f"{head}{body}    except Exception as error:\n        return {if_raises}\n"
    namespace = pool.names | {"position": lambda line: bisect_left(ends, line)}
    exec(code_of(text, "<guards>"), namespace)
    check: Callable[..., Any] = namespace["check"]
    return check


# ------------------------------------------------------------------------------------------ conditions by kind


def _type(writer: SourceWriter, guard: Guard) -> Conditions:
    return [f"type({_value(writer, guard)}) is {writer.pool.name(guard.expected.object)}"]


def _constant(writer: SourceWriter, guard: Guard) -> Conditions:
    value, expected = _value(writer, guard), guard.expected
    if expected is None or expected is True or expected is False or expected is ...:
        return [f"{value} is {expected!r}"]
    if type(expected) in EQUAL_IS_SAME:
        return [f"type({value}) is {writer.pool.name(type(expected))}", f"{value} == {_literal(writer, expected)}"]
    return [f"{writer.pool.name(same_constant)}({value}, {_literal(writer, expected)})"]


def _literal(writer: SourceWriter, value: Any) -> str:
    return repr(value) if type(value) in (bool, int, str) else writer.pool.name(value)


def _integer(writer: SourceWriter, guard: Guard) -> Conditions:
    value, allowed = _value(writer, guard), guard.expected
    return [f"type({value}) is int", f"{allowed.low} <= {value} <= {allowed.high}"]


def _identity(writer: SourceWriter, guard: Guard) -> Conditions:
    value, reference = _value(writer, guard), guard.expected.reference
    if not isinstance(reference, weakref.ref) or isinstance(reference(), type | types.ModuleType):
        # classes, modules and what cannot die: mostly no need to go through the reference
        expected = writer.pool.name(reference())
    else:
        expected = f"{writer.pool.name(reference, 'ref')}()"
    # a reference gives None for what has died; a value that is None is something else
    return [f"None is not {expected} is {value}" if expected.endswith("()") else f"{value} is {expected}"]


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
    """The same keys in the same order; what another class than str calls equal is another key to a program."""
    value, keys = _value(writer, guard), writer.pool.name(guard.expected)
    if not all(type(k) is str for k in guard.expected):
        return [f"{writer.pool.name(same_constant)}(tuple({value}), {keys})"]
    is_ = writer.pool.name(operator.is_, "is_")  # names are mostly the same objects
    equal = f"set(map(type, {value})) == {{str}} and tuple({value}) == {keys}"
    return [f"len({value}) == {len(guard.expected)}", f"all(map({is_}, {value}, {keys})) or ({equal})"]


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


def _shared(writer: SourceWriter, guard: Guard) -> Conditions:
    sharing, pool = guard.expected, writer.pool
    tensors = f"[{', '.join(map(writer.name, sharing.sources))}]"
    return [f"{pool.name(shared_memories)}({tensors}, {sharing.written!r}) == {pool.name(sharing.memories)}"]


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
    GuardKind.SHARED_STORAGE: _shared,
    GuardKind.SIZES: _sizes,
    GuardKind.GRAD_MODE: _grad_mode,
    GuardKind.TENSOR_METHODS: _tensor_methods,
    GuardKind.SETTING: lambda writer, guard: [f"{_value(writer, guard)} is {_literal(writer, guard.expected)}"],
}
