"""The native program of a graph: its kernels, and a driver in LLVM text that runs the steps in order.

    i64 @run(ptr %table, ptr %sizes)

`table` has an entry for every storage of the memory plan, in the order of `table_order`: the address of a constant
or of a stretch of the arena; for an input or output, the address of what holds its address, `Program.pointer_field`
bytes further (see `workspace`). `sizes` holds the values of the size symbols. The result is 0, or
`(step + 1) << 32 | status` of the step that failed: a check of a kernel, or an eager rule that raised. Neither
addresses nor arena offsets are part of the text, so its object code can be cached by content. Kernels are external
functions of the driver, so that programs can share them (`kernel_store`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tracegraph.codegen.emission.blas_call import emit_gemm
from tracegraph.codegen.emission.index_llvm import IndexEmitter
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register
from tracegraph.codegen.loops.dim_index import loop_index
from tracegraph.codegen.loops.loop_index import index
from tracegraph.codegen.loops.loop_ir import Buffer, Kernel
from tracegraph.codegen.native import array_address, eager_call
from tracegraph.codegen.native.contraction import Gemm, Matrix
from tracegraph.codegen.native.kernel_places import Argument
from tracegraph.codegen.native.kernel_store import kernels_text
from tracegraph.codegen.native.steps import EagerStep, GemmStep, KernelStep, Step
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.graph import Node
from tracegraph.ir.memory_plan import MemoryPlan, Space, Storage

ENTRY = "run"


@dataclass(frozen=True)
class Program:
    """LLVM text of a whole graph, and what is needed to call it.

    Attributes:
        symbols: size symbols, in the order of the `sizes` array.
        kernels: the kernels of the steps after scheduling, each once.
        driver: the module that defines `run`; kernels are external to it.
        imports: the other external symbols of the driver and their addresses.
        pointer_field: position of the data pointer in what the table names for an input or output: that of an array
            object; None for cells that hold nothing else.
    """

    plan: MemoryPlan
    steps: tuple[Step, ...]
    symbols: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    driver: str
    imports: dict[str, int]
    pointer_field: int | None

    @cached_property
    def text(self) -> str:
        """The module of all kernels and the module of the driver, to read."""
        return f"; kernels\n{kernels_text(self.kernels)}\n; driver\n{self.driver}"

    @cached_property
    def eager_nodes(self) -> tuple[Node, ...]:
        """The nodes that run through their eager rule, by number."""
        return tuple(s.node for s in self.steps if isinstance(s, EagerStep))

    def __str__(self) -> str:
        return "\n".join([f"program {self.plan.graph.name}", *(f"  {step}" for step in self.steps)])


def emit_program(plan: MemoryPlan, steps: Sequence[Step], kernels: Sequence[Kernel], symbols: Sequence[str]) -> Program:
    """The module that runs `steps`; `kernels` are those of the steps after scheduling, each once."""
    field = array_address.FIELD
    driver = _Driver(ModuleText(), plan, symbols, field or 0)
    for number, step in enumerate(steps):
        driver.step(number, step)
    driver.finish()
    return Program(plan, tuple(steps), tuple(symbols), tuple(kernels), driver.module.render(), driver.imports, field)


def table_order(plan: MemoryPlan) -> list[Storage]:
    """The storages of a plan in the order of the table: inputs, outputs, constants, arena; each by number."""
    spaces = (Space.INPUT, Space.OUTPUT, Space.CONSTANT, Space.ARENA)
    return sorted(plan.storages, key=lambda s: (spaces.index(s.space), s.number))


class _Driver:
    """Writes `run`."""

    def __init__(self, module: ModuleText, plan: MemoryPlan, symbols: Sequence[str], pointer_field: int) -> None:
        self.module = module
        self.function = FunctionText(module, f"i64 @{ENTRY}(ptr noalias %table, ptr noalias %sizes) nounwind")
        self.imports: dict[str, int] = {}
        self.pointer_field = pointer_field
        self.addresses = {storage: self._base(n, storage) for n, storage in enumerate(table_order(plan))}
        self.sizes = {symbol: self._entry("sizes", n, "i64") for n, symbol in enumerate(symbols)}
        self.names = {symbol: index(symbol) for symbol in symbols}
        self.indices = IndexEmitter(self.function, lambda atom: self.sizes[atom.name])
        self.indices.not_negative.update(symbols)

    def _entry(self, array: str, number: int, llvm_type: str) -> Register:
        slot = self.function.instruction(f"getelementptr inbounds i64, ptr %{array}, i64 {number}", "ptr")
        return self.function.instruction(f"load {llvm_type}, ptr {slot.text}, align 8", llvm_type)

    def _base(self, number: int, storage: Storage) -> Register:
        entry = self._entry("table", number, "ptr")
        if storage.space not in (Space.INPUT, Space.OUTPUT):
            return entry
        cell = self.function.instruction(f"getelementptr i8, ptr {entry.text}, i64 {self.pointer_field}", "ptr")
        return self.function.instruction(f"load ptr, ptr {cell.text}, align 8", "ptr")

    def step(self, number: int, step: Step) -> None:
        _EMITTERS[type(step)](self, number, step)

    def finish(self) -> None:
        self.function.line("ret i64 0")
        self.module.define(ENTRY, self.function.render())

    # ------------------------------------------------------------------------------------ steps

    def _kernel(self, number: int, step: KernelStep) -> None:
        kernel, buffers = step.kernel, iter(step.arguments)
        arguments = [
            self._pointer(next(buffers)) if isinstance(p, Buffer) else self.sizes[p.name] for p in kernel.params
        ]
        self.module.declare(kernel.name, f"i32 @{kernel.name}({', '.join(a.type for a in arguments)})")
        status = self.function.call(kernel.name, "i32", arguments)
        if kernel.failures:
            self._stop_unless_zero(status, number)

    def _pointer(self, argument: Argument) -> Register:
        """The address of the first element a kernel uses."""
        return self._element(argument.storage, self.size(argument.offset))

    def _element(self, storage: Storage, offset: Register) -> Register:
        """The address of an element of a storage."""
        base = self.addresses[storage]
        if offset.text == "0":
            return base
        nbytes = offset * storage.dtype.itemsize
        return self.function.instruction(f"getelementptr i8, ptr {base.text}, i64 {nbytes.text}", "ptr")

    def _eager(self, number: int, step: EagerStep) -> None:
        self.module.declare(eager_call.SYMBOL, f"i32 @{eager_call.SYMBOL}(i64)")
        self.imports[eager_call.SYMBOL] = eager_call.address()
        status = self.function.call(eager_call.SYMBOL, "i32", [self.function.const(step.number, "i64")])
        self._stop_unless_zero(status, number)

    def _stop_unless_zero(self, status: Register, number: int) -> None:
        function = self.function
        failed, passed = function.fresh("failed"), function.fresh("passed")
        is_zero = function.instruction(f"icmp eq i32 {status.text}, 0", "i1")
        function.line(f"br i1 {is_zero.text}, label %{passed}, label %{failed}")
        function.label(failed)
        wide = function.instruction(f"zext i32 {status.text} to i64", "i64")
        function.line(f"ret i64 {(wide | (number + 1 << 32)).text}")
        function.label(passed)

    def _gemm(self, number: int, step: GemmStep) -> None:
        gemm = step.gemm
        self._batches(gemm, 0, [], lambda positions: self._product(gemm, positions))

    def _batches(
        self, gemm: Gemm, level: int, positions: list[Register], body: Callable[[list[Register]], None]
    ) -> None:
        """Loops over the batch dimensions."""
        if level == len(gemm.batch):
            body(positions)
            return
        function = self.function
        head, inside, done = (function.fresh(part) for part in ("batch", "product", "batches"))
        stop, before = self.size(gemm.batch[level]), function.block
        function.branch_to(head)
        phi = function.placeholder()
        position = Register(function, f"%{function.fresh('b')}", "i64")
        more = function.instruction(f"icmp slt i64 {position.text}, {stop.text}", "i1")
        function.line(f"br i1 {more.text}, label %{inside}, label %{done}")
        function.label(inside)
        self._batches(gemm, level + 1, [*positions, position], body)
        following = position + 1
        function.fill(phi, f"{position.text} = phi i64 [0, %{before}], [{following.text}, %{function.block}]")
        function.line(f"br label %{head}")
        function.label(done)

    def _product(self, gemm: Gemm, positions: list[Register]) -> None:
        a, b, c = (self._address(x, positions) for x in (gemm.a, gemm.b, gemm.c))
        sizes = (self.size(gemm.m), self.size(gemm.n), self.size(gemm.k))
        leading = (self.size(gemm.a.leading), self.size(gemm.b.leading), self.size(gemm.c.leading))
        transposed = (gemm.a.transposed, gemm.b.transposed)
        self.imports |= emit_gemm(self.function, gemm.dtype, transposed, sizes, (a, b, c), leading)

    def _address(self, matrix: Matrix, positions: list[Register]) -> Register:
        """Where a matrix begins."""
        offset = self.size(matrix.place.offset)
        for position, stride in zip(positions, matrix.steps, strict=True):
            if not dims.same(stride, 0):
                offset = offset + position * self.size(stride)
        return self._element(matrix.place.storage, offset)

    # ------------------------------------------------------------------------------------ sizes

    def size(self, dim: Dim) -> Register:
        """A size as an i64."""
        return self.indices.emit(loop_index(dim, self.names))


_EMITTERS: dict[type, Callable[[_Driver, int, Any], None]] = {
    KernelStep: _Driver._kernel,
    GemmStep: _Driver._gemm,
    EagerStep: _Driver._eager,
}
