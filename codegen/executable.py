"""Calling native code: arrays in, fresh arrays out.

A call checks dtypes and shapes, finds (or makes) the binding of its sizes, allocates outputs, borrows an arena and
enters the program. Calls may run concurrently and may nest: each has a frame of its own, arenas are never shared by
two calls that are under way, and native code runs without the interpreter lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tracegraph.codegen.array_address import address_of
from tracegraph.codegen.eager_call import Frame, entered, take_error
from tracegraph.codegen.jit import Library
from tracegraph.codegen.program import ENTRY, Program
from tracegraph.codegen.size_binding import SizeBinding
from tracegraph.codegen.steps import KernelStep
from tracegraph.errors import DTypeError, IndexRangeError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.graph import Operand, Value
from tracegraph.ir.memory_plan import ALIGNMENT, Space
from tracegraph.ir.types import TensorType

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)
#: idle arenas kept by one executable
IDLE_ARENAS = 4
#: bindings remembered by one executable
REMEMBERED_BINDINGS = 256


@dataclass(frozen=True)
class Binding:
    """What a call needs to know of its sizes.

    Attributes:
        array: the values of the size symbols, as the program takes them.
        total: bytes of the arena.
        arena: the place in the table of addresses, and the offset, of every storage of the arena.
        outputs: shapes and dtypes of the outputs that are tensors.
        plain: the outputs, with those that are no tensors filled in.
    """

    sizes: dict[str, int]
    array: Any
    total: int
    arena: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[tuple[int, ...], np.dtype], ...]
    plain: tuple[object, ...]


class Executable:
    """A compiled graph. Calling it takes one array per input and gives one fresh array per output.

    Inputs may be strided; results are C-contiguous and share memory with nothing. Outputs of the graph that are no
    tensors come back as they are.
    """

    def __init__(self, program: Program, library: Library) -> None:
        self.program = program
        self.plan = program.plan
        graph = self.plan.graph
        self._library = library
        self._entry = _ENTRY(library.address(ENTRY))
        self._types = tuple(p.type for p in graph.placeholders)
        self._dtypes = tuple(t.dtype.np for t in self._types)
        self._binding = SizeBinding(graph, program.symbols)
        self._bindings: dict[tuple[tuple[int, ...], ...], Binding] = {}
        self._constants = tuple(np.ascontiguousarray(v.node.target) for v in graph.constants)
        self._arenas: list[np.ndarray] = []
        #: where in the table of addresses each storage stands, by space and number
        self._slots = {space: self._slots_of(space) for space in Space}
        self._input_slots = self._slots[Space.INPUT]
        self._table_type = ctypes.c_uint64 * max(len(self.plan.storages), 1)
        self._addresses = [0] * len(self.plan.storages)
        for slot, array in zip(self._slots[Space.CONSTANT], self._constants, strict=True):
            self._addresses[slot] = address_of(array)
        #: outputs that are tensors: position among the outputs, and place in the table
        self._returned = [(n, s) for n, s in enumerate(self.plan.outputs) if s is not None]
        self._output_slots = [self._slots[Space.OUTPUT][s.number] for _, s in self._returned]

    def _slots_of(self, space: Space) -> list[int]:
        slots = {s.number: slot for slot, s in enumerate(self.plan.storages) if s.space is space}
        return [slots[number] for number in range(len(slots))]

    def __repr__(self) -> str:
        return f"<native {self.plan.graph.name}: {len(self.program.steps)} steps>"

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        """Run.

        Raises:
            ShapeError, DTypeError: the inputs are not what the graph was compiled for.
            IndexRangeError: a data-dependent index is out of range.
            Exception: whatever an eager rule raised that native code called back.
        """
        arrays = self._checked(inputs)
        binding = self._bound(tuple([a.shape for a in arrays]))
        outputs = [np.empty(shape, dtype) for shape, dtype in binding.outputs]
        addresses = self._addresses[:]
        for slot, array in zip(self._input_slots, arrays, strict=True):
            addresses[slot] = address_of(array)
        for slot, array in zip(self._output_slots, outputs, strict=True):
            addresses[slot] = address_of(array)
        arena = self._borrow(binding.total) if binding.total else _NO_ARENA
        start = address_of(arena)
        for slot, offset in binding.arena:
            addresses[slot] = start + offset
        table = self._table_type(*addresses)
        if self.program.eager_nodes:
            status = self._run_with_eager_calls(binding, arrays, outputs, arena, table)
        else:
            status = self._entry(table, binding.array)
        if binding.total:
            self._give_back(arena)
        if status:
            self._fail(status)
        results = list(binding.plain)
        for (position, _), array in zip(self._returned, outputs, strict=True):
            results[position] = array
        return results

    def _run_with_eager_calls(
        self, binding: Binding, arrays: list[np.ndarray], outputs: list[np.ndarray], arena: np.ndarray, table: Any
    ) -> int:
        """Enter the program with its memory at hand for the eager rules that it calls."""
        by_number = {s.number: array for (_, s), array in zip(self._returned, outputs, strict=True)}
        memory = {
            Space.INPUT: arrays,
            Space.CONSTANT: self._constants,
            Space.OUTPUT: [by_number[n] for n in range(len(by_number))],
            Space.ARENA: [arena[offset:] for _, offset in binding.arena],
        }
        with entered(Frame(self.program.eager_nodes, self.plan.placements, binding.sizes, memory)):
            return self._entry(table, binding.array)

    # ------------------------------------------------------------------------------------ inputs

    def _checked(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The inputs, contiguous."""
        if len(inputs) != len(self._types):
            raise ShapeError(f"{self.plan.graph.name} takes {len(self._types)} inputs, got {len(inputs)}")
        arrays: list[np.ndarray] = []
        for array, wanted in zip(inputs, self._dtypes, strict=True):
            if array.dtype is not wanted and array.dtype != wanted:
                position = len(arrays)
                raise DTypeError(
                    f"input {self._binding.names[position]} has dtype {array.dtype}, the graph was compiled for "
                    f"{self._types[position]}"
                )
            arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        return arrays

    def _bound(self, shapes: tuple[tuple[int, ...], ...]) -> Binding:
        found = self._bindings.get(shapes)
        if found is None:
            if len(self._bindings) >= REMEMBERED_BINDINGS:
                self._bindings = {}
            found = self._bindings[shapes] = self._bind(shapes)
        return found

    def _bind(self, shapes: tuple[tuple[int, ...], ...]) -> Binding:
        sizes = self._binding.solve(shapes)
        values = [sizes[s] for s in self.program.symbols]
        layout = self.plan.layout(sizes)
        graph_outputs = self.plan.graph.outputs
        return Binding(
            sizes,
            (ctypes.c_int64 * max(len(values), 1))(*values),
            layout.total,
            tuple(zip(self._slots[Space.ARENA], layout.offsets, strict=True)),
            tuple(_made(graph_outputs[position].type, sizes) for position, _ in self._returned),  # type: ignore[union-attr]
            tuple(_plain(value, sizes) for value in graph_outputs),
        )

    # ------------------------------------------------------------------------------------ arenas

    def _borrow(self, total: int) -> np.ndarray:
        """Aligned scratch for one call. Lists pop and append atomically, so no lock is needed."""
        try:
            arena = self._arenas.pop()
        except IndexError:
            return _aligned(total)
        return arena if arena.nbytes >= total else _aligned(total)

    def _give_back(self, arena: np.ndarray) -> None:
        if len(self._arenas) < IDLE_ARENAS:
            self._arenas.append(arena)

    # ------------------------------------------------------------------------------------ failures

    def _fail(self, status: int) -> NoReturn:
        """Raise what the failed step means."""
        step = self.program.steps[(status >> 32) - 1]
        if isinstance(step, KernelStep):
            raise IndexRangeError(step.kernel.checks[(status & 0xFFFFFFFF) - 1])
        raise take_error()


def _made(type: TensorType, sizes: dict[str, int]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an output."""
    return tuple(int(dims.evaluate(d, sizes)) for d in type.shape), type.dtype.np


def _plain(value: Operand, sizes: dict[str, int]) -> object:
    """An output that is no tensor; None in place of one that is."""
    if isinstance(value, Value):
        return None
    return dims.evaluate(value, sizes) if isinstance(value, dims.SymExpr) else value


def _aligned(nbytes: int) -> np.ndarray:
    """Uninitialised bytes that start at a multiple of ALIGNMENT."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -address_of(raw) % ALIGNMENT
    return raw[start : start + nbytes]


_NO_ARENA = _aligned(0)
