"""Code objects that enter a function in its middle: how a resumed function runs without being captured.

A resume code object is the original bytecode behind a prologue that rebuilds the stack and jumps. Variables and
stack values arrive as arguments, all cells as closure. It is always made from the original code, never from another
resume code object.
"""

from __future__ import annotations

import dis
import types
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tracegraph.capture.decode import decode
from tracegraph.capture.units import Unit

if TYPE_CHECKING:
    from bytecode import Bytecode

_STACK_ARGUMENT = "_stack_{}"


class CannotResume(Exception):
    """The function cannot be entered at this instruction."""


@lru_cache(maxsize=4096)
def resume_code(unit: Unit) -> types.CodeType:
    """The code object of a unit that is not a function's entry.

    Raises:
        CannotResume: the bytecode there cannot be assembled again.
    """
    import bytecode

    code = unit.code
    _check(unit)
    try:
        original = bytecode.Bytecode.from_code(code)
        # the depths of the original handlers hold: the resumed code enters try blocks, it does not move them
        return _assemble(unit, original).to_code(compute_exception_stack_depths=False)
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as e:
        raise CannotResume(f"{code.co_qualname} at {unit.index}: {e}") from e


def _check(unit: Unit) -> None:
    code = unit.code
    makes_cells_later = sum(i.op == "MAKE_CELL" for i in decode(code).instructions) > len(code.co_cellvars)
    if makes_cells_later:
        raise CannotResume(f"{code.co_qualname}: a comprehension captures its own variables")
    first = code.co_varnames[:1]
    if "__class__" in code.co_freevars and "super" in code.co_names and set(first) & set(code.co_cellvars):
        raise CannotResume(f"{code.co_qualname}: super() needs the first argument, which is captured")


def _assemble(unit: Unit, original: Bytecode) -> Bytecode:
    import bytecode

    code = unit.code
    position = _raw_position(unit)
    start = bytecode.Label()
    body: list[Any] = []
    count = -1
    for item in original:
        if isinstance(item, bytecode.Instr):
            count += 1
            if count == position:
                body += [start] if not unit.raises else _raise_stub(start)
            item = _without_setup(item)
        body.append(item)
    result = bytecode.Bytecode([*_prologue(unit, start), *body])
    arguments = [_STACK_ARGUMENT.format(i) for i in range(sum(unit.stack) + unit.raises)]
    result.argnames = [*unit.names, *arguments]
    result.argcount = len(result.argnames)
    result.name = f"{code.co_name}_resumed"
    result.qualname = f"{code.co_qualname}_resumed"
    result.filename = code.co_filename
    result.first_lineno = code.co_firstlineno
    result.freevars = list(unit.cells)
    result.cellvars = []
    nested = bytecode.CompilerFlags.NESTED if unit.cells else bytecode.CompilerFlags(0)
    result.flags = bytecode.CompilerFlags.OPTIMIZED | bytecode.CompilerFlags.NEWLOCALS | nested
    return result


def _raw_position(unit: Unit) -> int:
    """Number of the instruction among those `bytecode` shows, which leave out caches and argument prefixes."""
    offset = decode(unit.code).instructions[unit.index].offset
    shown = [i for i in dis.get_instructions(unit.code) if i.opname not in ("CACHE", "EXTENDED_ARG")]
    return next(n for n, i in enumerate(shown) if i.offset == offset)


def _without_setup(instruction: Any) -> Any:
    """Cells are given to the resumed function: it does not make them, and all are free variables."""
    import bytecode

    if instruction.name in ("MAKE_CELL", "COPY_FREE_VARS", "RETURN_GENERATOR"):
        return bytecode.Instr("NOP", location=instruction.location)
    if isinstance(instruction.arg, bytecode.CellVar):
        name = bytecode.FreeVar(instruction.arg.name)
        return bytecode.Instr(instruction.name, name, location=instruction.location)
    return instruction


def _prologue(unit: Unit, start: Any) -> list[Any]:
    from bytecode import Instr

    prologue = [Instr("COPY_FREE_VARS", len(unit.cells))] if unit.cells else []
    prologue.append(Instr("RESUME", 0))
    values = iter(range(len(unit.stack)))
    for is_value in unit.stack:
        prologue.append(Instr("LOAD_FAST", _STACK_ARGUMENT.format(next(values))) if is_value else Instr("PUSH_NULL"))
    if unit.raises:
        prologue.append(Instr("LOAD_FAST", _STACK_ARGUMENT.format(sum(unit.stack))))
    return [*prologue, Instr("JUMP_FORWARD", start)]


def _raise_stub(start: Any) -> list[Any]:
    """Raise the topmost value where the broken instruction stands, inside its try block."""
    from bytecode import Instr, Label

    beyond = Label()
    return [Instr("JUMP_FORWARD", beyond), start, Instr("RAISE_VARARGS", 1), beyond]
