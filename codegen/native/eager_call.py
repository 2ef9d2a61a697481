"""Calling eager rules back from native code.

Ops without a loop rule (sorting, linear algebra, control flow) run through their eager rule on numpy views of the
program's memory; the graphs that control flow runs are programs of their own. Native code calls one process-wide
function with the number of the step; which program it belongs to is known from the frame that the executable entered
on this thread. Exceptions cannot cross native code: they are kept, the program stops, and the executable raises them.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tracegraph.errors import ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.graph import Graph, Node, Operand, Value
from tracegraph.ir.memory_plan import Placement, Space
from tracegraph.ir.subgraphs import Body
from tracegraph.ir.user_line import note_user_line

#: the symbol through which native code calls eager rules: i32 f(i64 number), 0 or RAISED
SYMBOL = "tracegraph_eager_call"
RAISED = 1


@dataclass(frozen=True)
class Frame:
    """The memory of one call of a program.

    Attributes:
        nodes: the nodes that run eagerly, by number.
        placements: where values live.
        sizes: values of the size symbols.
        memory: the arrays behind the storages, by space and number.
        bodies: the compiled graphs that nodes hold.
    """

    nodes: Sequence[Node]
    placements: Mapping[Value, Placement]
    sizes: Mapping[str, int]
    memory: Mapping[Space, Sequence[np.ndarray]]
    bodies: Mapping[Graph, Body]

    def run(self, number: int) -> None:
        """Execute node `number`.

        Raises:
            ShapeError: the eager rule gives another shape than inference said.
            Exception: whatever the eager rule raises, with a note that gives the user's line.
        """
        node = self.nodes[number]
        attrs = {name: self._static(value) for name, value in node.attrs.items()}
        try:
            results = node.call_op.run(*map(self._operand, node.args), **attrs)
        except Exception as error:
            note_user_line(error, node)
            raise
        for value, result in zip(node.values, results, strict=True):
            target = self.view(value)
            if target.shape != np.shape(result):
                raise ShapeError(
                    f"{node.call_op.name} gave a result of shape {list(np.shape(result))}, its type is {value.type}"
                )
            np.copyto(target, result)

    def _operand(self, operand: Operand) -> object:
        return self.view(operand) if isinstance(operand, Value) else self._static(operand)

    def _static(self, attr: object) -> object:
        if isinstance(attr, SymExpr):
            return dims.evaluate(attr, self.sizes)
        if isinstance(attr, Graph):
            return self.bodies[attr]
        return tuple(map(self._static, attr)) if isinstance(attr, tuple) else attr

    def view(self, value: Value) -> np.ndarray:
        """The elements of a value as an array on the program's memory."""
        place, dtype = self.placements[value], value.type.dtype
        base = self.memory[place.storage.space][place.storage.number]
        size, offset = self._integers((place.storage.size, place.offset))
        shape, strides = self._integers(value.type.shape), self._integers(place.strides)
        dense = base.reshape(-1).view(np.uint8)[: size * dtype.itemsize].view(dtype.np)
        return np.lib.stride_tricks.as_strided(dense[offset:], shape, [s * dtype.itemsize for s in strides])

    def _integers(self, sizes: Sequence[object]) -> list[int]:
        return [int(dims.evaluate(d, self.sizes)) for d in sizes]  # type: ignore[arg-type]


class _Thread(threading.local):
    """The frames of the programs that run on this thread, innermost last, and the exception that stopped the last."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.error: BaseException | None = None


_THREAD = _Thread()


@contextmanager
def entered(frame: Frame) -> Iterator[None]:
    """Let eager calls on this thread inside the block belong to `frame`."""
    _THREAD.frames.append(frame)
    try:
        yield
    finally:
        _THREAD.frames.pop()


def take_error() -> BaseException:
    """The exception that stopped the program which just ran on this thread."""
    error, _THREAD.error = _THREAD.error, None
    assert error is not None
    return error


def _call(number: int) -> int:
    try:
        _THREAD.frames[-1].run(number)
    except BaseException as error:  # KeyboardInterrupt too: nothing may unwind through native code
        _THREAD.error = error
        return RAISED
    return 0


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64)(_call)


def address() -> int:
    """The address of the process-wide callback."""
    return ctypes.cast(_CALLBACK, ctypes.c_void_p).value or 0
