"""Lowering a body to a kernel: what all loop structures share.

A body is evaluated backwards from its results (`ir.evaluator`), in rounds over the reduced loops, one per level of
reductions (`ir.loop_nest`). Subclasses say how the loops stand and where totals are kept: `lower_rows`,
`lower_columns`. An expensive value that several rounds use is computed in the first and kept in scratch:

    for r { max }  for r { e = exp(x - max); sum e }  for r { exp(x - max) / sum }   -->
    for r { max }  for r { e = exp(x - max); scratch[r] = e; sum e }  for r { scratch[r] / sum }
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tracegraph.codegen.loops.loop_index import Index
from tracegraph.codegen.loops.loop_ir import Buffer, Mark
from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.codegen.lowering.accumulate import Accumulator, accumulators
from tracegraph.codegen.lowering.kernel_builder import KernelBuilder, Lowered
from tracegraph.codegen.lowering.loop_plan import LoopPlan
from tracegraph.codegen.lowering.loop_split import Loop
from tracegraph.errors import IRError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import is_zero
from tracegraph.ir.evaluator import Evaluator, Position
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.index_math import flatten, row_major
from tracegraph.ir.loop_nest import Nest, Survey, inner_position, levels_of, reductions_by_level
from tracegraph.ir.node_rules import is_reduction, reduce_rule
from tracegraph.ir.rules import Reduce

#: work below which a value is computed again rather than kept
KEEP_COST = 8.0
#: elements of scratch per kept value
KEEP_ELEMENTS = 8192


@dataclass
class Kept:
    """Scratch for a value: one element per step of the reduced loops, filled in the first round that needs it."""

    buffer: Buffer
    site: Position
    position: Callable[[], Index]
    filled: bool = False


@dataclass
class Reduction:
    """A reduction in progress: its rule, position, and the total of each pass so far."""

    node: Node
    rule: Reduce
    passes: list[Accumulator]
    index: Position
    inner: Position
    totals: list[Callable[[], Scalar]]


class BodyEvaluator(Evaluator):
    """Evaluates elements; totals of reductions and kept values come from where the lowering put them."""

    def __init__(self, builder: KernelBuilder) -> None:
        super().__init__(builder, builder.read, builder.ranges)
        self.builder = builder
        #: where the result of a reduction is read
        self.totals: dict[Value, Callable[[], Scalar]] = {}
        self.kept: dict[Value, Kept] = {}

    def apply(self, node: Node, index: Position) -> Scalar:
        if is_reduction(node):
            if node.value not in self.totals:
                raise IRError(f"{node.call_op.name} is needed before its round")
            return self.totals[node.value]()
        kept = self.kept.get(node.value)
        if kept is None or self.builder.mask is not None or not dims.same_shape(kept.site, index):
            return super().apply(node, index)
        position = (kept.position(),)
        if kept.filled:
            return self.builder.load(kept.buffer, position)
        scalar = super().apply(node, index)
        self.builder.store(kept.buffer, position, scalar)
        return scalar


class NestLowering(ABC):
    """Records the kernel of one body."""

    def __init__(self, builder: KernelBuilder, body: Graph, nest: Nest, found: Survey, plan: LoopPlan) -> None:
        self.builder, self.body, self.nest, self.found, self.plan = builder, body, nest, found, plan
        self.levels = levels_of(body)
        self.reductions = reductions_by_level(body)
        self.results: list[Value] = [v for v in body.outputs if isinstance(v, Value)]
        self.evaluator = BodyEvaluator(builder)

    @abstractmethod
    def run(self) -> Lowered:
        """Record all loops."""

    @abstractmethod
    def sweep(self, reductions: Sequence[Reduction], number: int, stored: Sequence[int]) -> None:
        """One pass over the reduced loops: pass `number` of the reductions, and results to store."""

    @abstractmethod
    def finish(self, reduction: Reduction) -> Callable[[], Scalar]:
        """Where the finished result of a reduction is read from now on."""

    # ------------------------------------------------------------------------------------ rounds

    def rounds(self) -> None:
        """All rounds over the reduced loops, at one step of the outer ones."""
        self._make_room()
        for level in range(max(self.levels.values(), default=0) + 1):
            self._round(level)

    def _round(self, level: int) -> None:
        wanted = [n for n in self.reductions.get(level, ()) if n.value in self.found.sites]
        reductions = [self._reduction(node) for node in wanted]
        stored = [n for n, v in enumerate(self.results) if self.nest.is_full(n) and self.levels[v] == level]
        if not reductions and not stored:
            return
        for number in range(max((len(r.passes) for r in reductions), default=1)):
            self.sweep([r for r in reductions if number < len(r.passes)], number, stored if number == 0 else ())
            for kept in self.evaluator.kept.values():
                kept.filled = kept.filled or self._is_used(kept, level)
        for reduction in reductions:
            self.evaluator.totals[reduction.node.value] = self.finish(reduction)

    @property
    def has_steps(self) -> bool:
        """Whether the reduced loops run at all, as far as is known."""
        return not any(is_zero(loop.extent) for loop in self.plan.inner)

    def _reduction(self, node: Node) -> Reduction:
        rule = reduce_rule(node)
        index = self.plan.position(self.found.sites[node.value])
        inner = self.plan.position(inner_position(rule, self.nest))
        return Reduction(node, rule, accumulators(rule), index, inner, [])

    def term(self, reduction: Reduction, number: int) -> Scalar:
        """The term of one pass at the current position."""
        totals = [total() for total in reduction.totals]
        load = self.evaluator.loader(reduction.node)
        return reduction.passes[number].term(self.builder, load, reduction.index, reduction.inner, totals)

    def elements(self, results: Sequence[int]) -> list[tuple[int, Position, Scalar]]:
        """Results at the current position; all are computed before the first is stored, for in-place kernels."""
        positions = [self.plan.position(self.nest.store_position(n)) for n in results]
        return [(n, p, self.evaluator.at(self.results[n], p)) for n, p in zip(results, positions, strict=True)]

    def store(self, elements: Sequence[tuple[int, Position, Scalar]]) -> None:
        for result, position, scalar in elements:
            self.builder.write(result, position, scalar)

    @property
    def row_results(self) -> list[int]:
        """Results stored outside the reduced loops."""
        return [n for n in range(len(self.results)) if not self.nest.is_full(n)]

    # ------------------------------------------------------------------------------------ kept values

    def scratch_position(self) -> Index:
        """Where the current step of the reduced loops lies in scratch."""
        inner = self.plan.inner
        variables = tuple(dims.sym(loop.name) for loop in inner)
        return self.builder.index_of(flatten(variables, row_major(tuple(loop.extent for loop in inner))))

    def scratch_size(self) -> dims.Dim:
        """Elements of scratch that a kept value takes."""
        return dims.product(tuple(loop.extent for loop in self.plan.inner))

    def _make_room(self) -> None:
        size = self.scratch_size()
        if not isinstance(size, int) or not 0 < size <= KEEP_ELEMENTS:
            return
        for value in self._worth_keeping():
            site = self.evaluator.position(value, self.plan.position(self.found.sites[value]))
            scratch = self.builder.local("kept", value.type.dtype, (size,))
            self.evaluator.kept[value] = Kept(scratch, site, self.scratch_position)

    def _worth_keeping(self) -> list[Value]:
        """Expensive values needed in several rounds, found backwards: what only a kept value needs is not kept."""
        needed: dict[Value, set[int]] = {}
        for n, value in enumerate(self.results):
            if self.nest.is_full(n):
                needed.setdefault(value, set()).add(self.levels[value])
        kept: list[Value] = []
        for node in reversed(self.body.nodes):
            if not node.is_call:
                continue
            rounds = needed.get(node.value, set())
            if is_reduction(node):
                rounds = {self.levels[node.value] - 1}
            elif len(rounds) > 1 and self._can_keep(node.value):
                kept.append(node.value)
                rounds = {min(rounds)}
            for operand in node.operands:
                needed.setdefault(operand, set()).update(rounds)
        return kept

    def _can_keep(self, value: Value) -> bool:
        site = self.found.sites.get(value, ())
        if len(site) != len(value.type.shape) or self.found.costs.get(value, 0.0) < KEEP_COST:
            return False
        inner = {self.nest.names[n] for n in self.nest.reduced}
        return inner <= {name for i in site for name in dims.symbols(i)}

    def _is_used(self, kept: Kept, level: int) -> bool:
        return any(k is kept and min(self.found.rounds[v]) <= level for v, k in self.evaluator.kept.items())


@contextmanager
def nested(builder: KernelBuilder, loops: Sequence[Loop], marks: Mapping[int, set[Mark]]) -> Iterator[None]:
    """Loops one inside the other, marked by number."""
    with ExitStack() as stack:
        for n, loop in enumerate(loops):
            stack.enter_context(builder.over(loop.name, loop.extent, marks.get(n, ())))
        yield
