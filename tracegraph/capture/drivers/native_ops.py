"""The broken instruction, written as Python source: what the driver runs natively between two graphs.

Each entry takes its operands off a copy of the symbolic stack, emits source lines, and leaves names of results on
that stack. Instructions that branch return their exits. An instruction without an entry is left to the resumed
function, which then runs natively to its end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracegraph.capture.bytecode.decode import NULL_AFTER_CALLABLE, Instruction, Program
from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor
from tracegraph.capture.reporting.user_frame import warn_for_program
from tracegraph.capture.stack.values import NULL, is_constant


@dataclass(frozen=True)
class Name:
    """A variable of the driver that holds the result of the native operation."""

    text: str


@dataclass(frozen=True)
class Exit:
    """A way on from the broken instruction: source condition (None: otherwise), next instruction, stack."""

    condition: str | None
    index: int
    stack: tuple[Any, ...]


@dataclass
class NativeStep:
    """The state in which one instruction is written out."""

    reconstructor: Reconstructor
    program: Program
    index: int
    stack: list[Any]
    #: the function's globals
    namespace: dict[str, Any]
    #: call Python callees through the compiler, because the break happened inside one
    compiles_callee: bool
    lines: list[str] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)

    @property
    def instruction(self) -> Instruction:
        return self.program.instructions[self.index]

    def pop(self) -> str:
        """The topmost value, as an operand."""
        return self._operand(self.stack.pop())

    def pop_many(self, count: int) -> list[str]:
        """The topmost values as operands, deepest first."""
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return [self._operand(v) for v in values]

    def pop_arguments(self, count: int) -> list[str]:
        """The topmost values as arguments of a call, deepest first."""
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return [self.expression(v) for v in values]

    def expression(self, value: Any) -> str:
        if isinstance(value, Name):
            return value.text
        return self.reconstructor.expression(value)

    def _operand(self, value: Any) -> str:
        """A constant by name: the compiler warns of literals that are called or subscripted."""
        return self.reconstructor.pool.name(value) if is_constant(value) else self.expression(value)

    def result(self, code: str) -> Name:
        """Emit `name = code`."""
        name = Name(f"r{len(self.lines)}")
        self.lines.append(f"{name.text} = {code}")
        return name

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_function(self, value: Any) -> None:
        """A callable in the layout of a call without `self`."""
        self.stack.extend((value, NULL) if NULL_AFTER_CALLABLE else (NULL, value))

    def branch(self, condition: str, taken: tuple[Any, ...], fallen: tuple[Any, ...]) -> None:
        """Two exits: the jump target if `condition` holds, else the next instruction."""
        target = self.instruction.target
        assert target is not None
        self.exits = [Exit(condition, target, taken), Exit(None, self.index + 1, fallen)]


def is_written(op: str) -> bool:
    """Whether an instruction has an entry."""
    return op in _WRITERS


def write(step: NativeStep) -> bool:
    """Write the instruction, and the rest of the superinstruction it begins; False if it has no entry."""
    while True:
        writer = _WRITERS.get(step.instruction.op)
        if writer is None:
            return False
        writer(step, step.instruction.arg)
        if step.exits:
            return True
        following = step.program.instructions[step.index + 1]
        if following.is_entry:
            step.exits = [Exit(None, step.index + 1, tuple(step.stack))]
            return True
        step.index += 1


# ------------------------------------------------------------------------------------------ calls


def _callee(step: NativeStep) -> tuple[str, list[str]]:
    first, second = step.stack.pop(-2), step.stack.pop()
    callee, owner = (first, second) if NULL_AFTER_CALLABLE else (second, first)
    own_argument: list[str] = []
    if owner is not NULL:
        callee, own = (first, second)
        own_argument = [step.expression(own)]
    if callee is warnings.warn:
        return step.reconstructor.pool.name(warn_for_program, "warn"), own_argument
    function = step.expression(callee)
    if step.compiles_callee:
        return step.reconstructor.pool.name(CALL_COMPILED, "compiled"), [function, *own_argument]
    return function, own_argument


class _CallCompiled:
    """Placeholder in the pool for the function that calls a callee through the compiler."""

    def __repr__(self) -> str:
        return "compiled"


CALL_COMPILED = _CallCompiled()


def _write_call(step: NativeStep, arg: tuple[int, tuple[str, ...]]) -> None:
    count, names = arg
    _emit_call(step, step.pop_arguments(count), names)


def _write_call_kw(step: NativeStep, count: int) -> None:
    names = step.stack.pop()
    _emit_call(step, step.pop_arguments(count), names)


def _emit_call(step: NativeStep, values: list[str], names: tuple[str, ...]) -> None:
    split = len(values) - len(names)
    keywords = [f"**{{{n!r}: {v}}}" if not n.isidentifier() else f"{n}={v}"
                for n, v in zip(names, values[split:], strict=True)]  # fmt: skip
    function, first = _callee(step)
    step.push(step.result(f"{function}({', '.join([*first, *values[:split], *keywords])})"))


def _write_call_ex(step: NativeStep, flags: int) -> None:
    keywords = [f"**{step.pop()}"] if flags & 1 else []
    args = step.pop()
    function, first = _callee(step)
    step.push(step.result(f"{function}({', '.join([*first, f'*{args}', *keywords])})"))


# ------------------------------------------------------------------------------------------ expressions


def _write_binary(step: NativeStep, symbol: str) -> None:
    a, b = step.pop_many(2)
    if symbol.endswith("="):
        name = step.result(a)
        step.lines.append(f"{name.text} {symbol} {b}")
        step.push(name)
    else:
        step.push(step.result(f"{a} {symbol} {b}"))


def _write_compare(step: NativeStep, symbol: str) -> None:
    a, b = step.pop_many(2)
    step.push(step.result(f"{a} {symbol} {b}"))


def _write_is(step: NativeStep, is_inverted: bool) -> None:
    a, b = step.pop_many(2)
    step.push(step.result(f"{a} is {'not ' if is_inverted else ''}{b}"))


def _write_contains(step: NativeStep, is_inverted: bool) -> None:
    item, container = step.pop_many(2)
    step.push(step.result(f"{item} {'not ' if is_inverted else ''}in {container}"))


def _unary(template: str) -> Callable[[NativeStep, Any], None]:
    def write_unary(step: NativeStep, arg: Any) -> None:
        step.push(step.result(template.format(step.pop())))

    return write_unary


def _write_format(step: NativeStep, arg: tuple[int, bool]) -> None:
    conversion, has_spec = arg
    spec = step.pop() if has_spec else "''"
    value = step.pop()
    converted = f"{_CONVERSIONS[conversion]}({value})" if conversion else value
    step.push(step.result(f"format({converted}, {spec})"))


def _write_convert(step: NativeStep, conversion: int) -> None:
    step.push(step.result(f"{_CONVERSIONS[conversion]}({step.pop()})"))


_CONVERSIONS = ("", "str", "repr", "ascii")


# ------------------------------------------------------------------------------------------ attributes and items


def _write_load_attr(step: NativeStep, name: str) -> None:
    step.push(step.result(f"{step.pop()}.{name}"))


def _write_load_method(step: NativeStep, name: str) -> None:
    step.push_function(step.result(f"{step.pop()}.{name}"))


def _write_load_super(step: NativeStep, arg: tuple[str, bool]) -> None:
    name, is_method = arg
    factory, cls, instance = step.pop_many(3)
    result = step.result(f"{factory}({cls}, {instance}).{name}")
    if is_method:
        step.push_function(result)
    else:
        step.push(result)


def _write_store_attr(step: NativeStep, name: str) -> None:
    value, target = step.pop_many(2)
    step.lines.append(f"{target}.{name} = {value}")


def _write_delete_attr(step: NativeStep, name: str) -> None:
    step.lines.append(f"del {step.pop()}.{name}")


def _write_subscript(step: NativeStep, arg: Any) -> None:
    container, key = step.pop_many(2)
    step.push(step.result(f"{container}[{key}]"))


def _write_store_subscript(step: NativeStep, arg: Any) -> None:
    value, container, key = step.pop_many(3)
    step.lines.append(f"{container}[{key}] = {value}")


def _write_delete_subscript(step: NativeStep, arg: Any) -> None:
    container, key = step.pop_many(2)
    step.lines.append(f"del {container}[{key}]")


def _write_slice(step: NativeStep, arg: Any) -> None:
    container, start, stop = step.pop_many(3)
    step.push(step.result(f"{container}[{start}:{stop}]"))


def _write_store_slice(step: NativeStep, arg: Any) -> None:
    value, container, start, stop = step.pop_many(4)
    step.lines.append(f"{container}[{start}:{stop}] = {value}")


def _extend(template: str) -> Callable[[NativeStep, int], None]:
    def write_extend(step: NativeStep, depth: int) -> None:
        value = step.pop()
        step.lines.append(template.format(step.expression(step.stack[-depth]), value))

    return write_extend


# ------------------------------------------------------------------------------------------ control flow


def _write_jump_if(wanted: bool) -> Callable[[NativeStep, Any], None]:
    def write_jump(step: NativeStep, arg: Any) -> None:
        condition = step.result(f"bool({step.pop()})").text
        rest = tuple(step.stack)
        step.branch(condition if wanted else f"not {condition}", rest, rest)

    return write_jump


def _write_jump_or_pop(wanted: bool) -> Callable[[NativeStep, Any], None]:
    def write_jump(step: NativeStep, arg: Any) -> None:
        value = step.stack.pop()
        condition = step.result(f"bool({step.expression(value)})").text
        rest = tuple(step.stack)
        step.branch(condition if wanted else f"not {condition}", (*rest, value), rest)

    return write_jump


def _write_get_iter(step: NativeStep, arg: Any) -> None:
    step.push(step.result(f"iter({step.pop()})"))


def _write_for_iter(step: NativeStep, arg: Any) -> None:
    iterator = step.stack[-1]
    end = step.reconstructor.pool.name(_END, "end")
    item = step.result(f"next({step.expression(iterator)}, {end})")
    step.branch(f"{item.text} is {end}", tuple(step.stack[:-1]), (*step.stack, item))


_END = object()


def _write_unpack(step: NativeStep, count: int) -> None:
    items = [Name(f"item{i}") for i in range(count)]
    targets = "".join(f"{n.text}, " for n in items)
    step.lines.append(f"({targets}) = {step.pop()}" if count else f"() = {step.pop()}")
    step.stack.extend(reversed(items))


def _write_unpack_ex(step: NativeStep, arg: int) -> None:
    before, after = arg & 0xFF, arg >> 8
    items = [Name(f"item{i}") for i in range(before + 1 + after)]
    targets = [n.text for n in items]
    targets[before] = f"*{targets[before]}"
    step.lines.append(f"{', '.join(targets)}, = {step.pop()}")
    step.stack.extend(reversed(items))


def _write_import(step: NativeStep, name: str) -> None:
    level, names = step.pop_many(2)
    space = step.reconstructor.pool.name(step.namespace, "space")
    step.push(step.result(f"__import__({name!r}, {space}, None, {names}, {level})"))


def _write_with(step: NativeStep, arg: Any) -> None:
    manager = step.result(step.pop())
    leave = step.result(f"type({manager.text}).__exit__.__get__({manager.text})")
    step.push(leave)
    step.push(step.result(f"type({manager.text}).__enter__({manager.text})"))


_WRITERS: dict[str, Callable[[NativeStep, Any], None]] = {
    "CALL": _write_call,
    "CALL_KW": _write_call_kw,
    "CALL_FUNCTION_EX": _write_call_ex,
    "BINARY_OP": _write_binary,
    "COMPARE_OP": _write_compare,
    "IS_OP": _write_is,
    "CONTAINS_OP": _write_contains,
    "UNARY_NOT": _unary("not {}"),
    "UNARY_NEGATIVE": _unary("-{}"),
    "UNARY_POSITIVE": _unary("+{}"),
    "UNARY_INVERT": _unary("~{}"),
    "TO_BOOL": _unary("bool({})"),
    "FORMAT_VALUE": _write_format,
    "CONVERT_VALUE": _write_convert,
    "LOAD_ATTR": _write_load_attr,
    "LOAD_METHOD": _write_load_method,
    "LOAD_SUPER_ATTR": _write_load_super,
    "STORE_ATTR": _write_store_attr,
    "DELETE_ATTR": _write_delete_attr,
    "BINARY_SUBSCR": _write_subscript,
    "STORE_SUBSCR": _write_store_subscript,
    "DELETE_SUBSCR": _write_delete_subscript,
    "BINARY_SLICE": _write_slice,
    "STORE_SLICE": _write_store_slice,
    "LIST_EXTEND": _extend("{}.extend({})"),
    "SET_UPDATE": _extend("{}.update({})"),
    "DICT_UPDATE": _extend("{}.update({})"),
    "POP_JUMP_IF_TRUE": _write_jump_if(True),
    "POP_JUMP_IF_FALSE": _write_jump_if(False),
    "JUMP_IF_TRUE_OR_POP": _write_jump_or_pop(True),
    "JUMP_IF_FALSE_OR_POP": _write_jump_or_pop(False),
    "GET_ITER": _write_get_iter,
    "FOR_ITER": _write_for_iter,
    "UNPACK_SEQUENCE": _write_unpack,
    "UNPACK_EX": _write_unpack_ex,
    "IMPORT_NAME": _write_import,
    "BEFORE_WITH": _write_with,
}
