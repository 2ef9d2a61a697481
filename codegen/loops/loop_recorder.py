"""Building kernels: a scalar handler that records loop-IR statements, with loops, loads and stores around it.

    k = LoopRecorder("add_one")
    n = k.size("n")
    x = k.buffer("x", float32, (n,), Mode.IN)
    y = k.buffer("y", float32, (n,), Mode.OUT)
    with k.loop("i", n, marks=(Mark.VECTOR,)) as i:
        k.store(y, (i,), k.load(x, (i,)) + 1.0)
    kernel = k.kernel()

Scalars are immutable values, except accumulators (`acc`), which read as their current value where they are
used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tracegraph.codegen.loops.loop_index import Index, IndexLike, ValueRef, index
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Buffer,
    Check,
    Failure,
    Fault,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Literal,
    Load,
    Local,
    Mark,
    Mode,
    Operand,
    Param,
    Rhs,
    ScalarParam,
    Set,
    SizeParam,
    Stmt,
    Store,
    Update,
)
from tracegraph.codegen.loops.scalar_handler import PythonScalar, Scalar, ScalarHandler, ScalarLike, checked
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS
from tracegraph.dtypes import DType, int64
from tracegraph.errors import DTypeError, IRError


class LoopRecorder(ScalarHandler):
    """Records one kernel; the statements go to the innermost open block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._params: list[Param] = []
        self._blocks: list[list[Stmt]] = [[]]
        self._names: set[str] = set()
        self._accumulators: set[str] = set()

    # -- parameters

    def buffer(
        self,
        name: str,
        dtype: DType,
        shape: Iterable[IndexLike],
        mode: Mode,
        strides: Iterable[IndexLike] | None = None,
    ) -> Buffer:
        """Declare a buffer parameter; `strides` in elements, None for dense row-major."""
        dims = tuple(index(dim) for dim in shape)
        steps = None if strides is None else tuple(index(stride) for stride in strides)
        buffer = Buffer(self._claim(name), dtype, dims, mode, steps)
        self._params.append(buffer)
        return buffer

    def size(self, name: str) -> Index:
        """Declare a symbolic size."""
        self._params.append(SizeParam(self._claim(name)))
        return index(name)

    def scalar(self, name: str, dtype: DType) -> Scalar:
        """Declare a scalar parameter."""
        self._params.append(ScalarParam(self._claim(name), dtype))
        return Scalar(self, dtype, ValueRef(name))

    # -- control

    @contextmanager
    def loop(
        self,
        name: str,
        stop: IndexLike,
        *,
        start: IndexLike = 0,
        step: int = 1,
        marks: Iterable[Mark] = (),
    ) -> Iterator[Index]:
        """`for name in start..stop`: the body is what is recorded inside; yields the loop variable."""
        variable = self.fresh(name)
        with self._block() as body:
            yield index(variable)
        self._append(For(variable, index(start), index(stop), tuple(body), step, frozenset(marks)))

    @contextmanager
    def if_(self, condition: Scalar) -> Iterator[None]:
        """`if condition { ... }`."""
        with self._block() as body:
            yield
        self._append(If(self._reference(condition), tuple(body)))

    def check(self, condition: Scalar, message: str, fault: Fault = Fault.VALUE) -> None:
        """End the kernel with an error status if the condition is false."""
        self._append(Check(self._reference(condition), Failure(fault, message)))

    # -- accumulators

    def acc(self, dtype: DType, init: ScalarLike, name: str = "acc") -> Scalar:
        """A mutable scalar; reads as its current value. Change it with `update` or `set`."""
        name = self.fresh(name)
        self._accumulators.add(name)
        self._append(Acc(name, dtype, self._operand(self._coerce(init, dtype))))
        return Scalar(self, dtype, ValueRef(name))

    def update(self, acc: Scalar, op: str, operand: ScalarLike) -> None:
        """`acc = op(acc, operand)` with an associative op; enclosing `reduce` loops may reorder it."""
        value = self._operand(self._coerce(operand, acc.dtype))
        self._append(Update(self._reference(acc).name, op, value))

    def set(self, acc: Scalar, operand: ScalarLike) -> None:
        """`acc = operand`, strictly in order."""
        self._append(Set(self._reference(acc).name, self._operand(self._coerce(operand, acc.dtype))))

    # -- memory and indices

    def local(self, name: str, dtype: DType, shape: Iterable[int]) -> Buffer:
        """Scratch of constant shape, uninitialised."""
        buffer = Buffer(self.fresh(name), dtype, tuple(index(dim) for dim in shape))
        self._append(Local(buffer))
        return buffer

    def load(
        self,
        buffer: Buffer,
        indices: Sequence[IndexLike],
        mask: Scalar | None = None,
        fill: PythonScalar = 0,
    ) -> Scalar:
        """`buffer[indices]`; where `mask` is false, `fill` without touching memory."""
        rhs = Load(buffer.name, tuple(index(i) for i in indices))
        if mask is not None:
            literal = Literal(checked(fill, buffer.dtype))
            rhs = Load(rhs.buffer, rhs.indices, self._reference(mask), literal)
        return self._let(buffer.dtype, rhs)

    def store(
        self, buffer: Buffer, indices: Sequence[IndexLike], value: ScalarLike, *, accumulate: bool = False
    ) -> None:
        """`buffer[indices] = value`, or `+=`."""
        operand = self._operand(self._coerce(value, buffer.dtype))
        self._append(Store(buffer.name, tuple(index(i) for i in indices), operand, accumulate))

    def index_value(self, expression: IndexLike) -> Scalar:
        """An index expression as an i64 scalar."""
        return self._let(int64, IndexOf(index(expression)))

    def value_index(self, value: Scalar) -> Index:
        """An i64 scalar for use inside index expressions (gathers)."""
        if value.dtype is not int64:
            raise DTypeError(f"an index must be i64, got {value.dtype.name}; cast it with k.cast(x, int64)")
        return index(self._reference(value))

    # -- the result

    def kernel(self) -> Kernel:
        """The recorded kernel."""
        if len(self._blocks) != 1:
            raise IRError(f"kernel {self.name}: a loop is still open")
        return Kernel(self.name, tuple(self._params), tuple(self._blocks[0]))

    def fresh(self, base: str) -> str:
        """A name not used before in this kernel: `base`, or `base` with a number."""
        name, count = base, 0
        while name in self._names:
            count += 1
            name = f"{base}{count}"
        self._names.add(name)
        return name

    # -- the scalar handler protocol

    def emit(self, op: str, operands: tuple[Scalar, ...], dtype: DType) -> Scalar:
        if op == "where" and isinstance(operands[0].payload, Literal):
            return self._chosen(bool(operands[0].payload.value), *operands)
        needs_value = SCALAR_OPS[op].result.name == "BOOL" or op == "cast"
        if needs_value and not any(isinstance(x.payload, ValueRef) for x in operands):
            operands = tuple(self._materialise(x) for x in operands)
        return self._let(dtype, Apply(op, tuple(self._operand(x) for x in operands)))

    def literal(self, value: PythonScalar, dtype: DType) -> Scalar:
        return Scalar(self, dtype, Literal(value))

    # -- helpers

    def _chosen(self, is_true: bool, condition: Scalar, then: Scalar, otherwise: Scalar) -> Scalar:
        """`where` of a constant condition: one of the two, an accumulator as it is now."""
        chosen = then if is_true else otherwise
        if isinstance(chosen.payload, ValueRef) and chosen.payload.name in self._accumulators:
            operands = (self._materialise(condition), then, otherwise)
            return self._let(chosen.dtype, Apply("where", tuple(self._operand(x) for x in operands)))
        return chosen

    def _claim(self, name: str) -> str:
        if name in self._names:
            raise IRError(f"kernel {self.name}: the name {name} is taken")
        self._names.add(name)
        return name

    @contextmanager
    def _block(self) -> Iterator[list[Stmt]]:
        body: list[Stmt] = []
        self._blocks.append(body)
        try:
            yield body
        finally:
            self._blocks.pop()

    def _append(self, stmt: Stmt) -> None:
        self._blocks[-1].append(stmt)

    def _let(self, dtype: DType, rhs: Rhs) -> Scalar:
        name = self.fresh(f"v{len(self._names)}")
        self._append(Let(name, dtype, rhs))
        return Scalar(self, dtype, ValueRef(name))

    def _materialise(self, x: Scalar) -> Scalar:
        return self._let(x.dtype, Apply("const", (self._operand(x),)))

    def _coerce(self, value: ScalarLike, dtype: DType) -> Scalar:
        if not isinstance(value, Scalar):
            return self.const(value, dtype)
        if value.dtype is not dtype:
            raise DTypeError(f"expected a {dtype.name} scalar, got {value.dtype.name}; use k.cast")
        return value

    def _operand(self, x: Scalar) -> Operand:
        if x.handler is not self or not isinstance(x.payload, ValueRef | Literal):
            raise IRError(f"{x!r} does not belong to kernel {self.name}")
        return x.payload

    def _reference(self, x: Scalar) -> ValueRef:
        """`x` as a named value; a constant gets a name first."""
        operand = self._operand(x)
        if isinstance(operand, Literal):
            operand = self._operand(self._materialise(x))
        assert isinstance(operand, ValueRef)
        return operand
