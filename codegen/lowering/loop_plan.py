"""Choosing the loops of a kernel: which to merge, which is innermost, how reductions keep their totals.

The nest of a fused node says what is computed over which sizes; here strides are known too. Decided here,
before any statement is recorded:

- loops whose variables are divided are split (`loop_split`)
- loops that walk memory as one merge:  for i < 8 { for j < 64 { x[64*i + j] } }  -->  for m < 512 { x[m] }
- a reduction runs as
    ROWS     the reduced loops innermost, totals in registers; the innermost loop vectorised
    COLUMNS  a loop along which memory is contiguous innermost, totals in a strip of scratch, one per column
    WINDOW   few reduced steps, unrolled; the last result loop vectorised
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tracegraph.codegen.lowering.loop_split import Loop, split_loops, tangled_variables
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr, is_zero
from tracegraph.ir.index_math import flatten, linear, simplify
from tracegraph.ir.loop_nest import Nest, Survey
from tracegraph.ir.memory_plan import Placement

#: a window has at most this much unrolled work, this many steps, and this many along its innermost loop
WINDOW_WORK, WINDOW_STEPS, WINDOW_WIDTH = 128, 32, 8
#: columns whose totals are kept at once, unless all of them fit in MAX_STRIP
STRIP = 256
MAX_STRIP = 1024


class Style(Enum):
    """How a nest is executed."""

    POINTWISE = "pointwise"
    ROWS = "rows"
    COLUMNS = "columns"
    WINDOW = "window"


@dataclass(frozen=True)
class LoopPlan:
    """The loops in order: `outer`, then `inner` (the reduced ones), and for COLUMNS the `column` within them.

    `binding` gives the variables of the nest in terms of those of the loops.
    """

    style: Style
    outer: tuple[Loop, ...]
    inner: tuple[Loop, ...]
    column: Loop | None
    binding: dict[str, Dim]

    def position(self, index: Sequence[Dim]) -> tuple[Dim, ...]:
        """A position of the nest in terms of the loops."""
        return tuple(dims.evaluate(i, self.binding) for i in index)

    @property
    def ranges(self) -> dict[str, Dim]:
        loops = (*self.outer, *self.inner, *([self.column] if self.column else ()))
        return {loop.name: loop.extent for loop in loops}


def plan_loops(nest: Nest, found: Survey, addresses: Sequence[Dim], cost: float) -> LoopPlan:
    """Decide how to run `nest`, whose memory accesses lie at `addresses`; `cost` is the work of one inner
    step.
    """
    scalars = [simplify(s, nest.ranges | found.data_ranges) for s in found.scalar_indices]
    split = split_loops(nest.ranges, [*addresses, *scalars])
    loops = [[x for n in numbers for x in split.of(_loop(nest, n))] for numbers in (nest.outer, nest.reduced)]
    ranges = {loop.name: loop.extent for loop in (*loops[0], *loops[1])} | found.data_ranges
    names = [loop.name for loop in (*loops[0], *loops[1])]
    positions = [simplify(dims.evaluate(p, split.binding), ranges) for p in (*addresses, *scalars)]
    steps = [_steps(p, names) for p in positions]
    fixed = tangled_variables(positions, names)
    known = [s for s in steps if s is not None]
    (outer, bound_outer), (inner, bound_inner) = (_merge(run, known, fixed) for run in loops)
    moved = bound_outer | bound_inner
    binding = {v: dims.evaluate(split.binding.get(v, dims.sym(v)), moved) for v in nest.names}
    binding = {v: d for v, d in binding.items() if not dims.same(d, dims.sym(v))}
    if not inner:
        return LoopPlan(Style.POINTWISE if not nest.reduced else Style.ROWS, outer, inner, None, binding)
    if outer and _is_window(inner, cost) and _contiguous(inner, known) <= _contiguous(outer, known):
        return LoopPlan(Style.WINDOW, outer, inner, None, binding)
    column = _column(outer, inner, [s for s in steps[: len(addresses)] if s is not None])
    if column is None:
        return LoopPlan(Style.ROWS, outer, inner, None, binding)
    return LoopPlan(Style.COLUMNS, tuple(x for x in outer if x is not column), inner, column, binding)


def _loop(nest: Nest, number: int) -> Loop:
    return Loop(nest.names[number], nest.loops[number])


def addresses_of(nest: Nest, found: Survey, inputs: dict, outputs: Sequence[Placement]) -> list[Dim]:
    """The offsets of all loads and stores of a kernel, in the variables of the nest."""
    ranges = nest.ranges | found.data_ranges
    places = [(inputs[a.source], a.index) for a in found.accesses]
    places += [(place, nest.store_position(n)) for n, place in enumerate(outputs)]
    return [simplify(flatten(index, place.strides, place.offset), ranges) for place, index in places]


def _steps(address: Dim, names: Sequence[str]) -> dict[str, Dim] | None:
    """How far each loop moves an address; None if it is not linear."""
    parts = linear(address, names)
    return None if parts is None else parts[1]


def _merge(loops: list[Loop], steps: list[dict[str, Dim]], fixed: set[str]) -> tuple[tuple[Loop, ...], dict[str, Dim]]:
    """Neighbouring loops as one wherever every access walks them as one; those in `fixed` stay as they are."""
    binding: dict[str, Dim] = {}
    if not loops:
        return (), binding
    runs = [[loops[0]]]
    for loop in loops[1:]:
        before = runs[-1][-1]
        if not {loop.name, before.name} & fixed and all(_continues(step, before, loop) for step in steps):
            runs[-1].append(loop)
        else:
            runs.append([loop])
    merged = []
    for run in runs:
        if len(run) == 1:
            merged.append(run[0])
            continue
        variable = dims.sym(run[-1].name.replace("i", "m"))
        whole = Loop(str(variable), dims.product(tuple(loop.extent for loop in run)))
        merged.append(whole)
        rest: Dim = variable
        below = [dims.product(tuple(x.extent for x in run[n + 1 :])) for n in range(len(run))]
        for loop, size in zip(run, below, strict=True):
            binding[loop.name], rest = rest // size, rest % size
    return tuple(merged), binding


def _continues(step: dict[str, Dim], outer: Loop, inner: Loop) -> bool:
    if is_zero(outer.extent) or is_zero(inner.extent):
        return False
    return dims.same(step.get(outer.name, 0), step.get(inner.name, 0) * inner.extent)


def _is_window(inner: Sequence[Loop], cost: float) -> bool:
    steps = dims.product(tuple(loop.extent for loop in inner))
    if isinstance(steps, SymExpr):
        return False
    return steps <= WINDOW_STEPS and inner[-1].extent <= WINDOW_WIDTH and steps * max(cost, 1.0) <= WINDOW_WORK


def _contiguous(loops: Sequence[Loop], steps: list[dict[str, Dim]]) -> int:
    """How many accesses move by one element with the best of the loops."""
    return max((_unit(loop, steps) for loop in loops), default=0)


def _unit(loop: Loop, steps: list[dict[str, Dim]]) -> int:
    # a merged loop `m3` moves as the innermost of the loops it stands for, `i3`
    names = {loop.name, loop.name.replace("m", "i")}
    return sum(any(dims.same(step.get(name, 0), 1) for name in names) for step in steps)


def _column(outer: Sequence[Loop], inner: Sequence[Loop], steps: list[dict[str, Dim]]) -> Loop | None:
    """The result loop along which memory is contiguous, if no reduced loop is as good."""
    # what stands still in a loop is small: the largest arrays decide
    names = {loop.name.replace("m", "i") for loop in inner}
    moving = [{name for name, size in step.items() if not dims.same(size, 0)} for step in steps]
    widest = max((len(loops) for loops in moving if loops & names), default=0)
    streamed = [step for step, loops in zip(steps, moving, strict=True) if loops & names and len(loops) == widest]
    best = max(outer, key=lambda loop: _unit(loop, streamed), default=None)
    if best is None or _unit(best, streamed) <= _contiguous(inner, streamed):
        return None
    return best
