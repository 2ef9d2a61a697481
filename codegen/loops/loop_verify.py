"""The rules of the loop IR that the constructors cannot see: scopes, dtypes, ranks, access modes, loop
marks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from tracegraph.codegen.loops.loop_index import Index, ValueRef
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Buffer,
    Check,
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
    ScalarParam,
    Set,
    SizeParam,
    Stmt,
    Store,
    Update,
    walk,
)
from tracegraph.codegen.loops.loop_text import print_statements
from tracegraph.codegen.loops.scalar_handler import checked
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS, Result, infer
from tracegraph.dtypes import DType, bool_, int64
from tracegraph.errors import DTypeError, VerifyError


def verify_kernel(kernel: Kernel) -> None:
    """Check every rule.

    Raises:
        VerifyError: names the rule, the kernel and the statement.
    """
    _Verifier(kernel).run()


@dataclass
class _Scope:
    """What a block can see."""

    integers: set[str] = field(default_factory=set)
    values: dict[str, DType] = field(default_factory=dict)
    accumulators: dict[str, DType] = field(default_factory=dict)
    buffers: dict[str, Buffer] = field(default_factory=dict)

    def inner(self) -> _Scope:
        return _Scope(set(self.integers), dict(self.values), dict(self.accumulators), dict(self.buffers))


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names: set[str] = set()
        self.stmt: Stmt | None = None

    def run(self) -> None:
        scope = _Scope()
        # sizes first: shapes may mention a size that is declared after the buffer
        for param in sorted(self.kernel.params, key=lambda p: not isinstance(p, SizeParam)):
            self.param(param, scope)
        self.block(self.kernel.body, scope)

    def fail(self, message: str) -> NoReturn:
        place = f"\n  {print_statements((self.stmt,)).splitlines()[0]}" if self.stmt is not None else ""
        raise VerifyError(f"kernel {self.kernel.name}: {message}{place}")

    def claim(self, name: str) -> None:
        if name in self.names:
            self.fail(f"the name {name} is used twice")
        self.names.add(name)

    def param(self, param: Param, scope: _Scope) -> None:
        self.claim(param.name)
        if isinstance(param, SizeParam):
            scope.integers.add(param.name)
        elif isinstance(param, ScalarParam):
            scope.values[param.name] = param.dtype
        else:
            for dim in (*param.shape, *(param.strides or ())):
                unknown = dim.names() - scope.integers
                if unknown or dim.values():
                    self.fail(f"the shape of {param.name} mentions {dim}, which is not made of sizes")
            scope.buffers[param.name] = param

    # -- statements

    def block(self, body: tuple[Stmt, ...], scope: _Scope) -> None:
        for stmt in body:
            self.stmt = stmt
            self._CHECKS[type(stmt)](self, stmt, scope)

    def loop(self, stmt: For, scope: _Scope) -> None:
        self.claim(stmt.variable)
        self.index(stmt.start, scope)
        self.index(stmt.stop, scope)
        if Mark.REDUCE in stmt.marks:
            self.reduce_loop(stmt, scope)
        if Mark.PARALLEL in stmt.marks:
            self.parallel_loop(stmt, scope)
        inner = scope.inner()
        inner.integers.add(stmt.variable)
        self.block(stmt.body, inner)

    def reduce_loop(self, stmt: For, scope: _Scope) -> None:
        """An accumulator that may be reordered must not be looked at on the way."""
        updated = {s.acc for s in walk(stmt.body) if isinstance(s, Update)} & scope.accumulators.keys()
        for inner in walk(stmt.body):
            seen = _values_read(inner)
            if isinstance(inner, Set):
                seen.add(inner.acc)
            for acc in sorted(seen & updated):
                self.stmt = inner
                self.fail(f"%{acc} is read or set inside the reduce loop {stmt.variable} that updates it")

    def parallel_loop(self, stmt: For, scope: _Scope) -> None:
        """Iterations must not share what they write."""
        dependent = {stmt.variable}
        for inner in walk(stmt.body):
            if isinstance(inner, For) and (inner.start.names() & dependent):
                dependent.add(inner.variable)
            self.stmt = inner
            if isinstance(inner, Update | Set) and inner.acc in scope.accumulators:
                self.fail(f"%{inner.acc} is shared by the iterations of the parallel loop {stmt.variable}")
            if isinstance(inner, Store) and inner.buffer in scope.buffers:
                varies = any(i.names() & dependent for i in inner.indices)
                by_value = any(i.values() for i in inner.indices) and not inner.accumulate
                if not varies and not by_value:
                    self.fail(f"every iteration of the parallel loop {stmt.variable} writes the same {inner.buffer}")

    def let(self, stmt: Let, scope: _Scope) -> None:
        found = self.rhs_dtype(stmt, scope)
        if found is not stmt.dtype:
            self.fail(f"%{stmt.name} is declared {stmt.dtype.name}, the right-hand side is {found.name}")
        self.claim(stmt.name)
        scope.values[stmt.name] = stmt.dtype

    def rhs_dtype(self, stmt: Let, scope: _Scope) -> DType:
        rhs = stmt.rhs
        if isinstance(rhs, Apply):
            return self.apply(rhs, stmt.dtype, scope)
        if isinstance(rhs, IndexOf):
            self.index(rhs.expression, scope)
            return int64
        return self.load(rhs, scope)

    def apply(self, rhs: Apply, declared: DType, scope: _Scope) -> DType:
        op = SCALAR_OPS[rhs.op]
        known = rhs.operands[1:] if rhs.op == "where" else rhs.operands
        found = [self.value(x, scope) for x in known if isinstance(x, ValueRef)]
        if not found and (rhs.op == "cast" or op.result is Result.BOOL):
            self.fail(f"{rhs.op} of literals has no operand dtype; fold it or name the literal with const")
        literal_dtype = found[0] if found else declared
        operands = tuple(self.operand(x, literal_dtype, scope) for x in rhs.operands)
        try:
            return infer(op, operands, declared)
        except DTypeError as error:
            self.fail(str(error))

    def load(self, rhs: Load, scope: _Scope) -> DType:
        buffer = self.access(rhs.buffer, rhs.indices, scope)
        if rhs.mask is not None and rhs.fill is not None:
            self.condition(rhs.mask, scope)
            self.operand(rhs.fill, buffer.dtype, scope)
        return buffer.dtype

    def acc(self, stmt: Acc, scope: _Scope) -> None:
        self.expect(stmt.init, stmt.dtype, scope)
        self.claim(stmt.name)
        scope.accumulators[stmt.name] = stmt.dtype

    def update(self, stmt: Update, scope: _Scope) -> None:
        dtype = self.accumulator(stmt.acc, scope)
        self.expect(stmt.operand, dtype, scope)
        if not SCALAR_OPS[stmt.op].domain.admits(dtype):
            self.fail(f"{stmt.op} does not take {dtype.name}")

    def set(self, stmt: Set, scope: _Scope) -> None:
        self.expect(stmt.operand, self.accumulator(stmt.acc, scope), scope)

    def local(self, stmt: Local, scope: _Scope) -> None:
        self.claim(stmt.buffer.name)
        scope.buffers[stmt.buffer.name] = stmt.buffer

    def store(self, stmt: Store, scope: _Scope) -> None:
        buffer = self.access(stmt.buffer, stmt.indices, scope)
        if buffer.mode is Mode.IN:
            self.fail(f"store to {buffer.name}, which is an `in` buffer")
        self.expect(stmt.operand, buffer.dtype, scope)

    def branch(self, stmt: If, scope: _Scope) -> None:
        self.condition(stmt.condition, scope)
        self.block(stmt.body, scope.inner())

    def check(self, stmt: Check, scope: _Scope) -> None:
        self.condition(stmt.condition, scope)

    _CHECKS: dict[type, Callable[..., None]] = {
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

    # -- operands

    def value(self, reference: ValueRef, scope: _Scope) -> DType:
        dtype = scope.values.get(reference.name) or scope.accumulators.get(reference.name)
        if dtype is None:
            self.fail(f"{reference} is not defined here")
        return dtype

    def accumulator(self, name: str, scope: _Scope) -> DType:
        dtype = scope.accumulators.get(name)
        if dtype is None:
            self.fail(f"%{name} is not an accumulator in scope")
        return dtype

    def operand(self, operand: Operand, dtype: DType, scope: _Scope) -> DType:
        if isinstance(operand, ValueRef):
            return self.value(operand, scope)
        try:
            checked(operand.value, dtype)
        except DTypeError as error:
            self.fail(str(error))
        if isinstance(operand.value, bool) != dtype.is_bool:
            self.fail(f"literal {operand.value!r} stands where {dtype.name} is expected")
        return dtype

    def expect(self, operand: Operand, dtype: DType, scope: _Scope) -> None:
        found = self.operand(operand, dtype, scope)
        if found is not dtype:
            self.fail(f"expected {dtype.name}, got {found.name}")

    def condition(self, reference: ValueRef, scope: _Scope) -> None:
        found = self.value(reference, scope)
        if found is not bool_:
            self.fail(f"{reference} is {found.name}; a condition must be bool")

    def access(self, name: str, indices: tuple[Index, ...], scope: _Scope) -> Buffer:
        buffer = scope.buffers.get(name)
        if buffer is None:
            self.fail(f"there is no buffer {name} here")
        if len(indices) != len(buffer.shape):
            self.fail(f"{name} has {len(buffer.shape)} dims, indexed with {len(indices)}")
        for index in indices:
            self.index(index, scope)
        return buffer

    def index(self, expression: Index, scope: _Scope) -> None:
        for name in sorted(expression.names() - scope.integers):
            self.fail(f"{name} in {expression} is neither a loop variable nor a size in scope")
        for name in sorted(expression.values()):
            dtype = self.value(ValueRef(name), scope)
            if dtype is not int64:
                self.fail(f"%{name} in an index is {dtype.name}, must be i64")


def _values_read(stmt: Stmt) -> set[str]:
    """The values and accumulators a single statement reads, not counting the statements inside it."""
    operands: list[Operand] = []
    indices: list[Index] = []
    match stmt:
        case Let(rhs=Apply(operands=found)):
            operands.extend(found)
        case Let(rhs=Load(indices=found, mask=mask)):
            indices.extend(found)
            operands.extend([mask] if mask is not None else [])
        case Let(rhs=IndexOf(expression=expression)):
            indices.append(expression)
        case Acc(init=operand) | Update(operand=operand) | Set(operand=operand):
            operands.append(operand)
        case Store(indices=found, operand=operand):
            indices.extend(found)
            operands.append(operand)
        case If(condition=condition) | Check(condition=condition):
            operands.append(condition)
        case For(start=start, stop=stop):
            indices.extend((start, stop))
        case Local():
            pass
    names = {x.name for x in operands if not isinstance(x, Literal)}
    return names.union(*(index.values() for index in indices))
