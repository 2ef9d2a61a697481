"""The reference meaning of the loop IR: statement by statement on numpy arrays, every access checked.

Slow on purpose and free of LLVM: tests compare compiled kernels with it. Reductions run in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracegraph.codegen.loops.loop_index import Index, Name, ValueRef
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Buffer,
    Check,
    Failure,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Literal,
    Load,
    Local,
    Operand,
    Rhs,
    Set,
    Stmt,
    Store,
    Update,
)
from tracegraph.codegen.loops.loop_verify import verify_kernel
from tracegraph.codegen.loops.scalar_numpy import apply_scalar, literal
from tracegraph.dtypes import DType, from_numpy, int64
from tracegraph.errors import IndexRangeError, ShapeError


class _CheckFailed(Exception):
    """A `check` was false."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


def interpret_kernel(
    kernel: Kernel,
    buffers: Mapping[str, np.ndarray],
    sizes: Mapping[str, int] | None = None,
    scalars: Mapping[str, float | int | bool] | None = None,
) -> int:
    """Run a kernel on arrays, which are written in place. The status: 0, or the number of the failed check.

    Raises:
        ShapeError: an array does not have its parameter's dtype and shape.
        IndexRangeError: a statement reads or writes out of bounds.
    """
    verify_kernel(kernel)
    run = _Run(kernel, dict(buffers), dict(sizes or {}), dict(scalars or {}))
    try:
        with np.errstate(all="ignore"):
            run.block(kernel.body)
    except _CheckFailed as failed:
        return kernel.failures.index(failed.failure) + 1
    return 0


def shape_of(buffer: Buffer, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The concrete shape of a buffer parameter."""
    return tuple(dim.evaluate(lambda atom: sizes[atom.name]) for dim in buffer.shape)


def check_array(kernel: Kernel, buffer: Buffer, array: np.ndarray, sizes: Mapping[str, int]) -> None:
    """Refuse an array that does not fit its parameter.

    Raises:
        ShapeError: dtype, shape or strides differ.
    """
    expected = shape_of(buffer, sizes)
    if array.dtype != buffer.dtype.np or array.shape != expected:
        raise ShapeError(
            f"kernel {kernel.name}: {buffer.name} must be {buffer.dtype.name}{list(expected)}, "
            f"got {array.dtype} {list(array.shape)}"
        )
    strides = tuple(s.evaluate(lambda atom: sizes[atom.name]) for s in buffer.effective_strides)
    actual = tuple(stride // array.itemsize for stride in array.strides)
    if any(a != s and n > 1 for a, s, n in zip(actual, strides, expected, strict=True)) and array.size:
        raise ShapeError(
            f"kernel {kernel.name}: {buffer.name} must have strides {list(strides)}, got {list(actual)}; "
            "make it contiguous first"
        )


class _Run:
    """One execution: names to numpy scalars, integers and arrays."""

    def __init__(
        self, kernel: Kernel, arrays: dict[str, np.ndarray], sizes: dict[str, int], scalars: dict[str, Any]
    ) -> None:
        for buffer in kernel.buffers:
            check_array(kernel, buffer, arrays[buffer.name], sizes)
        self.arrays = arrays
        self.integers = sizes
        self.values: dict[str, Any] = {p.name: literal(scalars[p.name], p.dtype) for p in kernel.scalars}
        self.dtypes: dict[str, DType] = {p.name: p.dtype for p in kernel.scalars}

    def block(self, body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            self._EXECUTE[type(stmt)](self, stmt)

    def loop(self, stmt: For) -> None:
        start, stop = self.index(stmt.start), self.index(stmt.stop)
        for position in range(start, stop, stmt.step):
            self.integers[stmt.variable] = position
            self.block(stmt.body)

    def let(self, stmt: Let) -> None:
        self.bind(stmt.name, self.rhs(stmt.rhs, stmt.dtype), stmt.dtype)

    def rhs(self, rhs: Rhs, dtype: DType) -> Any:
        if isinstance(rhs, IndexOf):
            return literal(self.index(rhs.expression), int64)
        if isinstance(rhs, Load):
            return self.load(rhs, dtype)
        return self.apply(rhs, dtype)

    def apply(self, rhs: Apply, dtype: DType) -> Any:
        known = rhs.operands[1:] if rhs.op == "where" else rhs.operands
        operand_dtype = next((self.dtypes[x.name] for x in known if isinstance(x, ValueRef)), dtype)
        values = [self.operand(x, operand_dtype) for x in rhs.operands]
        return apply_scalar(rhs.op, values, operand_dtype, dtype)

    def load(self, rhs: Load, dtype: DType) -> Any:
        if rhs.mask is not None and rhs.fill is not None and not self.values[rhs.mask.name]:
            return literal(rhs.fill.value, dtype)
        return self.arrays[rhs.buffer][self.position(rhs.buffer, rhs.indices)]

    def acc(self, stmt: Acc) -> None:
        self.bind(stmt.name, self.operand(stmt.init, stmt.dtype), stmt.dtype)

    def update(self, stmt: Update) -> None:
        dtype = self.dtypes[stmt.acc]
        values = [self.values[stmt.acc], self.operand(stmt.operand, dtype)]
        self.values[stmt.acc] = apply_scalar(stmt.op, values, dtype, dtype)

    def set(self, stmt: Set) -> None:
        self.values[stmt.acc] = self.operand(stmt.operand, self.dtypes[stmt.acc])

    def local(self, stmt: Local) -> None:
        self.arrays[stmt.buffer.name] = np.zeros(shape_of(stmt.buffer, {}), stmt.buffer.dtype.np)

    def store(self, stmt: Store) -> None:
        array = self.arrays[stmt.buffer]
        position = self.position(stmt.buffer, stmt.indices)
        value = self.operand(stmt.operand, self.array_dtype(stmt.buffer))
        if stmt.accumulate:
            op = "or" if array.dtype == np.bool_ else "add"
            dtype = self.array_dtype(stmt.buffer)
            value = apply_scalar(op, [array[position], value], dtype, dtype)
        array[position] = value

    def branch(self, stmt: If) -> None:
        if self.values[stmt.condition.name]:
            self.block(stmt.body)

    def check(self, stmt: Check) -> None:
        if not self.values[stmt.condition.name]:
            raise _CheckFailed(stmt.failure)

    _EXECUTE: dict[type, Callable[..., None]] = {
        For: loop,
        Let: let,
        Acc: acc,
        Update: update,
        Set: set,
        Local: local,
        Store: store,
        If: branch,
        Check: check,
    }

    def bind(self, name: str, value: Any, dtype: DType) -> None:
        self.values[name] = value
        self.dtypes[name] = dtype

    def operand(self, operand: Operand, dtype: DType) -> Any:
        return literal(operand.value, dtype) if isinstance(operand, Literal) else self.values[operand.name]

    def array_dtype(self, name: str) -> DType:
        return from_numpy(self.arrays[name].dtype)

    def index(self, expression: Index) -> int:
        return expression.evaluate(self.integer)

    def integer(self, atom: Name | ValueRef) -> int:
        return self.integers[atom.name] if isinstance(atom, Name) else int(self.values[atom.name])

    def position(self, name: str, indices: tuple[Index, ...]) -> tuple[int, ...]:
        position = tuple(self.index(i) for i in indices)
        shape = self.arrays[name].shape
        if any(not 0 <= i < n for i, n in zip(position, shape, strict=True)):
            raise IndexRangeError(f"{name}{list(position)} is out of bounds for shape {list(shape)}")
        return position
