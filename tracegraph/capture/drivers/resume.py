"""Entering a function in its middle: how a resumed function runs without being captured.

The resume code object is the original bytecode, byte for byte, behind a prologue that fills cells and stack and
jumps. Every jump of CPython 3.11 and later is relative and every variable keeps its slot, so nothing behind the
prologue changes; the exception table is shifted. (Reassembling the code with a library was tried: it recomputes the
stack depth of handlers from the new control flow, and entering a try block in its middle then corrupts the stack.)

Arguments of the resume function are all locals of the original, in slot order, so that `super()` finds the first.
What they hold, what lies on the stack, and cells that are no arguments arrive as extra free variables, whose slots
come last. The prologue moves them: nothing else refers to a value, which dies where the function drops it.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.bytecode.decode import decode
from tracegraph.capture.bytecode.per_code import PerCode
from tracegraph.capture.drivers.units import Unit

_NO_LOCATION = 0x80 | (15 << 3)
_CO_NEWLOCALS, _CO_OPTIMIZED, _CO_VARARGS, _CO_VARKEYWORDS = 0x2, 0x1, 0x4, 0x8


def run_resumed(unit: Unit, namespace: dict[str, Any], args: list[Any], cells: tuple[Any, ...]) -> Any:
    """Execute `unit` natively; arguments and cells are in the unit's order. `args` is emptied."""
    plans, key = _plans(unit.code), (unit.index, unit.names, unit.stack, unit.cells, unit.raises)
    plan = plans.get(key)
    if plan is None:
        plan = plans[key] = _plan(unit)
    code = unit.code
    by_name = dict(zip(unit.cells, cells, strict=True))
    moved = (*map(types.CellType, args), *(types.CellType(by_name[n]) for n in plan.late_cells))
    args.clear()
    closure = (*(by_name[n] for n in code.co_freevars), *moved)
    function = types.FunctionType(plan.code, namespace, code.co_name, None, closure)
    return function(*map(by_name.get, code.co_varnames))


@dataclass(frozen=True)
class _Plan:
    code: types.CodeType
    #: cell variables that are no arguments: the prologue moves them into their slots
    late_cells: tuple[str, ...]


@PerCode
def _plans(code: types.CodeType) -> dict[tuple[Any, ...], _Plan]:
    """The plans made so far, by what else there is to a unit."""
    return {}


def _plan(unit: Unit) -> _Plan:
    code = unit.code
    late_cells = tuple(n for n in code.co_cellvars if n not in code.co_varnames)
    prologue = bytes(_prologue(unit, late_cells))
    table = _encode_table(_shifted_table(unit, len(prologue)))
    count = len(unit.names) + sum(unit.stack) + unit.raises
    names = (*(f"_value_{i}" for i in range(count)), *(f"_cell_{n}" for n in late_cells))
    flags = code.co_flags & ~(_CO_VARARGS | _CO_VARKEYWORDS) | _CO_NEWLOCALS | _CO_OPTIMIZED
    resumed = code.replace(
        co_code=prologue + code.co_code,
        co_argcount=code.co_nlocals,
        co_posonlyargcount=0,
        co_kwonlyargcount=0,
        co_flags=flags,
        co_freevars=code.co_freevars + names,
        co_stacksize=max(code.co_stacksize, len(unit.stack) + 2),
        co_linetable=_line_table(len(prologue)) + code.co_linetable,
        co_exceptiontable=table,
    )
    return _Plan(resumed, late_cells)


# ------------------------------------------------------------------------------------------ prologue


def _prologue(unit: Unit, late_cells: tuple[str, ...]) -> Iterator[int]:
    """Bytecode that sets up the frame, then jumps to the unit's instruction or raises there."""
    code = unit.code
    slots = code.co_varnames + late_cells
    extra = len(slots) + len(code.co_freevars)
    count = len(unit.names) + sum(unit.stack) + unit.raises
    values = iter(range(extra, extra + count + len(late_cells)))
    closure_size = len(code.co_freevars) + count + len(late_cells)
    if closure_size:
        yield from _instruction("COPY_FREE_VARS", closure_size)
    yield from _instruction("RESUME", 0)
    for name in unit.names:
        yield from _moved(next(values))
        yield from _instruction("STORE_FAST", slots.index(name))
    for slot, name in enumerate(code.co_varnames):
        if name not in unit.names and name not in unit.cells:
            yield from _instruction("DELETE_FAST", slot)
    for is_value in unit.stack:
        yield from _moved(next(values)) if is_value else _instruction("PUSH_NULL", 0)
    raised = next(values) if unit.raises else None
    for name in late_cells:
        yield from _moved(next(values))
        yield from _instruction("STORE_FAST", slots.index(name))
    if raised is not None:
        yield from _moved(raised)
        # the traceback begins at the operation that raised: this adds nothing to it
        yield from _instruction("RERAISE", 0)
    else:
        yield from _instruction("JUMP_FORWARD", decode(code).instructions[unit.index].offset // 2)


def _moved(slot: int) -> Iterator[int]:
    """Push what the cell in `slot` holds, and empty the cell."""
    yield from _instruction("LOAD_DEREF", slot)
    yield from _instruction("DELETE_DEREF", slot)


def _instruction(name: str, arg: int) -> Iterator[int]:
    """One instruction without caches, with the prefixes its argument needs."""
    for shift in (24, 16, 8):
        if arg >> shift:
            yield from (dis.opmap["EXTENDED_ARG"], arg >> shift & 0xFF)
    yield from (dis.opmap[name], arg & 0xFF)


def _line_table(size: int) -> bytes:
    """Location entries that say "nowhere" for `size` bytes of code, eight instructions at a time."""
    units = size // 2
    counts = [8] * (units // 8) + ([units % 8] if units % 8 else [])
    return bytes(_NO_LOCATION | (n - 1) for n in counts)


# ------------------------------------------------------------------------------------------ exception table


_Entry = tuple[int, int, int, int]


def _shifted_table(unit: Unit, shift: int) -> Iterator[_Entry]:
    """(start, end, target, depth and flag) of all handlers; one that covers the prologue if it raises."""
    offset = decode(unit.code).instructions[unit.index].offset
    for entry in dis._parse_exception_table(unit.code):  # type: ignore[attr-defined]
        if unit.raises and entry.start <= offset < entry.end:
            yield shift - 2, shift, entry.target + shift, entry.depth << 1 | entry.lasti
            break
    for entry in dis._parse_exception_table(unit.code):  # type: ignore[attr-defined]
        yield entry.start + shift, entry.end + shift, entry.target + shift, entry.depth << 1 | entry.lasti


def _encode_table(entries: Iterator[_Entry]) -> bytes:
    out = bytearray()
    for start, end, target, depth in entries:
        fields = (start // 2, (end - start) // 2, target // 2, depth)
        encoded = b"".join(map(_varint, fields))
        out.append(encoded[0] | 0x80)
        out += encoded[1:]
    return bytes(out)


def _varint(value: int) -> bytes:
    """Six bits a byte, most significant first, 0x40 marking all but the last."""
    digits = [value & 0x3F]
    while value := value >> 6:
        digits.append(0x40 | value & 0x3F)
    return bytes(reversed(digits))
