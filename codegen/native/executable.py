"""Calling native code: arrays in, fresh arrays out.

A call compares what its inputs are with what they were the last time, or finds (or makes) their binding, which checks
them; it allocates outputs, borrows a workspace and enters the program. Calls may run concurrently and may nest: each
has a frame of its own, workspaces are never shared by two calls that are under way, and native code runs without the
interpreter lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NoReturn

import numpy as np

from tracegraph.codegen.llvm.jit import Library
from tracegraph.codegen.loops.loop_ir import Fault
from tracegraph.codegen.native.array_address import address_of
from tracegraph.codegen.native.eager_call import Frame, entered, take_error
from tracegraph.codegen.native.program import ENTRY, Program
from tracegraph.codegen.native.size_binding import SizeBinding
from tracegraph.codegen.native.steps import KernelStep
from tracegraph.codegen.native.workspace import CellWorkspace, Workspace, aligned
from tracegraph.errors import DTypeError, ElementError, IndexRangeError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.graph import Graph, Operand, Value
from tracegraph.ir.memory_plan import Space
from tracegraph.ir.subgraphs import Body
from tracegraph.ir.types import TensorType

# without argument types: ctypes passes its own arrays as pointers, and converts nothing
_ENTRY = ctypes.CFUNCTYPE(ctypes.c_uint64)
#: idle workspaces kept by one executable
IDLE_WORKSPACES = 4
#: bindings remembered by one executable
REMEMBERED_BINDINGS = 256
#: the error that a failed check raises
_ERRORS = {Fault.INDEX: IndexRangeError, Fault.VALUE: ElementError}


#: what a binding depends on; anything else that an array may be, native code does not see
_KIND = attrgetter("__class__", "dtype", "shape", "strides")


@dataclass(frozen=True, eq=False)
class Binding:
    """What a call needs to know of its inputs, worked out once for inputs of one kind.

    Attributes:
        kinds: class, dtype, shape and strides of every input.
        sizes, array: the values of the size symbols; the same as the program takes them.
        converts: whether an input has to be copied to be contiguous, or is no plain array.
        total, offsets: bytes of the arena, and where in it its storages begin.
        outputs: shapes and dtypes of the outputs that are tensors, by the number of their storage.
        plain: the outputs, with those that are no tensors filled in.
    """

    kinds: list[Any]
    sizes: dict[str, int]
    array: Any
    converts: bool
    total: int
    offsets: tuple[int, ...]
    outputs: tuple[tuple[tuple[int, ...], np.dtype], ...]
    plain: tuple[object, ...]


class Executable:
    """A compiled graph. Calling it takes one array per input and gives one fresh array per output.

    Inputs may be strided; results are C-contiguous and share memory with nothing. Outputs of the graph that are no
    tensors come back as they are.
    """

    def __init__(self, program: Program, library: Library, bodies: Mapping[Graph, Body]) -> None:
        self.program = program
        self.plan = program.plan
        graph = self.plan.graph
        self._library = library
        self._bodies = bodies
        self._entry = _ENTRY(library.address(ENTRY))
        self._types = tuple(p.type for p in graph.placeholders)
        self._binding = SizeBinding(graph, program.symbols)
        self._bindings: dict[tuple[Any, ...], Binding] = {}
        self._latest: Binding | None = None
        self._constants = tuple(np.ascontiguousarray(v.node.target) for v in graph.constants)
        #: positions among the outputs of those that are tensors, by the number of their storage
        placed = {s.number: position for position, s in enumerate(self.plan.outputs) if s is not None}
        self._returned = [placed[number] for number in range(len(placed))]
        self._returns_as_held = self._returned == list(range(len(self.plan.outputs)))
        self._calls_eager_rules = bool(program.eager_nodes)
        self._workspace = Workspace if program.pointer_field is not None else CellWorkspace
        self._idle: list[Workspace] = []

    def __repr__(self) -> str:
        return f"<native {self.plan.graph.name}: {len(self.program.steps)} steps>"

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        """Run.

        Raises:
            ShapeError, DTypeError: the inputs are not what the graph was compiled for.
            IndexRangeError: a data-dependent index is out of range; the message does not say which.
            ElementError: an element has a value that its operation does not take.
            Exception: whatever an eager rule raised that native code called back.
        """
        arrays: Sequence[np.ndarray] = (*inputs,)  # nobody can take one away while native code runs
        kinds = list(map(_KIND, arrays))
        binding = self._latest
        if binding is None or kinds != binding.kinds:
            binding = self._latest = self._bound(arrays, kinds)
        if binding.converts:
            arrays = [np.asarray(a, order="C") for a in arrays]
        outputs = [np.empty(shape, dtype) for shape, dtype in binding.outputs]
        workspace = self._borrow(binding)
        workspace.point_at(arrays, outputs)
        if self._calls_eager_rules:
            status = self._run_with_eager_calls(binding, arrays, outputs, workspace)
        else:
            status = self._entry(workspace.table, binding.array)
        if len(self._idle) < IDLE_WORKSPACES:
            self._idle.append(workspace)
        if status:
            self._fail(status)
        if self._returns_as_held:
            return outputs
        results = list(binding.plain)
        for position, array in zip(self._returned, outputs, strict=True):
            results[position] = array
        return results

    def _run_with_eager_calls(
        self, binding: Binding, arrays: Sequence[np.ndarray], outputs: list[np.ndarray], workspace: Workspace
    ) -> int:
        """Enter the program with its memory at hand for the eager rules that it calls."""
        memory = {
            Space.INPUT: arrays,
            Space.CONSTANT: self._constants,
            Space.OUTPUT: outputs,
            Space.ARENA: [workspace.arena[offset:] for offset in binding.offsets],
        }
        with entered(Frame(self.program.eager_nodes, self.plan.placements, binding.sizes, memory, self._bodies)):
            return self._entry(workspace.table, binding.array)

    # ------------------------------------------------------------------------------------ inputs

    def _bound(self, arrays: Sequence[np.ndarray], kinds: list[Any]) -> Binding:
        """The binding for inputs of these kinds, found or made."""
        key = tuple(kinds)
        found = self._bindings.get(key)
        if found is None:
            if len(self._bindings) >= REMEMBERED_BINDINGS:
                self._bindings = {}
            found = self._bindings[key] = self._bind(arrays, kinds)
        return found

    def _bind(self, arrays: Sequence[np.ndarray], kinds: list[Any]) -> Binding:
        self._check(arrays)
        plain = [np.asarray(a) for a in arrays]
        sizes = self._binding.solve([a.shape for a in plain])
        values = [sizes[s] for s in self.program.symbols]
        layout = self.plan.layout(sizes)
        outputs = self.plan.graph.outputs
        return Binding(
            kinds,
            sizes,
            (ctypes.c_int64 * max(len(values), 1))(*values),
            not all(a is p and p.flags.c_contiguous for a, p in zip(arrays, plain, strict=True)),
            layout.total,
            layout.offsets,
            tuple(_made(outputs[position].type, sizes) for position in self._returned),  # type: ignore[union-attr]
            tuple(_plain(value, sizes) for value in outputs),
        )

    def _check(self, arrays: Sequence[np.ndarray]) -> None:
        """Check number and dtypes of the inputs."""
        if len(arrays) != len(self._types):
            raise ShapeError(f"{self.plan.graph.name} takes {len(self._types)} inputs, got {len(arrays)}")
        for name, array, wanted in zip(self._binding.names, arrays, self._types, strict=True):
            if array.dtype != wanted.dtype.np:
                raise DTypeError(f"input {name} has dtype {array.dtype}, the graph was compiled for {wanted}")

    # ------------------------------------------------------------------------------------ workspaces

    def _borrow(self, binding: Binding) -> Workspace:
        """A workspace for one call. Lists pop and append atomically, so no lock is needed."""
        try:
            idle = self._idle.pop()
        except IndexError:
            return self._make_workspace(binding, aligned(binding.total))
        if idle.owner is binding:
            return idle
        return self._make_workspace(
            binding, idle.arena if idle.arena.nbytes >= binding.total else aligned(binding.total)
        )

    def _make_workspace(self, binding: Binding, arena: np.ndarray) -> Workspace:
        arrays = len(self._types) + len(self._returned)
        return self._workspace(binding, arrays, list(map(address_of, self._constants)), arena, binding.offsets)

    # ------------------------------------------------------------------------------------ failures

    def _fail(self, status: int) -> NoReturn:
        """Raise what the failed step means."""
        step = self.program.steps[(status >> 32) - 1]
        if isinstance(step, KernelStep):
            failure = step.kernel.failures[(status & 0xFFFFFFFF) - 1]
            raise _ERRORS[failure.fault](failure.message)
        raise take_error()


def _made(type: TensorType, sizes: dict[str, int]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an output."""
    return tuple(int(dims.evaluate(d, sizes)) for d in type.shape), type.dtype.np


def _plain(value: Operand, sizes: dict[str, int]) -> object:
    """An output that is no tensor; None in place of one that is."""
    if isinstance(value, Value):
        return None
    return dims.evaluate(value, sizes) if isinstance(value, dims.SymExpr) else value
