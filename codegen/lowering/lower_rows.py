"""Kernels whose reduced loops are innermost: pointwise, row reductions, small windows.

    softmax over rows of 64:                        2x2 maxima:
      for i0 < n parallel {                           for i0 < h { for i1 < w vector {
        acc m = -inf                                    acc m = -inf
        for i1 < 64 reduce vector { m = max(m, x) }     for i2 < 2 unroll { for i3 < 2 unroll { m = max(m, x) } }
        acc s = 0                                       store m
        for i1 < 64 reduce vector { ... }             } }
        for i1 < 64 vector { store ... }
      }

In a pointwise kernel there are no reduced loops, and the last loop is the vectorised one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracegraph.codegen.loops.loop_ir import Mark
from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.codegen.lowering.kernel_builder import Lowered
from tracegraph.codegen.lowering.loop_plan import Style
from tracegraph.codegen.lowering.lower_nest import NestLowering, Reduction, nested


class RowsLowering(NestLowering):
    """Totals are accumulators, in registers."""

    def run(self) -> Lowered:
        outer = self.plan.outer
        marks: dict[int, set[Mark]] = {n: set() for n in range(len(outer))}
        if outer:
            marks[0].add(Mark.PARALLEL)
            if self.plan.style in (Style.POINTWISE, Style.WINDOW):
                marks[len(outer) - 1].add(Mark.VECTOR)
        with nested(self.builder, outer, marks):
            self.rounds()
            self.store(self.elements(self.row_results))
        return self.builder.lowered()

    def sweep(self, reductions: Sequence[Reduction], number: int, stored: Sequence[int]) -> None:
        k = self.builder
        totals = [k.acc(r.passes[number].dtype, r.passes[number].start) for r in reductions]
        if self.has_steps:
            with nested(k, self.plan.inner, self._inner_marks(bool(reductions))), self.evaluator.scope():
                terms = [self.term(r, number) for r in reductions]
                elements = self.elements(stored)
                for reduction, total, term in zip(reductions, totals, terms, strict=True):
                    k.update(total, reduction.passes[number].update, term)
                self.store(elements)
        for reduction, total in zip(reductions, totals, strict=True):
            reduction.totals.append(lambda total=total: total)  # type: ignore[misc]

    def _inner_marks(self, reduces: bool) -> dict[int, set[Mark]]:
        count = len(self.plan.inner)
        marks = {n: {Mark.REDUCE} if reduces else set() for n in range(count)}
        for n in range(count):
            if self.plan.style is Style.WINDOW:
                marks[n].add(Mark.UNROLL)
            elif n == count - 1:
                marks[n].add(Mark.VECTOR)
        return marks

    def finish(self, reduction: Reduction) -> Callable[[], Scalar]:
        scalar = reduction.rule.finish(self.builder, reduction.totals[-1]())
        return lambda: scalar
