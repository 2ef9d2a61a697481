"""Kernels that reduce across rows: the innermost loop walks along the columns, with one total per column.

    sums of the columns of x: f32[n, 1000]
      for j0 in 0..1000 step 256 parallel {
        local acc: f32[256]
        for j < min(256, 1000 - j0) vector { acc[j] = 0 }
        for i0 < n reduce { for j < min(256, 1000 - j0) vector { acc[j] = acc[j] + x[1000*i0 + j0 + j] } }
        for j < min(256, 1000 - j0) vector { store ... acc[j] }
      }

All loops over columns are innermost, so rows are read as memory has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tracegraph.codegen.loops.loop_index import Index, index, minimum
from tracegraph.codegen.loops.loop_ir import Buffer, Mark
from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.codegen.lowering.kernel_builder import Lowered
from tracegraph.codegen.lowering.loop_plan import MAX_STRIP, STRIP
from tracegraph.codegen.lowering.loop_split import Loop
from tracegraph.codegen.lowering.lower_nest import NestLowering, Reduction, nested
from tracegraph.dtypes import DType
from tracegraph.ir.dim import Dim


class ColumnsLowering(NestLowering):
    """Totals are a strip of scratch."""

    #: first column of the strip, and the column within the strip
    _start: Index
    _lane: Index
    #: sizes of the strip as the scratch has it, and as the current one is
    _width: int
    _count: Index

    @property
    def column(self) -> Loop:
        assert self.plan.column is not None
        return self.plan.column

    def run(self) -> Lowered:
        extent = self.column.extent
        marks = {0: {Mark.PARALLEL}} if self.plan.outer else {}
        with nested(self.builder, self.plan.outer, marks):
            if isinstance(extent, int) and extent <= MAX_STRIP:
                self._start, self._width, self._count = index(0), max(extent, 1), index(extent)
                self._strip()
            else:
                with self.builder.loop("strip", self.builder.index_of(extent), step=STRIP) as start:
                    left = self.builder.index_of(extent) - start
                    self._start, self._width, self._count = start, STRIP, minimum(STRIP, left)
                    self._strip()
        return self.builder.lowered()

    def _strip(self) -> None:
        self.rounds()
        if self.row_results:
            with self._columns():
                self.store(self.elements(self.row_results))

    @contextmanager
    def _columns(self) -> Iterator[None]:
        """The loop over the columns of the strip."""
        k = self.builder
        with (
            k.loop("lane", self._count, marks={Mark.VECTOR}) as lane,
            k.bound(self.column.name, self.column.extent, self._start + lane),
            self.evaluator.scope(),
        ):
            self._lane = lane
            yield

    def sweep(self, reductions: Sequence[Reduction], number: int, stored: Sequence[int]) -> None:
        k = self.builder
        totals = [self._local(r.passes[number].dtype) for r in reductions]
        if reductions:
            with self._columns():
                for reduction, total in zip(reductions, totals, strict=True):
                    k.store(total, (self._lane,), reduction.passes[number].start)
        if self.has_steps:
            with nested(k, self.plan.inner, {}), self._columns():
                terms = [self.term(r, number) for r in reductions]
                elements = self.elements(stored)
                for reduction, total, term in zip(reductions, totals, terms, strict=True):
                    updated = k.apply(reduction.passes[number].update, k.load(total, (self._lane,)), term)
                    k.store(total, (self._lane,), updated)
                self.store(elements)
        for reduction, total in zip(reductions, totals, strict=True):
            reduction.totals.append(self._reader(total))

    def finish(self, reduction: Reduction) -> Callable[[], Scalar]:
        if not any(user.is_call for user in reduction.node.value.users):
            return lambda: reduction.rule.finish(self.builder, reduction.totals[-1]())
        finished = self._local(reduction.node.value.type.dtype)
        with self._columns():
            total = reduction.rule.finish(self.builder, reduction.totals[-1]())
            self.builder.store(finished, (self._lane,), total)
        return self._reader(finished)

    def _local(self, dtype: DType) -> Buffer:
        return self.builder.local("strip_of", dtype, (self._width,))

    def _reader(self, buffer: Buffer) -> Callable[[], Scalar]:
        return lambda: self.builder.load(buffer, (self._lane,))

    def scratch_position(self) -> Index:
        return super().scratch_position() * self._width + self._lane

    def scratch_size(self) -> Dim:
        return super().scratch_size() * self._width
