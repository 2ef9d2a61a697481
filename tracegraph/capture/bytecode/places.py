"""Where instructions come from: code objects whose instructions are given other places in a file.

The table of a code object (CPython 3.11 to 3.13, Objects/locations.md) has an entry for up to eight code units at a
time: a byte with the form of the entry and their number, then the line, relative to that of the entry before, and in
the long form the last line and the columns.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator

#: line, last line, column, last column; columns -1: unknown
Place = tuple[int, int, int, int]

_NO_COLUMNS, _LONG, _NOWHERE = 13, 14, 15
_UNITS_PER_ENTRY = 8


def moved(code: types.CodeType, place_of: Callable[[int], Place]) -> types.CodeType:
    """`code`, and the code inside it, with every instruction at the place that stands for its line."""
    first = place_of(code.co_firstlineno)[0]
    table, before = bytearray(), first
    for start, end, line in code.co_lines():
        place = None if line is None else place_of(line)
        for units in _portions((end - start) // 2):
            table += _entry(units, before, place)
            before = before if place is None else place[0]
    constants = tuple(moved(c, place_of) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_firstlineno=first, co_linetable=bytes(table), co_consts=constants)


def _portions(units: int) -> Iterator[int]:
    while units > 0:
        yield min(units, _UNITS_PER_ENTRY)
        units -= _UNITS_PER_ENTRY


def _entry(units: int, before: int, place: Place | None) -> bytes:
    """The entry of some code units; `before` is the line of the entry before."""
    if place is None:
        return bytes([_head(_NOWHERE, units)])
    line, last_line, column, last_column = place
    if column < 0:
        return bytes([_head(_NO_COLUMNS, units), *_signed(line - before)])
    numbers = [*_number(last_line - line), *_number(column + 1), *_number(last_column + 1)]
    return bytes([_head(_LONG, units), *_signed(line - before), *numbers])


def _head(form: int, units: int) -> int:
    return 0x80 | form << 3 | units - 1


def _number(value: int) -> Iterator[int]:
    """Six bits at a time, the lowest first; a seventh says that more follow."""
    while value >= 64:
        yield 0x40 | value & 63
        value >>= 6
    yield value


def _signed(value: int) -> Iterator[int]:
    return _number(-value << 1 | 1 if value < 0 else value << 1)
