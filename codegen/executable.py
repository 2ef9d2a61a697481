"""Calling native code: arrays in, fresh arrays out.

A call checks dtypes and shapes, finds (or makes) the binding of its sizes, allocates outputs, borrows an arena and
enters the program. Calls may run concurrently and may nest: each has a frame of its own, arenas are never shared by
two calls that are under way, and native code runs without the interpreter lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegraph.codegen.eager_call import Frame, entered, take_error
from tracegraph.codegen.jit import Library
from tracegraph.codegen.program import ENTRY, Program
from tracegraph.codegen.size_binding import SizeBinding
from tracegraph.codegen.steps import KernelStep
from tracegraph.errors import DTypeError, IndexRangeError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.memory_plan import ALIGNMENT, Layout, Space
from tracegraph.ir.types import TensorType

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)
#: idle arenas kept by one executable
IDLE_ARENAS = 4
#: bindings remembered by one executable
REMEMBERED_BINDINGS = 256


@dataclass(frozen=True)
class Binding:
    """What a call needs to know of its sizes."""

    sizes: dict[str, int]
    array: Any
    layout: Layout
    outputs: tuple[tuple[np.dtype, tuple[int, ...]] | None, ...]


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
        self._output_order = [s.number for s in self.plan.outputs if s is not None]

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
        outputs = [None if made is None else np.empty(made[1], made[0]) for made in binding.outputs]
        held: list[Any] = [None] * len(self._output_order)
        for storage, array in zip(self.plan.outputs, outputs, strict=True):
            if storage is not None:
                held[storage.number] = array
        arena = self._borrow(binding.layout.total)
        try:
            self._run(binding, arrays, held, arena)
        finally:
            self._give_back(arena)
        return [
            array if storage is not None else self._plain(value, binding)
            for array, storage, value in zip(outputs, self.plan.outputs, self.plan.graph.outputs, strict=True)
        ]

    def _run(self, binding: Binding, arrays: list[np.ndarray], outputs: list[np.ndarray], arena: np.ndarray) -> None:
        spaces = {
            Space.INPUT: [_address(a) for a in arrays],
            Space.CONSTANT: [_address(a) for a in self._constants],
            Space.OUTPUT: [_address(a) for a in outputs],
            Space.ARENA: [_address(arena) + offset for offset in binding.layout.offsets],
        }
        addresses = [spaces[s.space][s.number] for s in self.plan.storages]
        table = (ctypes.c_uint64 * max(len(addresses), 1))(*addresses)
        if not self.program.eager_nodes:
            status = self._entry(table, binding.array)
        else:
            held = {
                Space.INPUT: arrays,
                Space.CONSTANT: list(self._constants),
                Space.OUTPUT: outputs,
                Space.ARENA: [arena[offset:] for offset in binding.layout.offsets],
            }
            with entered(Frame(self.program.eager_nodes, self.plan.placements, binding.sizes, held)):
                status = self._entry(table, binding.array)
        if status:
            self._fail(status)

    # ------------------------------------------------------------------------------------ inputs

    def _checked(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The inputs, contiguous."""
        if len(inputs) != len(self._types):
            raise ShapeError(f"{self.plan.graph.name} takes {len(self._types)} inputs, got {len(inputs)}")
        arrays = []
        for position, (array, wanted) in enumerate(zip(inputs, self._dtypes, strict=True)):
            if array.dtype != wanted:
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
        outputs = tuple(
            _made(value.type, sizes) if storage is not None else None  # type: ignore[union-attr]
            for value, storage in zip(self.plan.graph.outputs, self.plan.outputs, strict=True)
        )
        array = (ctypes.c_int64 * max(len(values), 1))(*values)
        return Binding(sizes, array, self.plan.layout(sizes), outputs)

    @staticmethod
    def _plain(value: object, binding: Binding) -> object:
        """An output that is no tensor."""
        return dims.evaluate(value, binding.sizes) if isinstance(value, dims.SymExpr) else value

    # ------------------------------------------------------------------------------------ arenas

    def _borrow(self, total: int) -> np.ndarray:
        """Aligned scratch for one call. Lists pop and append atomically, so no lock is needed."""
        try:
            arena = self._arenas.pop()
        except IndexError:
            arena = _aligned(total)
        return arena if arena.nbytes >= total else _aligned(total)

    def _give_back(self, arena: np.ndarray) -> None:
        if len(self._arenas) < IDLE_ARENAS:
            self._arenas.append(arena)

    # ------------------------------------------------------------------------------------ failures

    def _fail(self, status: int) -> None:
        """Raise what the failed step means."""
        step = self.program.steps[(status >> 32) - 1]
        if isinstance(step, KernelStep):
            raise IndexRangeError(step.lowered.kernel.checks[(status & 0xFFFFFFFF) - 1])
        raise take_error()


def _made(type: TensorType, sizes: dict[str, int]) -> tuple[np.dtype, tuple[int, ...]]:
    return type.dtype.np, tuple(int(dims.evaluate(d, sizes)) for d in type.shape)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _aligned(nbytes: int) -> np.ndarray:
    """Uninitialised bytes that start at a multiple of ALIGNMENT."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -_address(raw) % ALIGNMENT
    return raw[start : start + nbytes]
