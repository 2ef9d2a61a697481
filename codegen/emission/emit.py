"""Kernel to LLVM text.

A kernel `f` becomes a function

    i32 @f(ptr noalias %x, ptr noalias %y, i64 %N, float %alpha)

with one parameter for each of the kernel's, in order: buffers as pointers to their first element, sizes as
i64, scalars in their register type (f16 and bf16 as float, bool as i1). It returns 0, or `i + 1` when the
check with `kernel.failures[i]` failed; outputs are then undefined. `noalias` holds because buffers
never overlap unless all of them are only read. The function is not inlined: what is known about its
parameters would weaken to metadata. Several kernels share a module as long as their names differ; drivers
call them from modules of their own.

`emit_entry` adds, for use from outside LLVM,

    i32 @f.entry(ptr %buffers, ptr %sizes, ptr %scalars)

where the arguments point to arrays: of pointers, of i64, and of 8-byte slots with scalars in their memory
form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracegraph.codegen.emission import scalar_storage
from tracegraph.codegen.emission.index_llvm import IndexEmitter
from tracegraph.codegen.emission.scalar_llvm import LlvmScalars, emit_update, register_of
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register
from tracegraph.codegen.loops.loop_index import Index, Name, ValueRef
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
from tracegraph.codegen.loops.loop_verify import verify_kernel
from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.dtypes import DType, int64

_ENTRY_SUFFIX = ".entry"
# loops of more rounds are not unrolled, marked or not
_UNROLL_LIMIT = 64


def kernel_module(kernel: Kernel) -> str:
    """A module of one kernel with its entry, as text."""
    module = ModuleText()
    emit_kernel(module, kernel)
    emit_entry(module, kernel)
    return module.render()


def entry_symbol(kernel: Kernel) -> str:
    """The name of the function `emit_entry` defines."""
    return kernel.name + _ENTRY_SUFFIX


def emit_kernel(module: ModuleText, kernel: Kernel) -> None:
    """Define the kernel's function in the module.

    Raises:
        VerifyError: the kernel breaks a rule of the loop IR.
        ValueError: the module has a function of this name.
    """
    verify_kernel(kernel)
    parameters = ", ".join(_parameter_text(param, kernel) for param in kernel.params)
    header = f"i32 @{kernel.name}({parameters}) noinline {jit.host().attributes}"
    function = FunctionText(module, header)
    _KernelEmitter(function, kernel).run()
    module.define(kernel.name, function.render())


def emit_entry(module: ModuleText, kernel: Kernel) -> None:
    """Define the exported entry of a kernel emitted before."""
    symbol = entry_symbol(kernel)
    header = f"i32 @{symbol}(ptr noalias %buffers, ptr noalias %sizes, ptr noalias %scalars) nounwind"
    function = FunctionText(module, header)
    counts = {"buffers": 0, "sizes": 0, "scalars": 0}
    arguments: list[Register] = []
    for param in kernel.params:
        array = _ENTRY_ARRAYS[type(param)]
        offset = 8 * counts[array]
        counts[array] += 1
        slot = function.instruction(f"getelementptr inbounds i8, ptr %{array}, i64 {offset}", "ptr")
        arguments.append(_load_argument(function, slot, param))
    status = function.call(kernel.name, "i32", arguments)
    function.line(f"ret i32 {status.text}")
    module.define(symbol, function.render())


_ENTRY_ARRAYS: dict[type, str] = {Buffer: "buffers", SizeParam: "sizes", ScalarParam: "scalars"}


def _load_argument(function: FunctionText, slot: Register, param: Param) -> Register:
    if isinstance(param, Buffer):
        return function.instruction(f"load ptr, ptr {slot.text}, align 8", "ptr")
    return scalar_storage.load(function, slot, int64 if isinstance(param, SizeParam) else param.dtype)


def _parameter_text(param: Param, kernel: Kernel) -> str:
    if isinstance(param, SizeParam):
        return f"i64 %{param.name}"
    if isinstance(param, ScalarParam):
        return f"{scalar_storage.register_type(param.dtype)} %{param.name}"
    access = "readonly " if param.mode is Mode.IN else ""
    if param.mode is Mode.OUT and not _is_read(param.name, kernel):
        access = "writeonly "
    return f"ptr noalias nocapture {access}%{param.name}"


def _is_read(buffer: str, kernel: Kernel) -> bool:
    for stmt in walk(kernel.body):
        if isinstance(stmt, Let) and isinstance(stmt.rhs, Load) and stmt.rhs.buffer == buffer:
            return True
        if isinstance(stmt, Store) and stmt.accumulate and stmt.buffer == buffer:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Accumulator:
    """A mutable scalar: a stack slot, which LLVM turns into registers, and the loops open at its birth."""

    slot: Register
    dtype: DType
    depth: int


class _KernelEmitter:
    """Writes the body of one kernel. Names are unique in a verified kernel, so one table serves all scopes."""

    def __init__(self, function: FunctionText, kernel: Kernel) -> None:
        self.function = function
        self.kernel = kernel
        self.scalars = LlvmScalars(function)
        self.indices = IndexEmitter(function, self._index_register)
        self.values: dict[str, Scalar] = {}
        self.accumulators: dict[str, _Accumulator] = {}
        self.integers: dict[str, Register] = {}
        self.buffers: dict[str, tuple[Buffer, Register]] = {}
        self.loops: list[For] = []

    def run(self) -> None:
        """Write everything up to the final return."""
        for param in self.kernel.params:
            self._bind(param)
        self._block(self.kernel.body)
        self.function.line("ret i32 0")

    def _bind(self, param: Param) -> None:
        text = f"%{param.name}"
        if isinstance(param, Buffer):
            self.buffers[param.name] = (param, Register(self.function, text, "ptr"))
        elif isinstance(param, SizeParam):
            self.integers[param.name] = Register(self.function, text, "i64")
            self.indices.not_negative.add(param.name)
        else:
            register = Register(self.function, text, scalar_storage.register_type(param.dtype))
            self.values[param.name] = self.scalars.wrap(register, param.dtype)

    def _block(self, body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            self._EMITTERS[type(stmt)](self, stmt)

    # -- control

    def _for(self, stmt: For) -> None:
        function = self.function
        start, stop = self.indices.emit(stmt.start), self.indices.emit(stmt.stop)
        head, body, done = (function.fresh(f"{stmt.variable}.{part}") for part in ("head", "body", "done"))
        before = function.block
        variable = function.fresh(stmt.variable)
        following = f"%{function.fresh(stmt.variable)}"
        self.integers[stmt.variable] = Register(function, f"%{variable}", "i64")
        if self.indices.is_not_negative(stmt.start):
            self.indices.not_negative.add(stmt.variable)
        function.branch_to(head)
        phi = function.placeholder()
        more = ops.compare("slt", self.integers[stmt.variable], stop)
        function.line(f"br i1 {more.text}, label %{body}, label %{done}")
        function.label(body)
        self.loops.append(stmt)
        self._block(stmt.body)
        self.loops.pop()
        function.line(f"{following} = add nuw nsw i64 %{variable}, {stmt.step}")
        function.fill(phi, f"%{variable} = phi i64 [{start.text}, %{before}], [{following}, %{function.block}]")
        function.line(f"br label %{head}{self._loop_metadata(stmt)}")
        function.label(done)

    def _loop_metadata(self, stmt: For) -> str:
        """Hints on the back edge. Vectorisation is left to LLVM's cost model: forcing a loop that it cannot
        vectorise prints a warning to the user's terminal, and gained nothing in measurements.
        """
        trips = (stmt.stop - stmt.start).constant
        if Mark.UNROLL not in stmt.marks or trips is None or trips > _UNROLL_LIMIT * stmt.step:
            return ""
        identifier = self.function.module.loop_metadata(['!"llvm.loop.unroll.full"'])
        return f", !llvm.loop {identifier}"

    def _if(self, stmt: If) -> None:
        inside, after = self.function.fresh("then"), self.function.fresh("endif")
        condition = self._value(stmt.condition)
        self.function.line(f"br i1 {condition.text}, label %{inside}, label %{after}")
        self.function.label(inside)
        self._block(stmt.body)
        self.function.branch_to(after)

    def _check(self, stmt: Check) -> None:
        passed, failed = self.function.fresh("passed"), self.function.fresh("failed")
        condition = self._value(stmt.condition)
        self.function.line(f"br i1 {condition.text}, label %{passed}, label %{failed}")
        self.function.label(failed)
        self.function.line(f"ret i32 {self.kernel.failures.index(stmt.failure) + 1}")
        self.function.label(passed)

    # -- scalars

    def _let(self, stmt: Let) -> None:
        if isinstance(stmt.rhs, Load):
            self.values[stmt.name] = self.scalars.wrap(self._load(stmt.rhs), stmt.dtype)
        elif isinstance(stmt.rhs, IndexOf):
            self.values[stmt.name] = self.scalars.wrap(self.indices.emit(stmt.rhs.expression), int64)
        else:
            self.values[stmt.name] = self._apply(stmt.rhs, stmt.dtype)

    def _apply(self, rhs: Apply, dtype: DType) -> Scalar:
        if rhs.op == "const":
            return self._operand(rhs.operands[0], dtype)
        known = rhs.operands[1:] if rhs.op == "where" else rhs.operands
        dtypes = (self._dtype_of(x) for x in known if isinstance(x, ValueRef))
        literal_dtype = next(dtypes, dtype)
        operands = tuple(self._operand(x, literal_dtype) for x in rhs.operands)
        return self.scalars.emit(rhs.op, operands, dtype)

    def _acc(self, stmt: Acc) -> None:
        llvm_type = scalar_storage.register_type(stmt.dtype)
        slot = Register(self.function, f"%{self.function.fresh(stmt.name)}", "ptr")
        self.function.entry_line(f"{slot.text} = alloca {llvm_type}")
        self.accumulators[stmt.name] = _Accumulator(slot, stmt.dtype, len(self.loops))
        self._assign(stmt.name, self._operand(stmt.init, stmt.dtype))

    def _update(self, stmt: Update) -> None:
        accumulator = self.accumulators[stmt.acc]
        reorder = all(Mark.REDUCE in loop.marks for loop in self.loops[accumulator.depth :])
        operand = register_of(self._operand(stmt.operand, accumulator.dtype))
        current = self._value(ValueRef(stmt.acc))
        result = emit_update(stmt.op, current, operand, accumulator.dtype, reorder=reorder)
        self._assign(stmt.acc, self.scalars.wrap(result, accumulator.dtype))

    def _set(self, stmt: Set) -> None:
        self._assign(stmt.acc, self._operand(stmt.operand, self.accumulators[stmt.acc].dtype))

    def _assign(self, acc: str, value: Scalar) -> None:
        register = register_of(value)
        self.function.line(f"store {register.type} {register.text}, ptr {self.accumulators[acc].slot.text}")

    def _operand(self, operand: Operand, dtype: DType) -> Scalar:
        if isinstance(operand, Literal):
            return self.scalars.literal(operand.value, dtype)
        return self.scalars.wrap(self._value(operand), self._dtype_of(operand))

    def _dtype_of(self, reference: ValueRef) -> DType:
        accumulator = self.accumulators.get(reference.name)
        return self.values[reference.name].dtype if accumulator is None else accumulator.dtype

    def _value(self, reference: ValueRef) -> Register:
        accumulator = self.accumulators.get(reference.name)
        if accumulator is None:
            return register_of(self.values[reference.name])
        llvm_type = scalar_storage.register_type(accumulator.dtype)
        return self.function.instruction(f"load {llvm_type}, ptr {accumulator.slot.text}", llvm_type)

    def _index_register(self, atom: Name | ValueRef) -> Register:
        return self.integers[atom.name] if isinstance(atom, Name) else self._value(atom)

    # -- memory

    def _local(self, stmt: Local) -> None:
        count = 1
        for dim in stmt.buffer.shape:
            count *= dim.constant or 1
        base = Register(self.function, f"%{self.function.fresh(stmt.buffer.name)}", "ptr")
        element = scalar_storage.memory_type(stmt.buffer.dtype)
        self.function.entry_line(f"{base.text} = alloca [{count} x {element}], align 64")
        self.buffers[stmt.buffer.name] = (stmt.buffer, base)

    def _pointer(self, name: str, indices: tuple[Index, ...]) -> tuple[Register, DType]:
        buffer, base = self.buffers[name]
        offset = self.indices.linear(indices, buffer.effective_strides)
        element = scalar_storage.memory_type(buffer.dtype)
        text = f"getelementptr inbounds {element}, ptr {base.text}, i64 {offset.text}"
        return self.function.instruction(text, "ptr"), buffer.dtype

    def _load(self, rhs: Load) -> Register:
        if rhs.mask is None or rhs.fill is None:
            return scalar_storage.load(self.function, *self._pointer(rhs.buffer, rhs.indices))
        function = self.function
        fill = scalar_storage.constant(function, rhs.fill.value, self.buffers[rhs.buffer][0].dtype)
        mask = self._value(rhs.mask)
        inside, after, before = function.fresh("load"), function.fresh("loaded"), function.block
        function.line(f"br i1 {mask.text}, label %{inside}, label %{after}")
        function.label(inside)
        loaded = scalar_storage.load(function, *self._pointer(rhs.buffer, rhs.indices))
        function.branch_to(after)
        text = f"phi {loaded.type} [{loaded.text}, %{inside}], [{fill.text}, %{before}]"
        return function.instruction(text, loaded.type)

    def _store(self, stmt: Store) -> None:
        pointer, dtype = self._pointer(stmt.buffer, stmt.indices)
        value = register_of(self._operand(stmt.operand, dtype))
        if stmt.accumulate:
            current = scalar_storage.load(self.function, pointer, dtype)
            value = emit_update("or" if dtype.is_bool else "add", current, value, dtype, reorder=False)
        scalar_storage.store(self.function, value, pointer, dtype)

    _EMITTERS: dict[type, Callable[..., None]] = {
        For: _for,
        If: _if,
        Check: _check,
        Let: _let,
        Acc: _acc,
        Update: _update,
        Set: _set,
        Local: _local,
        Store: _store,
    }
