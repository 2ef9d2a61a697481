"""The memory of a call beside its inputs and outputs, made once and used again: table of addresses and arena.

The table of a program has one entry per storage. Those of inputs and outputs come first and change with every call;
they do not hold addresses of elements but of something that does, `program.pointer_field` bytes further. That
something is the array object itself where its layout is known, so that Python need not read the pointer out; where it
is not, cells of the workspace stand in for the objects.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegraph.codegen.native.array_address import address_of
from tracegraph.ir.memory_plan import ALIGNMENT


class Workspace:
    """For programs that read data pointers from array objects. One call uses it at a time.

    Args:
        arrays: how many inputs and outputs there are.
        constants: addresses of the constants.
        arena: scratch memory.
        offsets: where in the arena its storages begin.

    Attributes:
        table: the addresses, as the program takes them.
        owner: whose sizes the workspace is laid out for.
    """

    __slots__ = ("arena", "owner", "table")

    def __init__(
        self, owner: object, arrays: int, constants: Sequence[int], arena: np.ndarray, offsets: Sequence[int]
    ) -> None:
        self.owner = owner
        self.arena = arena
        start = address_of(arena)
        fixed = [*constants, *(start + offset for offset in offsets)]
        self.table: Any = (ctypes.c_uint64 * max(arrays + len(fixed), 1))(*[0] * arrays, *fixed)

    def point_at(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Enter the arrays of a call; they must stay alive during it."""
        table, entry = self.table, 0
        for array in inputs:
            table[entry] = id(array)
            entry += 1
        for array in outputs:
            table[entry] = id(array)
            entry += 1


class CellWorkspace(Workspace):
    """For programs that read data pointers from cells: entry n of the table is the address of cell n."""

    __slots__ = ("_cells",)

    def __init__(
        self, owner: object, arrays: int, constants: Sequence[int], arena: np.ndarray, offsets: Sequence[int]
    ) -> None:
        super().__init__(owner, arrays, constants, arena, offsets)
        self._cells = (ctypes.c_uint64 * max(arrays, 1))()
        first = ctypes.addressof(self._cells)
        self.table[:arrays] = [first + n * ctypes.sizeof(ctypes.c_uint64) for n in range(arrays)]

    def point_at(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        for n, array in enumerate((*inputs, *outputs)):
            self._cells[n] = address_of(array)


def aligned(nbytes: int) -> np.ndarray:
    """Uninitialised bytes that start at a multiple of ALIGNMENT."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -address_of(raw) % ALIGNMENT
    return raw[start : start + nbytes]
